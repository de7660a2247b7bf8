"""Minimax polynomials of `fastdln.kernels.elementary`, made again from nothing.

``python benchmarks/functions/fit_polynomials.py`` prints every coefficient (hexadecimal) and the
largest weighted error after the coefficients are rounded to float64.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

mp.mp.prec = 200
Function = Callable[[mp.mpf], mp.mpf]


def remez(f: Function, weight: Function, a: mp.mpf, b: mp.mpf, degree: int) -> list[mp.mpf]:
    """Minimise max |weight * (f - polynomial)| on [a, b] by Remez' exchange."""
    n = degree + 2
    x = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / n) for i in range(n)]
    grid = [a + (b - a) * (1 - mp.cos(mp.pi * i / 400)) / 2 for i in range(401)]
    values = [(weight(t), f(t)) for t in grid]
    for _ in range(12):
        rows = mp.matrix(n, n)
        right = mp.matrix(n, 1)
        for i, t in enumerate(x):
            for j in range(degree + 1):
                rows[i, j] = t**j
            rows[i, n - 1] = (-1) ** i / weight(t)
            right[i] = f(t)
        c = list(mp.lu_solve(rows, right))[: degree + 1]
        error = [w * (v - mp.polyval(c[::-1], t)) for t, (w, v) in zip(grid, values, strict=True)]
        x = _extrema(grid, error, n)
    return c


def _extrema(grid: list[mp.mpf], error: list[mp.mpf], n: int) -> list[mp.mpf]:
    """The n best alternating extrema of a sampled error curve."""
    best: list[tuple[mp.mpf, mp.mpf]] = []
    for t, e in zip(grid, error, strict=True):
        if best and mp.sign(best[-1][1]) == mp.sign(e):
            if abs(e) > abs(best[-1][1]):
                best[-1] = (t, e)
        else:
            best.append((t, e))
    while len(best) > n:
        best.pop(0 if abs(best[0][1]) < abs(best[-1][1]) else -1)
    return [t for t, _ in best]


def show(name: str, f: Function, weight: Function, a: float, b: float, degree: int) -> None:
    """Fit, round, measure, print."""
    lo, hi = mp.mpf(a), mp.mpf(b)
    c = [float(v) for v in remez(f, weight, lo, hi, degree)]
    grid = [lo + (hi - lo) * i / 999 for i in range(1000)]
    worst = max(abs(weight(t) * (f(t) - mp.polyval([mp.mpf(v) for v in c[::-1]], t))) for t in grid)
    print(f"# {name}: 2**{float(mp.log(worst, 2)):.1f}")
    for v in c:
        print(f"    {v!r},  # {v.hex()}")


def _guard(series: Function, f: Function) -> Function:
    """Use the limit near 0, where the closed form divides 0 by 0."""
    return lambda t: series(t) if abs(t) < mp.mpf(2) ** -40 else f(t)


def _atanh_tail(z: mp.mpf, skip: int) -> mp.mpf:
    """Sum over k >= skip of 2 z**(k - skip) / (2 k + 1): atanh's series, its head cut off."""
    return mp.nsum(lambda k: 2 * z ** int(k) / (2 * (int(k) + skip) + 1), [0, 60])


def main() -> None:
    """Print all fits."""
    half = 0.3467
    one = mp.mpf(1)
    exp_tail = _guard(lambda r: one / 2 + r / 6, lambda r: (mp.expm1(r) - r) / r**2)
    show("EXP  (e^r - 1 - r)/r^2", exp_tail, lambda r: r * r + half**2 / 50, -half, half, 10)
    show("EXP_SHORT", exp_tail, lambda r: abs(r) + half / 20, -half, half, 4)
    z = half * half
    sinh_tail = _guard(
        lambda q: one / 6 + q / 120,
        lambda q: (mp.sinh(mp.sqrt(q)) - mp.sqrt(q)) / (q * mp.sqrt(q)),
    )
    cosh_tail = _guard(lambda q: one / 2 + q / 24, lambda q: (mp.cosh(mp.sqrt(q)) - 1) / q)
    show("SINH  (sinh r - r)/r^3, q = r^2", sinh_tail, lambda q: q + z / 50, 0, z, 4)
    show("COSH  (cosh r - 1)/r^2, q = r^2", cosh_tail, lambda q: q + z / 50, 0, z, 5)
    show(
        "LOG  atanh tail from f^5, z = f^2",
        lambda q: _atanh_tail(q, 2),
        lambda q: one,
        0,
        0.02945,
        7,
    )
    tail3 = lambda q: _atanh_tail(q, 1)  # noqa: E731
    near = lambda q: q + 0.001  # noqa: E731
    show("LOG_FAST  atanh tail from f^3", tail3, near, 0, 0.02945, 7)
    show("LOG_SHORT  atanh tail from f^3", tail3, near, 0, 0.02945, 2)
    ln2 = mp.log(2)
    exp2_tail = _guard(
        lambda r: ln2**2 / 2 + r * ln2**3 / 6, lambda r: (mp.mpf(2) ** r - 1 - r * ln2) / r**2
    )
    show("EXP2  (2^r - 1 - r ln 2)/r^2", exp2_tail, lambda r: r * r + one / 200, -0.5001, 0.5001, 9)
    log2_rough = lambda q: _atanh_tail(q, 0) / ln2  # noqa: E731
    show("LOG2_ROUGH  2 atanh(f)/(f ln 2)", log2_rough, lambda q: one, 0, 0.02945, 2)


if __name__ == "__main__":
    main()
