"""flow_limit where a dense copy of A is out of the question."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdln._matrix_free import follow_products
from fastdln._matrix_free_gram import MOST_ROWS, DenseLimit, follow_pieces
from fastdln._operator import Matrix
from fastdln._targets import Targets
from fastdln.minimizer import _undecided
from fastdln.results import FlowLimit, Status

__all__ = ["limit_by_products"]

Array = NDArray[np.float64]

# by the codes of `_matrix_free`
_STATUSES = (Status.RESIDUAL, Status.INACCURATE, Status.ITERATION_LIMIT, Status.BREAKDOWN)


def limit_by_products(
    matrix: Matrix, y: Array, p: float, targets: Targets, limit: int, dense: DenseLimit
) -> FlowLimit:
    """The limit at nonzero y: piece by piece for few rows, else by products alone."""
    m, N = matrix.shape
    scale = 2.0 ** float(np.frexp(np.max(np.abs(y)))[1])
    log_scale, T = float(np.log(scale)), targets.high.size
    high, low = targets.in_units_of(scale)
    scaled, bounds = y / scale, np.full((T, 2), np.inf)
    if matrix.has_gram and m <= MOST_ROWS:
        answers, bounds = follow_pieces(matrix, scaled, p, high, low, limit, dense)
    else:
        answers = follow_products(matrix, scaled, p, high, low, limit)

    def of(name: str, factor: float = 1.0, shift: float = 0.0) -> NDArray[np.float64]:
        if targets.scalar:  # of size N: no copy is needed
            values = np.asarray(getattr(answers[0], name))
        else:
            values = np.array([getattr(answers[k], name) for k in targets.back])
        if factor != 1.0:
            values *= factor
        if shift != 0.0:
            values += shift
        return values

    statuses = np.empty(T, dtype=object)
    for k, answer in enumerate(answers):
        statuses[k] = Status.CONVERGED if np.isfinite(bounds[k, 1]) else _STATUSES[answer.code]
    shape = (N,) if targets.scalar else (T, N)
    return FlowLimit(
        psi=of("psi", factor=scale),
        log_abs_psi=of("log_abs", shift=log_scale),
        dual=of("dual"),
        slack=of("slack", shift=-log_scale if p == 2.0 else 0.0),
        log_eps=float(targets.log_eps[0]) if targets.scalar else targets.log_eps,
        residual=targets.plain(np.array([a.residual for a in answers]) * scale),
        error_bound=targets.plain(bounds[:, 0]),
        absolute_bound=targets.plain(bounds[:, 1] * scale),
        iterations=targets.plain(np.array([a.corrections for a in answers])),
        factorisations=targets.plain(np.array([a.systems for a in answers])),
        status=targets.plain(statuses),
        undetermined=np.zeros(shape, bool),
        _minimizer=lambda: _undecided(N, m),
        _deviation=lambda: (np.full(shape, np.nan), np.zeros(shape[:-1])),
    )
