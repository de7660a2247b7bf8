"""Time and peak memory of one limit as N grows, each size in a process of its own.

    python -m benchmarks.growth [--m 100] [--most 1e6] [--p 3] [--eps 1e-9] [--file]

Dense Gaussian A, y = A x with 10 nonzeros. Memory is what the process holds at its peak
above what it held with A and y in memory, in vectors of N numbers. With --file, A is a
np.memmap and the solver reads it in blocks.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np


def _peak() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def held() -> float:
    """Bytes that this process has in memory now."""
    with open("/proc/self/statm") as file:
        return float(file.read().split()[1]) * resource.getpagesize()


def _write(path: str, m: int, N: int) -> None:
    """A, row by row, and y = A x: what reads a file here and there maps much of it."""
    generator = np.random.default_rng(0)
    x, places = np.random.default_rng(1).standard_normal(10), np.arange(10) * (N // 20)
    y = np.empty(m)
    with open(path, "wb") as file:
        for i in range(m):
            row = generator.standard_normal(N)
            y[i] = row[places] @ x
            row.tofile(file)
    y.tofile(path + ".y")


def measure(m: int, N: int, p: float, eps: float, path: str, in_file: bool) -> None:
    """Print seconds, bytes above the start, and the status of one limit."""
    import fastdln as fd

    A = _mapped(path, m, N) if in_file else np.fromfile(path).reshape(m, N)
    y = np.fromfile(path + ".y")
    warm = np.random.default_rng(2).standard_normal((m, 4 * m))
    budget = 0 if in_file else 10**12
    given = _as_file(warm) if in_file else warm
    fd.flow_limit(fd.Problem(given, warm[:, 0], memory_budget=budget), p, log_alpha=-5.0)
    before = held()
    start = time.perf_counter()
    problem = fd.Problem(A, y, memory_budget=budget)
    limit = fd.flow_limit(problem, p, log_alpha=math.log(eps) / p)
    seconds = time.perf_counter() - start
    print(seconds, _peak() - before, _peak(), limit.status.name)


def _mapped(path: str, m: int, N: int) -> np.memmap:
    return np.memmap(path, dtype=np.float64, mode="r", shape=(m, N))


def _as_file(A: np.ndarray) -> np.memmap:
    file = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115
    A.tofile(file)
    file.close()
    mapped = _mapped(file.name, *A.shape)
    os.unlink(file.name)
    return mapped


def main() -> None:
    """Measure each size, and fit the exponent of time over the larger ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--m", type=int, default=100)
    parser.add_argument("--least", type=float, default=1e3)
    parser.add_argument("--most", type=float, default=1e6)
    parser.add_argument("--p", type=float, default=3.0)
    parser.add_argument("--eps", type=float, default=1e-9)
    parser.add_argument("--file", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    m, p, eps = arguments.m, arguments.p, arguments.eps
    if arguments.one:
        measure(m, arguments.one, p, eps, arguments.path, arguments.file)
        return
    print(f"m = {m}, p = {p:g}, eps = {eps:g}" + (", A in a file" if arguments.file else ""))
    print(f"{'N':>9} {'s':>9} {'above the start':>16} {'vectors of N':>13} {'peak':>9}  status")
    count = round(2 * math.log10(arguments.most / arguments.least)) + 1
    sizes = np.geomspace(arguments.least, arguments.most, count).round().astype(int)
    measured = []
    for N in sizes.tolist():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "A")
            _write(path, m, N)
            command = [
                sys.executable, "-m", "benchmarks.growth", "--one", str(N), "--m", str(m),
                "--p", str(p), "--eps", str(eps), "--path", path,
                *(["--file"] if arguments.file else []),
            ]  # fmt: skip
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds, more, peak, status = out.split()
        measured.append((N, float(seconds)))
        print(
            f"{N:9d} {float(seconds):9.3f} {float(more) / 1e6:13.0f} MB "
            f"{float(more) / (8 * N):13.1f} {float(peak) / 1e6:6.0f} MB  {status}",
            flush=True,
        )
    upper = np.log(np.array(measured[len(measured) // 2 :]))
    if len(upper) > 1:
        slope = np.polyfit(upper[:, 0], upper[:, 1], 1)[0]
        print(f"time over the upper half: N^{slope:.2f}")


if __name__ == "__main__":
    main()
