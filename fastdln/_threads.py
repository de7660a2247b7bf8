"""Loops over large arrays on all cores, by one pool of threads for the whole process.

The kernels release the GIL, so plain threads do. Unlike numba's layers this pool may
be entered from many threads at once, survives a fork, needs no library, and never runs
more threads than there are cores, however many callers there are. Where an array is cut
has no influence on the bits that come out.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from numba import config

__all__ = [
    "PARALLEL_FROM",
    "in_order",
    "run_all",
    "run_chunks",
    "run_tasks",
    "run_together",
    "single",
    "thread_count",
]

T = TypeVar("T")
R = TypeVar("R")

PARALLEL_FROM = 1 << 17  # elements: below, waking the threads costs more than it saves
CHUNKS_PER_THREAD = 4  # so that a core busy elsewhere does not hold up the others

_lock = threading.Lock()
_here = threading.local()
_pools: dict[int, ThreadPoolExecutor] = {}


def thread_count() -> int:
    """Cores this process may use, at most NUMBA_NUM_THREADS; 1 within `single`."""
    if _is_single():
        return 1
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, min(cores, int(config.NUMBA_NUM_THREADS)))


def _is_single() -> bool:
    """Whether this thread keeps to itself: the pool's must not wait for others of the pool."""
    return getattr(_here, "single", False)


@contextmanager
def single() -> Iterator[None]:
    """Keep the calling thread from waking others: it is one of many at work already."""
    before = _is_single()
    _here.single = True
    try:
        yield
    finally:
        _here.single = before


def _enter_pool() -> None:
    _here.single = True


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools.clear()  # threads of an outgrown pool end when their work does
            _pools[threads] = ThreadPoolExecutor(threads, "fastdln", _enter_pool)
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
    threads = thread_count()
    if size < PARALLEL_FROM or threads == 1 or _is_single():
        return bool(work(0, size) < 0)
    count = threads * CHUNKS_PER_THREAD
    cuts = [size * i // count for i in range(count + 1)]
    return min(_pool(threads).map(work, cuts[:-1], cuts[1:])) < 0


def run_all(
    work: Callable[[Any], Any], items: Sequence[Any], stop: Callable[[], None]
) -> list[Any]:
    """``[work(item) for item in items]`` on all cores, in the order of the items.

    On an interrupt `stop` is called: it has to make each piece of work end soon.
    """
    if thread_count() == 1 or len(items) < 2:
        return [work(item) for item in items]
    pool, futures = _pool(thread_count()), list[Future[Any]]()

    def hand_out() -> None:
        for item in items:
            futures.append(pool.submit(work, item))

    # by a thread of the pool: an interrupt within `submit` would leave its lock held for ever
    handing_out: Future[None] | None = None
    try:
        handing_out = pool.submit(hand_out)
        while wait([handing_out], timeout=0.2).not_done:  # one without end may hear nothing
            pass
        while wait(futures, timeout=0.2).not_done:
            pass
    except KeyboardInterrupt:
        stop()
        if handing_out is None:
            raise
        handing_out.result()
    return [future.result() for future in futures]


def run_tasks(work: Callable[[int], None], count: int) -> None:
    """Call ``work(i)`` for i in ``range(count)``, on all cores."""
    for _ in in_order(work, range(count)):
        pass


def run_together(work: Callable[[], None], threads: int) -> None:
    """Call `work` on this thread and, where they are free, on others at once: `threads` in all.

    `work` must divide what there is to do by itself, among however many call it.
    """
    if threads < 2 or _is_single():
        work()
        return
    others = list[Future[None]]()
    try:
        for _ in range(threads - 1):
            others.append(_pool(threads).submit(work))
        work()
    finally:  # those that have not begun need not; the others end with this one
        for future in others:
            if not future.cancel():
                future.result()


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``work(item)`` for each item, on all cores; results come in the order of the items.

    Never more than two items a thread are under way or waiting to be taken.
    """
    threads = thread_count()
    if threads == 1 or _is_single():
        yield from map(work, items)
        return
    pool, waiting = _pool(threads), deque[Future[R]]()
    try:
        for item in items:
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:  # after an error or Ctrl-C nothing is left to run
        for future in waiting:
            future.cancel()
