"""Where gradient flow ends, for any alpha, without an ODE."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._check import check_count, check_depth, check_scale
from fastdln._solver import NEAR_TWO, Curve, deviations, locate_face, solve_curve
from fastdln.kernels.path import FAILED, LIMIT
from fastdln.minimizer import _undecided, _zero, from_face
from fastdln.problem import Constraints, Problem, check_problem
from fastdln.results import FlowLimit, L1Minimizer, Status

__all__ = ["flow_limit"]

Array = NDArray[np.float64]


def flow_limit(
    problem: Problem,
    p: float,
    alpha: ArrayLike | None = None,
    *,
    log_alpha: ArrayLike | None = None,
    max_iterations: int = 400,
) -> FlowLimit:
    """Limit of gradient flow from initialisation alpha, as t -> infinity.

    psi = argmin of sum q_p(psi_i / eps) over A psi = y, with eps = alpha^p
    (arXiv 2307.07410, theorem 2.2), by its dual: psi = eps h_p(A^T lambda). The dual is
    followed from a large eps down by Taylor path following; then every coordinate is
    corrected until it is right to its own size, be it 1e-300.

    Parameters
    ----------
    problem : Problem
        A and y. An A too large for a dense copy is used by its products only: then
        `Status.RESIDUAL` is the best there is, without an error bound or a minimiser.
    p : float
        Depth, at least 2, not necessarily an integer.
    alpha : float or array_like, shape (T,), optional
        Initialisation, positive. One path passes through all of an array.
    log_alpha : float or array_like, shape (T,), optional
        Its natural logarithm instead, for alphas that underflow.
    max_iterations : int, optional
        Limit on the m x m factorisations (or systems solved) between two values of alpha.

    Returns
    -------
    FlowLimit
        psi with an error bound, its logarithm, dual, slack; the minimiser it tends to and
        the deviation from it are computed when first asked for.

    Raises
    ------
    TypeError, ValueError
        If p is below 2, alpha not positive, or not exactly one of alpha and log_alpha given.

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
    check_problem(problem)
    depth = check_depth(p)
    log_eps, log_eps_low = check_scale(alpha, log_alpha, depth)
    limit = check_count("max_iterations", max_iterations, 1)
    scalar = log_eps.ndim == 0
    log_eps, log_eps_low = np.atleast_1d(log_eps), np.atleast_1d(log_eps_low)
    if problem.large:
        return _by_products(problem, depth, log_eps, log_eps_low, scalar, limit)
    constraints = problem._constraints if problem.rank > 0 else None
    if constraints is None or not np.any(constraints.y):
        return _trivial(problem, log_eps, scalar)
    order = np.argsort(-log_eps, kind="stable")
    # psi' = psi / scale is the limit for eps' = eps / scale
    shift = np.log(constraints.scale)
    high, low = _two_sum(-log_eps[order], shift)
    curve = solve_curve(constraints, depth, high, low - log_eps_low[order], limit)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return _wrap(constraints, depth, curve, log_eps, back, scalar, limit)


def _two_sum(a: Array, b: float) -> tuple[Array, Array]:
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


def _wrap(
    constraints: Constraints, p: float, curve: Curve, log_eps: Array,
    back: NDArray[np.intp], scalar: bool, limit: int,
) -> FlowLimit:  # fmt: skip
    """The public result: in the caller's order, units and shape."""
    pick: Any = int(back[0]) if scalar else back
    scale = constraints.scale
    face: list[Any] = []

    def the_face() -> Any:
        if not face and curve.state:
            face.append(locate_face(constraints, p, curve.state[0], limit))
        return face[0] if face else None

    def minimizer() -> L1Minimizer:
        found = the_face()
        if found is None:
            return _undecided(constraints.A.shape[1], constraints.y.size)
        return from_face(constraints, found)

    def deviation() -> tuple[Array, Array]:
        found = the_face()
        if found is None:
            return np.full_like(curve.psi, np.nan)[pick], np.zeros_like(curve.L)[pick]
        scaled, unit = deviations(constraints, p, found, curve)
        return scaled[pick], unit[pick] + np.log(scale)

    with np.errstate(under="ignore"):
        psi = curve.psi[pick] * scale
    return FlowLimit(
        psi=psi,
        log_abs_psi=curve.log_abs[pick] + np.log(scale),
        dual=curve.dual[pick] / constraints.row_scale,
        slack=curve.slack[pick] - (np.log(scale) if p == 2.0 else 0.0),
        log_eps=_plain(log_eps, scalar),
        residual=_plain(curve.residual[back] * scale, scalar),
        error_bound=_plain(curve.bound[back], scalar),
        iterations=_plain(curve.work[back, 1], scalar),
        factorisations=_plain(curve.work[back, 0], scalar),
        status=_plain(_statuses(curve)[back], scalar),
        _minimizer=minimizer,
        _deviation=deviation,
    )


def _by_products(
    problem: Problem, p: float, log_eps: Array, log_eps_low: Array, scalar: bool, limit: int
) -> FlowLimit:
    """The limit where A is too large to be a dense array."""
    # these load scipy.linalg, and are rarely needed
    from fastdln._matrix_free import follow_products
    from fastdln._matrix_free_gram import MOST_ROWS, follow_pieces

    matrix = problem._matrix
    assert matrix is not None
    if not np.any(problem.y):
        return _trivial(problem, log_eps, scalar)
    order = np.argsort(-log_eps, kind="stable")
    scale = 2.0 ** float(np.frexp(np.max(np.abs(problem.y)))[1])
    high, low = _two_sum(-log_eps[order], np.log(scale))
    y, low, bounds = problem.y / scale, low - log_eps_low[order], np.full(order.size, np.inf)
    if matrix.has_gram and problem.m <= MOST_ROWS:
        answers, bounds = follow_pieces(matrix, y, p, high, low, limit, _of_columns)
    else:
        answers = follow_products(matrix, y, p, high, low, limit)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    pick: Any = int(back[0]) if scalar else back

    def of(name: str, factor: float = 1.0, shift: float = 0.0) -> NDArray[Any]:
        if scalar:  # of size N: one copy is enough
            values = getattr(answers[0], name)
        else:
            values = np.array([getattr(answers[k], name) for k in back])
        if factor != 1.0:
            values *= factor
        if shift != 0.0:
            values += shift
        return np.asarray(values)

    statuses = [
        Status.CONVERGED if np.isfinite(bounds[k]) else _PRODUCTS[answers[k].code] for k in back
    ]
    log_scale = float(np.log(scale))
    return FlowLimit(
        psi=of("psi", factor=scale),
        log_abs_psi=of("log_abs", shift=log_scale),
        dual=of("dual"),
        slack=of("slack", shift=-log_scale if p == 2.0 else 0.0),
        log_eps=_plain(log_eps, scalar),
        residual=_plain(np.array([a.residual for a in answers])[back] * scale, scalar),
        error_bound=_plain(bounds[back], scalar),
        iterations=_plain(np.array([a.corrections for a in answers])[back], scalar),
        factorisations=_plain(np.array([a.systems for a in answers])[back], scalar),
        status=_plain(np.array(statuses, dtype=object), scalar),
        _minimizer=lambda: _undecided(problem.N, problem.m),
        _deviation=lambda: (
            np.full((order.size, problem.N), np.nan)[pick],
            np.zeros(order.size)[pick],
        ),
    )


def _of_columns(
    A: Array, y: Array, p: float, log_alpha: float
) -> tuple[Array, Array, Array] | None:
    """The limit of a dense problem, if its rows are independent."""
    problem = Problem(A, y)
    if problem.rank < problem.m:
        return None
    limit = flow_limit(problem, p, log_alpha=log_alpha)
    return limit.psi, limit.slack, limit.dual


# by the codes of `_matrix_free`
_PRODUCTS = (Status.RESIDUAL, Status.INACCURATE, Status.ITERATION_LIMIT, Status.BREAKDOWN)


def _plain(values: NDArray[Any], scalar: bool) -> Any:
    return values.tolist()[0] if scalar else values


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


def _trivial(problem: Problem, log_eps: Array, scalar: bool) -> FlowLimit:
    """y = 0, or what the flow sees of it: psi stays 0."""
    pick: Any = 0 if scalar else slice(None)
    T, N, m = log_eps.size, problem.N, problem.m
    zero, count = np.zeros((T, N)), np.zeros(T, np.int64)
    statuses = np.full(T, Status.CONVERGED, dtype=object)
    return FlowLimit(
        psi=zero[pick],
        log_abs_psi=np.full((T, N), -np.inf)[pick],
        dual=np.zeros((T, m))[pick],
        slack=np.ones((T, N))[pick],
        log_eps=_plain(log_eps, scalar),
        residual=_plain(np.full(T, float(np.linalg.norm(problem.y))), scalar),
        error_bound=_plain(np.zeros(T), scalar),
        iterations=_plain(count, scalar),
        factorisations=_plain(count, scalar),
        status=_plain(statuses, scalar),
        _minimizer=lambda: _zero(N, m),
        _deviation=lambda: (np.zeros((T, N))[pick], np.zeros(T)[pick]),
    )
