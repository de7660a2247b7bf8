"""The polynomials of the inverses: `coordinate_inverse_algebraic`, and the guess for any p.

``python benchmarks/functions/fit_inverse.py`` prints, highest power first, what corrects the
first guess at the slack (in powers of it) for p = 4 and 3, and small t by x (in powers of
x**2), each with its largest relative error; then the table GUESS of
`fastdln.kernels.coordinate_inverse_fast`. Least squares, reweighted towards the largest error.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Polynomial, chebyshev
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fit(x: Array, y: Array, weight: Array, degree: int) -> tuple[float, list[float]]:
    """Largest weighted error, coefficients from the highest power on."""
    columns = np.vander(x, degree + 1)
    w = np.ones(x.size)
    best = (np.inf, np.empty(0))
    for _ in range(400):
        scale = w * weight
        c = np.linalg.lstsq(columns * scale[:, None], y * scale, rcond=None)[0]
        error = np.abs(columns @ c - y) * weight
        best = min(best, (float(error.max()), c), key=lambda pair: pair[0])
        w *= np.sqrt(error / error.max() + 1e-4)
        w /= w.max()
    return best[0], best[1].tolist()


def guess_errors(i: float, count: int) -> tuple[Array, Array, Array]:
    """1 - w, what the guess at ``E - 1`` lacks, and the weight of that in U, at b = 1/i."""
    u = np.concatenate([np.geomspace(1e-6, 1, count), np.linspace(1, 12, count)])
    u = np.concatenate([u, np.linspace(12, 60, count)])
    e = np.expm1(u)
    x = e - np.expm1(-np.log1p(-np.expm1(-u * i)) / i)
    nu = 2 / (1 + i)
    w = x / (np.sqrt(x * x + nu * nu) + nu)
    guess = 0.5 * (x + x * w)
    return 1 - w, e / guess - 1, e / (1 + e) / np.minimum(1, np.log1p(e))


def fit_guess(degree: int = 5, degree_b: int = 6, depths: int = 20, count: int = 200) -> None:
    """Print the coefficients by powers of sqrt(1 - w) (rows) and of 1/b."""
    ends = 0.0099, 0.9985
    nodes = (1 - np.cos((np.arange(depths) + 0.5) / depths * np.pi)) / 2
    rows, right = [], []
    for i in ends[0] + nodes * (ends[1] - ends[0]):
        gap, lacking, weight = guess_errors(float(i), count)
        scale = weight * (1 - gap) ** 2 * gap * i * (1 - i)
        in_w = chebyshev.chebvander(2 * np.sqrt(gap) - 1, degree) * scale[:, None]
        in_b = chebyshev.chebvander(np.array([2 * i - 1]), degree_b)
        rows.append((in_w[:, :, None] * in_b[:, None, :]).reshape(gap.size, -1))
        right.append(lacking * weight)
    columns, values = np.concatenate(rows), np.concatenate(right)
    w, best = np.ones(values.size), (np.inf, np.empty(0))
    for _ in range(18):
        c = np.linalg.lstsq(columns * w[:, None], values * w, rcond=None)[0]
        error = np.abs(columns @ c - values)
        best = min(best, (float(error.max()), c), key=lambda pair: pair[0])
        w *= np.sqrt(error / error.max() + 1e-3)
        w /= w.max()
    table = best[1].reshape(degree + 1, degree_b + 1)
    table = powers(degree).T @ table @ powers(degree_b)
    print("GUESS", best[0])
    for row in table:
        print("   ", tuple(float(f"{v:.9g}") for v in row))


def powers(degree: int) -> Array:
    """Chebyshev polynomials of 2 v - 1, a row each, in powers of v."""
    table = np.zeros((degree + 1, degree + 1))
    for k in range(degree + 1):
        c = Polynomial(chebyshev.cheb2poly(np.eye(degree + 1)[k]))(Polynomial([-1.0, 2.0])).coef
        table[k, : c.size] = c
    return table


def main() -> None:
    """Print both for p = 4 (b = 2) and p = 3 (b = 3)."""
    for b, degree in ((2.0, 6), (3.0, 7)):
        nu = 2 * b / (b + 1)
        n = (1 - np.cos((np.arange(4000) + 0.5) / 4000 * np.pi)) / 2
        n = n[(n > 1e-6) & (n < 0.93)]
        x = n**-b - (2 - n) ** -b
        guess = (1 + (x + np.sqrt(x * x + nu * nu) - nu) / 2) ** (-1 / b)
        print(f"b = {b}: slack", *fit(guess, n / guess, np.ones(n.size), degree))
        t = np.linspace(1e-3, 0.12, 3000)
        x = (1 - t) ** -b - (1 + t) ** -b
        print(f"b = {b}: t / x", *fit(x * x, t / x, x / t, 3))
    fit_guess()


if __name__ == "__main__":
    main()
