"""Ctrl-C that waits for the end of a piece of work, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heard_between_pieces"]


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
