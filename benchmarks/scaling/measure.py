"""One point, in a process of its own: seconds on each number of threads, and peak memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gate
from benchmarks.growth import held

from .tasks import AXES, Axis

ROOT = Path(__file__).resolve().parent.parent.parent
_SECONDS = 0.6  # for the timings of one point
_MOST = 9  # and no more than these


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Keep this process to so many cores: the package takes one thread for each."""
    try:
        before = os.sched_getaffinity(0)
    except AttributeError:  # not on every system: then the number of cores is as it is
        yield
        return
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def thread_counts() -> list[int]:
    """One, and two where there are two cores."""
    try:
        return [1, 2][: len(os.sched_getaffinity(0))]
    except AttributeError:
        return [1, 2][: os.cpu_count() or 1]


def point(axis: Axis, size: int) -> dict[str, Any]:
    """Measure here. The first run of all, on every core, gives the memory."""
    axis.make(axis.quick[0])()  # loads the compiled code
    run = axis.make(size)
    _forget_peak()
    before = held()
    first = time.perf_counter()
    result = run()
    first = time.perf_counter() - first
    memory = gate.peak_bytes() - before
    assert result is not None
    rounds = min(_MOST, int(_SECONDS / max(first, 1e-4) / len(thread_counts())))
    rounds = max(2 if first > _SECONDS else 3, rounds)
    seconds: dict[int, list[float]] = {threads: [] for threads in thread_counts()}
    for _ in range(rounds):
        for threads, samples in seconds.items():
            with on_cores(threads):
                start = time.perf_counter()
                run()
                samples.append(time.perf_counter() - start)
    return {
        "size": size,
        "memory": max(memory, 0.0),
        "seconds": {str(threads): statistics.median(s) for threads, s in seconds.items()},
        "least": {str(threads): min(samples) for threads, samples in seconds.items()},
    }


def _forget_peak() -> None:
    """Let the peak of this process start again from what it holds, where Linux lets it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def point_apart(number: int, size: int) -> dict[str, Any]:
    """The same in a new process."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--point", str(number), str(size)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        axis = AXES[number]
        raise SystemExit(f"{axis.task} at {axis.axis} = {size} failed, see above")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def bandwidth(megabytes: int = 256) -> dict[str, float]:
    """Bytes read a second, on each number of threads, by the sum of a large array."""
    from concurrent.futures import ThreadPoolExecutor

    x = np.ones(megabytes * 125_000)
    found = {}
    for threads in thread_counts():
        parts = np.array_split(x, 4 * threads)
        with on_cores(threads), ThreadPoolExecutor(threads) as pool:
            found[str(threads)] = x.nbytes / _least(lambda: list(pool.map(np.sum, parts)))  # noqa: B023
    return found


def _least(run: Callable[[], Any], times: int = 7) -> float:
    best = np.inf
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return float(best)


def dask_overhead(quick: bool) -> dict[str, float] | None:
    """Seconds a chunk costs on Dask beside its work; None where Dask is not installed.

    Two sweeps of the same limits, in few and in many chunks, on one worker: a process of its own.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        return None
    import fastdln as fd

    count = 40 if quick else 400
    few, many = (2, 20) if quick else (4, 200)
    table = {"dataset": "gaussian", "m": 20, "N": 100, "sparsity": 2}
    options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None}

    def seconds(client: Any, chunks: int) -> float:
        start = time.perf_counter()
        fd.sweep(table, p=[3], alpha=[1e-2], seed=range(count), chunk=count // chunks,
                 client=client, progress=False)  # fmt: skip
        return time.perf_counter() - start

    with LocalCluster(n_workers=1, **options) as cluster, Client(cluster) as client:
        seconds(client, few)
        runs = [(seconds(client, few), seconds(client, many)) for _ in range(1 if quick else 5)]
    low, high = (statistics.median(column) for column in zip(*runs, strict=True))
    return {"chunk": max(0.0, (high - low) / (many - few)), "few": low, "many": high}
