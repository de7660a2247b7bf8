"""Peak memory of sweeps of growing size: ``python -m benchmarks.sweep_memory [COUNT ...]``.

Each size in a process of its own; limits of 4 x 10 problems, with psi kept.
"""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import resource, sys, tempfile, fastdln as fd
table = {"dataset": "gaussian", "m": 4, "N": 200, "sparsity": 2}
with tempfile.TemporaryDirectory(dir=".") as folder:
    fd.sweep(table, p=[2, 3], alpha=[1.0, 0.1, 0.01, 1e-3, 1e-4], seed=range(int(sys.argv[1])),
             store=folder + "/s.zarr")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    """One line for each size."""
    for count in [int(word) for word in sys.argv[1:]] or [100, 1000, 10000]:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, str(count)], check=True, capture_output=True, text=True
        )
        print(f"{10 * count:>8} limits: {done.stdout.strip()} MB at the most", flush=True)


if __name__ == "__main__":
    main()
