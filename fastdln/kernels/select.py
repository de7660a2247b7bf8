"""Greedy choice of m independent columns with large weights."""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.descent_lanes import LANES
from fastdln.kernels.linear import dot_four, dot_rows

__all__ = ["select_basis"]

_DEPENDENT = 1e-20  # squared sine of the angle below which a column counts as dependent
_NOISE = 1e-27  # and below which it is: twice orthogonalised, rounding leaves no more than m 1e-32
_WINDOW = 12  # candidates compared before one enters the basis


@jit_inner
def _project_out(pool, index, Q, first, count, acc, t):
    """Subtract from pool[index] its projection on the orthonormal rows Q[first:count]."""
    row, k = pool[index], first
    while k + 4 <= count:
        dot_four(Q, k, row, acc, t)
        q0, q1, q2, q3 = Q[k], Q[k + 1], Q[k + 2], Q[k + 3]
        t0, t1, t2, t3 = t[0], t[1], t[2], t[3]
        for i in range(row.size):
            row[i] -= (t0 * q0[i] + t1 * q1[i]) + (t2 * q2[i] + t3 * q3[i])
        k += 4
    while k < count:
        q, s = Q[k], dot_rows(Q, k, pool, index)
        for i in range(row.size):
            row[i] -= s * q[i]
        k += 1


@jit_inner
def _reduce(pool, row, Q, first, count, acc, t):
    """Subtract from pool[row] its projection on the orthonormal rows Q[first:count].

    Twice if need be ("twice is enough"); returns the square of what is left.
    """
    before = dot_rows(pool, row, pool, row)
    after = before
    for _ in range(2):
        _project_out(pool, row, Q, first, count, acc, t)
        after = dot_rows(pool, row, pool, row)
        if after > 0.01 * before:
            break
    return after


@jit_inner
def _sift(heap, key, i, size):
    """Restore the heap order (largest key first) below position i."""
    item = heap[i]
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and key[heap[child + 1]] > key[heap[child]]:
            child += 1
        if not key[heap[child]] > key[item]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = item


@jit
def select_basis(A, weight, squares, columns):
    """Fill `columns` with m independent columns of A; False if it has not so many.

    They enter by ``weight_j`` times the squared distance of a_j from the span of those
    already in, compared within a window of the next candidates by ``weight_j ||a_j||^2``.
    A column nearly in the span enters where there are no others.
    """
    if _select(A, weight, squares, columns, _DEPENDENT):
        return True
    return _select(A, weight, squares, columns, _NOISE)


@jit_inner
def _select(A, weight, squares, columns, dependent):
    """`select_basis` by columns whose squared sine to the span is above `dependent`."""
    m, N = A.shape
    key, heap = np.empty(N), np.empty(N, np.int64)
    for j in range(N):
        key[j] = weight[j] * squares[j]
        heap[j] = j
    for i in range(N // 2, -1, -1):
        _sift(heap, key, i, N)
    left = N
    Q = np.empty((m, m))
    pool = np.empty((_WINDOW, m))
    index = np.empty(_WINDOW, np.int64)
    distance = np.empty(_WINDOW)
    acc, t = np.empty((4, LANES)), np.empty(4)
    filled, count = 0, 0
    while count < m:
        while filled < _WINDOW and left > 0:
            j = heap[0]
            left -= 1
            heap[0] = heap[left]
            _sift(heap, key, 0, left)
            for i in range(m):
                pool[filled, i] = A[i, j]
            r = _reduce(pool, filled, Q, 0, count, acc, t)
            if r > dependent * squares[j]:
                index[filled] = j
                distance[filled] = r
                filled += 1
        if filled == 0:
            return False
        best = 0
        for k in range(1, filled):
            if weight[index[k]] * distance[k] > weight[index[best]] * distance[best]:
                best = k
        columns[count] = index[best]
        norm = math.sqrt(distance[best])
        filled -= 1
        for i in range(m):
            Q[count, i] = pool[best, i] / norm
            pool[best, i] = pool[filled, i]
        count += 1
        index[best] = index[filled]
        kept = 0
        for k in range(filled):
            r = _reduce(pool, k, Q, count - 1, count, acc, t)
            if r > dependent * squares[index[k]]:
                for i in range(m):
                    pool[kept, i] = pool[k, i]
                index[kept] = index[k]
                distance[kept] = r
                kept += 1
        filled = kept
    return True
