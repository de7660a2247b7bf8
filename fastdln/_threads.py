"""Loops over large arrays on all cores, by one pool of threads for the whole process.

The kernels release the GIL, so plain threads do. Unlike numba's layers this pool may
be entered from many threads at once, survives a fork, needs no library, and never runs
more threads than there are cores, however many callers there are. Where an array is cut
has no influence on the bits that come out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from numba import config

__all__ = ["PARALLEL_FROM", "run_chunks", "run_tasks", "thread_count"]

PARALLEL_FROM = 1 << 17  # elements: below, waking the threads costs more than it saves
CHUNKS_PER_THREAD = 4  # so that a core busy elsewhere does not hold up the others

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def thread_count() -> int:
    """Cores this process may use, at most NUMBA_NUM_THREADS."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, min(cores, int(config.NUMBA_NUM_THREADS)))


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools.clear()  # threads of an outgrown pool end when their work does
            _pools[threads] = ThreadPoolExecutor(threads, "fastdln")
        return _pools[threads]


def _forget() -> None:
    """Drop the pool in a forked child: its threads stayed with the parent."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run_chunks(work: Callable[[int, int], int], size: int) -> bool:
    """Call ``work(start, stop)`` on pieces that cover ``range(size)``; is any result negative?"""
    threads = thread_count() if size >= PARALLEL_FROM else 1
    if threads == 1:
        return bool(work(0, size) < 0)
    count = threads * CHUNKS_PER_THREAD
    cuts = [size * i // count for i in range(count + 1)]
    return min(_pool(threads).map(work, cuts[:-1], cuts[1:])) < 0


def run_tasks(work: Callable[[int], None], count: int) -> None:
    """Call ``work(i)`` for i in ``range(count)``, on all cores."""
    threads = thread_count()
    if threads == 1 or count == 1:
        for i in range(count):
            work(i)
        return
    for _ in _pool(threads).map(work, range(count)):
        pass
