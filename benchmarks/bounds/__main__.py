"""The bound of `flow_limit` against psi in several hundred digits, on random problems.

    python -m benchmarks.bounds [--draws 40] [--seed 0] [--rows 20] [--columns 100]

A draw is planted (fewer nonzeros than equations, exact data), the same with rounded data, or
generic, with p = 2, 2.5, 3 or 4 and eps = 1e-9, 1e-30, 1e-60, 1e-120 or 1e-200. The slacks found
lead to a dual in as many digits as A D A^T needs, and Newton's method on from there to psi: the
dual is strictly concave, so that whatever it converges to is the limit.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import mpmath
import numpy as np

import fastdln as fd

DEPTHS = (2.0, 2.5, 3.0, 4.0)
LOG10_EPS = (-9, -30, -60, -120, -200)
KINDS = ("planted", "rounded", "generic")


def random_problem(kind: str, generator: np.random.Generator, m: int, N: int) -> fd.Problem:
    """A dense Gaussian problem."""
    if kind == "planted":
        return fd.datasets.gaussian(m, N, max(1, m // 3), rng=generator).problem
    A = generator.standard_normal((m, N))
    x = np.zeros(N)
    x[generator.choice(N, max(1, m // 3), replace=False)] = 1.0 + generator.random(max(1, m // 3))
    return fd.Problem(A, A @ x if kind == "rounded" else generator.standard_normal(m))


def exact_limit(
    problem: fd.Problem, p: float, log_alpha: float, psi: Any, slack: Any, digits: int
) -> Any:
    """Psi in `digits` digits (an object array), by Newton's method from the slacks nearby."""
    with mpmath.workdps(digits):
        number = np.vectorize(mpmath.mpf, otypes=[object])
        A, y = number(np.asarray(problem.A)), number(problem.y)
        depth, L = mpmath.mpf(p), -mpmath.mpf(p) * mpmath.mpf(log_alpha)
        eps, top = mpmath.exp(-L), L if p == 2.0 else mpmath.mpf(1)
        tau = number(np.copysign(1.0, psi)) * (top - number(slack))
        dual = _dual_of(A, tau, _values(tau, eps, depth)[1])
        for _ in range(12):
            values, D = _values(A.T @ dual, eps, depth)
            step = _solved(A * D @ A.T, y - A @ values)
            dual = dual + step
            moved = D * abs(A.T @ step)
            if all(d <= abs(v) * mpmath.mpf(10) ** -40 for d, v in zip(moved, values, strict=True)):
                return _values(A.T @ dual, eps, depth)[0]
    raise ArithmeticError("Newton's method did not converge")


def _values(tau: Any, eps: Any, p: Any) -> tuple[Any, Any]:
    """Psi and d psi / d tau."""
    if p == 2:
        both = [(mpmath.exp(t), mpmath.exp(-t)) for t in tau]
        slope = [eps * (a + c) for a, c in both]
    else:
        b = p / (p - 2)
        both = [((1 - t) ** -b, (1 + t) ** -b) for t in tau]
        slope = [eps * b * (a / (1 - t) + c / (1 + t)) for (a, c), t in zip(both, tau, strict=True)]
    return np.array([eps * (a - c) for a, c in both]), np.array(slope)


def _dual_of(A: Any, tau: Any, D: Any) -> Any:
    """The dual that has tau at m independent columns of large D."""
    order = sorted(range(D.size), key=lambda j: -D[j])
    plain, chosen = A.astype(float), list[int]()
    for j in order:
        if np.linalg.matrix_rank(plain[:, [*chosen, j]], tol=1e-9) > len(chosen):
            chosen.append(j)
        if len(chosen) == A.shape[0]:
            break
    return _solved(A[:, chosen].T, tau[chosen])


def _solved(matrix: Any, right: Any) -> Any:
    """Gaussian elimination with partial pivoting."""
    M = np.column_stack((matrix, right))
    m = right.size
    for k in range(m):
        pivot = k + int(np.argmax(abs(M[k:, k])))
        M[[k, pivot]] = M[[pivot, k]]
        M[k] = M[k] / M[k, k]
        for i in range(m):
            if i != k:
                M[i] = M[i] - M[i, k] * M[k]
    return M[:, m]


def worst_error(limit: fd.FlowLimit, exact: Any, digits: int) -> float:
    """Largest relative error of a coordinate."""
    with mpmath.workdps(digits):
        given = zip(limit.psi.tolist(), exact, strict=True)
        return float(max(abs(mpmath.mpf(value) / true - 1) for value, true in given))


def draw(generator: np.random.Generator, m: int, N: int) -> tuple[str, float, float]:
    """A problem at random: (what it is, bound, true error)."""
    kind, p = str(generator.choice(KINDS)), float(generator.choice(DEPTHS))
    log10_eps = int(generator.choice(LOG10_EPS))
    problem = random_problem(kind, generator, m, N)
    log_alpha, digits = log10_eps * math.log(10.0) / p, 80 - 3 * log10_eps
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
    exact = exact_limit(problem, p, log_alpha, limit.psi, limit.slack, digits)
    label = f"{kind:>8} p = {p:3.1f} eps = 1e{log10_eps:<4d} {limit.status.name}"
    return label, float(limit.error_bound), worst_error(limit, exact, digits)


def main() -> None:
    """Print every draw, and quantiles of bound / error."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--columns", type=int, default=100)
    arguments = parser.parse_args()
    generator = np.random.default_rng(arguments.seed)
    ratios = []
    for _ in range(arguments.draws):
        label, bound, error = draw(generator, arguments.rows, arguments.columns)
        ratios.append(bound / error if error > 0.0 else math.inf)
        print(f"{label}: bound {bound:.2e}, error {error:.2e}, ratio {ratios[-1]:.3g}", flush=True)
    below = sum(ratio < 1.0 for ratio in ratios)
    share = np.mean(np.array(ratios) <= 100.0)
    print(f"{len(ratios)} draws, {below} bounds below the error, {share:.0%} within 100 of it")
    print("quantiles 10, 50, 90 %:", *(f"{v:.3g}" for v in np.quantile(ratios, (0.1, 0.5, 0.9))))


if __name__ == "__main__":
    main()
