"""Dense products and factorisations for the Newton systems, row-major and single-threaded.

A is m x N with m << N, so everything runs along rows of A. The order of every sum is
fixed: the same input gives the same bits, whatever the number of threads. BLAS could not
promise that, and its threads would fight those of a sweep.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner, jit_returning
from fastdln.kernels.blocked import (
    BLOCKED_FROM,
    cholesky_in_tiles,
    exchange_back,
    invert_in_tiles,
)
from fastdln.kernels.descent_lanes import LANES, TILE, add_tile, four_dots
from fastdln.kernels.intrinsics import fma, use_wide_vectors

__all__ = [
    "add_columns",
    "cholesky",
    "cholesky_solve",
    "copy_to",
    "dot_four",
    "dot_rows",
    "inverse_of",
    "invert",
    "invert_factored",
    "matvec",
    "multiply",
    "multiply_upper",
    "padded_size",
    "rmatvec",
    "squares_of",
    "two_matvecs",
    "two_rmatvecs",
    "unfold",
    "weighted_gram",
]

_BLOCK = 64  # columns of A taken at a time: the copy stays in cache; a multiple of 4
_WIDTH = 16  # rows of tiles are whole numbers of vectors
_FEW = 12  # up to this many rows dot products along them are faster


@jit_inner
def copy_to(source, target):
    """Copy a vector (a loop compiles ten times faster than ``target[:] = source``)."""
    for j in range(source.size):
        target[j] = source[j]


@jit_inner
def _add_up(lanes):
    """The sum of 16 partial sums, halves onto halves; overwrites them."""
    width = lanes.size // 2
    while width > 0:
        for k in range(width):
            lanes[k] += lanes[k + width]
        width //= 2
    return lanes[0]


@jit_inner
def dot_four(X, i, x, acc, out):
    """``out[r] = X[i + r] . x`` for r < 4; the last row again where X has no more."""
    last, whole = X.shape[0] - 1, x.size - x.size % LANES
    r1, r2, r3 = X[min(i + 1, last)], X[min(i + 2, last)], X[min(i + 3, last)]
    four_dots(X[i], r1, r2, r3, x, acc, whole)
    for r in range(4):
        row, rest = X[min(i + r, last)], 0.0
        for j in range(whole, x.size):
            rest += row[j] * x[j]
        out[r] = _add_up(acc[r]) + rest


@jit
def matvec(A, x, out):
    """``out = A @ x``, rows of A and x contiguous; 16 partial sums a row, four rows at a time."""
    m, N = A.shape
    if N < LANES:  # a small problem: no sums to combine
        for i in range(m):
            row, total = A[i], 0.0
            for j in range(N):
                total += row[j] * x[j]
            out[i] = total
        return
    acc, sums = np.empty((4, LANES)), np.empty(4)
    for i in range(0, m, 4):
        dot_four(A, i, x, acc, sums)
        for r in range(min(4, m - i)):
            out[i + r] = sums[r]


@jit
def rmatvec(A, w, out):
    """``out = A.T @ w``, four rows of A a pass."""
    m, N = A.shape
    for j in range(N):
        out[j] = 0.0
    i = 0
    while i + 4 <= m:
        r0, r1, r2, r3 = A[i], A[i + 1], A[i + 2], A[i + 3]
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        for j in range(N):
            out[j] += (w0 * r0[j] + w1 * r1[j]) + (w2 * r2[j] + w3 * r3[j])
        i += 4
    while i < m:
        row, wi = A[i], w[i]
        for j in range(N):
            out[j] += wi * row[j]
        i += 1


@jit
def two_matvecs(A, x0, x1, out0, out1):
    """`matvec` of two vectors at once: four rows of A are at hand for both."""
    m, N = A.shape
    if N < LANES:
        matvec(A, x0, out0)
        matvec(A, x1, out1)
        return
    acc, sums = np.empty((4, LANES)), np.empty(4)
    for i in range(0, m, 4):
        dot_four(A, i, x0, acc, sums)
        for r in range(min(4, m - i)):
            out0[i + r] = sums[r]
        dot_four(A, i, x1, acc, sums)
        for r in range(min(4, m - i)):
            out1[i + r] = sums[r]


@jit
def two_rmatvecs(A, w, z, out0, out1):
    """`rmatvec` of two vectors at once."""
    m, N = A.shape
    for j in range(N):
        out0[j], out1[j] = 0.0, 0.0
    i = 0
    while i + 4 <= m:
        r0, r1, r2, r3 = A[i], A[i + 1], A[i + 2], A[i + 3]
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        z0, z1, z2, z3 = z[i], z[i + 1], z[i + 2], z[i + 3]
        for j in range(N):
            out0[j] += (w0 * r0[j] + w1 * r1[j]) + (w2 * r2[j] + w3 * r3[j])
            out1[j] += (z0 * r0[j] + z1 * r1[j]) + (z2 * r2[j] + z3 * r3[j])
        i += 4
    while i < m:
        row, wi, zi = A[i], w[i], z[i]
        for j in range(N):
            out0[j] += wi * row[j]
            out1[j] += zi * row[j]
        i += 1


@jit
def squares_of(A, out):
    """Squared norm of each column of A."""
    for j in range(out.size):
        out[j] = 0.0
    for i in range(A.shape[0]):
        row = A[i]
        for j in range(out.size):
            out[j] += row[j] * row[j]


@jit_inner
def dot_rows(X, i, Y, j):
    """``X[i] . Y[j]`` with eight partial sums, so that the loop vectorises strictly."""
    n = X.shape[1]
    whole = n - n % 8
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(0, whole, 8):
        s0 += X[i, k] * Y[j, k]
        s1 += X[i, k + 1] * Y[j, k + 1]
        s2 += X[i, k + 2] * Y[j, k + 2]
        s3 += X[i, k + 3] * Y[j, k + 3]
        s4 += X[i, k + 4] * Y[j, k + 4]
        s5 += X[i, k + 5] * Y[j, k + 5]
        s6 += X[i, k + 6] * Y[j, k + 6]
        s7 += X[i, k + 7] * Y[j, k + 7]
    rest = 0.0
    for k in range(whole, n):
        rest += X[i, k] * Y[j, k]
    return (((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))) + rest


@jit_inner
def _take_columns(A, index, weights, block, weighted, padded):
    """Rows j of `block` are the columns index[j] of A; in `weighted` they have their weights."""
    m, size = A.shape[0], index.size
    for i in range(0, m, TILE):  # a few rows at a time: neighbours share cache lines
        if i + TILE <= m:
            r0, r1, r2, r3 = A[i], A[i + 1], A[i + 2], A[i + 3]
            r4, r5, r6, r7 = A[i + 4], A[i + 5], A[i + 6], A[i + 7]
            for j in range(size):
                column, to = index[j], block[j * padded + i : j * padded + i + TILE]
                to[0], to[1], to[2], to[3] = r0[column], r1[column], r2[column], r3[column]
                to[4], to[5], to[6], to[7] = r4[column], r5[column], r6[column], r7[column]
        else:
            for j in range(size):
                for k in range(i, m):
                    block[j * padded + k] = A[k, index[j]]
    for j in range(size):
        source, target = block[j * padded : (j + 1) * padded], weighted[j * padded :]
        w = weights[index[j]]
        for k in range(source.size):
            target[k] = w * source[k]


@jit
def weighted_gram(A, d, out):
    """``out = A @ diag(d) @ A.T`` for ``d >= 0``.

    Few rows: dot products along them. Else blocks of columns, transposed, and tiles of the
    result, which stay in registers. Columns of weight 0 are passed over.
    """
    m, N = A.shape
    if m <= _FEW:
        row = np.empty((1, N))
        for i in range(m):
            for j in range(N):
                row[0, j] = A[i, j] * d[j]
            for k in range(i + 1):
                s = dot_rows(row, 0, A, k)
                out[i, k] = s
                out[k, i] = s
        return
    total = np.zeros(padded_size(m))
    add_columns(A, d, 0, N, total)
    unfold(total, out)


@jit
def add_columns(A, d, start, stop, total):
    """Add columns start to stop of A to ``A @ diag(d) @ A.T``, upper triangle, padded and flat."""
    m = A.shape[0]
    padded = m + (-m) % _WIDTH  # zeros complete the last tile
    block, weighted = np.zeros(_BLOCK * padded), np.empty(_BLOCK * padded)
    index, count = np.empty(stop - start, np.int64), 0
    for j in range(start, stop):
        if d[j] != 0.0:
            index[count] = j
            count += 1
    for lo in range(0, count, _BLOCK):
        part = index[lo : min(lo + _BLOCK, count)]
        _take_columns(A, part, d, block, weighted, padded)
        for k in range(0, padded, _WIDTH):
            for i in range(0, k + _WIDTH, TILE):
                add_tile(
                    weighted, i, 1, padded, block, k, padded, total, i * padded + k, part.size
                )  # fmt: skip


@jit
def padded_size(m):
    """Length of the `total` of m rows."""
    return (m + (-m) % _WIDTH) ** 2


@jit
def unfold(total, out):
    """A symmetric matrix from the upper triangle of a padded and flat one."""
    padded = out.shape[0] + (-out.shape[0]) % _WIDTH
    for i in range(out.shape[0]):
        for k in range(i, out.shape[0]):
            out[i, k] = total[i * padded + k]
            out[k, i] = total[i * padded + k]


@jit
def multiply(X, Y, out):
    """``out = X @ Y``, for square matrices."""
    _multiply(X, Y, False, out)


@jit
def multiply_upper(X, Y, out):
    """`multiply`, the upper triangle only; what is below the diagonal is not to be used."""
    _multiply(X, Y, True, out)


@jit_inner
def _multiply(X, Y, upper, out):
    m = X.shape[0]
    padded = m + (-m) % _WIDTH
    left, right = np.zeros(padded * padded), np.zeros(padded * padded)
    total = np.zeros(padded * padded)
    for i in range(m):
        copy_to(X[i], left[i * padded :])
        copy_to(Y[i], right[i * padded :])
    for k in range(0, padded, _WIDTH):
        for i in range(0, k + _WIDTH if upper else padded, TILE):
            add_tile(left, i * padded, padded, 1, right, k, padded, total, i * padded + k, m)
    for i in range(m):
        copy_to(total[i * padded : i * padded + m], out[i])


@jit_inner
def _add_row(factor, M, k, i):
    """``M[i] += factor * M[k]``."""
    use_wide_vectors()
    source, target = M[k], M[i]
    for j in range(source.size):
        target[j] = fma(factor, source[j], target[j])


@jit_inner
def invert(M):
    """M^-1 by Gauss-Jordan elimination in place, with partial pivoting."""
    m = M.shape[0]
    if m >= BLOCKED_FROM:
        return invert_in_tiles(M)
    out, pivots = M.copy(), np.empty(m, np.int64)
    for k in range(m):
        pivot = k
        for i in range(k + 1, m):
            if abs(out[i, k]) > abs(out[pivot, k]):
                pivot = i
        pivots[k] = pivot
        if pivot != k:
            for j in range(m):
                out[k, j], out[pivot, j] = out[pivot, j], out[k, j]
        lead = out[k, k]
        out[k, k] = 1.0
        for j in range(m):
            out[k, j] /= lead
        for i in range(m):
            factor = -out[i, k]
            if i != k and factor != 0.0:
                out[i, k] = 0.0
                _add_row(factor, out, k, i)
    exchange_back(out, pivots)
    return out


@jit_returning
def inverse_of(M):
    """`invert`, for callers from Python."""
    return invert(M)


@jit
def cholesky(M):
    """Overwrite the upper triangle of M by U with ``M = U.T @ U``; False if not definite."""
    m = M.shape[0]
    if m >= BLOCKED_FROM:
        return cholesky_in_tiles(M)
    for k in range(m):
        pivot = M[k, k]
        if not pivot > 0.0:
            return False
        pivot = np.sqrt(pivot)
        for j in range(k, m):
            M[k, j] /= pivot
        for i in range(k + 1, m):
            source, target, t = M[k, i:], M[i, i:], M[k, i]
            for j in range(source.size):
                target[j] -= t * source[j]
    return True


@jit_inner
def _dot(x, y):
    """x . y, in eight partial sums where there are as many."""
    whole, rest = x.size - x.size % 8, 0.0
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(0, whole, 8):
        s0 += x[k] * y[k]
        s1 += x[k + 1] * y[k + 1]
        s2 += x[k + 2] * y[k + 2]
        s3 += x[k + 3] * y[k + 3]
        s4 += x[k + 4] * y[k + 4]
        s5 += x[k + 5] * y[k + 5]
        s6 += x[k + 6] * y[k + 6]
        s7 += x[k + 7] * y[k + 7]
    for k in range(whole, x.size):
        rest += x[k] * y[k]
    return (((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))) + rest


@jit
def cholesky_solve(U, x):
    """Overwrite x by the solution of ``U.T @ U @ z = x``."""
    m = U.shape[0]
    for k in range(m):
        row, rest = U[k, k + 1 :], x[k + 1 :]
        x[k] /= U[k, k]
        t = x[k]
        for j in range(rest.size):
            rest[j] -= row[j] * t
    for k in range(m - 1, -1, -1):
        x[k] = (x[k] - _dot(U[k, k + 1 :], x[k + 1 :])) / U[k, k]


@jit
def invert_factored(U, out):
    """``out = (U.T @ U)^-1 = Z.T @ Z`` with the lower triangle ``Z = U^-T``."""
    m = U.shape[0]
    padded = m + (-m) % _WIDTH
    Z, total = np.zeros(padded * padded), np.zeros(padded * padded)
    for k in range(m):
        row = Z[k * padded : k * padded + k + 1]
        row[k] = 1.0
        for j in range(k):
            earlier, t = Z[j * padded : j * padded + j + 1], U[j, k]
            for i in range(earlier.size):
                row[i] -= t * earlier[i]
        for i in range(row.size):
            row[i] /= U[k, k]
    for k in range(0, padded, _WIDTH):
        for i in range(0, k + _WIDTH, TILE):
            add_tile(
                Z, k * padded + i, 1, padded, Z, k * padded + k, padded, total, i * padded + k,
                m - k,
            )  # fmt: skip
    unfold(total, out)
