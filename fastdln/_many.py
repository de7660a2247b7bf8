"""Small problems of one shape, several in one call of a kernel: see `kernels.many`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastdln._cached import cached_property
from fastdln._proving import proof_of
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
    A, Y = _stacked(problems)
    plain = np.empty(len(problems), bool)
    surely_plain(A, Y, plain)
    A, Y = A if A.shape[0] == 1 else A[plain], Y[plain]
    if not plain.any():
        return [None] * len(problems)
    out = _room(Y.shape[0], L_high.size, *A.shape[1:])
    solve_many(
        A, Y, p, exponent(p), L_high, L_low, _LINEAR, deepest(p), proof_of(p), limit, out
    )  # fmt: skip
    with np.errstate(under="ignore"):
        out.dual[:] *= np.exp(L_high - out.L)[:, :, np.newaxis]
    solved = [problem for problem, good in zip(problems, plain.tolist(), strict=True) if good]
    group = Group(solved, p, limit, out)
    curves = [_curve(out, k)._replace(together=partial(group.deviation, k)) for k in range(len(Y))]
    for k in np.flatnonzero(out.unresolved.any(axis=(1, 2))).tolist():
        settle_zeros(A[k if A.shape[0] > 1 else 0], Y[k], p, curves[k])
    rows = iter(curves)
    return [next(rows) if good else None for good in plain.tolist()]


class Group:
    """Problems solved in one call, whose deviations from W_p are found in another.

    That is when one of them is first asked for: the others' mostly are, too.
    """

    def __init__(self, problems: list[Problem], p: float, limit: int, out: Answers) -> None:
        self._problems, self._p, self._limit, self._out = problems, p, limit, out

    def deviation(self, k: int) -> tuple[Array, Array] | None:
        """What `_solver.deviations` gives for problem k; None where its face is hard to find."""
        out = self._deviated
        return (out.scaled[k], out.unit[k]) if out.known[k] else None

    @cached_property
    def _deviated(self) -> Answers:
        A, Y = _stacked(self._problems)
        out = self._out._replace(
            scaled=np.empty_like(self._out.psi),
            unit=np.zeros_like(self._out.L),
            known=np.zeros(len(Y), bool),
        )
        p, none = self._p, np.empty(0)
        solve_many(
            A, Y, p, exponent(p), none, none, _LINEAR, deepest(p), proof_of(p), self._limit, out
        )  # fmt: skip
        return out


def _stacked(problems: Sequence[Problem]) -> tuple[Array, Array]:
    """A of all, (1, m, N) where they share it, and their y."""
    A = problems[0].A[np.newaxis]
    if any(problem.A is not problems[0].A for problem in problems):
        A = np.stack([problem.A for problem in problems])
    return A, np.stack([problem.y for problem in problems])


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
        scaled=np.empty((0, T, N)),
        unit=np.empty((0, T)),
        known=np.empty(0, bool),
    )


def _curve(out: Answers, k: int) -> Curve:
    log_eps = float(out.log_eps[k])
    state = [PathState(out.columns[k], out.sgn[k], out.s[k], log_eps)] if log_eps == log_eps else []
    measures = out.measures[k]
    return Curve(
        out.L[k], out.psi[k], out.log_abs[k], out.slack[k], out.dual[k], out.unresolved[k],
        measures[:, 0], measures[:, 1], measures[:, 2:], out.codes[k], out.work[k], state, [],
    )  # fmt: skip
