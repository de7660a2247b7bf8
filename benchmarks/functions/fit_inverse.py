"""The two polynomials of `fastdln.kernels.coordinate_inverse_algebraic`, p = 4 and 3.

``python benchmarks/functions/fit_inverse.py`` prints, highest power first, what corrects the
first guess at the slack (in powers of it), and small t by x (in powers of x**2), each with
its largest relative error. Least squares, reweighted towards the largest error.
"""

from __future__ import annotations

import numpy as np
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


if __name__ == "__main__":
    main()
