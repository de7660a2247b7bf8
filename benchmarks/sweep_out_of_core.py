"""An A larger than memory may be: ``python -m benchmarks.sweep_out_of_core [MB [WHAT ...]]``.

Makes a file of Gaussian numbers with 100 rows (4 GB, or as many megabytes as are given), and
computes a limit, a minimiser and some steps of descent of the mapped file, each in a process of
its own: peak memory, and the time in units of one reading of the file for each step.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_ROWS = 100
_CODE = """
import os, resource, sys, time
import numpy as np
import fastdln as fd
path, N = sys.argv[1], int(sys.argv[2])
y = np.load(path + ".y.npy")
A = np.memmap(path, np.float64, "r", shape=(y.size, N))
def read():
    total = 0.0
    for k in range(0, N, 10000):
        total += float(A[:, k : k + 10000].sum())
        A._mmap.madvise(4)  # DONTNEED, as the solver does
    return total
what = sys.argv[3]
def solve(problem):
    if what == "limit":
        limit = fd.flow_limit(problem, 3, alpha=1e-2)
        return limit.iterations, f"{limit.status.name}, residual {limit.residual:.1e}, Newton steps"
    if what == "minimizer":
        found = fd.l1_minimizer(problem, 3)
        return 1, f"{found.status.name}, {found.support.size} nonzeros, times"
    path = fd.gradient_descent(problem, 3, 0.1, 1e-7, 10, save_steps=[10])
    return 10, f"{path.status.name}, loss {path.loss[-1]:.3e}, descent steps"
generator = np.random.default_rng(0)  # compiles
solve(fd.Problem(generator.standard_normal((5, 20)), np.ones(5)))
small = generator.standard_normal((5, 2000))
small.tofile(path + ".small")
small = np.memmap(path + ".small", np.float64, "r", shape=(5, 2000))
solve(fd.Problem(small, np.ones(5), memory_budget=0))
def cold():
    with open(path, "rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        while stream.read(1 << 24):
            pass
    return time.perf_counter() - start
from_disk = cold()
read()
start = time.perf_counter()
read()
reading = time.perf_counter() - start
start = time.perf_counter()
problem = fd.Problem(A, y)
steps, told = solve(problem)
seconds = time.perf_counter() - start
print(f"{what}: {told}: {steps}")
print(f"the whole {seconds:.1f} s; reading A once {from_disk:.1f} s from disk,",
      f"{reading:.1f} s once it is cached: {seconds / from_disk / steps:.2f} and",
      f"{seconds / reading / steps:.2f} readings a step")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MB resident at the most")
"""


def write(path: Path, N: int) -> None:
    """A in row-major order, and y = A x for a sparse x."""
    generator = np.random.default_rng(0)
    support = generator.choice(N, 10, replace=False)
    x, y = generator.standard_normal(10), np.empty(_ROWS)
    with path.open("wb") as stream:
        for i in range(_ROWS):
            row = generator.standard_normal(N)
            y[i] = row[support] @ x
            stream.write(row.data)
    np.save(f"{path}.y.npy", y)


def main() -> None:
    """Make the file, and run."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    N = megabytes * 1_000_000 // (8 * _ROWS)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "A.f64"
        write(path, N)
        print(f"A is {_ROWS} x {N}, {megabytes} MB", flush=True)
        for what in sys.argv[2:] or ("limit", "minimizer", "descent"):
            subprocess.run([sys.executable, "-c", _CODE, str(path), str(N), what], check=True)


if __name__ == "__main__":
    main()
