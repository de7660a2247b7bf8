"""The order in which each method converges, by regression over halved steps."""

import itertools

import naive_flow
import numba
import numpy as np
import pytest

from fastdln import datasets
from fastdln._flow_implicit import CollocationEngine
from fastdln._flow_run import flow_of
from fastdln.kernels.flow_collocation import Segments
from fastdln.kernels.flow_coordinates import move
from fastdln.kernels.flow_dense import observe_collocation
from fastdln.kernels.flow_goal import Goal
from fastdln.kernels.flow_rhs import DUAL, WEIGHTS
from fastdln.kernels.flow_stages import new_stages, rate_at, solve_stages
from fastdln.kernels.runge_kutta import (
    Kept,
    State,
    evaluate_segments,
    explicit_piece,
    first_step,
)
from fastdln.kernels.runge_kutta_tables import DOP853, TSIT5, alternating_basis

RADAU = [(3, (6, 8, 12, 16, 24)), (5, (4, 5, 6, 8))]
PAIRS = {"tsit5": TSIT5, "dop853": DOP853}
NONE = np.empty(0)


def fixed_steps(name, form, p, alpha, h, count, theta=1.0):
    """x after `count` steps of h; with theta < 1 the interpolant inside the last one."""
    problem, pair = datasets.random(), PAIRS[name]
    flow = flow_of(problem, p, np.log(alpha))
    N = problem.N
    x = np.zeros(problem.m) if form == DUAL else np.concatenate([np.full(2 * N, alpha), [0, 0, 0]])
    k = np.empty_like(x)
    first_step(form, flow, x, 1e-8, pair.order, k)
    state = State(x, np.zeros_like(x), k, np.zeros(4), np.zeros(4, np.int64))
    kept = Kept(np.empty((1, 3)), np.empty((1, x.size)),
                np.empty((1, pair.dense.shape[0], x.size)))  # fmt: skip
    goal = Goal(np.inf, NONE, True, NONE, 1e100, 1e100, 1)
    for _ in range(count):
        state.clock[1] = h
        explicit_piece(form, flow, pair, goal, False, state, kept)
    assert state.counts[0] == count
    out = np.empty((1, x.size))
    evaluate_segments(kept, np.array([(count - 1 + theta) * h]), out)
    if theta == 1.0:
        np.testing.assert_allclose(out[0], x, rtol=1e-13, atol=1e-15)
    return out[0]


def slope(h, errors):
    return float(np.polyfit(np.log(h), np.log(errors), 1)[0])


@pytest.mark.parametrize("form", [DUAL, WEIGHTS], ids=["dual", "weights"])
@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize(("name", "order"), [("tsit5", 5), ("dop853", 8)])
def test_order_of_the_step(name, order, p, form):
    end = 0.5 if p == 2.0 else 1.0
    counts = np.array([4, 6, 8, 12, 16]) if order == 8 else np.array([16, 24, 32, 48, 64])
    exact = fixed_steps("dop853", form, p, 0.5, end / 128, 128)
    errors = [
        np.max(np.abs(fixed_steps(name, form, p, 0.5, end / count, count) - exact))
        for count in counts.tolist()
    ]
    assert order - 0.4 < slope(end / counts, errors) < order + 1.0


@pytest.mark.parametrize(("name", "order"), [("tsit5", 4), ("dop853", 7)])
@pytest.mark.parametrize("theta", [0.3, 0.77])
def test_order_inside_a_step(name, order, theta):
    """One step: the interpolant of order q errs by h^(q+1)."""
    lengths = np.array([0.04, 0.06, 0.08, 0.12]) * (1.0 if order == 7 else 0.1)
    errors = [
        np.max(
            np.abs(
                fixed_steps(name, DUAL, 2.0, 0.5, h, 1, theta)
                - fixed_steps("dop853", DUAL, 2.0, 0.5, h * theta / 16, 16)
            )
        )
        for h in lengths.tolist()
    ]
    assert order + 0.6 < slope(lengths, errors) < order + 2.0


@numba.njit
def solve_step(flow, par, radau, sizes, base, H, counts):
    """One step of H from base, solved to rounding: (whether it was, what output needs)."""
    m, N = flow.A.shape
    work, stages = new_stages(m, N), radau.nodes.size
    start, solved = np.empty(m), False
    rate_at(flow, par, base, start)
    for _ in range(3):  # from zero it may need more than one call's iterations
        error = solve_stages(
            flow, par, radau, sizes, base, H, 1e-13, start, False, work.psi, work.rate, work, counts
        )
        solved = solved or error < np.inf
    move(flow.p, base, work.shift[:, stages - 1].copy())
    work.d[:, stages] = work.defect
    return solved, work.d


def fixed_leaps(stages, alpha, H, count):
    """tau after `count` steps of H by collocation, p = 2."""
    flow = flow_of(datasets.random(), 2.0, np.log(alpha))
    engine = CollocationEngine(flow, 1e-8, stages)
    base = engine._state.base
    for _ in range(count):
        solved, _ = solve_step(
            flow, engine._par, engine._radau, engine._sizes, base, H, engine._state.counts
        )
        assert solved
    return base[0] + base[1]


@pytest.mark.parametrize(("stages", "counts"), RADAU)
def test_order_of_radau(stages, counts):
    """Collocation at s Radau points is of order 2s - 1 at the end of a step."""
    end, counts = 1.0, np.array(counts)
    exact = datasets.random().A.T @ fixed_steps("dop853", DUAL, 2.0, 0.5, end / 256, 256)
    errors = [
        np.max(np.abs(fixed_leaps(stages, 0.5, end / count, count) - exact))
        for count in counts.tolist()
    ]
    assert 2 * stages - 1.6 < slope(end / counts, errors) < 2 * stages


def error_inside_leap(stages, H, theta, part=1.0):
    """Of lambda at theta in a first step of H, p = 2, with that part of the defect added."""
    flow = flow_of(datasets.random(), 2.0, np.log(0.5))
    engine, (m, N) = CollocationEngine(flow, 1e-8, stages), flow.A.shape
    par, radau = engine._par, engine._radau
    solved, last = solve_step(
        flow, par, radau, engine._sizes, engine._state.base, H, engine._state.counts
    )
    assert solved
    last[:, stages] *= part
    step = Segments(
        np.array([[0.0, H]]), np.zeros((1, 4, N)), np.zeros((1, m)), last[np.newaxis].copy()
    )
    psi, dual, none = np.empty((1, N)), np.empty((1, m)), np.empty((0, N))
    times = np.array([theta * H])
    observe_collocation(flow, par, radau.nodes, step, times, psi, dual, none, none)
    exact = fixed_steps("dop853", DUAL, 2.0, 0.5, H * theta / 32, 32)
    return np.max(np.abs(dual[0] - exact))


@pytest.mark.parametrize("theta", [0.3, 0.77])
def test_order_inside_a_leap(theta):
    """The polynomial errs by h^(s+1), which the defect at its start takes away."""
    lengths = np.array([0.01, 0.015, 0.02, 0.03])
    errors = [error_inside_leap(3, h, theta) for h in lengths.tolist()]
    assert 4.6 < slope(lengths, errors) < 6.0


@pytest.mark.parametrize(("stages", "H"), [(3, 0.02), (5, 0.06), (7, 0.06)])
def test_defect_takes_most_of_the_error_away(stages, H):
    for theta in (0.2, 0.5, 0.9):
        errors = [error_inside_leap(stages, H, theta, part) for part in (0.5, 1.0, 1.5)]
        plain = error_inside_leap(stages, H, theta, 0.0)
        assert errors[1] < 0.2 * plain
        assert errors[1] < min(errors[0], errors[2])


@pytest.mark.parametrize("name", PAIRS)
def test_kernel_steps_as_its_naive_twin(name):
    problem, p, alpha, h = datasets.random(), 3.0, 0.5, 0.05
    pair = PAIRS[name]
    state = np.full(2 * problem.N, alpha)
    for _ in range(3):
        state, _ = naive_flow.runge_kutta_step(
            lambda x: naive_flow.weights_derivative(problem.A, problem.y, p, x),
            pair.a, pair.stages, state, h,
        )  # fmt: skip
    compiled = fixed_steps(name, WEIGHTS, p, alpha, h, 3)
    np.testing.assert_allclose(compiled[: state.size], state, rtol=1e-14)


@pytest.mark.parametrize("name", PAIRS)
def test_tables_satisfy_the_quadrature_and_tree_conditions(name):
    pair = PAIRS[name]
    stages, order = pair.stages, pair.order
    a = pair.a[:stages, :stages]
    b, c = a[-1], a.sum(axis=1)
    for k in range(order):
        assert b @ c**k == pytest.approx(1 / (k + 1), abs=2e-14)
    for k, l in itertools.product(range(order), range(1, order)):
        if k + l + 2 <= order:  # the bushy tree with one branch: b c^k A c^l
            assert b @ (c**k * (a @ c**l)) == pytest.approx(1 / ((l + 1) * (k + l + 2)), abs=2e-14)


def test_alternating_basis_vanishes_at_the_start_and_all_but_one_at_the_end():
    basis = alternating_basis(7)
    np.testing.assert_allclose(basis.sum(axis=1), [1, 0, 0, 0, 0, 0, 0], atol=1e-15)
