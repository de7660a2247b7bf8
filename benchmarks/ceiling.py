"""What two cores can give: the same work in one bare process, and in two of them at once.

No executor, no store and no lock is shared; what is lost is lost to clock, caches and memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any


def _serve(pipe: Connection, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    """Do the work once, then again at each word, and tell the seconds."""
    work(*given)
    pipe.send(0.0)
    while pipe.recv():
        start = time.perf_counter()
        work(*given)
        pipe.send(time.perf_counter() - start)


def side_by_side(work: Callable[..., Any], *given: Any, rounds: int = 3) -> float:
    """Seconds of ``work(*given)`` alone over those beside another: 1 where nothing is lost."""
    context = get_context("spawn")
    pairs = [context.Pipe() for _ in range(2)]
    processes = [
        context.Process(target=_serve, args=(theirs, work, given), daemon=True)
        for _, theirs in pairs
    ]
    for process in processes:
        process.start()
    ours = [pipe for pipe, _ in pairs]
    for pipe in ours:
        pipe.recv()

    def seconds(pipes: list[Any]) -> float:
        for pipe in pipes:
            pipe.send(True)
        return max(float(pipe.recv()) for pipe in pipes)

    found = [(seconds(ours[:1]), seconds(ours)) for _ in range(rounds)]
    for pipe, process in zip(ours, processes, strict=True):
        pipe.send(False)
        process.join()
    alone, both = (statistics.median(column) for column in zip(*found, strict=True))
    return alone / both
