"""Coordinates of a flow that answer to Newton's corrections, and the force of the quiet rest.

Most coordinates are far from where psi rises: what a correction of lambda does to their psi is
far below the tolerance. Newton's iterations go through the live ones alone, the force of the
others kept from the last time that all were evaluated. Live is where

    c H d psi / d tau ||a||^2 >= least

at the largest slope that the shifts of the stages reach, by its logarithm: for p = 2 that is
|tau| >= limit - keys, for p > 2 a slack below limit keys.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.intrinsics import stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES, dots
from fastdln.kernels.linear import copy_to

__all__ = [
    "Live",
    "Part",
    "choose",
    "gather",
    "live_limit",
    "measure_columns",
    "new_live",
    "part_of",
    "quiet_force",
    "scatter",
]


class Live(NamedTuple):
    """The n live coordinates, and space for all."""

    which: np.ndarray  # (N,)
    size: np.ndarray  # (1,): n
    rows: np.ndarray  # (N, m): their columns of A
    columns: np.ndarray  # (m N,): the first m n entries the same, (m, n)
    base: np.ndarray  # (4 N,): (4, n)
    squares: np.ndarray  # (N,)
    shift: np.ndarray  # (N, 8)
    psi: np.ndarray
    slope: np.ndarray
    change: np.ndarray


class Part(NamedTuple):
    """The n coordinates that Newton's iterations go through: the live ones, or all."""

    rows: np.ndarray  # (n, m)
    across: np.ndarray  # (m, n): the same
    squares: np.ndarray  # (n,)
    base: np.ndarray  # (4, n)
    shift: np.ndarray  # (n, 8)
    psi: np.ndarray
    slope: np.ndarray
    change: np.ndarray
    rate: np.ndarray  # (m, 8): lambda' that comes of them and of the force of the others


@jit
def measure_columns(A, y, p, sizes):
    """Squares of the columns' lengths, their keys, their lengths into sizes; max |A^T y|."""
    squares, keys, lengths = sizes[0], sizes[1], sizes[2]
    m, N = A.shape
    for j in range(N):
        squares[j] = keys[j] = 0.0
    for i in range(m):
        row, b = A[i], y[i]
        for j in range(N):
            squares[j] += row[j] * row[j]
            keys[j] += row[j] * b
    pull = 0.0
    for j in range(N):
        pull = max(pull, abs(keys[j]))
        lengths[j] = math.sqrt(squares[j])
        log = math.log(squares[j]) if squares[j] > 0.0 else -math.inf
        keys[j] = log if p == 2.0 else math.exp(log * (p - 2.0) / (2.0 * p - 2.0))
    return pull


@jit_inner
def part_of(live, rate):
    """The live coordinates."""
    n, m = live.size[0], rate.shape[0]
    return Part(
        live.rows[:n], live.columns[: m * n].reshape(m, n), live.squares[:n],
        live.base[: 4 * n].reshape(4, n), live.shift[:n], live.psi[:n], live.slope[:n],
        live.change[:n], rate,
    )  # fmt: skip


@jit_inner
def new_live(m, N):
    """Space, nothing in it."""
    return Live(
        np.empty(N, np.int64), np.zeros(1, np.int64), np.empty((N, m)), np.empty(m * N),
        np.empty(4 * N), np.empty(N), np.empty((N, LANES)), np.empty((N, LANES)),
        np.empty((N, LANES)), np.empty((N, LANES)),
    )  # fmt: skip


@jit_inner
def live_limit(p, b, L, least):
    """The limit for `least`, that of d psi / d tau ||a||^2."""
    if p == 2.0:
        return math.log(least) + L
    return math.exp((math.log(2.0 * b) - L - math.log(least)) / (b + 1.0))


@jit_inner
def choose(p, keys, limit, base, shift, live):
    """Fill which and size."""
    stay_apart()
    n, which = 0, live.which
    for j in range(keys.size):
        s = shift[j]
        a, b, c, d = max(s[0], s[1]), max(s[2], s[3]), max(s[4], s[5]), max(s[6], s[7])
        top = max(max(a, b), max(c, d))
        a, b, c, d = min(s[0], s[1]), min(s[2], s[3]), min(s[4], s[5]), min(s[6], s[7])
        low = min(min(a, b), min(c, d))
        if p == 2.0:
            quiet = max(base[0, j] + top, -(base[0, j] + low)) < limit - keys[j]
        else:
            quiet = min(base[0, j] - top, base[2, j] + low) > limit * keys[j]
        if not quiet:
            which[n] = j
            n += 1
    live.size[0] = n


@jit_inner
def gather(columns, squares, base, shift, live):
    """What belongs to the live coordinates."""
    stay_apart()
    n, m = live.size[0], columns.shape[1]
    across, inner = live.columns[: m * n].reshape(m, n), live.base[: 4 * n].reshape(4, n)
    for k in range(n):
        j = live.which[k]
        copy_to(columns[j], live.rows[k])
        copy_to(shift[j], live.shift[k])
        live.squares[k] = squares[j]
        for r in range(4):
            inner[r, k] = base[r, j]
    for i in range(m):
        row = across[i]
        for k in range(n):
            row[k] = live.rows[k, i]


@jit_inner
def scatter(live, shift):
    """The shifts of the live coordinates, back in their places."""
    for k in range(live.size[0]):
        copy_to(live.shift[k], shift[live.which[k]])


@jit_inner
def quiet_force(c, live, psi, rate, force):
    """``force = rate + c A psi`` over the live coordinates: what the others alone exert."""
    stay_apart()
    use_wide_vectors()
    n, m = live.size[0], rate.shape[0]
    for k in range(n):
        copy_to(psi[live.which[k]], live.psi[k])
    dots(live.columns[: m * n].reshape(m, n), m, live.psi, n, force)
    for i in range(m):
        for q in range(LANES):
            force[i, q] = rate[i, q] + c * force[i, q]
