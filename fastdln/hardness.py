"""Which digits of the l1 minimiser inexact data decide, and which no algorithm can decide.

Generalised hardness of approximation (Wind, Antun and Hansen, arXiv 2307.07410, section 4):
A and y are known to an accuracy only, and the minimiser can jump inside the uncertainty.
The derivation is in docs/hardness.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln import functions
from fastdln._check import check_depth, check_in_range, real_array
from fastdln._display import Displayed
from fastdln._enclosure import enclose
from fastdln._rivals import critical_error, rivals, rivals_of_zero
from fastdln._support import Split, split_at
from fastdln.minimizer import l1_minimizer
from fastdln.null_space import Vertex, least_sup_norm
from fastdln.problem import Problem, check_problem
from fastdln.results import L1Minimizer, Status

__all__ = [
    "Answer",
    "DigitsCertificate",
    "HardnessMap",
    "Witness",
    "certify_digits",
    "hardness_map",
    "kink_constant",
    "kink_epsilon",
    "kink_profile",
]

Array = NDArray[np.float64]

_DIGITS = (-300.0, 300.0)


class Answer(Enum):
    """Whether inexact data decide so many digits; the value says what that means.

    Examples
    --------
    >>> from fastdln import Answer
    >>> print(Answer.NO)
    No: two admissible inputs have minimisers so far apart that no answer is right for both.
    """

    YES = "Yes: every minimiser of every admissible input is within the tolerance of psi."
    NO = "No: two admissible inputs have minimisers so far apart that no answer is right for both."
    UNDECIDED = "Undecided: neither was shown; bound and spread say how much is missing."

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, repr=False)
class Witness(Displayed):
    """An admissible input and its only l1 minimiser.

    Attributes
    ----------
    A : ndarray, shape (m, N)
        Within input_error of the given A, entry by entry, exactly.
    y : ndarray, shape (m,)
        The same.
    psi : ndarray, shape (N,)
        The minimiser.
    radius : float
        The exact minimiser is within this l2 distance of `psi`, all rounding included.
    """

    A: Array
    y: Array
    psi: Array
    radius: float


@dataclass(frozen=True, repr=False)
class DigitsCertificate(Displayed):
    """What `certify_digits` found.

    Attributes
    ----------
    answer : Answer
        ``YES``, ``NO`` or ``UNDECIDED``.
    digits : float
        Those asked for: the tolerance is ``10**-digits``, in the Euclidean norm.
    input_error : float
        Largest error of an entry of A or y.
    psi : ndarray, shape (N,)
        The minimiser of the data as given.
    bound : float
        Every minimiser of every admissible input is within this distance of `psi`: a proof,
        rounded outwards. Infinite if there is none.
    spread : float
        Half the distance between the minimisers of the witnesses, rounded inwards: whatever
        an algorithm returns, it is at least so wrong for one of them.
    margin : float
        At least this is left of ``1 - abs(A'.T @ dual)`` outside the support for all
        admissible A': positive where the support is decided, -inf where unknown.
    witnesses : tuple of Witness
        Two admissible inputs behind `spread`; empty if none was found.
    """

    answer: Answer
    digits: float
    input_error: float
    psi: Array
    bound: float
    spread: float
    margin: float
    witnesses: tuple[Witness, ...]


@dataclass(frozen=True, repr=False)
class HardnessMap(Displayed):
    """Decided and undecidable digits over a range of input errors.

    Attributes
    ----------
    input_error : ndarray, shape (T,)
        Ascending.
    bound : ndarray, shape (T,)
        As in `DigitsCertificate`.
    spread : ndarray, shape (T,)
        As in `DigitsCertificate`; what a smaller input error allows is counted too.
    margin : ndarray, shape (T,)
        As in `DigitsCertificate`.
    critical_error : float
        The input error at which the support stops being decided, by the leading terms of the
        bound: theory, to set beside the rest. NaN where the support has less than m elements.
    """

    input_error: Array
    bound: Array
    spread: Array
    margin: Array
    critical_error: float

    def answers(self, digits: ArrayLike) -> NDArray[np.object_]:
        """The `Answer` for each of the digits (rows) and each input error (columns)."""
        tolerance = 10.0 ** -np.atleast_1d(np.asarray(digits, dtype=float))[:, np.newaxis]
        out = np.full((tolerance.size, self.bound.size), Answer.UNDECIDED, dtype=object)
        out[self.bound <= tolerance] = Answer.YES
        out[self.spread > tolerance] = Answer.NO
        return out


class _Base(NamedTuple):
    """What does not depend on the input error."""

    problem: Problem
    p: float
    minimizer: L1Minimizer
    split: Split | None
    vertex: Vertex | None
    duals: list[Array]


def certify_digits(
    problem: Problem, input_error: float, digits: float, p: float = 2.0
) -> DigitsCertificate:
    """Whether data known to `input_error` decide the l1 minimiser to so many digits.

    Admissible are all A', y' with ``abs(A' - A) <= input_error`` and ``abs(y' - y) <=
    input_error``, entry by entry. The answer is yes if all their minimisers lie within
    ``10**-digits`` of one vector (a proof by perturbed dual certificates, with outward
    rounding), no if two of them lie more than twice as far apart (the two inputs are returned,
    their minimisers proved), and undecided otherwise: never a guess.

    Parameters
    ----------
    problem : Problem
        A and y, as known. A needs full row rank for an answer.
    input_error : float
        Largest error of an entry, at least 0.
    digits : float
        Digits after the decimal point, -300 to 300; the error is measured in the l2 norm.
    p : float, optional
        Depth, at least 2. It matters only where the minimiser is not unique.

    Returns
    -------
    DigitsCertificate
        The answer, with the bound and the witnesses that it rests on.

    Raises
    ------
    TypeError, ValueError
        If input_error is negative or not finite, digits out of range, or p below 2.

    Notes
    -----
    The papers' sharpness argument (arXiv 2307.07410, section 4): an algorithm that sees the
    data only up to the input error cannot tell the two inputs apart.

    Examples
    --------
    >>> import fastdln as fd
    >>> problem = fd.datasets.kink(0.01)  # A = (1, 0.99), y = 1
    >>> fd.certify_digits(problem, input_error=1e-4, digits=3).answer.name
    'YES'
    >>> certificate = fd.certify_digits(problem, input_error=1e-2, digits=3)
    >>> certificate.answer.name, [w.psi.round(2).tolist() for w in certificate.witnesses]
    ('NO', [[1.0, 0.0], [0.0, 1.0]])
    """
    check_problem(problem)
    depth = check_depth(p)
    delta = check_in_range("input_error", input_error, 0.0, 1e300)
    wanted = check_in_range("digits", digits, *_DIGITS)
    base = _base(problem, depth)
    bound, margin = _proved(base, delta)
    spread, witnesses = _disproved(base, delta)
    tolerance = 10.0**-wanted
    answer = Answer.UNDECIDED
    if bound <= tolerance * (1.0 - 1e-15):  # 10**-digits is rounded itself
        answer = Answer.YES
    elif spread > tolerance * (1.0 + 1e-15):
        answer = Answer.NO
    psi = base.minimizer.psi
    return DigitsCertificate(answer, wanted, delta, psi, bound, spread, margin, witnesses)


def hardness_map(problem: Problem, input_error: ArrayLike, p: float = 2.0) -> HardnessMap:
    """Decided and undecidable digits for each of several input errors.

    Parameters
    ----------
    problem : Problem
        A and y, as known.
    input_error : array_like, shape (T,)
        Errors of the entries, at least 0.
    p : float, optional
        Depth, at least 2. It matters only where the minimiser is not unique.

    Returns
    -------
    HardnessMap
        Bound and spread for each; its `answers` gives the phase diagram.

    Raises
    ------
    TypeError, ValueError
        As `certify_digits`.

    Examples
    --------
    >>> import fastdln as fd
    >>> phases = fd.hardness_map(fd.datasets.kink(0.01), [1e-4, 1e-2])
    >>> [[answer.name for answer in row] for row in phases.answers([0, 3])]
    [['YES', 'UNDECIDED'], ['YES', 'NO']]
    >>> round(phases.critical_error, 12)
    0.005
    """
    check_problem(problem)
    depth = check_depth(p)
    errors = np.sort(real_array("input_error", np.atleast_1d(input_error), 1, "(T,)"))
    for value in errors:
        check_in_range("input_error", value, 0.0, 1e300)
    base = _base(problem, depth)
    proofs = np.array([_proved(base, float(delta)) for delta in errors])
    spread = np.array([_disproved(base, float(delta))[0] for delta in errors])
    critical = math.nan
    if base.split is not None and base.minimizer.unique:
        critical = critical_error(base.split, base.minimizer.dual)
    # what is decided stays so for smaller errors, and what is not for larger ones
    bound = np.minimum.accumulate(proofs[::-1, 0])[::-1]
    return HardnessMap(errors, bound, np.maximum.accumulate(spread), proofs[:, 1], critical)


def _base(problem: Problem, p: float) -> _Base:
    """The minimiser, its support and dual certificates, in the units of A itself."""
    minimizer = l1_minimizer(problem, p)
    if minimizer.status is not Status.PROVED or problem.rank < problem.m:
        return _Base(problem, p, minimizer, None, None, [])
    if minimizer.support.size == 0:
        return _Base(problem, p, minimizer, None, None, [minimizer.dual])
    split = split_at(problem, minimizer)
    vertex = least_sup_norm(split, split.sign)
    scale = problem._constraints.row_scale
    vertex = vertex._replace(dual=vertex.dual / scale)
    split = split._replace(inverse=split.inverse / scale)
    return _Base(problem, p, minimizer, split, vertex, [minimizer.dual, vertex.dual])


def _proved(base: _Base, delta: float) -> tuple[float, float]:
    """The bound and the margin."""
    if not base.duals or not base.minimizer.unique:
        return math.inf, -math.inf
    problem, psi = base.problem, base.minimizer.psi
    found = enclose(problem.dense, problem.y, psi, base.duals, delta)
    return found.radius, found.margin


def _disproved(base: _Base, delta: float) -> tuple[float, tuple[Witness, ...]]:
    """The spread, and the two inputs furthest apart of those tried."""
    problem, minimizer = base.problem, base.minimizer
    if delta == 0.0 or minimizer.status is not Status.PROVED or problem.rank < problem.m:
        return 0.0, ()
    inputs = [Problem(problem.dense, problem.y)]
    if base.split is None or base.vertex is None:  # y = 0
        inputs += rivals_of_zero(problem, delta)
    else:
        inputs += rivals(problem, base.split, base.vertex, minimizer.dual, delta)
    found = [witness for rival in inputs if (witness := _witness(rival, base.p)) is not None]
    best = 0.0
    pair: tuple[Witness, ...] = ()
    for k, one in enumerate(found):
        for other in found[:k]:
            apart = float(np.linalg.norm(one.psi - other.psi)) * (1.0 - 1e-12)
            half = 0.5 * (apart - one.radius - other.radius) * (1.0 - 1e-12)
            if half > best:
                best, pair = half, (other, one)
    return best, pair


def _witness(problem: Problem, p: float) -> Witness | None:
    """The problem with its minimiser, if that is the only one and is enclosed."""
    if problem.rank < problem.m:
        return None
    minimizer = l1_minimizer(problem, p)
    if minimizer.status is not Status.PROVED or not minimizer.unique:
        return None
    radius = enclose(problem.dense, problem.y, minimizer.psi, [minimizer.dual], 0.0).radius
    if not radius < math.inf:
        return None
    return Witness(problem.dense, problem.y, minimizer.psi, radius)


def kink_constant(delta: float, p: float) -> float:
    """Limit of distance / eps for A = (1, 1 - delta), y = 1, p > 2.

    The second coordinate tends to eps h_p(1 - delta), and the first misses 1 by
    1 - delta times as much.
    """
    return math.hypot(1.0, 1.0 - delta) * float(functions.h_of_slack(delta, p))


def kink_epsilon(delta: float, p: float) -> float:
    """Where the rate sets in: delta**(p / (p - 2)), for p > 2 (arXiv 2307.07410, figure 2)."""
    return delta ** (p / (p - 2.0))


def kink_profile(ratio: Any, p: float) -> Array:
    """Distance to the minimiser of A = (1, 1 - delta), y = 1 at eps = ratio * kink_epsilon.

    The limit as delta -> 0 at fixed ratio, p > 2. With b = p / (p - 2) and slacks delta u and
    delta (1 + u), the two coordinates are ratio u^-b and ratio (1 + u)^-b, and their sum is
    1: so ratio = 1 / (u^-b + (1 + u)^-b), distance = sqrt(2) / (1 + ((1 + u) / u)^b). It goes
    from sqrt(2) ratio below the kink to 1 / sqrt(2) above it; these two lines meet at 1/2.
    """
    b = p / (p - 2.0)
    target = np.log(np.asarray(ratio, dtype=float))
    low, high = np.full(target.shape, -700.0), np.full(target.shape, 700.0)  # of log u
    for _ in range(80):
        v = 0.5 * (low + high)
        above = _log_ratio(v, b) > target
        high, low = np.where(above, v, high), np.where(above, low, v)
    step = np.logaddexp(0.0, -0.5 * (low + high))  # log((1 + u) / u)
    return np.asarray(math.sqrt(2.0) * np.exp(-np.logaddexp(0.0, b * step)))


def _log_ratio(v: Array, b: float) -> Array:
    """log of 1 / (u^-b + (1 + u)^-b) for u = e^v."""
    return b * v - np.logaddexp(0.0, -b * np.logaddexp(0.0, -v))
