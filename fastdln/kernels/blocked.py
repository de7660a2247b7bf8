"""Factorisations, inverses and sums in tiles, for matrices that outgrow the first cache.

One row or column at a time, each entry would be read and written m times. Here rows are taken
sixteen at a time, and what they do to the others is a product, in tiles that stay in registers.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.descent_lanes import TILE, add_tile

__all__ = [
    "BLOCKED_FROM",
    "add_absolute_sums",
    "cholesky_in_tiles",
    "exchange_back",
    "invert_in_tiles",
]

BLOCKED_FROM = 48  # rows from which this is faster
_WIDTH = 16  # columns of a tile, and rows of a block
_COLUMNS = 64  # of a large matrix, taken at a time


@jit_inner
def _padded(M):
    """M, flat, zeros completing its last tiles."""
    m = M.shape[0]
    padded = m + (-m) % _WIDTH
    out = np.zeros(padded * padded)
    for i in range(m):
        source, target = M[i], out[i * padded : i * padded + m]
        for j in range(m):
            target[j] = source[j]
    return out, padded


@jit_inner
def _factor_rows(U, less, padded, first, size):
    """Finish `size` rows of U from `first` on, what is above having been taken off."""
    for k in range(first, first + size):
        source = U[k * padded : (k + 1) * padded][k:]
        pivot = source[0]
        if not pivot > 0.0:
            return False
        pivot = np.sqrt(pivot)
        for j in range(source.size):
            source[j] /= pivot
        for i in range(k + 1, first + size):
            t = source[i - k]
            target, rest = U[i * padded : (i + 1) * padded][i:], source[i - k :]
            for j in range(target.size):
                target[j] -= t * rest[j]
        negative = less[k * padded : (k + 1) * padded][k:]
        for j in range(source.size):
            negative[j] = -source[j]
    return True


@jit_inner
def cholesky_in_tiles(M):
    """`linear.cholesky`."""
    m = M.shape[0]
    U, padded = _padded(M)
    less = np.zeros(padded * padded)  # -U
    for first in range(0, m, _WIDTH):
        for k in range(first, padded, _WIDTH):
            for i in range(first, first + _WIDTH, TILE):
                add_tile(less, i, 1, padded, U, k, padded, U, i * padded + k, first)
        if not _factor_rows(U, less, padded, first, min(_WIDTH, m - first)):
            return False
    for i in range(m):
        source, target = U[i * padded : i * padded + m][i:], M[i, i:]
        for j in range(target.size):
            target[j] = source[j]
    return True


@jit_inner
def _exchange(M, padded, i, k):
    first, second = M[i * padded : (i + 1) * padded], M[k * padded : (k + 1) * padded]
    for j in range(padded):
        first[j], second[j] = second[j], first[j]


@jit_inner
def _eliminate(M, padded, m, first, size, block, pivots):
    """Gauss-Jordan on `size` columns alone, rows of all; `block` (m rows of 16) is the result."""
    for i in range(m):
        source, target = M[i * padded + first : i * padded + first + size], block[i * _WIDTH :]
        for j in range(size):
            target[j] = source[j]
    for n in range(size):
        k = first + n
        pivot = k
        for i in range(k + 1, m):
            if abs(block[i * _WIDTH + n]) > abs(block[pivot * _WIDTH + n]):
                pivot = i
        pivots[k] = pivot
        if pivot != k:
            _exchange(M, padded, k, pivot)
            for j in range(_WIDTH):
                i, other = k * _WIDTH + j, pivot * _WIDTH + j
                block[i], block[other] = block[other], block[i]
        row = block[k * _WIDTH : (k + 1) * _WIDTH]
        lead = row[n]
        row[n] = 1.0
        for j in range(_WIDTH):
            row[j] /= lead
        for i in range(m):
            if i != k:
                target = block[i * _WIDTH : (i + 1) * _WIDTH]
                t = target[n]
                target[n] = 0.0
                for j in range(_WIDTH):
                    target[j] -= t * row[j]


@jit_inner
def exchange_back(inverse, pivots):
    """Rows were exchanged with the pivots: so are, in reverse, columns of the inverse."""
    m = pivots.size
    for k in range(m - 1, -1, -1):
        pivot = pivots[k]
        if pivot != k:
            for i in range(m):
                inverse[i, k], inverse[i, pivot] = inverse[i, pivot], inverse[i, k]


@jit_inner
def invert_in_tiles(M):
    """`linear.invert`: Gauss-Jordan elimination, sixteen columns at a time.

    What eliminating these does to the other columns is known from what it makes of unit
    columns, which take their place.
    """
    m = M.shape[0]
    X, padded = _padded(M)
    block, rows = np.zeros(padded * _WIDTH), np.zeros(_WIDTH * padded)
    pivots = np.empty(m, np.int64)
    for first in range(0, m, _WIDTH):
        size = min(_WIDTH, m - first)
        _eliminate(X, padded, m, first, size, block, pivots)
        for n in range(size):
            source = X[(first + n) * padded : (first + n + 1) * padded]
            target = rows[n * padded : (n + 1) * padded]
            for j in range(padded):
                target[j] = source[j]
                source[j] = 0.0
        for k in range(0, padded, _WIDTH):
            if k == first:
                continue
            for i in range(0, padded, TILE):
                add_tile(block, i * _WIDTH, _WIDTH, 1, rows, k, padded, X, i * padded + k, size)
        for i in range(m):
            source, target = block[i * _WIDTH : (i + 1) * _WIDTH], X[i * padded + first :]
            for j in range(size):
                target[j] = source[j]
    out = np.empty((m, m))
    for i in range(m):
        source, target = X[i * padded : i * padded + m], out[i]
        for j in range(m):
            target[j] = source[j]
    exchange_back(out, pivots)
    return out


@jit_inner
def _take_block(A, first, size, block):
    """Columns of A from `first` on, in `block` of so many rows of 64, zeros after them."""
    for i in range(A.shape[0]):
        source, target = A[i, first : first + size], block[i * _COLUMNS : (i + 1) * _COLUMNS]
        for j in range(size):
            target[j] = source[j]
        for j in range(size, _COLUMNS):
            target[j] = 0.0


@jit
def add_absolute_sums(left, A, weights, out):
    """``out += |left @ A| @ weights`` for a square `left`; their product is never kept."""
    m, N = A.shape
    height = m + (-m) % TILE
    rows, sums = np.zeros(height * m), np.zeros(height * _COLUMNS)
    for i in range(m):
        source, target = left[i], rows[i * m : (i + 1) * m]
        for k in range(m):
            target[k] = source[k]
    block, tile, w = np.empty(m * _COLUMNS), np.empty(TILE * _COLUMNS), np.zeros(_COLUMNS)
    for first in range(0, N, _COLUMNS):
        size = min(_COLUMNS, N - first)
        _take_block(A, first, size, block)
        for j in range(_COLUMNS):
            w[j] = weights[first + j] if j < size else 0.0
        for i in range(0, m, TILE):
            for j in range(tile.size):
                tile[j] = 0.0
            for k in range(0, _COLUMNS, _WIDTH):
                add_tile(rows, i * m, m, 1, block, k, _COLUMNS, tile, k, m)
            for r in range(TILE):
                source = tile[r * _COLUMNS : (r + 1) * _COLUMNS]
                target = sums[(i + r) * _COLUMNS : (i + r + 1) * _COLUMNS]
                for j in range(_COLUMNS):
                    target[j] += abs(source[j]) * w[j]
    for i in range(m):
        for j in range(_COLUMNS):
            out[i] += sums[i * _COLUMNS + j]
