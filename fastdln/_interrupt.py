"""Ctrl-C that waits for the end of a piece of work, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

__all__ = ["heard_between_pieces", "uninterrupted"]


@contextmanager
def heard_between_pieces(stop: threading.Event) -> Iterator[None]:
    """While this lasts an interrupt sets `stop`, and a second one raises KeyboardInterrupt.

    Only in the main thread, and only where Python's own handler is in place.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def uninterrupted(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, within which no interrupt is heard: one that comes is heard right after.

    For calls of milliseconds. In other threads than the main one none is heard anyway.
    """

    @wraps(call, updated=())
    def held(*arguments: Any) -> Any:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            return call(*arguments)
        frames: list[FrameType | None] = []
        signal.signal(signal.SIGINT, lambda number, frame: frames.append(frame))
        try:
            return call(*arguments)
        finally:
            signal.signal(signal.SIGINT, handler)
            if frames:
                handler(signal.SIGINT, frames[0])

    return held
