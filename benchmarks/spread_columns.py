"""One problem whose columns lie with Dask workers: ``python -m benchmarks.spread_columns [MB]``.

A has 100 rows and is made by the workers (processes of one thread on this machine): one limit with
one worker and with two, and whether the bits are the same.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import fastdln as fd

_ROWS, _CHUNK = 100, 10_000


def timed(count: int, columns: int) -> tuple[float, Any]:
    """Seconds for the second of two limits, and what it is."""
    import dask.array
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=count, **options) as cluster, Client(cluster):
        generator = dask.array.random.default_rng(0)
        A = generator.standard_normal((_ROWS, columns), chunks=(_ROWS, _CHUNK)).persist()
        y = np.asarray(A[:, :10].sum(axis=1))
        problem = fd.Problem(A, y, memory_budget=0)
        fd.flow_limit(problem, 3, alpha=1e-2)
        start = time.perf_counter()
        limit = fd.flow_limit(problem, 3, alpha=1e-2)
        return time.perf_counter() - start, limit


def main() -> None:
    """One worker, and two."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    columns = megabytes * 1_000_000 // (8 * _ROWS)
    (one, first), (two, second) = (timed(count, columns) for count in (1, 2))
    same = first.psi.tobytes() == second.psi.tobytes()
    print(f"A is {_ROWS} x {columns}; {first.status.name}, {first.iterations} Newton steps")
    print(f"one worker {one:.2f} s, two workers {two:.2f} s: {one / two:.2f} times")
    print(f"same bits: {same}")


if __name__ == "__main__":
    main()
