"""Who does the work of a sweep: threads of this process, or the workers of a Dask cluster.

Both are generators of (piece, result) in whatever order pieces end. They hold only a few
pieces at a time, however many there are, and no new piece starts once they are closed.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastdln.sweep_grid import Config, package_version
from fastdln.sweep_plan import Layout, Piece
from fastdln.sweep_work import PieceResult, one_thread_each, run_piece

__all__ = ["Results", "dask_client", "in_threads", "on_dask"]

Results = Iterator[tuple[Piece, PieceResult]]

_AHEAD = 4  # pieces in hand for each worker
_PATIENCE = 2.0  # seconds


def in_threads(
    config: Config, layouts: dict[str, Layout], pieces: Iterator[Piece], workers: int
) -> Results:
    """Work by threads that do not outlive the process."""
    jobs: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[Piece, PieceResult | BaseException]] = queue.SimpleQueue()

    def work() -> None:
        with one_thread_each():
            while (piece := jobs.get()) is not None:
                try:
                    part = layouts[piece.quantity].part(config, piece.chunk)
                    results.put((piece, run_piece(*part, piece)))
                except BaseException as error:
                    results.put((piece, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    pending = 0
    try:
        for piece in itertools.islice(pieces, _AHEAD * workers):
            jobs.put(piece)
            pending += 1
        while pending:
            piece, result = results.get()
            pending -= 1
            if isinstance(result, BaseException):
                raise result
            for another in itertools.islice(pieces, 1):
                jobs.put(another)
                pending += 1
            yield piece, result
    finally:
        while pending:  # what nobody waits for any more
            try:
                jobs.get_nowait()
            except queue.Empty:
                break
        for _ in threads:
            jobs.put(None)
        for thread in threads:  # a long piece is not waited for: its thread ends with it
            thread.join(_PATIENCE)


def on_dask(
    config: Config, layouts: dict[str, Layout], pieces: Iterator[Piece], client: Any
) -> Results:
    """Work by the user's cluster. Pieces of a lost worker go to another."""
    from distributed import as_completed

    def submit(piece: Piece) -> Any:
        part = layouts[piece.quantity].part(config, piece.chunk)
        future = client.submit(_task, *part, piece, package_version(), pure=False)
        waiting[future.key] = piece
        return future

    waiting: dict[str, Piece] = {}
    ahead = _AHEAD * max(1, sum(client.nthreads().values()))
    running = as_completed(submit(piece) for piece in itertools.islice(pieces, ahead))
    try:
        for future in running:
            result = future.result()
            piece = waiting.pop(future.key)
            for another in itertools.islice(pieces, 1):
                running.add(submit(another))
            yield piece, result
    finally:
        if waiting:
            client.cancel([future for future in running.futures])


def _task(config: Config, layout: Layout, piece: Piece, version: str) -> PieceResult:
    if version != package_version():
        raise RuntimeError(
            f"a Dask worker has fastdln {package_version()}, the sweep was started by {version}"
        )
    with one_thread_each():
        return run_piece(config, layout, piece)


@contextmanager
def dask_client(client: Any, scheduler: str | None, seconds: float = 10.0) -> Iterator[Any]:
    """The client given, or one connected to an address; None for neither."""
    if client is not None or scheduler is None:
        yield client
        return
    from distributed import Client

    try:
        own = Client(scheduler, timeout=seconds)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no Dask scheduler answers at {scheduler!r} within {seconds:g} s ({error})"
        ) from None
    with own:
        yield own
