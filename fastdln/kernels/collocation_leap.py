"""One leap of collocation: prediction, Newton's iterations, error (see `collocation`)."""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.collocation_linear import (
    factor_blocks,
    invert_small,
    solve_blocks,
    solve_shifted,
)
from fastdln.kernels.collocation_weights import DESCENT, increments, outputs, slopes
from fastdln.kernels.intrinsics import stay_apart
from fastdln.kernels.linear import matvec, rmatvec, weighted_gram
from fastdln.kernels.newton_rule import GO_ON, MOST_ITERATIONS, SOLVED, judge, renewed
from fastdln.kernels.tridiagonal import tridiagonalise

__all__ = ["evaluate", "leap_error", "newton", "predict", "stage_count"]

# places in meta
STRIDE, STRIDE_LAST, REST, ORDER, ORDER_LAST, MIN_STRIDE, PENDING, BLOCK = 0, 1, 2, 4, 5, 6, 7, 8
# places in counts
SINGLES, LEAPS, REJECTED, ITERATIONS, FACTORISATIONS = 0, 1, 2, 3, 4

_ROUNDING = 1e-15  # of Newton's corrections


@jit_inner
def evaluate(A, y, par, base, delta_u, delta_v, out, r, g):
    """psi, residual and gradient at base + delta.

    ``out`` (7, N): w_u, w_v, then d psi / d w_u, d psi / d w_v, psi, u^p, v^p.
    """
    stay_apart()
    if not outputs(par, base[0], base[1], delta_u, out[0], out[5]):
        return False
    if not outputs(par, base[2], base[3], delta_v, out[1], out[6]):
        return False
    slopes(par, out[0], out[5], 1.0, out[2])
    slopes(par, out[1], out[6], -1.0, out[3])
    psi, U, V = out[4], out[5], out[6]
    total = 0.0
    for j in range(psi.size):
        psi[j] = U[j] - V[j]
        total += abs(psi[j])
    if not total < np.inf:
        return False
    matvec(A, psi, r)
    for i in range(r.size):
        r[i] -= y[i]
    rmatvec(A, r, g)
    return True


@jit_inner
def _coupling(par, D, s, H, T):
    """``T = H (D_0 + D_1/H + ...)^-1``: from rates (or changes) at the nodes to values."""
    stay_apart()
    M = np.empty((s, s))
    z = 1.0
    for i in range(s):
        for j in range(s):
            M[i, j] = D[0, i, j]
    if par[7] == DESCENT:
        for q in range(1, s):
            z /= H
            for i in range(s):
                for j in range(s):
                    M[i, j] += z * D[q, i, j]
    invert_small(M, T)
    for i in range(s):
        for j in range(s):
            T[i, j] *= H


@jit_inner
def predict(tab, base, start, delta, meta, s, H, new):
    """First guess: the last polynomial continued, or its tangent where it was short.

    The rate at the start is used only where there was none: where forces balance it is the
    rounding of their difference.
    """
    stay_apart()
    nodes, basis = tab[0][int(meta[ORDER])], tab[3][int(meta[ORDER_LAST])]
    N = base.shape[1]
    last, before = meta[STRIDE_LAST], stage_count(int(meta[ORDER_LAST]))
    straight, tangent = not last > 0.0, 2.0 * last < H
    end = tab[1][int(meta[ORDER_LAST]), 0, before - 1]
    weight = np.zeros(9)
    for i in range(s):
        if not straight and tangent:
            for j in range(before):
                weight[j] = nodes[i] * (H / last) * end[j]
        elif not straight:
            t = 1.0 + nodes[i] * H / last
            for j in range(before):
                weight[j] = 0.0
            power = 1.0
            for k in range(before):
                power *= t
                for j in range(before):
                    weight[j] += basis[k, j] * (power - 1.0)
        for side in range(2):
            target, rate, low = new[side, i], start[side], base[2 * side]
            if straight:
                c = nodes[i] * H
                for n in range(N):
                    target[n] = c * rate[n]
            else:
                for n in range(N):
                    target[n] = 0.0
                for j in range(before):
                    c, old = weight[j], delta[side, j]
                    for n in range(N):
                        target[n] += c * old[n]
            _confine(meta, target, low, straight or tangent)


@jit_inner
def _confine(meta, target, base, straight):
    """Keep w > 0 (p > 2), and a line from leaving for good (p = 2)."""
    stay_apart()
    if meta[9] == 2.0:
        if straight:
            for n in range(target.size):
                target[n] = min(1.0, max(-1.0, target[n]))
        return
    for n in range(target.size):
        b = base[n]
        target[n] = min(9.0 * b, max(-0.95 * b, target[n]))


@jit_inner
def stage_count(order):
    return 2 * order + 3


@jit_inner
def _gram(A, par, out, work, K, diagonal, side, tau):
    """K at one evaluated stage, tridiagonalised."""
    stay_apart()
    for j in range(work.size):
        work[j] = -par[5] * (out[2, j] - out[3, j])
    weighted_gram(A, work, K)
    tridiagonalise(K, diagonal, side, tau)


@jit_inner
def newton(A, y, par, tab, base, new, meta, counts, s, H, tol, store):
    """Solve the collocation equations; True if they were solved to a fraction of tol."""
    stay_apart()
    out, e, r, q, K, diagonal, side, tau, T, inverse, carry = store
    N = A.shape[1]
    order = int(meta[ORDER])
    _coupling(par, tab[1][order], s, H, T)
    F = np.empty((2, s, N))
    g = np.empty(N)
    middle = (2 * s) // 3
    before, theta = 0.0, 1.0
    for iteration in range(MOST_ITERATIONS):
        counts[ITERATIONS] += 1
        for i in range(s):
            if not evaluate(A, y, par, base, new[0, i], new[1, i], out[i], r[i], g):
                return False
            if not increments(par, g, out[i, 0], 1.0, F[0, i]):
                return False
            if not increments(par, g, out[i, 1], -1.0, F[1, i]):
                return False
        if renewed(iteration, theta):
            counts[FACTORISATIONS] += 1
            _gram(A, par, out[middle], g, K, diagonal, side, tau)
            factor_blocks(T, diagonal, side, inverse, carry)
        for part in range(2):
            for i in range(s):
                target, old = e[part, i], new[part, i]
                for n in range(N):
                    target[n] = -old[n]
                for j in range(s):
                    c, f = T[i, j], F[part, j]
                    for n in range(N):
                        target[n] += c * f[n]
        for i in range(s):
            eu, ev, du, dv = e[0, i], e[1, i], out[i, 2], out[i, 3]
            for n in range(N):
                g[n] = du[n] * eu[n] + dv[n] * ev[n]
            matvec(A, g, r[i])
        solve_blocks(K, tau, side, T, inverse, carry, r)
        for i in range(s):
            rmatvec(A, r[i], q[i])
        norm = _correct(par, T, q, e, new, out, base, s)
        verdict, theta = judge(iteration, norm, before, theta, tol, _ROUNDING)
        if verdict != GO_ON:
            return verdict == SOLVED
        before = norm
    return False


@jit_inner
def _correct(par, T, q, e, new, out, base, s):
    """Add Newton's correction; its largest entry, relative to w for p > 2."""
    stay_apart()
    gain, largest = par[5], 0.0
    N = q.shape[1]
    for part in range(2):
        c = gain if part == 0 else -gain
        for i in range(s):
            change = e[part, i]
            for j in range(s):
                t, f = c * T[i, j], q[j]
                for n in range(N):
                    change[n] += t * f[n]
            target, w, hi = new[part, i], out[i, part], base[2 * part]
            if par[0] == 2.0:
                for n in range(N):
                    d = change[n]
                    largest = max(largest, abs(d)) if d == d else np.inf
                    target[n] += min(2.0, max(-2.0, d))
            else:
                for n in range(N):
                    d = change[n]
                    largest = max(largest, abs(d) / w[n]) if d == d else np.inf
                    target[n] = max(-0.9 * w[n], d) + target[n]
                    if not hi[n] + target[n] > 0.0:
                        target[n] = w[n] * 0.1 - hi[n]
    return largest


@jit_inner
def leap_error(A, par, tab, base, start, first, new, meta, s, H, store):
    """Estimate of the error of the polynomial: its defect at the start, as Newton sees it."""
    stay_apart()
    _, e, r, q, K, diagonal, side, tau, _, _, _ = store
    D0, shift = tab[2][int(meta[ORDER])], tab[4][int(meta[ORDER])]
    N = A.shape[1]
    terms = s if par[7] == DESCENT else 1
    z = 1.0
    for part in range(2):
        target, rate = e[part, 0], start[part]
        for n in range(N):
            target[n] = rate[n] * H
    for k in range(terms):
        for part in range(2):
            target = e[part, 0]
            for j in range(s):
                c, d = z * D0[k, j], new[part, j]
                for n in range(N):
                    target[n] -= c * d[n]
        z /= H
    eu, ev, rhs = e[0, 0], e[1, 0], q[0]
    for n in range(N):
        eu[n] *= shift
        ev[n] *= shift
        rhs[n] = first[2, n] * eu[n] + first[3, n] * ev[n]
    matvec(A, rhs, r[0])
    solve_shifted(K, tau, diagonal, side, shift * H, r[0])
    rmatvec(A, r[0], rhs)
    c, largest = par[5] * shift * H, 0.0
    for n in range(N):
        a, b = abs(eu[n] + c * rhs[n]), abs(ev[n] - c * rhs[n])
        if par[0] > 2.0:
            a /= min(first[0, n], base[0, n] + new[0, s - 1, n])
            b /= min(first[1, n], base[2, n] + new[1, s - 1, n])
        largest = max(largest, max(a, b)) if a == a and b == b else np.inf
    return largest
