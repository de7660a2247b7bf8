"""The flow as an ordinary differential equation, in m dual or in 2N weight variables.

Dual: x = lambda, with lambda' = c (y - A psi), psi = eps h_p(A^T lambda), and c = 4 for
p = 2, p (p-2) alpha^(p-2) for p > 2. Weights: x = (u, v, lambda),

    u' = -p u^(p-1) g,   v' = p v^(p-1) g,   g = A^T (A psi - y),   psi = u^p - v^p

(Wind, Antun, Hansen, arXiv 2307.07410, section 2; lambda only comes along).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.coordinate_arrays import (
    h_cubic,
    h_fast,
    h_five_halves,
    h_general,
    h_hyperbolic,
    h_quartic,
    h_sextic,
)
from fastdln.kernels.coordinate_fast import FAST_BELOW
from fastdln.kernels.flow_blocks import WIDTH, across, add_blocks, fold_blocks, group_of
from fastdln.kernels.intrinsics import fma, use_wide_vectors
from fastdln.kernels.lanes import LANES

__all__ = [
    "DUAL",
    "WEIGHTS",
    "Flow",
    "combine_rows",
    "coordinates",
    "derivative",
    "error_norm",
    "transposed",
    "weights_of",
]

DUAL, WEIGHTS = 0, 1
_EXACT_BELOW = 600.0  # p = 2: eps times 2 sinh neither under- nor overflows up to this L


class Flow(NamedTuple):
    """One flow: numbers and arrays that do not change along it."""

    A: np.ndarray
    columns: np.ndarray  # (N, m), A^T row-major
    y: np.ndarray
    p: float
    c: float  # lambda' = c (y - A psi)
    L: float  # log(1/eps)
    eps: float
    log_alpha: float
    blocks: np.ndarray  # (B, m, 32): A once more, for explicit methods, or none (`flow_blocks`)


@jit_inner
def combine_rows(rows, w, out):
    """``out = rows.T @ w``, eight rows a pass: with A and with its columns, both products."""
    use_wide_vectors()
    n = w.size
    for j in range(out.size):
        out[j] = 0.0
    i = 0
    while i + 8 <= n:
        a0, a1, a2, a3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        a4, a5, a6, a7 = rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7]
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        w4, w5, w6, w7 = w[i + 4], w[i + 5], w[i + 6], w[i + 7]
        for j in range(out.size):
            s = fma(w0, a0[j], fma(w1, a1[j], fma(w2, a2[j], w3 * a3[j])))
            t = fma(w4, a4[j], fma(w5, a5[j], fma(w6, a6[j], w7 * a7[j])))
            out[j] += s + t
        i += 8
    while i < n:
        row, wi = rows[i], w[i]
        for j in range(out.size):
            out[j] += wi * row[j]
        i += 1


@jit_inner
def coordinates(flow, tau, psi):
    """``psi = eps h_p(tau)``; infinite or NaN where |tau| >= 1 and p > 2."""
    p = flow.p
    if p == 2.0 and flow.L > _EXACT_BELOW:
        for j in range(tau.size):
            t = abs(tau[j])
            size = math.exp(t - flow.L) * -math.expm1(-2.0 * t)
            psi[j] = size if tau[j] >= 0.0 else -size
        return
    if p == 2.0:
        h_hyperbolic(tau, p, psi)
    elif p == 3.0:
        h_cubic(tau, p, psi)
    elif p == 4.0:
        h_quartic(tau, p, psi)
    elif p == 2.5:
        h_five_halves(tau, p, psi)
    elif p == 6.0:
        h_sextic(tau, p, psi)
    elif p <= FAST_BELOW * (p - 2.0):
        h_fast(tau, p, psi)
    else:
        h_general(tau, p, psi)
    for j in range(psi.size):
        psi[j] *= flow.eps


@jit_inner
def _power(u, exponent):
    if exponent == 1.0:
        return u
    if exponent == 2.0:
        return u * u
    if exponent == 3.0:
        return u * u * u
    if exponent == 4.0:
        return (u * u) * (u * u)
    return u**exponent


@jit_inner
def _psi_of_weights(p, u, v, psi):
    for j in range(psi.size):
        psi[j] = _power(u[j], p) - _power(v[j], p)


@jit_inner
def transposed(flow, x, out):
    """``out = A^T x``, as long as `flow_blocks.padded` says."""
    if flow.blocks.shape[0] > 0:
        fold_blocks(flow.blocks, 0, flow.blocks.shape[0], x, out)
    else:
        combine_rows(flow.A, x, out)


@jit_inner
def _dual_force(flow, x, tau, psi, out):
    """``out = A psi``; with blocks each part of A is read once, for both of its products."""
    blocks = flow.blocks
    if blocks.shape[0] == 0:
        combine_rows(flow.A, x, tau)
        coordinates(flow, tau, psi)
        combine_rows(flow.columns, psi, out)
        return
    sums, group = np.zeros((x.size, LANES)), group_of(blocks)
    for first in range(0, blocks.shape[0], group):
        last = min(first + group, blocks.shape[0])
        start, end = first * WIDTH, last * WIDTH
        fold_blocks(blocks, first, last, x, tau)
        coordinates(flow, tau[start:end], psi[start:end])
        add_blocks(blocks, first, last, psi, sums)
    across(sums, out)


@jit_inner
def derivative(form, flow, x, tau, psi, out):
    """``out = x'``; leaves A^T lambda (dual) or the gradient g (weights) in tau, and psi."""
    A, y, p = flow.A, flow.y, flow.p
    m, N = A.shape
    if form == DUAL:
        _dual_force(flow, x, tau, psi, out)
        for i in range(m):
            out[i] = flow.c * (y[i] - out[i])
        return
    u, v, dual = x[:N], x[N : 2 * N], out[2 * N :]
    _psi_of_weights(p, u, v, psi)
    combine_rows(flow.columns, psi, dual)
    for i in range(m):
        dual[i] -= y[i]
    combine_rows(A, dual, tau)
    for i in range(m):
        dual[i] *= -flow.c
    du, dv = out[:N], out[N : 2 * N]
    for j in range(N):
        du[j] = -p * _power(u[j], p - 1.0) * tau[j]
        dv[j] = p * _power(v[j], p - 1.0) * tau[j]


@jit_inner
def _dual_weight(p, b, tau):
    """Bound, within a factor 2, on ``h_p'(tau) / (|h_p(tau)| + 1)``."""
    t = abs(tau)
    if p == 2.0:
        return 2.0 if t < 1.0 else 1.0
    return b * (1.0 + (1.0 - t)) / (1.0 - t)


@jit_inner
def error_norm(form, flow, x, e, tau, psi, work):
    """Largest change of a coordinate by the error e of x, relative to |psi| + eps.

    tau and psi are those of x; NaN where x holds one.
    """
    p = flow.p
    N = psi.size
    worst = 0.0
    if form == DUAL:
        b = p / (p - 2.0) if p > 2.0 else 1.0
        transposed(flow, e, work)
        for j in range(N):
            size = abs(work[j]) * _dual_weight(p, b, tau[j])
            if not size <= worst:
                worst = size
        for j in range(N):
            if not abs(psi[j]) < math.inf:
                worst = math.nan
        return worst
    for j in range(N):
        change = abs(_power(x[j], p - 1.0) * e[j]) + abs(_power(x[N + j], p - 1.0) * e[N + j])
        size = p * change / (abs(psi[j]) + flow.eps)
        if not size <= worst:
            worst = size
    return worst


@jit
def weights_of(p, log_alpha, tau, u, v):
    """The weights of one tau: alpha e^(+-tau/2), or alpha (1 -+ tau)^(-1/(p-2))."""
    if p == 2.0:
        for j in range(tau.size):
            u[j] = math.exp(log_alpha + 0.5 * tau[j])
            v[j] = math.exp(log_alpha - 0.5 * tau[j])
        return
    power = -1.0 / (p - 2.0)
    for j in range(tau.size):
        u[j] = math.exp(log_alpha + power * math.log1p(-tau[j]))
        v[j] = math.exp(log_alpha + power * math.log1p(tau[j]))
