"""Count how often the certificate fails, and how sharp it is, on random problems.

    python -m benchmarks.certificates [--problems 10000] [--seed 0]

Problems have up to 6 rows and 14 columns: Gaussian, integer, and planted sparse ones,
many of them with fewer nonzeros than equations or with a face of minimisers.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import fastdln as fd

DEPTHS = (2.0, 2.5, 3.0, 4.0, 10.0)
LOG10_EPS = np.array([0.0, -1.0, -2.0, -3.0, -4.5, -6.0, -9.0, -12.0])


def random_problem(generator: np.random.Generator) -> fd.Problem:
    """One of four kinds of small problem."""
    m = int(generator.integers(1, 7))
    N = m + int(generator.integers(0, 9))
    if generator.integers(0, 2):
        A = generator.integers(-3, 4, (m, N)).astype(float)
    else:
        A = np.round(generator.standard_normal((m, N)) * 64) / 64
    if generator.integers(0, 2):
        return fd.Problem(A, np.round(generator.standard_normal(m) * 64) / 16)
    x = np.zeros(N)
    count = int(generator.integers(1, m + 1))
    x[generator.choice(N, count, replace=False)] = generator.integers(-64, 65, count) / 16
    return fd.Problem(A, A @ x)


def log_ratios(problem: fd.Problem, p: float) -> tuple[fd.ConvergenceRate, np.ndarray]:
    """Logarithms of bound / distance along LOG10_EPS; NaN where the distance is not known."""
    rate = fd.convergence_rate(problem, p)
    if rate.status is fd.Status.UNDECIDED:
        return rate, np.full(LOG10_EPS.size, math.nan)
    log_alpha = LOG10_EPS * (math.log(10.0) / p)
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
    converged = np.array([status is fd.Status.CONVERGED for status in limit.status])
    known = converged & (limit.error_bound < 1e-3)  # not where psi - W_p is rounding alone
    distance = np.where(known, _log_distance(limit, rate.unique), math.nan)
    bound = np.asarray(rate.log_bound(log_alpha=log_alpha))
    with np.errstate(invalid="ignore"):
        return rate, np.where(np.isneginf(distance), 0.0, bound - distance)


def _log_distance(limit: fd.FlowLimit, unique: bool) -> np.ndarray:
    """Log of ||psi - W_p||; the plain difference will do where the bound does not vanish."""
    if unique:
        return np.asarray(limit.log_deviation_norm)
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.norm(limit.psi - limit.minimizer.psi, axis=1))


def main() -> None:
    """Print the counts, and quantiles of bound / distance over unique minimisers."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = np.random.default_rng(arguments.seed)
    sharpness, compared, below = [], 0, 0
    for _ in range(arguments.problems):
        problem = random_problem(generator)
        rate, ratio = log_ratios(problem, float(generator.choice(DEPTHS)))
        compared += int(np.isfinite(ratio).sum())
        below += int((ratio < 0.0).sum())
        if rate.unique and rate.status is fd.Status.PROVED and rate.constant > 0.0:
            sharpness.append(ratio)
    print(f"{compared} bounds compared with distances, {below} below")
    print(f"{'eps':>8} {'median':>12} {'99 %':>12} {'largest':>12}")
    for exponent, column in zip(LOG10_EPS, np.exp(np.array(sharpness)).T, strict=True):
        known = column[np.isfinite(column)]
        middle, high = np.quantile(known, (0.5, 0.99))
        print(f"{10.0**exponent:8.1e} {middle:12.9f} {high:12.6f} {known.max():12.4f}")


if __name__ == "__main__":
    main()
