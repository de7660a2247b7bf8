"""A sweep on one and on two single-threaded Dask workers: ``python -m benchmarks.sweep_dask``.

Workers are processes of their own on this machine. One of two is killed half-way in the end.
Beside it stand two ceilings: as many tasks on the same workers that only count, so that all
that is lost is Dask's and the machine's; and two bare processes.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import Any
from unittest import mock

import fastdln as fd
from fastdln.sweep_store import Store

from .ceiling import side_by_side

GRID = {
    "problems": {"dataset": "gaussian", "m": 20, "N": 100, "sparsity": 5},
    "seed": range(100),
    "p": [2, 2.5, 3, 4],
    "alpha": {"logspace": [0, -3, 50]},
}
_ROUNDS = 3
_TASKS, _LOOPS = 53, 2_000_000


def timed(client: Any) -> float:
    """Seconds for one sweep."""
    start = time.perf_counter()
    fd.sweep(**GRID, client=client)
    return time.perf_counter() - start


def count_up(loops: int) -> int:
    """Work that needs no memory, and little of anything but time."""
    total = 0
    for k in range(loops):
        total += k & 3
    return total


def counted(client: Any) -> float:
    """Seconds for as many tasks as the sweep has pieces, and about as long."""
    start = time.perf_counter()
    client.gather(client.map(count_up, [_LOOPS] * _TASKS, pure=False))
    return time.perf_counter() - start


def with_workers(count: int) -> tuple[list[float], list[float]]:
    """Seconds of some sweeps, after one that is not counted, and of tasks that only count."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=count, **options) as cluster, Client(cluster) as client:
        timed(client)
        seconds = [timed(client) for _ in range(_ROUNDS)]
        bare = [counted(client) for _ in range(_ROUNDS)]
        if count > 1:
            one_lost(client)
    return seconds, bare


def one_lost(client: Any) -> None:
    """Kill a worker half-way, and compare with a sweep by threads."""
    victim, written, original = next(iter(client.run(os.getpid).values())), [0], Store.write

    def write(self: Store, *arguments: Any) -> None:
        original(self, *arguments)
        written[0] += 1
        if written[0] == 5:
            os.kill(victim, signal.SIGKILL)

    with mock.patch.object(Store, "write", write):
        data = fd.sweep(**GRID, client=client)
    other = fd.sweep(**GRID)
    same = all(
        data[name].values.tobytes() == other[name].values.tobytes()
        for name in other.data_vars
        if not str(name).endswith("_seconds")
    )
    print(f"one of two workers killed after 5 of {written[0]} chunks; same bits: {same}")


def alone() -> None:
    """A quarter of the sweep on one thread of this process."""
    fd.sweep(**{**GRID, "seed": range(25)}, workers=1)


def main() -> None:
    """Medians, and their ratio."""
    (one, bare_one), (two, bare_two) = (
        [statistics.median(seconds) for seconds in with_workers(count)] for count in (1, 2)
    )
    print(f"20,000 limits: one worker {one:.2f} s, two workers {two:.2f} s: {one / two:.2f} times")
    print(f"tasks that only count, on the same workers: {bare_one / bare_two:.2f} times")
    most = 2.0 * side_by_side(alone, rounds=_ROUNDS)
    print(f"two bare processes of the same sweep, against one: {most:.2f} times")


if __name__ == "__main__":
    main()
