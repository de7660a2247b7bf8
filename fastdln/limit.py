"""Where gradient flow ends, for any alpha, without an ODE."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._cached import cached_property
from fastdln._check import check_count, check_depth
from fastdln._many import curves_of, how_many
from fastdln._operator import Blocks
from fastdln._proving import deviations, locate_face
from fastdln._sensitivity import InputError, check_input_error, sensitivity
from fastdln._solver import NEAR_TWO, Curve, solve_curve
from fastdln._targets import Targets, check_targets
from fastdln._threads import in_order, thread_count
from fastdln.datasets import Planted
from fastdln.kernels.path import FAILED, LIMIT
from fastdln.minimizer import _undecided, _zero, from_face
from fastdln.problem import Constraints, Problem, check_problem
from fastdln.results import FlowLimit, L1Minimizer, Status

__all__ = ["flow_limit"]

Array = NDArray[np.float64]

_WIDE = 4000  # columns a row from which a dense A is read in pieces: less memory, not less time
_SINGLE = 2  # alphas for which following the path anew does not pay
_TOGETHER = 64  # problems of a batch that one thread solves in a row


@overload
def flow_limit(
    problem: Problem,
    p: float,
    alpha: ArrayLike | None = None,
    *,
    log_alpha: ArrayLike | None = None,
    max_iterations: int = 400,
    input_error: Any = None,
) -> FlowLimit: ...
@overload
def flow_limit(
    problem: Sequence[Problem],
    p: float,
    alpha: ArrayLike | None = None,
    *,
    log_alpha: ArrayLike | None = None,
    max_iterations: int = 400,
    input_error: Any = None,
) -> list[FlowLimit]: ...
def flow_limit(
    problem: Problem | Sequence[Problem],
    p: float,
    alpha: ArrayLike | None = None,
    *,
    log_alpha: ArrayLike | None = None,
    max_iterations: int = 400,
    input_error: Any = None,
) -> FlowLimit | list[FlowLimit]:
    """Limit of gradient flow from initialisation alpha, as t -> infinity.

    psi = argmin of sum q_p(psi_i / eps) over A psi = y, with eps = alpha^p
    (arXiv 2307.07410, theorem 2.2), by its dual: psi = eps h_p(A^T lambda). The dual is
    followed from a large eps down by Taylor path following; then every coordinate is
    corrected until it is right to its own size, be it 1e-300.

    Parameters
    ----------
    problem : Problem, or list of them
        A and y. A list is solved on all cores, each problem as if it were alone; see
        `Problem.with_y` for many y and one A. Where a dense copy of A is out of the
        question it is used piece by piece, or by its products alone; then
        `Status.RESIDUAL` is the best there is, without an error bound or a minimiser.
    p : float
        Depth, at least 2, not necessarily an integer.
    alpha : float or array_like, shape (T,), optional
        Initialisation, positive. One path passes through all of an array.
    log_alpha : float or array_like, shape (T,), optional
        Its natural logarithm instead, for alphas that underflow.
    max_iterations : int, optional
        Limit on the m x m factorisations (or systems solved) between two values of alpha.
    input_error : float, or pair of float or array_like, optional
        What entries of A and of y may be wrong by, absolutely: one number, or (of A, of y)
        with numbers or arrays of their shapes. Coordinates that such errors could change
        by their own size, to first order, are NaN, and marked in ``undetermined``.

    Returns
    -------
    FlowLimit, or list of them
        psi with an error bound, its logarithm, dual, slack; the minimiser it tends to and
        the deviation from it are computed when first asked for.

    Raises
    ------
    TypeError, ValueError
        If p is below 2, alpha not positive, or not exactly one of alpha and log_alpha given;
        if input_error is negative, or given for an A that is not dense or of deficient rank.

    Notes
    -----
    y = 0 gives psi = 0. A without full row rank, or y outside its range, is treated as
    the flow treats it: the limit is that of `Problem.reduced`.

    Examples
    --------
    >>> import fastdln as fd
    >>> limit = fd.flow_limit(fd.Problem([[1.0, 0.9]], [1.0]), p=3, alpha=1e-80)
    >>> limit.psi
    array([1.00000000e+000, 9.99854206e-238])
    >>> bool(limit.error_bound < 1e-14)
    True
    >>> print(f"{limit.deviation_norm:.6e}")
    1.345166e-237
    """
    several = isinstance(problem, Sequence) and not isinstance(problem, Planted)
    given: Any = problem if several else [problem]
    problems = [check_problem(one) for one in given]
    depth = check_depth(p)
    targets = check_targets(alpha, log_alpha, depth)
    limit = check_count("max_iterations", max_iterations, 1)
    errors: list[InputError | None] = [None] * len(problems)
    if input_error is not None:
        errors = [check_input_error(input_error, one) for one in problems]
    if several:
        return _batch(list(zip(problems, errors, strict=True)), depth, targets, limit)
    return _limit(problems[0], depth, targets, limit, errors[0])


def _batch(
    problems: list[tuple[Problem, InputError | None]], p: float, targets: Targets, limit: int
) -> list[FlowLimit]:
    """One limit after another, on all cores; some at a time, for starting a task has its price."""
    stopped = threading.Event()
    parts = _parts(problems, p, targets, limit)

    def solve(part: list[int]) -> list[FlowLimit]:
        curves: list[Curve | None] = [None] * len(part)
        several = len(part) * targets.high.size > 1
        if several and _together(problems[part[0]], p, targets, limit) > 0:
            curves = curves_of([problems[k][0] for k in part], p, targets.high, targets.low, limit)
        return [
            _limit(problems[k][0], p, targets, limit, problems[k][1])
            if curve is None
            else _wrap(_Behind(problems[k][0], p, curve, limit), targets)
            for k, curve in zip(part, curves, strict=True)
            if not stopped.is_set()
        ]

    found: dict[int, FlowLimit] = {}
    try:
        for part, limits in zip(parts, in_order(solve, parts), strict=True):
            found.update(zip(part, limits, strict=True))
    finally:  # after Ctrl-C no thread goes on to a next problem
        stopped.set()
    return [found[k] for k in range(len(problems))]


def _together(
    given: tuple[Problem, InputError | None], p: float, targets: Targets, limit: int
) -> int:
    """How many problems like this one call of a kernel may solve."""
    problem, error = given
    if error is not None or problem._matrix is not None or _is_wide(problem, targets):
        return 0
    return how_many(problem.m, problem.N, p, targets.high, limit)


def _parts(
    problems: list[tuple[Problem, InputError | None]], p: float, targets: Targets, limit: int
) -> list[list[int]]:
    """Which problems make one task: of one shape, where they can be solved together."""
    groups: dict[tuple[int, int, bool], list[int]] = {}
    for k, (problem, _) in enumerate(problems):
        key = (problem.m, problem.N, problem._matrix is None)
        groups.setdefault(key, []).append(k)
    threads = thread_count()  # one alone has nothing to share out
    most = max(1, min(_TOGETHER, len(problems) // (4 * threads))) if threads > 1 else _TOGETHER
    parts = []
    for group in groups.values():
        several = _together(problems[group[0]], p, targets, limit)
        size = min(most, several) if several > 1 else most
        parts += [group[i : i + size] for i in range(0, len(group), size)]
    return parts


def _limit(
    problem: Problem, p: float, targets: Targets, limit: int, error: InputError | None = None
) -> FlowLimit:
    """The limit of one problem, everything checked."""
    if problem.large:
        if not problem.y.any():
            return _trivial(problem, targets)
        from fastdln._matrix_free_limit import limit_by_products  # loads scipy.linalg

        assert problem._matrix is not None
        return limit_by_products(problem._matrix, problem.y, p, targets, limit, _of_columns)
    constraints = problem._constraints if problem.rank > 0 else None
    if constraints is None or not constraints.y.any():
        return _trivial(problem, targets)
    if error is None and _is_wide(problem, targets):
        found = _in_pieces(problem, constraints, p, targets, limit)
        if found is not None:
            return found
    return _along_the_path(constraints, p, targets, limit, error)


def _is_wide(problem: Problem, targets: Targets) -> bool:
    """Whether most columns matter through sums alone, and there is no path to share."""
    return _WIDE * problem.m <= problem.N and targets.high.size <= _SINGLE


def _in_pieces(
    problem: Problem, constraints: Constraints, p: float, targets: Targets, limit: int
) -> FlowLimit | None:
    """The limit of a wide dense problem; None unless a bound is given for every alpha."""
    from fastdln._matrix_free_limit import limit_by_products

    if constraints.A is not problem.dense or constraints.scale != 1.0:
        return None  # scaled: rarely met
    pieces = Blocks(constraints.A, in_memory=True)
    found = limit_by_products(pieces, constraints.y, p, targets, limit, _of_columns)
    if not np.all(np.isfinite(found.absolute_bound)):
        return None
    full: list[FlowLimit] = []

    def whole() -> FlowLimit:
        if not full:
            full.append(_along_the_path(constraints, p, targets, limit, None))
        return full[0]

    return dataclasses.replace(
        found, _minimizer=lambda: whole().minimizer, _deviation=lambda: whole()._scaled_deviation
    )


def _along_the_path(
    constraints: Constraints, p: float, targets: Targets, limit: int, error: InputError | None
) -> FlowLimit:
    """The limits along one path from large alpha to small."""
    # psi' = psi / scale is the limit for eps' = eps / scale
    high, low = targets.in_units_of(constraints.scale)
    curve = solve_curve(constraints, p, high, low, limit)
    unknown = None
    if error is not None:
        unknown = np.zeros(curve.psi.shape, bool)
        for k in range(high.size):
            bound = sensitivity(
                constraints, p, high[k], curve.psi[k], curve.slack[k], curve.dual[k], error
            )
            unknown[k] = ~(bound < np.abs(curve.psi[k])) & (bound > 0.0)
    return _wrap(_Behind(constraints, p, curve, limit), targets, unknown)


def _of_columns(
    A: Array, y: Array, p: float, log_alpha: float
) -> tuple[Array, Array, Array] | None:
    """The limit of a dense problem, if its rows are independent."""
    problem = Problem(A, y)
    if problem.rank < problem.m:
        return None
    limit = flow_limit(problem, p, log_alpha=log_alpha)
    return limit.psi, limit.slack, limit.dual


class _Behind:
    """The curve of a problem, and what is computed from it when asked for."""

    def __init__(self, problem: Problem | Constraints, p: float, curve: Curve, limit: int) -> None:
        self.problem, self.p, self.curve, self.limit = problem, p, curve, limit

    @cached_property
    def constraints(self) -> Constraints:
        problem = self.problem
        return problem._constraints if isinstance(problem, Problem) else problem

    @cached_property
    def face(self) -> Any:
        if not self.curve.state:
            return None
        return locate_face(self.constraints, self.p, self.curve.state[0], self.limit)

    def minimizer(self) -> L1Minimizer:
        if self.face is None:
            return _undecided(self.constraints.A.shape[1], self.constraints.y.size)
        return from_face(self.constraints, self.face)

    def deviation(self, pick: Any) -> tuple[Array, Array]:
        curve = self.curve
        known = None if curve.together is None else curve.together()
        if known is not None:  # such a problem's scale is 1
            return known[0][pick], known[1][pick]
        if self.face is None:
            return np.full_like(curve.psi, np.nan)[pick], np.zeros_like(curve.L)[pick]
        scaled, unit = deviations(self.constraints, self.p, self.face, curve)
        return scaled[pick], unit[pick] + math.log(self.constraints.scale)


_TINY = 2.0**-1022  # a smaller psi is not right to its last digits
_LOG_TINY = math.log(_TINY)
_OF_LOGS = 2.0**-50 * 1500.0  # of exp(log |psi|): eight roundings of what is below 1500


def _wrap(behind: _Behind, targets: Targets, unknown: NDArray[np.bool_] | None = None) -> FlowLimit:
    """The public result: in the caller's order, units and shape."""
    pick, plain, curve = targets.pick, targets.plain, behind.curve
    psi, log_abs, slack = curve.psi[pick], curve.log_abs[pick], curve.slack[pick]
    error_bound = curve.bound
    residual, dual, scale = curve.residual, curve.dual[pick], 1.0
    if not isinstance(behind.problem, Problem):  # else the problem as it is
        constraints, scale = behind.constraints, behind.constraints.scale
        dual = dual / constraints.row_scale
        if scale != 1.0:
            shift = math.log(scale)
            with np.errstate(under="ignore"):
                psi, log_abs, residual = psi * scale, log_abs + shift, residual * scale
            small = (np.abs(curve.psi) < _TINY) & (curve.log_abs + shift > _LOG_TINY)
            if small.any():  # they underflowed in units of the scale alone
                psi = np.where(small[pick], np.copysign(np.exp(log_abs), psi), psi)
                error_bound = error_bound + np.where(small.any(axis=1), _OF_LOGS, 0.0)
            slack = slack - shift if behind.p == 2.0 else slack
    if unknown is None:
        unknown = np.zeros(curve.psi.shape, bool)
    elif unknown.any():
        psi, log_abs = (np.where(unknown[pick], np.nan, values) for values in (psi, log_abs))
    return FlowLimit(
        psi=psi,
        log_abs_psi=log_abs,
        dual=dual,
        slack=slack,
        log_eps=float(targets.log_eps[0]) if targets.scalar else targets.log_eps,
        residual=plain(residual),
        error_bound=plain(error_bound),
        absolute_bound=plain(curve.bounds[:, 2] * scale),
        iterations=plain(curve.work[:, 1]),
        factorisations=plain(curve.work[:, 0]),
        status=plain(_statuses(curve)),
        undetermined=unknown[pick],
        _minimizer=behind.minimizer,
        _deviation=lambda: behind.deviation(pick),
    )


def _statuses(curve: Curve) -> NDArray[np.object_]:
    out = np.empty(curve.L.size, dtype=object)
    for k, (path, polish) in enumerate(curve.codes.tolist()):
        if polish == 0:
            out[k] = Status.CONVERGED
        elif path == NEAR_TWO:
            out[k] = Status.NEAR_TWO
        elif path == LIMIT:
            out[k] = Status.ITERATION_LIMIT
        else:
            out[k] = Status.BREAKDOWN if path == FAILED else Status.INACCURATE
    return out


def _trivial(problem: Problem, targets: Targets) -> FlowLimit:
    """y = 0, or what the flow sees of it: psi stays 0."""
    pick, plain = targets.pick, targets.plain
    T, N, m = targets.high.size, problem.N, problem.m
    zero, count = np.zeros((T, N)), np.zeros(T, np.int64)
    return FlowLimit(
        psi=zero[pick],
        log_abs_psi=np.full((T, N), -np.inf)[pick],
        dual=np.zeros((T, m))[pick],
        slack=np.ones((T, N))[pick],
        log_eps=float(targets.log_eps[0]) if targets.scalar else targets.log_eps,
        residual=plain(np.full(T, float(np.linalg.norm(problem.y)))),
        error_bound=plain(np.zeros(T)),
        absolute_bound=plain(np.zeros(T)),
        iterations=plain(count),
        factorisations=plain(count),
        status=plain(np.full(T, Status.CONVERGED, dtype=object)),
        undetermined=np.zeros((T, N), bool)[pick],
        _minimizer=lambda: _zero(N, m),
        _deviation=lambda: (np.zeros((T, N))[pick], np.zeros(T)[pick]),
    )
