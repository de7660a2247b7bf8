"""Householder's reduction of a symmetric matrix to tridiagonal form."""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import fma, stay_apart, use_wide_vectors
from fastdln.kernels.octets import EIGHT, combine, dot, sweep_four, sweep_one

__all__ = ["reduce_rows", "tridiagonalise"]


@jit_inner
def tridiagonalise(K, diagonal, side, tau):
    """``K = Q T Q.T``: T in diagonal and side, the reflections in the rows of K and tau."""
    stay_apart()
    use_wide_vectors()
    m = K.shape[0]
    space = np.empty(m)
    for k in range(m - 1):
        x, rest = K[k, k + 1 :], K[k + 1 :, k + 1 :]
        n = x.size
        p = space[:n]
        big, norm = 0.0, 0.0
        for j in range(n):
            big = max(big, abs(x[j]))
        if big > 0.0:
            for j in range(n):
                norm += (x[j] / big) ** 2
            norm = big * np.sqrt(norm)
        diagonal[k] = K[k, k]
        if n == 1 or norm == 0.0:
            side[k], tau[k] = x[0], 0.0
            continue
        alpha = -norm if x[0] > 0.0 else norm
        lead = x[0] - alpha
        side[k], tau[k] = alpha, -lead / alpha
        for j in range(1, n):
            x[j] /= lead
        x[0] = 1.0
        t, dot = tau[k], 0.0
        for j in range(n):
            p[j] = 0.0
        for i in range(n):
            row, c = rest[i], t * x[i]
            for j in range(n):
                p[j] = fma(c, row[j], p[j])
        for j in range(n):
            dot += p[j] * x[j]
        half = 0.5 * t * dot
        for i in range(n):
            p[i] -= half * x[i]
        for i in range(n):
            row, a, b = rest[i], x[i], p[i]
            for j in range(n):
                row[j] = fma(-a, p[j], fma(-b, x[j], row[j]))
    diagonal[m - 1] = K[m - 1, m - 1]


@jit_inner
def _length(x):
    """Of the vector x, padded."""
    square = dot(x, x, 0)
    if 1e-250 < square < 1e250:
        return math.sqrt(square)
    big, total = 0.0, 0.0
    for j in range(x.size):
        big = max(big, abs(x[j]))
    if big > 0.0:
        for j in range(x.size):
            total += (x[j] / big) ** 2
    return big * math.sqrt(total)


@jit_inner
def reduce_rows(K, n, diagonal, side, tau, turns):
    """``K = Q T Q.T``, as `tridiagonalise`, for rows padded with zeros (`octets`).

    The reflections go into the rows of `turns`. What one reflection changes in K is added to
    its rows when the next one passes through them to form its product, so that K is read
    once for each.
    """
    stay_apart()
    space = np.zeros((5, K.shape[1]))
    v, w, p, c, zero = space[0], space[1], space[2], space[3], space[4]
    for k in range(n):
        x, first = turns[k], (k + 1) - (k + 1) % EIGHT
        combine(x, K[k], -v[k], w, -w[k], v, 0)
        diagonal[k] = x[k]
        for j in range(k + 1):
            x[j] = 0.0
        if k == n - 1:
            break
        norm, lead, t = _length(x), x[k + 1], 0.0
        if k == n - 2 or norm == 0.0:
            side[k], tau[k] = lead, 0.0
            combine(x, zero, 0.0, zero, 0.0, zero, 0)
        else:
            alpha = -norm if lead > 0.0 else norm
            lead -= alpha
            side[k], tau[k] = alpha, -lead / alpha
            t = tau[k]
            combine(x, zero, 1.0 / lead, x, 0.0, zero, first)
            x[k + 1] = 1.0
        combine(c, zero, t, x, 0.0, zero, 0)
        combine(p, zero, 0.0, zero, 0.0, zero, 0)
        i = k + 1
        while i + 4 <= n:
            sweep_four(K, i, first, v, w, c, w, v, p)
            i += 4
        while i < n:
            sweep_one(K, i, first, v, w, c, w, v, p)
            i += 1
        combine(w, p, -0.5 * t * dot(p, x, first), x, 0.0, zero, 0)
        combine(v, x, 0.0, zero, 0.0, zero, 0)
        for j in range(k + 1):
            w[j] = 0.0
