"""From a problem and a depth to the kernels, and back: what limits and minimisers share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._primal_dual import Start, from_least_norm, from_minimizer, go_on
from fastdln._zeros import proved_zeros
from fastdln.kernels.along import FOLLOW, NOWHERE, POLISH, SLOPES, START, go_along
from fastdln.kernels.bound import Bounds
from fastdln.kernels.ends import START_OK
from fastdln.kernels.kept import Kept, room
from fastdln.kernels.path import DEEPEST, FAILED, LIMIT, REACHED
from fastdln.kernels.polish import OUTDATED, POLISHED, ROUGH, Root
from fastdln.kernels.state import NOISE
from fastdln.problem import Constraints

__all__ = [
    "NEAR_TWO",
    "Curve",
    "PathState",
    "copy_state",
    "deepest",
    "exponent",
    "follow_to",
    "fresh_state",
    "reaches_its_law",
    "settle_zeros",
    "solve_curve",
]

Array = NDArray[np.float64]
# code, iterations, factorisations, log unit, residual
Polished = tuple[int, int, int, float, float]

NEAR_TWO = 3  # code beside those of the path: see Status.NEAR_TWO
_SIGMA_DEEPEST = 300.0  # log(1/sigma) at which the path ends
_SMALL = 6.0  # log(1/eps) from which the minimiser may be near
_WORTH_A_PURSUIT = 10_000  # elements of A: smaller problems are done before a pursuit has begun
_DEEP = -660.0  # log eps to which a primal-dual method goes at p = 2: its logs need numbers
_STEEP = -23.0  # log eps from which that method serves between two targets of a curve
_BEND = 3.0  # of log psi between two targets and the next, up to which that needs no path
_FEW = 2  # alphas up to which each has factors of its own
_FIRST_STAGE = 310.0  # of L, below the end of the path
_SHORTEST_STAGE = 1.0
_LONGEST_STAGE = 8.0  # over the one before
_LINEAR_TO = 1e-12  # what a stage misses where nothing bends, over its length
_LINEAR = 28.0  # log of eps / |psi| from which psi is linear, but for exp(-56) of it


class PathState(NamedTuple):
    """A point on the path alpha -> 0, in the form the kernels carry it (see kernels.state)."""

    columns: NDArray[np.int64]
    sgn: Array
    s: Array
    log_eps: float


class End(NamedTuple):
    """p = 2: a root where eps underflows, and how the slacks go on in L = log(1/eps)."""

    state: PathState
    slopes: Array  # ds / dL
    reach: float  # of L, to which the slacks are linear enough to predict; inf where they are


class Curve(NamedTuple):
    """Raw output of the kernels for T values of eps, in descending order of eps."""

    L: Array  # (T,) log(1/eps)
    psi: Array
    log_abs: Array
    slack: Array
    dual: Array
    unresolved: NDArray[np.bool_]  # see `kernels.bound`
    log_unit: Array
    residual: Array
    bounds: Array  # (T, 3) relative, of what is resolved, and absolute
    codes: NDArray[np.int64]  # (T, 2) of the path and of the polishing
    work: NDArray[np.int64]  # (T, 2) factorisations and iterations
    state: list[PathState]  # at the last target not below DEEPEST; empty where A is singular
    end: list[End]  # empty while not needed
    together: Callable[[], tuple[Array, Array] | None] | None = None  # see `_many.Group`

    @property
    def bound(self) -> Array:
        """Bound on the relative error of every coordinate, (T,)."""
        return self.bounds[:, 0]


def deepest(p: float) -> float:
    """log eps at which the path ends: below, eps or (p > 2) the slack would underflow."""
    return DEEPEST if p == 2.0 else max(DEEPEST, -_SIGMA_DEEPEST * exponent(p))


def reaches_its_law(p: float, L: float = math.inf) -> bool:
    """Whether psi at the end of the path tells psi at L: sigma there is below rounding."""
    return p == 2.0 or -deepest(p) >= L or deepest(p) <= -40.0 * exponent(p)


def exponent(p: float) -> float:
    """b = p / (p - 2); any number for p = 2, where it plays no part."""
    return p / (p - 2.0) if p > 2.0 else 1.0


def fresh_state(constraints: Constraints, p: float) -> PathState | None:
    """The start of the path; None where A is singular to working precision."""
    m = constraints.y.size
    state = np.empty(m, np.int64), np.empty(m), np.empty(m)
    code, _, _, log_eps, *_ = go_along(
        START, constraints.A, constraints.y, constraints.squares, p, exponent(p), 0.0,
        (0.0, 0.0, 0.0), 0, False, state, room(m), NOWHERE,
    )  # fmt: skip
    return PathState(*state, log_eps) if code == START_OK else None


def solve_curve(
    constraints: Constraints, p: float, L_high: Array, L_low: Array, limit: int
) -> Curve:
    """Limits at ascending ``L = log(1/eps)``, along one path."""
    m, N = constraints.A.shape
    T = L_high.size
    psi, log_abs, slack = (np.full((T, N), np.nan) for _ in range(3))
    curve = Curve(
        L=L_high.copy(),
        psi=psi,
        log_abs=log_abs,
        slack=slack,
        dual=np.full((T, m), np.nan),
        unresolved=np.zeros((T, N), bool),
        log_unit=np.zeros(T),
        residual=np.full(T, np.nan),
        bounds=np.full((T, 3), np.inf),
        codes=np.full((T, 2), FAILED),
        work=np.zeros((T, 2), np.int64),
        state=[],
        end=[],
    )
    warm = _warm_state(constraints, p, float(L_high[0]), limit) if T > 0 else None
    if warm is not None:
        curve.work[0, 0], state = warm
    else:
        fresh = fresh_state(constraints, p)
        if fresh is None:
            return curve
        # for larger eps psi does not change, and lambda goes with 1 / eps
        state, least = fresh, -fresh.log_eps - _LINEAR
        curve.L[:] = np.maximum(L_high, least)
    L_low = np.where(L_high == curve.L, L_low, 0.0)
    kept = room(m) if m * N >= _WORTH_A_PURSUIT and T > _FEW else None
    for k in range(T):
        first = warm is not None and k == 0
        state = _solve_target(constraints, p, curve, k, L_low[k], limit, state, first, kept)
        if state.log_eps >= DEEPEST:
            curve.state[:] = [state]
    shift = L_high - curve.L
    with np.errstate(under="ignore"):
        curve.dual[:] *= np.exp(shift)[:, np.newaxis]
    settle_zeros(constraints.A, constraints.y, p, curve)
    return curve


def settle_zeros(A: Array, y: Array, p: float, curve: Curve) -> None:
    """Where psi may be zero, see whether that can be proved; then it is, at every target."""
    suspects: NDArray[np.bool_] = np.any(curve.unresolved, axis=0)
    if not suspects.any():
        return
    zero = proved_zeros(A, y, suspects)
    curve.psi[:, zero], curve.log_abs[:, zero] = 0.0, -np.inf
    curve.slack[:, zero] = curve.L[:, np.newaxis] if p == 2.0 else 1.0
    curve.unresolved[:, zero] = False
    settled = ~curve.unresolved.any(axis=1)
    curve.bounds[settled, 0] = curve.bounds[settled, 1]


def _warm_state(
    constraints: Constraints, p: float, L: float, limit: int
) -> tuple[int, PathState] | None:
    """(factorisations, state at L or before) by a primal-dual method; None where that fails."""
    m, N = constraints.A.shape
    if m * N < _WORTH_A_PURSUIT or L < _SMALL or not reaches_its_law(p, L):
        return None
    least = float(np.linalg.norm(constraints.y)) / math.sqrt(N * np.sum(constraints.squares))
    if -math.log(least) - _LINEAR > L:  # no solution has a smaller largest coordinate
        return None
    if p == 2.0:
        start = from_least_norm(constraints, max(-L, _DEEP), limit)
    else:
        start = from_minimizer(constraints, max(-L, deepest(p)), exponent(p), limit)
    return (start.factorisations, PathState(*start[1:])) if start is not None else None


def _solve_target(
    constraints: Constraints, p: float, curve: Curve, k: int, L_low: float, limit: int,
    state: PathState, warm: bool = False, kept: Kept | None = None,
) -> PathState:  # fmt: skip
    """Fill row k of `curve`; returns the state there, for the next.

    `warm`: the state is that of a primal-dual method, close to the solution if it is at its L.
    `kept`: a factor that targets hand on; None for one of their own to each.
    """
    L = float(curve.L[k])
    if not reaches_its_law(p, L):
        return _solve_near_two(constraints, p, curve, k, L_low, limit, state)
    goal = max(-L, deepest(p))
    if warm and state.log_eps == goal == -L:
        here = copy_state(state)
        polished, bounds = _polish(constraints, p, here, L, L_low, L, _row(curve, k), True)
        curve.work[k] += polished[2], polished[1]
        if polished[0] == POLISHED:
            _fill(constraints, curve, k, REACHED, polished, bounds)
            return here
        state = fresh_state(constraints, p) or state
    guess = _continued(curve, k, state) if kept is not None and p == 2.0 else None
    if guess is not None:
        polished, bound = _polish(constraints, p, guess, L, L_low, L, _row(curve, k), kept=kept)
        curve.work[k] += polished[2], polished[1]
        if polished[0] == POLISHED:
            _fill(constraints, curve, k, REACHED, polished, bound)
            return guess
    if p == 2.0 and -L < DEEPEST:
        kept = room(state.s.size) if kept is None else kept
        code, state, here = _beyond(constraints, curve, k, limit, state, warm, kept)
    else:
        code, state = _follow_on(constraints, p, curve, k, goal, limit, state, warm, kept)
        here = copy_state(state)
    polished, bounds = _polish(constraints, p, here, L, L_low, -goal, _row(curve, k), kept=kept)
    _fill(constraints, curve, k, code, polished, bounds)
    curve.work[k] += polished[2], polished[1]
    return here if code == REACHED and (goal <= -L or p == 2.0) else state


def _follow_on(
    constraints: Constraints, p: float, curve: Curve, k: int, goal: float, limit: int,
    state: PathState, warm: bool, kept: Kept | None,
) -> tuple[int, PathState]:  # fmt: skip
    """Follow the path to `goal`, from its start if that fails from a `warm` state."""
    if p == 2.0 and kept is not None and state.log_eps <= _STEEP:
        start = go_on(constraints, Start(0, *state), max(goal, _DEEP), limit)
        curve.work[k, 0] += start.factorisations
        state = PathState(*start[1:])
    code, count = REACHED, 0
    if state.log_eps != goal or p != 2.0:
        code, count, state = follow_to(constraints, p, state, goal, limit, kept)
    curve.work[k, 0] += count
    if code == FAILED and warm:
        state = fresh_state(constraints, p) or state
        code, count, state = follow_to(constraints, p, state, goal, limit, kept)
        curve.work[k, 0] += count
    return code, state


def _continued(curve: Curve, k: int, state: PathState) -> PathState | None:
    """p = 2: the state at target k as the three before continue; None where that says little.

    Newton's method goes on from it without the path: the dual is finite and strictly concave
    everywhere. (At p > 2 it could leave |tau| < 1.)
    """
    if k < 3 or curve.codes[k - 3 : k].any() or curve.L[k - 3] < _SMALL:
        return None
    L, columns = curve.L[k - 3 : k + 1], state.columns
    slack = curve.slack[k - 3 : k, columns]
    negative = np.signbit(curve.psi[k - 3 : k, columns])  # zeros that underflowed have signs, too
    line = slack[2] + (slack[2] - slack[1]) * ((L[3] - L[2]) / (L[2] - L[1]))
    curved = np.zeros_like(line)
    for i in range(3):
        others = [L[n] for n in range(3) if n != i]
        weight = (L[3] - others[0]) * (L[3] - others[1])
        curved += slack[i] * (weight / ((L[i] - others[0]) * (L[i] - others[1])))
    if not np.max(np.abs(curved - line)) < _BEND or np.any(negative != negative[2]):
        return None
    return PathState(columns.copy(), np.where(negative[2], -1.0, 1.0), curved, -float(L[3]))


def _fill(
    constraints: Constraints, curve: Curve, k: int, code: int,
    polished: Polished, bounds: Bounds,
) -> None:  # fmt: skip
    """What is known of row k beside psi."""
    curve.log_unit[k], curve.residual[k], curve.bounds[k] = *polished[3:], bounds
    curve.codes[k] = code, polished[0]


def copy_state(state: PathState) -> PathState:
    return PathState(state.columns.copy(), state.sgn.copy(), state.s.copy(), state.log_eps)


def follow_to(
    constraints: Constraints, p: float, state: PathState, goal: float, limit: int,
    kept: Kept | None = None,
) -> tuple[int, int, PathState]:  # fmt: skip
    """Follow the path to log eps = `goal`: (code, factorisations, state)."""
    log_eps = state.log_eps
    if goal > log_eps:  # above the start of the path the problem is nearly linear
        log_eps = goal
        state.sgn[:] = 1.0
        state.s[:] = -goal if p == 2.0 else 1.0
    code, done, piece = LIMIT, 0, _factorisations_in_half_a_second(*constraints.A.shape)
    while code == LIMIT and done < limit:  # in pieces, so that Ctrl-C is heard in between
        code, _, count, log_eps, *_ = go_along(
            FOLLOW, constraints.A, constraints.y, constraints.squares, p, exponent(p), log_eps,
            (-goal, 0.0, -goal), min(piece, limit - done), False, state[:3],
            room(state.s.size) if kept is None or done > 0 else kept, NOWHERE,
        )  # fmt: skip
        done += count
    return code, done, state._replace(log_eps=log_eps)


def _factorisations_in_half_a_second(m: int, N: int) -> int:
    """Roughly, from the operations of one step of the path on one core."""
    return 2 + int(0.5 / (1e-10 * m * m * N + 6e-8 * m * N))


def _row(curve: Curve, k: int) -> Root:
    return Root(curve.psi[k], curve.log_abs[k], curve.slack[k], curve.dual[k], curve.unresolved[k])


def _polish(
    constraints: Constraints, p: float, state: PathState, L: float, L_low: float,
    L_level: float, root: Root, chosen: bool = False, kept: Kept | None = None,
) -> tuple[Polished, Bounds]:  # fmt: skip
    kept = room(state.s.size) if kept is None else kept
    while True:
        *rest, bounds = go_along(
            POLISH, constraints.A, constraints.y, constraints.squares, p, exponent(p),
            state.log_eps, (L, L_low, L_level), 0, chosen, state[:3], kept, root,
        )  # fmt: skip
        if rest[0] != OUTDATED:
            break
        kept.columns[0] = -1
    return (rest[0], rest[1], rest[2], rest[3], rest[4]), Bounds(*bounds)


def _beyond(
    constraints: Constraints, curve: Curve, k: int, limit: int, state: PathState, warm: bool,
    kept: Kept,
) -> tuple[int, PathState, PathState]:  # fmt: skip
    """p = 2, an L so large that eps underflows: (code, state at DEEPEST, state at L).

    lambda becomes linear in L: a state and its slope, found once for a curve, then tell all that
    follow. Until then the path goes on in stages.
    """
    L, code = float(curve.L[k]), REACHED
    if not curve.end:
        state = state if state.log_eps >= DEEPEST else curve.state[0]
        code, state = _follow_on(constraints, 2.0, curve, k, DEEPEST, limit, state, warm, kept)
        curve.state[:] = [state]
        if code != REACHED or not _stage(constraints, curve, k, state, kept):
            return code, state, copy_state(state)._replace(log_eps=-L)
        end = copy_state(state)
        curve.end[:] = [_opened(constraints, curve, k, end, _FIRST_STAGE, kept)]
    return code, curve.state[0], _go_on_in_stages(constraints, curve, k, limit, kept)


def _stage(constraints: Constraints, curve: Curve, k: int, state: PathState, kept: Kept) -> bool:
    """Polish the state on the way; whether that went well."""
    L = -state.log_eps
    polished, _ = _polish(constraints, 2.0, state, L, 0.0, L, _row(curve, k), kept=kept)
    curve.work[k] += polished[2], polished[1]
    return polished[0] == POLISHED


def _opened(
    constraints: Constraints, curve: Curve, k: int, state: PathState, reach: float, kept: Kept
) -> End:
    """A polished state and its slope, by a factor of its own."""
    kept.columns[0] = -1
    _stage(constraints, curve, k, state, kept)
    slope = np.empty_like(state.s)
    go_along(
        SLOPES, constraints.A, constraints.y, constraints.squares, 2.0, 1.0, state.log_eps,
        (0.0, 0.0, 0.0), 0, False, (state.columns, state.sgn, slope), kept, NOWHERE,
    )  # fmt: skip
    return End(state, slope, reach)


def _leapt(end: End, L: float) -> PathState:
    here = copy_state(end.state)
    here.s[:] += (L + end.state.log_eps) * end.slopes
    return here._replace(log_eps=-L)


def _go_on_in_stages(
    constraints: Constraints, curve: Curve, k: int, limit: int, kept: Kept
) -> PathState:
    """The state at L; brings `curve.end` as far as it has to go, or to where all is linear.

    What a prediction over h misses goes with h^2, until what bends has died away.
    """
    L, slack = float(curve.L[k]), curve.slack[k]
    while True:
        end = curve.end[0]
        start = -end.state.log_eps
        at = min(L, start + end.reach)
        here = _leapt(end, at)
        if end.reach == math.inf or curve.work[k, 0] > limit:
            return _leapt(end, L)
        predicted, columns = here.s.copy(), end.state.columns
        if _stage(constraints, curve, k, here, kept):
            if at == L:
                return here
            miss = float(np.max(np.abs(slack[columns] - predicted)))
            if miss < _LINEAR_TO * (at - start):
                curve.end[:] = [end._replace(reach=math.inf)]
                continue
            reach = (at - start) * min(_LONGEST_STAGE, math.sqrt(_BEND / miss))
            curve.end[:] = [_opened(constraints, curve, k, here, reach, kept)]
        elif end.reach < _SHORTEST_STAGE:
            return _leapt(end, L)
        else:
            curve.end[:] = [end._replace(reach=0.25 * (at - start))]
            kept.columns[0] = -1


def _solve_near_two(
    constraints: Constraints, p: float, curve: Curve, k: int, L_low: float, limit: int,
    state: PathState,
) -> PathState:  # fmt: skip
    """Row k where eps underflows while sigma is still felt: on from the path's end in stages.

    The slacks at each are predicted from three before, in sigma, and polished, in units that do
    not underflow. Returns the state at the end of the path.
    """
    m, N = constraints.A.shape
    L, b = float(curve.L[k]), exponent(p)
    last = min(L, _SIGMA_DEEPEST * b)
    fresh = fresh_state(constraints, p) if state.log_eps < DEEPEST + 40.0 else state
    assert fresh is not None
    state, known = copy_state(fresh), list[tuple[float, Array, Array]]()
    spare = [np.empty(N) for _ in range(3)]
    root = Root(spare[0], spare[1], spare[2], np.empty(m), np.empty(N, bool))
    here, at, step, code = state, -DEEPEST, 20.0, REACHED
    while code == REACHED:
        if len(known) < 3:
            at = -DEEPEST - 20.0 * (2 - len(known))
            code, count, state = follow_to(constraints, p, state, -at, limit)
            curve.work[k, 0] += count
            guess: PathState | None = copy_state(state)
        else:
            at = min(-here.log_eps + step, last)
            guess = _predicted(here, known, at, b)
        polished: Polished = (ROUGH, 0, 0, 0.0, 0.0)
        if guess is not None and code == REACHED:
            final = at == last and len(known) == 3
            target = (L, L_low, last, _row(curve, k)) if final else (at, 0.0, at, root)
            # D underflows: it tells less of the next basis than the last one does
            polished, bounds = _polish(constraints, p, guess, *target, len(known) == 3)
            curve.work[k] += polished[2], polished[1]
            if final and polished[0] == POLISHED:
                _fill(constraints, curve, k, code, polished, bounds)
                return state
        if polished[0] == POLISHED:
            here, step = guess._replace(log_eps=-at), 2.0 * step  # type: ignore[union-attr]
            known = [*known[-2:], (math.exp(-at / b), root.slack.copy(), root.psi.copy())]
        elif len(known) < 3 or step < 0.1 or curve.work[k, 0] > limit:
            break
        else:
            step *= 0.5
    for row in _row(curve, k):
        row[:] = np.nan if row.dtype == float else False
    curve.codes[k] = FAILED if code == FAILED else NEAR_TWO, ROUGH
    return state


def _predicted(
    here: PathState, known: list[tuple[float, Array, Array]], L: float, b: float
) -> PathState | None:
    """The state at L continued from three points in sigma; None where that says little."""
    (g0, s0, _), (g1, s1, _), (g2, s2, psi) = known
    columns, g = here.columns, math.exp(-L / b)
    s0, s1, s2 = s0[columns], s1[columns], s2[columns]
    slope = (s2 - s1) / (g2 - g1)
    line = s2 + slope * (g - g2)
    bend = (slope - (s1 - s0) / (g1 - g0)) / (g2 - g0)
    curved = line + bend * (g - g2) * (g - g1)
    ratio = s2 / g2 + (s2 / g2 - s1 / g1) * ((g - g2) / (g2 - g1))
    vanishing = np.abs(s2 - slope * g2) < NOISE * s2  # in proportion to sigma: relatively right
    line, curved = np.where(vanishing, g * ratio, line), np.where(vanishing, g * ratio, curved)
    if not np.min(curved) > 0.0 or not np.max(b * np.abs(curved - line) / curved) < _BEND:
        return None
    sgn = np.copysign(1.0, psi[columns])  # of a zero, too: psi may underflow
    return PathState(columns.copy(), sgn, curved, -L)
