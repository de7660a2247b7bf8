"""Slow twins of the descent kernels: the same sums in the same order, spelled out."""

import decimal
from decimal import Decimal

import numpy as np

LANES = 16


def _dot(row, x):
    """Sixteen partial sums folded by halves, then what is left over."""
    whole = len(row) - len(row) % LANES
    sums = np.zeros(LANES)
    for j in range(0, whole, LANES):
        sums += row[j : j + LANES] * x[j : j + LANES]
    width = LANES // 2
    while width:
        sums[:width] += sums[width : 2 * width]
        width //= 2
    rest = 0.0
    for j in range(whole, len(row)):
        rest += row[j] * x[j]
    return sums[0] + rest


def _gradient(A, y, psi):
    """A^T (A psi - y), four rows at a time; a missing one is a copy of the last, times 0."""
    g = np.zeros(A.shape[1])
    for i in range(0, len(y), 4):
        rows = [min(i + k, len(y) - 1) for k in range(4)]
        r = [_dot(A[k], psi) - y[k] if i + n < len(y) else 0.0 for n, k in enumerate(rows)]
        a = A[rows]
        g += (r[0] * a[0] + r[1] * a[1]) + (r[2] * a[2] + r[3] * a[3])
    return g


def _power(u, q):
    """u^q, 2 q an integer: a root or u itself, times u as often as needed."""
    whole = int(q)
    if q != whole:
        assert q - whole == 0.5
        out = np.sqrt(u)
    else:
        out = u.copy()
        whole -= 1
    for _ in range(whole):
        out = out * u
    return out


def plain(A, y, p, alpha, step_size, n_steps):
    """psi, u, v after n_steps in float64."""
    u, v = np.full(A.shape[1], alpha), np.full(A.shape[1], alpha)
    rate = step_size * p
    up, vp = _power(u, p - 1.0), _power(v, p - 1.0)
    psi = up * u - vp * v
    for _ in range(n_steps):
        g = _gradient(A, y, psi)
        u, v = u - (rate * up) * g, v + (rate * vp) * g
        up, vp = _power(u, p - 1.0), _power(v, p - 1.0)
        psi = up * u - vp * v
    return psi, u, v


def exact(A, y, p, alpha, step_size, n_steps):
    """psi, u, v after n_steps with eighty digits, p an integer."""
    with decimal.localcontext(prec=80):
        A = [[Decimal(a) for a in row] for row in A.tolist()]
        y, rate = [Decimal(b) for b in y.tolist()], Decimal(step_size) * p
        N = range(len(A[0]))
        u, v = [Decimal(alpha)] * len(N), [Decimal(alpha)] * len(N)
        for _ in range(n_steps):
            psi = [u[j] ** p - v[j] ** p for j in N]
            r = [sum(row[j] * psi[j] for j in N) - b for row, b in zip(A, y, strict=True)]
            g = [sum(row[j] * ri for row, ri in zip(A, r, strict=True)) for j in N]
            u, v = (
                [u[j] - rate * u[j] ** (p - 1) * g[j] for j in N],
                [v[j] + rate * v[j] ** (p - 1) * g[j] for j in N],
            )
        psi = [float(u[j] ** p - v[j] ** p) for j in N]
        return np.array(psi), np.array(u, dtype=float), np.array(v, dtype=float)
