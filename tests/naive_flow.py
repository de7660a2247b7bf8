"""Slow, readable twins of the flow: any explicit pair in NumPy, extrapolation in mpmath."""

from __future__ import annotations

import mpmath
import numpy as np


def weights_derivative(A, y, p, state):
    """(u, v)' as the papers write the flow."""
    u, v = np.split(state, 2)
    g = A.T @ (A @ (u**p - v**p) - y)
    return np.concatenate([-p * u ** (p - 1) * g, p * v ** (p - 1) * g])


def runge_kutta_step(derivative, a, stages, state, h):
    """One step of a pair whose last stage is the new state; all stages' derivatives too."""
    K = [derivative(state)]
    for s in range(1, stages):
        new = state + h * sum(a[s, j] * K[j] for j in range(s))
        K.append(derivative(new))
    return new, np.array(K)


def flow(A, y, p, log_alpha, times, digits=40, tol=None):
    """psi(t) from the dual by Gragg's midpoint rule, extrapolated, in `digits` digits.

    log_alpha is taken as a double; every step is repeated with half its length until both agree.
    """
    with mpmath.workdps(digits):
        m, N = len(A), len(A[0])
        matrix = [[mpmath.mpf(float(v)) for v in row] for row in A]
        rhs = [mpmath.mpf(float(v)) for v in y]
        p, log_alpha = mpmath.mpf(p), mpmath.mpf(log_alpha)
        c = 4 if p == 2 else p * (p - 2) * mpmath.exp((p - 2) * log_alpha)
        eps = mpmath.exp(p * log_alpha)
        tol = mpmath.mpf(10) ** (-digits // 2) if tol is None else mpmath.mpf(tol)

        def psi(dual):
            tau = [mpmath.fsum(matrix[i][j] * dual[i] for i in range(m)) for j in range(N)]
            return [eps * _h(t, p) for t in tau]

        def derivative(dual):
            x = psi(dual)
            return [
                c * (rhs[i] - mpmath.fsum(matrix[i][j] * x[j] for j in range(N))) for i in range(m)
            ]

        t, dual, h = mpmath.mpf(0), [mpmath.mpf(0)] * m, mpmath.mpf(times[0]) / 100
        rows = []
        for end in times:
            end = mpmath.mpf(float(end))
            while t < end:
                h = min(h, end - t)
                new, error = _extrapolate(derivative, dual, h, 9)
                size = error * max(1, 1 / _least_slack(matrix, new, p)) if new else 1
                if new and size <= tol:
                    t, dual = t + h, new
                    h *= 2 if size < tol / 10**8 else 1
                else:
                    h /= 2
            rows.append(psi(dual))
        return np.array([[float(v) for v in row] for row in rows])


def _h(t, p):
    if p == 2:
        return 2 * mpmath.sinh(t)
    b = p / (p - 2)
    return (1 - t) ** -b - (1 + t) ** -b


def _least_slack(matrix, dual, p):
    if p == 2:
        return mpmath.mpf(1)
    N = len(matrix[0])
    tau = [
        abs(mpmath.fsum(row[j] * d for row, d in zip(matrix, dual, strict=True))) for j in range(N)
    ]
    return 1 - max(tau)


def _extrapolate(f, x, h, rows):
    """Midpoint rule with 2, 4, 6, ... substeps, extrapolated in h^2; None where it leaves."""
    table = []
    for k in range(rows):
        n = 2 * (k + 1)
        try:
            row = [_midpoint(f, x, h, n)]
        except (ArithmeticError, ValueError):
            return None, None
        for j in range(k):
            ratio = (mpmath.mpf(n) / (2 * (k - j))) ** 2 - 1
            row.append([a + (a - b) / ratio for a, b in zip(row[j], table[-1][j], strict=True)])
        if any(isinstance(v, mpmath.mpc) for v in row[-1]):
            return None, None
        table.append(row)
    last, before = table[-1][-1], table[-1][-2]
    return last, max(abs(a - b) for a, b in zip(last, before, strict=True))


def _midpoint(f, x, h, n):
    step = h / n
    before, now = x, [a + step * d for a, d in zip(x, f(x), strict=True)]
    for _ in range(n - 1):
        before, now = now, [a + 2 * step * d for a, d in zip(before, f(now), strict=True)]
    return [(a + b + step * d) / 2 for a, b, d in zip(before, now, f(now), strict=True)]
