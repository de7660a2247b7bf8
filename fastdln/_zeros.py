"""Coordinates of psi that are zero for every alpha and depth, proved in exact arithmetic.

Let P be a signed permutation that maps the solutions of A x = y onto themselves. The flow's
potential does not feel P and has one minimiser there, so P psi = psi: where P takes a
coordinate, after some rounds, to its own negative, psi is zero. Whether P is such a one is
a matter of ranks: of (A P, y) below (A, y) must be that of (A, y), m. P itself is only
guessed, from the projection on the rows of A and the least-norm solution in plain float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln.kernels.exact import exact_rank

__all__ = ["proved_zeros"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Colours = NDArray[np.uint64]

_WORK = 100_000_000  # m^2 N up to which ranks are found exactly
_MOST = 512  # columns up to which a permutation is looked for
_TRIES = 256  # colourings looked at on the way to one
_CANDIDATES = 16  # coordinates for which one is looked for
_SAME = 1e-9  # numbers this near are taken for one


def proved_zeros(A: Array, y: Array, suspects: Mask) -> Mask:
    """Which of the suspects (and of what goes with them) are surely zero.

    A has independent rows.
    """
    zero = suspects & ~A.any(axis=0)
    if A.shape[0] ** 2 * A.shape[1] > _WORK:
        return zero
    signs = np.where(suspects, -1.0, 1.0)
    if _keeps_solutions(A, y, np.arange(A.shape[1]), signs):  # a block on its own, y = 0 there
        return suspects.copy()
    columns = np.flatnonzero(A.any(axis=0))
    if columns.size <= _MOST:
        zero[columns] |= _by_permutations(A[:, columns], y, suspects[columns])
    return zero


def _by_permutations(A: Array, y: Array, suspects: Mask) -> Mask:
    zero = np.zeros(suspects.size, bool)
    graph = _Graph(A, y)
    for j in np.flatnonzero(suspects)[:_CANDIDATES].tolist():
        if zero[j]:
            continue
        found = graph.reversing(j)
        if found is not None and _keeps_solutions(A, y, *found):
            zero |= _reversed(*found)
    return zero


def _keeps_solutions(A: Array, y: Array, order: NDArray[np.intp], signs: Array) -> bool:
    """Whether (A P, y) has its rows in the span of those of (A, y); A P = signs A[:, order]."""
    above = np.column_stack((A, y))
    below = np.column_stack((signs * A[:, order], y))
    return int(exact_rank(np.vstack((above, below)))) == A.shape[0]


def _reversed(order: NDArray[np.intp], signs: Array) -> Mask:
    """The coordinates that P takes to their own negative: cycles with an odd number of -1."""
    out, seen = np.zeros(order.size, bool), np.zeros(order.size, bool)
    for start in range(order.size):
        cycle, sign, j = [], 1.0, start
        while not seen[j]:
            seen[j] = True
            cycle.append(j)
            sign *= signs[j]
            j = int(order[j])
        out[cycle] = sign < 0.0
    return out


class _Graph:
    """Vertices +j and -j for each column, joined by the entries of the projection on the rows.

    Its permutations are looked for as those of any graph: colour vertices by what they and
    their neighbours look like until nothing changes; where two still look alike, give one a
    colour of its own and go on.
    """

    def __init__(self, A: Array, y: Array) -> None:
        N = A.shape[1]
        Q, R = np.linalg.qr(A.T)
        least = Q @ np.linalg.solve(R.T, y)
        largest = float(np.max(np.abs(least), initial=0.0))
        least = least / largest if largest > 0.0 else least
        random = np.random.default_rng(0)
        self.N = N
        self.first = _hashed(np.concatenate((least, -least)), random)
        block = _hashed(np.stack((Q @ Q.T, -(Q @ Q.T))), random)
        self.edges = np.block([[block[0], block[1]], [block[1], block[0]]])
        self.marks = random.integers(1 << 63, size=2 * _TRIES, dtype=np.uint64)
        self.tries = 0

    def reversing(self, j: int) -> tuple[NDArray[np.intp], Array] | None:
        """A permutation that takes +j to -j, as (order, signs); None if none is found."""
        self.tries = 0
        here, there = self.first.copy(), self.first.copy()
        here[self._both(j)] += self.marks[:2]
        there[self._both(j + self.N)] += self.marks[:2]
        image = self._match(here, there, 1)
        if image is None or np.any((image[: self.N] + self.N) % (2 * self.N) != image[self.N :]):
            return None
        return image[: self.N] % self.N, np.where(image[: self.N] < self.N, 1.0, -1.0)

    def _both(self, vertex: int) -> list[int]:
        """A vertex and its negative."""
        return [vertex, (vertex + self.N) % (2 * self.N)]

    def _match(self, here: Colours, there: Colours, depth: int) -> Any:
        """Where each vertex goes, if one colouring can be carried into the other."""
        self.tries += 1
        here, there = self._refined(here), self._refined(there)
        first, second = np.argsort(here), np.argsort(there)
        if np.any(here[first] != there[second]) or 2 * depth >= self.marks.size:
            return None
        colours, start, count = np.unique(here[first], return_index=True, return_counts=True)
        if colours.size == here.size:
            image = np.empty(here.size, np.intp)
            image[first] = second
            return image
        k = np.argmin(np.where(count > 1, count, here.size + 1))
        alike = slice(start[k], start[k] + count[k])
        own, v = self.marks[2 * depth : 2 * depth + 2], first[alike][0]
        for w in second[alike]:
            if self.tries >= _TRIES:
                break
            one, other = here.copy(), there.copy()
            one[self._both(v)] += own
            other[self._both(w)] += own
            image = self._match(one, other, depth + 1)
            if image is not None:
                return image
        return None

    def _refined(self, colours: Colours) -> Colours:
        """Until no colour splits any more; the same steps for the same picture."""
        count = np.unique(colours).size
        while True:
            sums: Colours = self.edges @ _mixed(colours)
            colours = _mixed(colours + sums)
            now = np.unique(colours).size
            if now <= count:
                return colours
            count = now


def _hashed(values: Array, random: np.random.Generator) -> Colours:
    """A random number for each number, the same one for numbers that agree to rounding."""
    distinct, where = np.unique(values, return_inverse=True)
    group = np.cumsum(np.diff(distinct, prepend=distinct[:1]) > _SAME)
    numbers = random.integers(1 << 63, size=int(group[-1]) + 1, dtype=np.uint64)
    hashed: Colours = numbers[group][where].reshape(values.shape)
    return hashed


def _mixed(x: Colours) -> Colours:
    """A fixed scrambling of 64 bits (splitmix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Colours = x ^ (x >> np.uint64(31))
    return mixed
