"""One implicit engine for gradient flow and gradient descent.

Unknown are the 2N weights in the variable w of `collocation_weights`, which a constant
gradient moves linearly. Over a stride H they follow a polynomial of degree s with

    flow:     w'(t_i) = f(w(t_i)),   descent:  w(k_i + 1) - w(k_i) = F(w(k_i)),

at the Radau points t_i = c_i H, i = 1 ... s. F is the exact change in one step: the polynomial
tends spectrally to the true iterates wherever they vary slowly, whatever their
number. Where they do not, descent takes single steps.

Newton's matrix is I + T (x) K in the residuals of the stages (m s unknowns):
T = H (D + D2/H + ...)^-1 couples the stages, K = A diag(d) A^T is taken at one stage,
d = rate p^2 (u^(2p-2) + v^(2p-2)). The weights are eliminated by the same T.

How to call it
--------------
``advance(A, y, par, tab, base, delta, meta, counts, tol, most)`` moves the state on by
``meta[REST] + meta[REST + 1]`` (a time, or a number of steps; a sum of two doubles, so that
2**63 is exact) and returns DONE; MORE after `most` leaps (call again; look for Ctrl-C
or record the leap in between); TOO_FAR if a single step takes most of a weight, so that w is of
no use; STUCK if the stride underflows.

- ``par`` (8,): see `collocation_weights`; ``tab``: `collocation_tables.all_tables()`.
- ``base`` (4, N): w of u (hi, lo), w of v (hi, lo). Start: (0, 0, 0, 0) for p = 2, else
  (1, 0, 1, 0). For the flow tau is w_v - 1 (p > 2), w_u - w_v (p = 2).
- ``delta`` (2, 9, N): the last leap, base before it + delta[., i] at its node i. With
  s = ORDERS[meta[ORDER_LAST]] and ``basis`` of the tables, the polynomial at t in [0, 1] is
  ``sum_k t^(k+1) (basis[k] @ delta[0, :s])``: dense output, of the order of the error estimate.
- ``meta`` (10,): by the names below. Set STRIDE to a first guess, MIN_STRIDE to 0 for the flow,
  ORDER to an index into ORDERS, REST; zeros elsewhere. STRIDE_LAST is the last leap's.
- ``counts`` (5,) int64: single steps, leaps, rejected leaps, iterations, factorisations.
- ``tol``: for the error of a leap in w (absolute for p = 2, relative for p > 2); that of
  u^p is 2 or b = p/(p-2) times as much.

All of it is state: going on from copies gives the same bits.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.collocation_linear import (
    factor_blocks,
    invert_small,
    solve_blocks,
    solve_shifted,
    tridiagonalise,
)
from fastdln.kernels.collocation_weights import DESCENT, add_to, increments, outputs, slopes
from fastdln.kernels.linear import matvec, rmatvec, weighted_gram

__all__ = [
    "DONE",
    "LEAPS",
    "MIN_STRIDE",
    "MORE",
    "ORDER",
    "ORDER_LAST",
    "REST",
    "SINGLES",
    "STRIDE",
    "STRIDE_LAST",
    "STUCK",
    "TOO_FAR",
    "advance",
    "weights_at",
]

DONE, MORE, TOO_FAR, STUCK = 0, 1, 2, 3
# places in meta
STRIDE, STRIDE_LAST, REST, ORDER, ORDER_LAST, MIN_STRIDE, PENDING, BLOCK = 0, 1, 2, 4, 5, 6, 7, 8
# places in counts
SINGLES, LEAPS, REJECTED, ITERATIONS, FACTORISATIONS = 0, 1, 2, 3, 4

_MOST_ITERATIONS = 10
_SINGLE_CHUNK = 4096


@jit_inner
def _evaluate(A, y, par, base, delta_u, delta_v, out, r, g):
    """psi, residual and gradient at base + delta.

    ``out`` (7, N): w_u, w_v, then d psi / d w_u, d psi / d w_v, psi, u^p, v^p.
    """
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
def _predict(tab, base, start, delta, meta, s, H, new):
    """First guess: the last polynomial continued, or its tangent where it was short.

    The rate at the start is used only where there was none: where forces balance it is the
    rounding of their difference.
    """
    nodes, basis = tab[0][int(meta[ORDER])], tab[3][int(meta[ORDER_LAST])]
    N = base.shape[1]
    last, before = meta[STRIDE_LAST], _stages(int(meta[ORDER_LAST]))
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
    if meta[9] == 2.0:
        if straight:
            for n in range(target.size):
                target[n] = min(1.0, max(-1.0, target[n]))
        return
    for n in range(target.size):
        b = base[n]
        target[n] = min(9.0 * b, max(-0.95 * b, target[n]))


@jit_inner
def _stages(order):
    return 2 * order + 3


@jit_inner
def _gram(A, par, out, work, K, diagonal, side, tau):
    """K at one evaluated stage, tridiagonalised."""
    for j in range(work.size):
        work[j] = -par[5] * (out[2, j] - out[3, j])
    weighted_gram(A, work, K)
    tridiagonalise(K, diagonal, side, tau)


@jit_inner
def _newton(A, y, par, tab, base, new, meta, counts, s, H, tol, store):
    """Solve the collocation equations; True if they were solved to a fraction of tol."""
    out, e, r, q, K, diagonal, side, tau, T, inverse, carry = store
    N = A.shape[1]
    order = int(meta[ORDER])
    _coupling(par, tab[1][order], s, H, T)
    F = np.empty((2, s, N))
    g = np.empty(N)
    middle = (2 * s) // 3
    before, theta = 0.0, 1.0
    for iteration in range(_MOST_ITERATIONS):
        counts[ITERATIONS] += 1
        for i in range(s):
            if not _evaluate(A, y, par, base, new[0, i], new[1, i], out[i], r[i], g):
                return False
            if not increments(par, g, out[i, 0], 1.0, F[0, i]):
                return False
            if not increments(par, g, out[i, 1], -1.0, F[1, i]):
                return False
        if iteration == 0 or (theta > 0.3 and iteration % 2 == 0):
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
        if not norm < np.inf:
            return False
        if iteration > 0:
            theta = norm / before
            if theta >= 2.0 and iteration > 1:
                return False
            left = _MOST_ITERATIONS - 1 - iteration
            if iteration > 1 and theta < 1.0 and norm * theta**left > tol:
                return False
        before = norm
        if norm <= 1e-15 or (theta < 1.0 and norm * theta <= 0.02 * tol):
            return True
        if iteration == 0 and norm <= 0.02 * tol:
            return True
    return False


@jit_inner
def _correct(par, T, q, e, new, out, base, s):
    """Add Newton's correction; its largest entry, relative to w for p > 2."""
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
def _error(A, par, tab, base, start, first, new, meta, s, H, store):
    """Estimate of the error of the polynomial: its defect at the start, as Newton sees it."""
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


@jit_inner
def _single_steps(A, y, par, base, meta, counts, first, start, r, g, zero):
    """Up to a chunk of single steps; False if one takes most of a weight."""
    n = int(min(meta[PENDING], float(_SINGLE_CHUNK)))
    if meta[REST] < n:
        n = int(meta[REST] + meta[REST + 1])
    for _ in range(n):
        add_to(base[0], base[1], start[0])
        add_to(base[2], base[3], start[1])
        counts[SINGLES] += 1
        _shorten(meta, 1.0)
        if not _refresh(A, y, par, base, first, start, r, g, zero):
            return False
    meta[PENDING] = max(0.0, meta[PENDING] - n)
    return True


@jit_inner
def _refresh(A, y, par, base, first, start, r, g, zero):
    """Outputs at the base, and the rates (or changes) there."""
    if not _evaluate(A, y, par, base, zero, zero, first, r, g):
        return False
    return increments(par, g, first[0], 1.0, start[0]) and increments(
        par, g, first[1], -1.0, start[1]
    )


@jit_inner
def _shorten(meta, H):
    """Take H off the rest, exactly."""
    s = meta[REST] - H
    z = s - meta[REST]
    e = (meta[REST] - (s - z)) + (-H - z) + meta[REST + 1]
    h = s + e
    meta[REST + 1] = e - (h - s)
    meta[REST] = h


@jit_inner
def _stride(meta, H, mode):
    """The next stride: what was proposed, cut where the rest ends."""
    rest = meta[REST]
    if rest <= H:
        H = rest
    elif rest < 2.0 * H:
        H = 0.5 * rest
    return np.ceil(H) if mode == DESCENT else H


@jit_inner
def _reach(tab, base, delta, meta):
    """Stride after which the tangent at the end of the last leap would take a weight (p > 2)."""
    if meta[9] == 2.0 or not meta[STRIDE_LAST] > 0.0:
        return np.inf
    count = _stages(int(meta[ORDER_LAST]))
    end = tab[1][int(meta[ORDER_LAST]), 0, count - 1]
    fastest = 0.0
    for side in range(2):
        w, d = base[2 * side], delta[side]
        for n in range(w.size):
            slope = 0.0
            for j in range(count):
                slope -= end[j] * d[j, n]
            fastest = max(fastest, slope / w[n])
    return meta[STRIDE_LAST] / fastest if fastest > 0.0 else np.inf


@jit
def advance(A, y, par, tab, base, delta, meta, counts, tol, most):
    """Move the state on; see the module's docstring."""
    m, N = A.shape
    meta[9] = par[0]
    largest = _stages(tab[0].shape[0] - 1)
    zero, g, r0 = np.zeros(N), np.empty(N), np.empty(m)
    first, start = np.empty((7, N)), np.empty((2, N))
    new = np.empty((2, largest, N))
    K, diagonal, side, tau = np.empty((m, m)), np.empty(m), np.zeros(m), np.zeros(m)
    if not _refresh(A, y, par, base, first, start, r0, g, zero):
        return TOO_FAR
    for _ in range(most):
        if not meta[REST] > 0.0:
            return DONE
        if meta[PENDING] > 0.0:
            if not _single_steps(A, y, par, base, meta, counts, first, start, r0, g, zero):
                return TOO_FAR
            continue
        reach = 0.9 * _reach(tab, base, delta, meta)
        H = _stride(meta, min(meta[STRIDE], max(reach, meta[MIN_STRIDE])), par[7])
        if par[7] == DESCENT and meta[MIN_STRIDE] > H:
            meta[PENDING] = meta[REST] if meta[REST] < meta[MIN_STRIDE] else meta[MIN_STRIDE]
            meta[STRIDE] = max(meta[STRIDE], meta[MIN_STRIDE])
            continue
        if not H > 1e-300:
            return STUCK
        s = _stages(int(meta[ORDER]))
        store = (
            np.empty((s, 7, N)),
            np.empty((2, s, N)),
            np.empty((s, m)),
            np.empty((s, N)),
            *(K, diagonal, side, tau),
            *(np.empty((s, s)), np.empty((m, s, s)), np.empty((m, s, s))),
        )
        _predict(tab, base, start, delta, meta, s, H, new)
        error = np.inf
        if _newton(A, y, par, tab, base, new, meta, counts, s, H, tol, store):
            error = _error(A, par, tab, base, start, first, new, meta, s, H, store)
        if error <= tol:
            _accept(base, delta, new, meta, counts, s, H, error, tol)
            if not _refresh(A, y, par, base, first, start, r0, g, zero):
                return TOO_FAR
        else:
            _reject(par, meta, counts, s, H, error, tol)
    return MORE if meta[REST] > 0.0 else DONE


@jit_inner
def _accept(base, delta, new, meta, counts, s, H, error, tol):
    add_to(base[0], base[1], new[0, s - 1])
    add_to(base[2], base[3], new[1, s - 1])
    for part in range(2):
        for i in range(s):
            source, target = new[part, i], delta[part, i]
            for n in range(source.size):
                target[n] = source[n]
    _shorten(meta, H)
    factor = 8.0
    if error > 0.0:
        factor = min(8.0, 0.8 * (tol / error) ** (1.0 / (s + 1)))
    # a stride that the rest cut short says nothing against the longer one proposed
    meta[STRIDE] = max(factor * H, meta[STRIDE]) if meta[STRIDE] > H else factor * H
    meta[STRIDE_LAST], meta[ORDER_LAST] = H, meta[ORDER]
    meta[BLOCK] = 0.0
    counts[LEAPS] += 1


@jit_inner
def _reject(par, meta, counts, s, H, error, tol):
    counts[REJECTED] += 1
    factor = 0.3
    if error < np.inf:
        factor = min(0.7, max(0.1, 0.8 * (tol / error) ** (1.0 / (s + 1))))
    meta[STRIDE] = factor * H
    if par[7] == DESCENT and meta[STRIDE] < meta[MIN_STRIDE]:
        # a transient: step through it, twice as far each time that it is not over
        meta[BLOCK] = min(max(2.0 * meta[BLOCK], 2.0 * meta[MIN_STRIDE]), 65536.0)
        meta[PENDING] = meta[BLOCK]
        meta[STRIDE] = meta[MIN_STRIDE]
        meta[STRIDE_LAST] = 0.0


@jit
def weights_at(par, log_alpha, base, delta, psi, u, v):
    """psi and the weights at base + delta, delta (2, N)."""
    N = psi.size
    w, U, V = np.empty((2, N)), np.empty(N), np.empty(N)
    if not outputs(par, base[0], base[1], delta[0], w[0], U):
        return False
    if not outputs(par, base[2], base[3], delta[1], w[1], V):
        return False
    for j in range(N):
        psi[j] = U[j] - V[j]
        if par[0] == 2.0:
            u[j], v[j] = np.exp(w[0, j] + log_alpha), np.exp(w[1, j] + log_alpha)
        else:
            c = 1.0 / (2.0 - par[0])
            u[j] = np.exp(log_alpha + c * np.log(w[0, j]))
            v[j] = np.exp(log_alpha + c * np.log(w[1, j]))
    return True
