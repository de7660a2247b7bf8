"""Slow, readable twins of the limit kernels, in mpmath and in rational arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction

import mpmath


def exact_eps(log10_eps, digits=60):
    """log(1/eps) for eps = 10^log10_eps, as the pair of doubles the kernels take."""
    with mpmath.workdps(digits):
        L = -mpmath.mpf(str(log10_eps)) * mpmath.log(10)
        high = float(L)
        return high, float(L - mpmath.mpf(high))


def flow_limit(A, y, p, log10_eps, digits=120):
    """psi = eps h_p(A^T lambda) by damped Newton on the dual, stage by stage in eps."""
    with mpmath.workdps(digits):
        m, N = len(A), len(A[0])
        matrix = mpmath.matrix([[mpmath.mpf(v) for v in row] for row in A])
        rhs = mpmath.matrix([mpmath.mpf(v) for v in y])
        dual = mpmath.zeros(m, 1)
        stages = [mpmath.mpf(s) / 4 for s in range(4, 4 * log10_eps - 1, -1)]
        for stage in stages:
            dual = _newton(matrix, rhs, p, mpmath.mpf(10) ** stage, dual)
        eps = mpmath.mpf(10) ** log10_eps
        tau = matrix.T * dual
        return [eps * _h(tau[j], p) for j in range(N)]


def one_row_limit(a, y, p, log10_eps, slack, digits=60):
    """psi of one equation a . psi = y with a_0 = 1 the largest, p > 2.

    By Newton's method for the logarithm of the first column's slack, from a nearby one.
    """
    with mpmath.workdps(digits):
        eps, u = mpmath.mpf(10) ** log10_eps, mpmath.log(mpmath.mpf(float(slack)))

        def psi(u):
            s = mpmath.exp(u)
            b = mpmath.mpf(p) / (mpmath.mpf(p) - 2)
            rest = [eps * _h(mpmath.mpf(v) * (1 - s), p) for v in a[1:]]
            return [eps * (s**-b - (2 - s) ** -b), *rest]

        def mismatch(u):
            return mpmath.log(sum(mpmath.mpf(v) * w for v, w in zip(a, psi(u), strict=True)) / y)

        h = mpmath.mpf(10) ** -(digits // 2)
        for _ in range(20):
            value = mismatch(u)
            step = value * h / (mismatch(u + h) - value)
            u -= step
            if abs(step) < mpmath.mpf(10) ** -(digits - 20):
                return psi(u)
    raise ArithmeticError("the naive twin did not converge")


def flow_limit_of_alpha(A, y, p, log_alpha, digits=90):
    """The same for a log(alpha) that is a double, from an eps above all of psi."""
    with mpmath.workdps(digits):
        matrix, rhs = mpmath.matrix(A), mpmath.matrix(y)
        depth = mpmath.mpf(p)
        eps = mpmath.exp(depth * mpmath.mpf(log_alpha))
        stage, dual = max(1, *map(abs, rhs)) * mpmath.mpf(10) ** 4, mpmath.zeros(len(A), 1)
        while stage > 3 * eps:
            dual = _newton(matrix, rhs, depth, stage, dual)
            stage /= 3
        dual = _newton(matrix, rhs, depth, eps, dual)
        tau = matrix.T * dual
        return [eps * _h(tau[j], depth) for j in range(matrix.cols)]


def _h(t, p):
    if p == 2:
        return 2 * mpmath.sinh(t)
    b = mpmath.mpf(p) / (mpmath.mpf(p) - 2)
    return (1 - t) ** -b - (1 + t) ** -b


def _h_prime(t, p):
    if p == 2:
        return 2 * mpmath.cosh(t)
    b = mpmath.mpf(p) / (mpmath.mpf(p) - 2)
    return b * ((1 - t) ** (-b - 1) + (1 + t) ** (-b - 1))


def _newton(A, y, p, eps, dual):
    """Newton on the concave dual from a nearby point, halved until the slack stays positive."""
    N = A.cols
    for _ in range(400):
        tau = A.T * dual
        if p > 2 and max(abs(t) for t in tau) >= 1:
            dual = dual * mpmath.mpf("0.99")
            continue
        residual = y - A * mpmath.matrix([eps * _h(tau[j], p) for j in range(N)])
        D = mpmath.diag([eps * _h_prime(tau[j], p) for j in range(N)])
        step = mpmath.lu_solve(A * D * A.T, residual)
        move = A.T * step
        factor = mpmath.mpf(1)
        limit = 2 if p == 2 else None
        for j in range(N):
            room = limit if p == 2 else (1 - abs(tau[j])) * mpmath.mpf("0.7")
            while abs(factor * move[j]) > room:
                factor /= 2
        dual = dual + factor * step
        if factor == 1 and max(abs(v) for v in move) < mpmath.mpf(10) ** (-mpmath.mp.dps // 2):
            return dual
    raise ArithmeticError("the naive twin did not converge")


def rational_rank(matrix):
    """Rank by Gaussian elimination over the rationals."""
    rows = [[Fraction(float(v)) for v in row] for row in matrix]
    rank = 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][column] / rows[rank][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


def solve_rational(matrix, rhs):
    """Solve a square rational system; None if singular."""
    size = len(matrix)
    rows = [[*row, value] for row, value in zip(matrix, rhs, strict=True)]
    for column in range(size):
        pivot = next((i for i in range(column, size) if rows[i][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        lead = rows[column][column]
        rows[column] = [v / lead for v in rows[column]]
        for i in range(size):
            if i != column and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[-1] for row in rows]


def l1_vertices(A, y):
    """The minimal l1 norm and every basic solution attaining it, by full enumeration."""
    m, N = len(A), len(A[0])
    exact = [[Fraction(float(v)) for v in row] for row in A]
    rhs = [Fraction(float(v)) for v in y]
    best, vertices = None, set()
    for columns in itertools.combinations(range(N), m):
        solution = solve_rational([[row[j] for j in columns] for row in exact], rhs)
        if solution is None:
            continue
        norm = sum(abs(v) for v in solution)
        x = [Fraction(0)] * N
        for j, v in zip(columns, solution, strict=True):
            x[j] = v
        if best is None or norm < best:
            best, vertices = norm, set()
        if norm == best:
            vertices.add(tuple(x))
    return best, vertices
