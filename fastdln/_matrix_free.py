"""flow_limit from products with A alone, in memory of order m + N.

Newton's method on the dual along the path alpha -> 0, as in `kernels.path`, but each
system by conjugate gradients, and each point of the path predicted from the ones
before. For p > 2 the slacks of coordinates near the boundary are unknowns of their own:
they move with lambda, by the same increments, and keep their relative accuracy.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._conjugate import NewtonSystem
from fastdln._operator import Matrix
from fastdln._threads import run_chunks
from fastdln.kernels.sparse_points import fill_points, finish_near, finish_points, largest_move

__all__ = ["BROKEN", "LIMITED", "SOLVED", "STALLED", "Answer", "follow_products"]

Array = NDArray[np.float64]

SOLVED, STALLED, LIMITED, BROKEN = 0, 1, 2, 3

_NEAR = 0.1  # slack below which it becomes an unknown of its own
_ASTRAY = 1.5  # a first correction this large shows that a prediction failed
_SHORTEST = 1e-3  # step of L, relative, below which the path has broken down
_LOOSE = 0.03  # size of a correction that will do between two targets
_FORCING = 0.03  # of the conjugate gradients there
_FINAL_FORCING = 1e-4
_SMALL = 1e-9  # size of the last correction at a target
_STALE = 5  # corrections in which something must have become smaller
_INNER = 500  # conjugate gradient iterations for one system
_ENOUGH = 1e-12  # relative residual below which rounding is all that is left
_ROUGH = 1e-8  # relative residual above which a limit does not count as solved
_DEEPEST = 600.0  # L beyond which eps is close to underflow
_GAIN = 0.5  # a last correction not smaller than this times the one before is rounding


class Answer(NamedTuple):
    """One limit: N-vectors, the dual, and how it ended."""

    psi: Array
    log_abs: Array
    slack: Array
    dual: Array
    residual: float
    code: int
    corrections: int
    systems: int


class _Point:
    """A point on the path: lambda, and what of size N follows from it."""

    def __init__(self, m: int, N: int) -> None:
        self.dual, self.tau = np.zeros(m), np.zeros(N)
        self.near = np.empty(0, np.int64)
        self.sign, self.s = np.empty(0), np.empty(0)
        self.psi, self.D = np.empty(N), np.empty(N)

    def copy(self) -> _Point:
        other = _Point(0, 0)
        for name, value in vars(self).items():
            setattr(other, name, value.copy())
        return other


class _Follower:
    """The path of one problem."""

    def __init__(self, matrix: Matrix, y: Array, p: float) -> None:
        self.matrix, self.y, self.p, self.p_is_2 = matrix, y, p, p == 2.0
        self.b = p / (p - 2.0) if p > 2.0 else 1.0
        self.system = NewtonSystem(matrix)
        self.point = _Point(*matrix.shape)
        self.history: list[tuple[float, Array]] = []  # (parameter, dual), newest last
        self.norm = float(np.linalg.norm(y))
        self.systems = 0
        self.code = SOLVED

    def parameter(self, L: float) -> float:
        """That in which lambda becomes linear: L, or sigma."""
        return L if self.p_is_2 else math.exp(-L / self.b)

    def start(self) -> float:
        """An L at which psi is nearly the least-norm solution."""
        least, left = self.system.solve(self.y, 1e-3, _INNER)
        if not left < 1.0:
            self.code = BROKEN
        largest = float(np.max(np.abs(self.matrix.rmatvec(least)), initial=0.0))
        if not 0.0 < largest < np.inf:
            self.code, largest = BROKEN, 1.0
        return -math.log(4.0 * largest)

    def evaluate(self, L: float) -> Array:
        """psi and D at the point; returns the residual y - A psi."""
        point, level = self.point, self.parameter(L)
        run_chunks(
            lambda lo, hi: fill_points(
                self.p_is_2, self.b, level, point.tau[lo:hi], point.psi[lo:hi], point.D[lo:hi]
            ),
            point.tau.size,
        )
        if point.near.size:
            minus, plus = (level / point.s) ** self.b, (level / (2.0 - point.s)) ** self.b
            point.psi[point.near] = point.sign * (minus - plus)
            point.D[point.near] = self.b * (minus / point.s + plus / (2.0 - point.s))
        return self.y - self.matrix.matvec(point.psi)

    def correct(self, L: float, forcing: float) -> tuple[float, float]:
        """One damped Newton step at L: its undamped size, and the residual before it."""
        residual = self.evaluate(L)
        size_of_residual = float(np.linalg.norm(residual))
        self.system.precondition(self.point.D)
        step, left = self.system.solve(residual, forcing, _INNER)
        self.systems += 1
        if not left < 1.0:
            return math.inf, size_of_residual
        dtau = self.matrix.rmatvec(step)
        size = self.size(dtau)
        damp = min(1.0, (2.0 if self.p_is_2 else 0.7) / size) if size > 0.0 else 1.0
        if math.isfinite(size):
            self.move(damp * step, damp * dtau)
        return size, size_of_residual

    def size(self, dtau: Array) -> float:
        """Size of a change of tau, about that of log psi."""
        point = self.point
        away = dtau.copy()
        away[point.near] = 0.0
        size = float(largest_move(self.p_is_2, self.b, point.tau, away))
        if point.near.size:
            scaled = np.abs(dtau[point.near]) / point.s
            size = max(size, max(1.0, self.b / 3.0) * float(scaled.max()))
        return size

    def move(self, step: Array, dtau: Array) -> None:
        """Add to lambda, to tau, and to the slacks that are unknowns."""
        point = self.point
        point.dual += step
        point.tau += dtau
        point.s -= point.sign * dtau[point.near]
        point.tau[point.near] = point.sign * (1.0 - point.s)
        if not self.p_is_2:
            self._choose_near()

    def _choose_near(self) -> None:
        point = self.point
        slack = 1.0 - np.abs(point.tau)
        slack[point.near] = point.s
        near = np.flatnonzero(slack < _NEAR)
        point.sign, point.s, point.near = np.sign(point.tau[near]), slack[near], near

    def predict(self, L: float) -> None:
        """Extrapolate lambda, tau and the slacks alike through the last points."""
        x = self.parameter(L)
        nodes = self.history[-3:]
        last = nodes[-1][1]
        step = np.zeros_like(last)
        for k, (xk, dual) in enumerate(nodes[:-1]):
            weight = 1.0
            for i, (xi, _) in enumerate(nodes):
                if i != k:
                    weight *= (x - xi) / (xk - xi)
            step += weight * (dual - last)  # the weights add up to 1
        self.move(step, self.matrix.rmatvec(step))

    def reach(self, L: float, limit: int) -> float:
        """Correct at L until a step is small; the size of the first, infinite if it fails."""
        first, sizes = math.inf, []
        for k in range(limit):
            size, residual = self.correct(L, _FORCING)
            sizes.append((size, residual))
            if not math.isfinite(size):
                return math.inf
            if k > _STALE and size > sizes[k - _STALE][0] and residual > 0.9 * sizes[k - _STALE][1]:
                return math.inf
            if k == 0:
                first = size
            if size < _LOOSE:
                self.history.append((self.parameter(L), self.point.dual.copy()))
                del self.history[:-3]
                return first
        return math.inf

    def feasible(self) -> bool:
        """Whether every slack is positive (p > 2)."""
        if self.p_is_2:
            return True
        return bool(np.max(np.abs(self.point.tau)) < 1.0 and np.all(self.point.s > 0.0))

    def advance(self, L: float, goal: float, limit: int) -> float:
        """Follow the path from L towards `goal`; returns the L reached."""
        step, done = math.log(4.0), self.systems
        if not self.history and self.reach(L, limit) == math.inf:
            self.code = LIMITED if self.systems - done >= limit else BROKEN
            return L
        while goal > L and self.code == SOLVED:
            if self.systems - done >= limit:
                self.code = LIMITED
                return L
            saved = self.point.copy()
            to = min(L + step, goal)
            self.predict(to)
            first = self._try(to, limit - (self.systems - done)) if self.feasible() else math.inf
            if first > _ASTRAY:
                self.point = saved
                step = 0.4 * (to - L)
                if step < _SHORTEST * (1.0 + abs(L)):
                    self.code = BROKEN
                continue
            L = to
            step *= 2.0 if first < 0.5 else 1.0 if first < 1.0 else 0.7
        return L

    def _try(self, L: float, limit: int) -> float:
        """`reach`, given up at once where the first correction is large."""
        history = list(self.history)
        size, residual = self.correct(L, _FORCING)
        if not (size < _ASTRAY and residual < self.norm):  # slacks too small: a long way back
            return math.inf
        if size >= _LOOSE and limit > 1 and self.reach(L, limit - 1) == math.inf:
            self.history = history
            return math.inf
        if size < _LOOSE:
            self.history.append((self.parameter(L), self.point.dual.copy()))
            del self.history[:-3]
        return size

    def polish(self, L: float, limit: int) -> int:
        """Newton's method at L to the end of its digits; the number of corrections."""
        last, best, stale = math.inf, math.inf, 0
        for count in range(1, limit + 1):
            size, residual = self.correct(L, _FINAL_FORCING)
            done = residual < _ENOUGH * self.norm and size > _GAIN * last
            done = done or (size < _LOOSE and residual > _GAIN * best)
            if size < _SMALL or done:
                return count
            stale = 0 if residual < 0.9 * best or size < 0.9 * last else stale + 1
            if not math.isfinite(size) or stale > _STALE:
                self.code = STALLED
                return count
            last, best = size, min(best, residual)
        self.code = LIMITED
        return limit

    def answer(self, L: float, L_low: float, corrections: int, before: int) -> Answer:
        """What the public result needs, at the present point."""
        point, N = self.point, self.point.tau.size
        psi, D, slack, log_abs = (np.empty(N) for _ in range(4))
        tau = self.matrix.rmatvec(point.dual)
        tau[point.near] = point.sign * (1.0 - point.s)
        run_chunks(
            lambda lo, hi: finish_points(
                self.p, L, L_low, tau[lo:hi], np.zeros(hi - lo), psi[lo:hi],
                D[lo:hi], slack[lo:hi], log_abs[lo:hi],
            ),
            N,
        )  # fmt: skip
        if point.near.size:
            finish_near(
                self.p, L, L_low, point.near, point.sign, point.s, np.zeros_like(point.s), psi, D,
                slack, log_abs,
            )  # fmt: skip
        residual = float(np.linalg.norm(self.y - self.matrix.matvec(psi)))
        return Answer(
            psi, log_abs, slack, point.dual.copy(), residual, self.code, corrections,
            self.systems - before,
        )  # fmt: skip


def follow_products(
    matrix: Matrix, y: Array, p: float, L_high: Array, L_low: Array, limit: int
) -> list[Answer]:
    """Limits at ascending ``L = log(1/eps)``, along one path.

    Where the path ends early, psi is that of the last L reached.
    """
    follower = _Follower(matrix, y, p)
    L, answers = min(follower.start(), float(L_high[0])), []
    for high, low in zip(L_high.tolist(), L_low.tolist(), strict=True):
        before, corrections = follower.systems, 0
        if follower.code == SOLVED:
            L = follower.advance(L, min(high, _DEEPEST), limit)
        if follower.code == SOLVED and high <= _DEEPEST:
            corrections = follower.polish(L, limit)
        elif follower.code == SOLVED:
            follower.code = STALLED
        answer = follower.answer(L, low if high == L else 0.0, corrections, before)
        if follower.code == SOLVED and not answer.residual <= _ROUGH * follower.norm:
            answer = answer._replace(code=STALLED)
        answers.append(answer)
    return answers
