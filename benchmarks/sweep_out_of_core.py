"""A limit of an A larger than the memory it may use: ``python -m benchmarks.sweep_out_of_core``.

Makes a file of Gaussian numbers with 100 rows (4 GB, or as many MEGABYTES as are given), and
computes one limit of the mapped file in a process of its own: peak memory, and the time in units
of one reading of the file for each factorisation.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_ROWS = 100
_CODE = f"""
import resource, sys, time
import numpy as np
import fastdln as fd
path, N = sys.argv[1], int(sys.argv[2])
A = np.memmap(path, np.float64, "r", shape=({_ROWS}, N))
y = np.load(path + ".y.npy")
def read():
    total = 0.0
    for k in range(0, N, 10000):
        total += float(A[:, k : k + 10000].sum())
        A._mmap.madvise(4)  # DONTNEED, as the solver does
    return total
fd.flow_limit(fd.datasets.line(), 3, 1e-2)
read()
start = time.perf_counter()
read()
reading = time.perf_counter() - start
start = time.perf_counter()
problem = fd.Problem(A, y)
limit = fd.flow_limit(problem, 3, alpha=1e-2)
seconds = time.perf_counter() - start
steps = limit.factorisations + limit.iterations
print(f"{{limit.status.name}}, residual {{limit.residual:.1e}}, {{steps}} Newton steps")
print(f"reading A once {{reading:.1f}} s, the limit {{seconds:.1f}} s:",
      f"{{seconds / reading / max(steps, 1):.2f}} readings a step")
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
        subprocess.run([sys.executable, "-c", _CODE, str(path), str(N)], check=True)


if __name__ == "__main__":
    main()
