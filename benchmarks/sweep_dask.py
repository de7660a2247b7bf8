"""A sweep on one and on two single-threaded Dask workers: ``python -m benchmarks.sweep_dask``.

Workers are processes of their own on this machine. One of two is killed half-way in the end.
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
_ROUNDS = 2


def timed(client: Any) -> float:
    """Seconds for one sweep."""
    start = time.perf_counter()
    fd.sweep(**GRID, client=client)
    return time.perf_counter() - start


def with_workers(count: int) -> list[float]:
    """Seconds of some sweeps, after one that is not counted."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=count, **options) as cluster, Client(cluster) as client:
        timed(client)
        seconds = [timed(client) for _ in range(_ROUNDS)]
        if count > 1:
            one_lost(client)
    return seconds


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
    one, two = (statistics.median(with_workers(count)) for count in (1, 2))
    print(f"20,000 limits: one worker {one:.2f} s, two workers {two:.2f} s: {one / two:.2f} times")
    most = 2.0 * side_by_side(alone, rounds=_ROUNDS)
    print(f"two bare processes of the same sweep, against one: {most:.2f} times")


if __name__ == "__main__":
    main()
