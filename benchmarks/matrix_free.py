"""Time, residual and memory of a limit known by fast transforms alone.

    python -m benchmarks.matrix_free [--log2-N 18] [--p 3] [--eps 1e-9]

A holds N/8 rows of the orthonormal discrete cosine transform, drawn at random; y = A x
with x standard normal on N/524 random places (500 for N = 2^18), 0 elsewhere.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

import numpy as np
from scipy.fft import dct, idct
from scipy.sparse.linalg import LinearOperator

import fastdln as fd


def subsampled_cosines(log2_N: int, seed: int = 0) -> tuple[fd.Problem, np.ndarray]:
    """The problem, and the signal behind it."""
    N = 2**log2_N
    m, sparsity = N // 8, max(2, 500 * N // 2**18)
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.choice(N, m, replace=False))

    def spread(dual: np.ndarray) -> np.ndarray:
        out = np.zeros(N)
        out[rows] = dual.ravel()
        return np.asarray(idct(out, norm="ortho"))

    operator = LinearOperator(
        (m, N), lambda x: dct(x.ravel(), norm="ortho")[rows], spread, dtype=float
    )
    x = np.zeros(N)
    x[generator.choice(N, sparsity, replace=False)] = generator.standard_normal(sparsity)
    return fd.Problem(operator, operator.matvec(x)), x


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    """Solve once after a small problem that loads and compiles everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log2-N", type=int, default=18)
    parser.add_argument("--p", type=float, default=3.0)
    parser.add_argument("--eps", type=float, default=1e-9)
    arguments = parser.parse_args()
    log_alpha = math.log(arguments.eps) / arguments.p
    small, _ = subsampled_cosines(9)
    small = fd.Problem(small.A, small.y, memory_budget=0)
    fd.flow_limit(small, arguments.p, log_alpha=-1.0)
    before = _peak()
    problem, x = subsampled_cosines(arguments.log2_N)
    start = time.perf_counter()
    limit = fd.flow_limit(problem, arguments.p, log_alpha=log_alpha)
    seconds = time.perf_counter() - start
    print(f"{problem}, p = {arguments.p:g}, eps = {arguments.eps:g}: {limit.status.name}")
    print(
        f"{seconds:.1f} s, {limit.factorisations} Newton systems, "
        f"residual {limit.residual:.1e} of |y| = {np.linalg.norm(problem.y):.1f}, "
        f"|psi - x| = {np.linalg.norm(limit.psi - x):.2e}"
    )
    print(f"peak memory {_peak() - before:.0f} MB above {before:.0f} MB after a small problem")


if __name__ == "__main__":
    main()
