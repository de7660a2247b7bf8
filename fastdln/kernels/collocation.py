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
from fastdln.kernels.collocation_leap import (
    BLOCK,
    LEAPS,
    MIN_STRIDE,
    ORDER,
    ORDER_LAST,
    PENDING,
    REJECTED,
    REST,
    SINGLES,
    STRIDE,
    STRIDE_LAST,
    evaluate,
    leap_error,
    newton,
    predict,
    stage_count,
)
from fastdln.kernels.collocation_weights import DESCENT, add_to, increments, outputs
from fastdln.kernels.intrinsics import stay_apart

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

_SINGLE_CHUNK, _CHUNK_WORK = 4096.0, 2e7  # single steps at a time, entries of A read for them


@jit_inner
def _single_steps(A, y, par, base, meta, counts, first, start, r, g, zero):
    """Up to a chunk of single steps; False if one takes most of a weight."""
    stay_apart()
    chunk = max(1.0, min(_SINGLE_CHUNK, _CHUNK_WORK / A.size))
    n = int(min(meta[PENDING], np.ceil(chunk)))
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
    stay_apart()
    if not evaluate(A, y, par, base, zero, zero, first, r, g):
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
    stay_apart()
    if meta[9] == 2.0 or not meta[STRIDE_LAST] > 0.0:
        return np.inf
    count = stage_count(int(meta[ORDER_LAST]))
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
    largest = stage_count(tab[0].shape[0] - 1)
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
        s = stage_count(int(meta[ORDER]))
        store = (
            np.empty((s, 7, N)),
            np.empty((2, s, N)),
            np.empty((s, m)),
            np.empty((s, N)),
            *(K, diagonal, side, tau),
            *(np.empty((s, s)), np.empty((m, s, s)), np.empty((m, s, s))),
        )
        predict(tab, base, start, delta, meta, s, H, new)
        error = np.inf
        if newton(A, y, par, tab, base, new, meta, counts, s, H, tol, store):
            error = leap_error(A, par, tab, base, start, first, new, meta, s, H, store)
        if error <= tol:
            _accept(base, delta, new, meta, counts, s, H, error, tol)
            if not _refresh(A, y, par, base, first, start, r0, g, zero):
                return TOO_FAR
        else:
            _reject(par, meta, counts, s, H, error, tol)
    return MORE if meta[REST] > 0.0 else DONE


@jit_inner
def _accept(base, delta, new, meta, counts, s, H, error, tol):
    stay_apart()
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
