"""What is done with one piece of the columns of A, in whichever thread or process it lies.

Each function takes a piece, the part of the N-vectors that belongs to it, and vectors of length m;
what it returns is small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln.kernels.sparse_points import fill_points, finish_near, finish_points

__all__ = [
    "Ceiling",
    "Heaviest",
    "Look",
    "Part",
    "Point",
    "Reading",
    "Sums",
    "Wanted",
    "Worst",
    "beyond",
    "ceilings",
    "eased",
    "heaviest",
    "largest_tau",
    "longest_column",
    "look",
    "look_apart",
    "nearby",
    "plain_gram",
    "psi_sums",
    "read",
    "relative_to",
    "sums_apart",
    "sums_of",
    "worst",
]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_EASIER = 8.0  # how much more slacks may grow in a step than shrink, relative
_HEAVY = 8.0  # times the mean weight: such columns are never left out of a sample
_LEAST_LENGTH = 1e-140  # of a column whose squares have not lost digits


class Part:
    """The coordinates of one piece of columns, lo to hi."""

    def __init__(self, lo: int, hi: int, arrays: tuple[Array, Array, Array] | None = None) -> None:
        self.lo, self.hi = lo, hi
        if arrays is None:
            arrays = np.empty(hi - lo), np.empty(hi - lo), np.empty(hi - lo)
        self.psi, self.D, self.slack = arrays  # D is d psi / d tau
        self._lengths: Array | None = None

    def outside(self, columns: Indices) -> NDArray[np.bool_]:
        """Which of the part are not among `columns`."""
        mask = np.ones(self.hi - self.lo, bool)
        mask[columns[(columns >= self.lo) & (columns < self.hi)] - self.lo] = False
        return mask

    def leave_out(self, mask: NDArray[np.bool_], columns: Indices) -> None:
        """Those of ascending `columns` from a mask, too."""
        first, last = np.searchsorted(columns, (self.lo, self.hi))
        mask[columns[first:last] - self.lo] = False

    def lengths(self, piece: Any) -> Array:
        """Lengths of the columns, kept."""
        if self._lengths is None:
            self._lengths = np.sqrt(piece.squares())
        return self._lengths


class Point(NamedTuple):
    """A dual point and the slacks of a basis (see `_matrix_free_gram`)."""

    p: float
    L: float
    L_low: float
    dual_hi: Array
    dual_lo: Array
    columns: Indices  # of the basis
    sgn: Array
    slack: Array
    slack_low: Array


class Wanted(NamedTuple):
    """What a reading is for."""

    every: int  # A D A^T of one light column in so many, as heavier ones; 1: of all; 0: without
    fine: bool  # to the last digits; else to those of sums in double
    sums: bool  # |A| |psi| as well
    held: Indices  # columns that are looked at elsewhere, ascending


class Reading(NamedTuple):
    """Sums over the columns of a piece that are not in the basis."""

    v_hi: Array  # A psi
    v_lo: Array
    gram: Array | None  # A D A^T, if it is wanted
    sums: Array | None  # |A| |psi|, likewise
    basis: tuple[Indices, Array, Array]  # places in the basis of columns here; their psi, D
    longest: float  # largest ||a_j||, of columns that are not held either
    steepest: float  # and ||a_j|| / slack_j
    tightest: float  # least slack of all
    apart: float  # and of those not in the basis
    far: float  # and of those that are not held either


def read(piece: Any, part: Part, point: Point, wanted: Wanted) -> Reading:
    """Fill the part at a point."""
    psi, D, slack = part.psi, part.D, part.slack
    fill = _fill_fine if wanted.fine else _fill_roughly
    spare = fill(piece, part, point)
    here = np.flatnonzero((point.columns >= part.lo) & (point.columns < part.hi))
    near = here[point.slack[here] < 0.5]
    if near.size and point.p > 2.0:
        finish_near(
            point.p, point.L, point.L_low, point.columns[near] - part.lo, point.sgn[near],
            point.slack[near], point.slack_low[near], psi, D, slack, spare,
        )  # fmt: skip
    outside = part.outside(point.columns)
    v_hi, v_lo = _product(piece, np.where(outside, psi, 0.0), wanted.fine)
    gram = sums = None
    if wanted.every > 0:
        gram = piece.gram(_sample(np.where(outside, D, 0.0), part.lo, wanted.every))
    if wanted.sums:
        sums = piece.abs_matvec(np.where(outside, np.abs(psi), 0.0))
    own = point.columns[here] - part.lo
    basis = here, psi[own], D[own]
    apart = float(np.min(slack[outside], initial=np.inf))
    part.leave_out(outside, wanted.held)
    longest, steepest, far = _sizes(part.lengths(piece), slack, outside, point.p)
    return Reading(
        v_hi, v_lo, gram, sums, basis, longest, steepest, float(np.min(slack)), apart, far
    )


def _sizes(
    lengths: Array, slack: Array, some: NDArray[np.bool_], p: float
) -> tuple[float, float, float]:
    """Largest length and length / slack of some columns, and their least slack."""
    lengths = np.where(some, lengths, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # a slack of zero: looked at later
        steepest = 0.0 if p == 2.0 else float(np.max(lengths / slack))
    return float(np.max(lengths)), steepest, float(np.min(slack[some], initial=np.inf))


def _fill_fine(piece: Any, part: Part, point: Point) -> Array:
    tau, tau_low = piece.rmatvec_dd(point.dual_hi, point.dual_lo)
    finish_points(
        point.p, point.L, point.L_low, tau, tau_low, part.psi, part.D, part.slack,
        np.empty_like(tau),
    )  # fmt: skip
    return tau  # room for others


def _fill_roughly(piece: Any, part: Part, point: Point) -> Array:
    tau: Array = piece.rmatvec(point.dual_hi)
    _fill(point.p, point.L, tau, part.psi, part.D, part.slack)
    return tau


def _fill(p: float, L: float, tau: Array, psi: Array, D: Array, slack: Array) -> None:
    """To the accuracy of sums over all coordinates. NaN where tau is out of bounds."""
    top, b = (L, 1.0) if p == 2.0 else (1.0, p / (p - 2.0))
    np.subtract(top, np.abs(tau), out=slack)
    with np.errstate(all="ignore"):
        if p == 2.0:
            minus, plus = np.exp(tau - L), np.exp(-tau - L)
            np.add(minus, plus, out=D)
        else:
            minus = np.exp(-L - b * np.log(1.0 - tau))
            plus = np.exp(-L - b * np.log(1.0 + tau))
            np.multiply(b, minus / (1.0 - tau) + plus / (1.0 + tau), out=D)
        np.subtract(minus, plus, out=psi)


def _product(piece: Any, psi: Array, fine: bool) -> tuple[Array, Array]:
    if fine:
        out: tuple[Array, Array] = piece.matvec_dd(psi)
        return out
    product = piece.matvec(psi)
    return product, np.zeros_like(product)


def _sample(D: Array, first: int, every: int) -> Array:
    """D of heavy columns; of the others one in `every`, which stands for so many."""
    if every == 1:
        return D
    light = _HEAVY * float(np.mean(D)) >= D
    stands = np.arange(first, first + D.size) % every == 0
    return np.where(light, np.where(stands, every * D, 0.0), D)


class Sums(NamedTuple):
    """Sums over some columns of a piece."""

    v: Array  # A psi
    gram: Array | None  # A D A^T, if it is wanted
    longest: float  # see `Reading`
    steepest: float
    far: float


def sums_apart(
    piece: Any, part: Part, dual: Array, p: float, L: float, held: Indices, with_gram: bool
) -> Sums:
    """Over the columns that are not held, at tau = A^T dual."""
    tau = piece.rmatvec(dual)
    psi, D, slack = np.empty_like(tau), np.empty_like(tau), np.empty_like(tau)
    _fill(p, L, tau, psi, D, slack)
    some = np.ones(tau.size, bool)
    part.leave_out(some, held)
    sizes = _sizes(part.lengths(piece), slack, some, p)
    psi[~some] = D[~some] = 0.0
    return Sums(piece.matvec(psi), piece.gram(D) if with_gram else None, *sizes)


read.fills = True  # type: ignore[attr-defined]  # the part, whatever was in it


class Look(NamedTuple):
    """What a step of the dual does to the columns outside the basis."""

    step: float  # largest change of tau
    move: float  # largest change of log psi, about


def look(piece: Any, part: Part, dual: Array, columns: Indices, p_is_2: bool, scale: float) -> Look:
    """The size of a step, exactly."""
    step = np.abs(piece.rmatvec(dual))
    step[~part.outside(columns)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite ends the search
        move = step if p_is_2 else step * (scale / part.slack)
    return Look(float(np.max(step)), float(np.max(move)))


def eased(moves: Array) -> float:
    """The largest of relative changes by which slacks shrink; where they grow it counts less."""
    return float(max(np.max(moves), -np.min(moves) / _EASIER))


def look_apart(
    piece: Any, part: Part, step: Array, dual: Array, p: float, scale: float, held: Indices
) -> float:
    """The move of a step at a dual, but for columns that are held."""
    tau, change = piece.rmatvec(dual), piece.rmatvec(step)
    change *= np.sign(tau)
    if p > 2.0:
        with np.errstate(divide="ignore", invalid="ignore"):
            change *= scale / (1.0 - np.abs(tau))
    some = np.ones(tau.size, bool)
    part.leave_out(some, held)
    return eased(np.where(some, change, 0.0))


class Worst(NamedTuple):
    """Largest change of psi outside the basis for any dual of some sizes."""

    relative: float
    absolute: float
    psi: float  # the largest psi


def worst(piece: Any, part: Part, dual: Array, columns: Indices) -> Worst:
    """What is left to doubt."""
    moved = piece.abs_rmatvec(dual) * part.D
    moved[~part.outside(columns)] = 0.0
    size = np.abs(part.psi)
    largest = float(np.max(relative_to(moved, size)))
    return Worst(largest, float(np.max(moved)), float(np.max(size)))


def relative_to(moved: Array, size: Array) -> Array:
    """Changes over sizes; infinite for a zero that may not be one."""
    relative = np.where(moved > 0.0, np.inf, 0.0)
    np.divide(moved, size, out=relative, where=size > 0.0)
    return relative


def sums_of(piece: Any, part: Part, columns: Indices) -> Array:
    """|A| |psi| outside the basis."""
    psi = np.where(part.outside(columns), np.abs(part.psi), 0.0)
    out: Array = piece.abs_matvec(psi)
    return out


class Ceiling(NamedTuple):
    """The columns whose psi may change most with the dual, and what no others exceed."""

    columns: Indices
    weight: Array  # times ||doubt|| it is no less than their change
    psi: Array
    D: Array
    left: float  # the largest weight of others


def ceilings(
    piece: Any, part: Part, columns: Indices, count: int
) -> tuple[Ceiling, Ceiling, float]:
    """Of relative and absolute changes outside the basis; and the largest psi.

    |a_j|^T doubt D_j <= ||a_j|| ||doubt|| D_j, at the lengths that a reading left here.
    """
    lengths, size = part.lengths(piece), np.abs(part.psi)
    # where squares may have underflown or overflown they say nothing
    sound = (lengths > _LEAST_LENGTH) & (lengths < np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        absolute = np.where(sound, lengths * part.D, np.inf)
        relative = absolute / size
    relative[np.isnan(relative)] = np.inf
    inside = ~part.outside(columns)
    absolute[inside] = relative[inside] = 0.0
    return _ceiling(part, relative, count), _ceiling(part, absolute, count), float(np.max(size))


def _ceiling(part: Part, weight: Array, count: int) -> Ceiling:
    found = _heaviest(part, weight, count + 1)
    order = np.argsort(-found.weight, kind="stable")
    first, left = order[:count], float(np.max(found.weight[order[count:]], initial=0.0))
    own = found.columns[first] - part.lo
    return Ceiling(found.columns[first], weight[own], part.psi[own], part.D[own], left)


ceilings.needs_no_piece = True  # type: ignore[attr-defined]


def plain_gram(piece: Any, part: Part) -> Array:
    """A A^T."""
    out: Array = piece.gram(np.ones(part.hi - part.lo))
    return out


class Heaviest(NamedTuple):
    """Some columns and their weights."""

    columns: Indices
    weight: Array


def _heaviest(part: Part, weight: Array, count: int) -> Heaviest:
    kept = np.arange(weight.size)
    if weight.size > count:
        kept = np.sort(np.argpartition(weight, weight.size - count)[weight.size - count :])
    return Heaviest(part.lo + kept, weight[kept])


def heaviest(piece: Any, part: Part, count: int) -> Heaviest:
    """The columns of largest D."""
    return _heaviest(part, part.D, count)


heaviest.needs_no_piece = True  # type: ignore[attr-defined]


def largest_tau(piece: Any, part: Part, dual: Array, count: int) -> Heaviest:
    """The columns of largest |A^T dual|."""
    return _heaviest(part, np.abs(piece.rmatvec(dual)), count)


def nearby(piece: Any, part: Part, dual: Array, level: float, count: int) -> tuple[Heaviest, Array]:
    """The columns of the largest |A^T dual| above `level`, and A there."""
    tau = np.abs(piece.rmatvec(dual))
    found = _heaviest(part, np.where(tau > level, tau, 0.0), count)
    columns = found.columns[found.weight > level]
    return Heaviest(columns, found.weight[found.weight > level]), piece.columns(columns - part.lo)


def beyond(
    piece: Any, part: Part, dual: Array, columns: Indices, level: float, count: int
) -> tuple[float, Heaviest]:
    """Largest |A^T dual| of columns not among `columns`, and the largest of those above `level`."""
    tau = np.abs(piece.rmatvec(dual))
    tau[~part.outside(columns)] = 0.0
    return float(np.max(tau)), _heaviest(part, np.where(tau > level, tau, 0.0), count)


def psi_sums(
    piece: Any, part: Part, dual: Array, p_is_2: bool, b: float, level: float, with_gram: bool
) -> tuple[Array, Array | None]:
    """A psi and A D A^T at tau = A^T dual (`level`: see `fill_points`)."""
    tau = piece.rmatvec(dual)
    psi, D = np.empty_like(tau), np.empty_like(tau)
    fill_points(p_is_2, b, level, tau, psi, D)
    return piece.matvec(psi), piece.gram(D) if with_gram else None


def longest_column(piece: Any, part: Part) -> float:
    """Largest length of a column."""
    return float(np.sqrt(np.max(piece.squares())))
