"""Small problems of one shape, several in one call of a kernel: see `kernels.many`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastdln._solver import (
    _LINEAR,
    _WORTH_A_PURSUIT,
    Curve,
    PathState,
    _factorisations_in_half_a_second,
    deepest,
    exponent,
    reaches_its_law,
    settle_zeros,
)
from fastdln.kernels.many import Answers, solve_many, surely_plain
from fastdln.kernels.path import DEEPEST, FAILED
from fastdln.problem import Problem

__all__ = ["curves_of", "how_many"]

Array = NDArray[np.float64]

_SECONDS = 0.1  # that one call may take: Ctrl-C waits for its end
_TOGETHER = 64


def how_many(m: int, N: int, p: float, L: Array, limit: int) -> int:
    """How many m x N problems one call may solve; 0 where they go another way."""
    if m * N >= _WORTH_A_PURSUIT or limit > _factorisations_in_half_a_second(m, N):
        return 0
    if (p == 2.0 and -L[-1] < DEEPEST) or not all(reaches_its_law(p, one) for one in L.tolist()):
        return 0
    seconds = L.size * (1e-4 + 5e-7 * m * N)  # roughly
    return min(_TOGETHER, int(_SECONDS / seconds))


def curves_of(
    problems: Sequence[Problem], p: float, L_high: Array, L_low: Array, limit: int
) -> list[Curve | None]:
    """What `solve_curve` gives for each, to the bit; None where `Problem` has to look closer."""
    A = problems[0].A[np.newaxis]
    if any(problem.A is not problems[0].A for problem in problems):
        A = np.stack([problem.A for problem in problems])
    Y = np.stack([problem.y for problem in problems])
    plain = np.empty(len(problems), bool)
    surely_plain(A, Y, plain)
    A, Y = A if A.shape[0] == 1 else A[plain], Y[plain]
    if not plain.any():
        return [None] * len(problems)
    out = _room(Y.shape[0], L_high.size, *A.shape[1:])
    solve_many(
        A, Y, p, exponent(p), L_high, L_low, _LINEAR, deepest(p), limit, out
    )  # fmt: skip
    with np.errstate(under="ignore"):
        out.dual[:] *= np.exp(L_high - out.L)[:, :, np.newaxis]
    curves = [_curve(out, k) for k in range(Y.shape[0])]
    for k in np.flatnonzero(out.unresolved.any(axis=(1, 2))).tolist():
        settle_zeros(A[k if A.shape[0] > 1 else 0], Y[k], p, curves[k])
    rows = iter(curves)
    return [next(rows) if good else None for good in plain.tolist()]


def _room(B: int, T: int, m: int, N: int) -> Answers:
    psi, log_abs, slack = (np.full((B, T, N), np.nan) for _ in range(3))
    return Answers(
        L=np.zeros((B, T)),
        psi=psi,
        log_abs=log_abs,
        slack=slack,
        dual=np.full((B, T, m), np.nan),
        unresolved=np.zeros((B, T, N), bool),
        measures=np.full((B, T, 5), (0.0, np.nan, np.inf, np.inf, np.inf)),
        codes=np.full((B, T, 2), FAILED),
        work=np.zeros((B, T, 2), np.int64),
        columns=np.empty((B, m), np.int64),
        sgn=np.empty((B, m)),
        s=np.empty((B, m)),
        log_eps=np.full(B, np.nan),
    )


def _curve(out: Answers, k: int) -> Curve:
    log_eps = float(out.log_eps[k])
    state = [PathState(out.columns[k], out.sgn[k], out.s[k], log_eps)] if log_eps == log_eps else []
    measures = out.measures[k]
    return Curve(
        out.L[k], out.psi[k], out.log_abs[k], out.slack[k], out.dual[k], out.unresolved[k],
        measures[:, 0], measures[:, 1], measures[:, 2:], out.codes[k], out.work[k], state, [],
    )  # fmt: skip
