"""gradient_flow: the reference, what it refuses, and what it does when stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import threading

import naive_flow
import numba
import numpy as np
import pytest

import fastdln as fd
from benchmarks import flow_tolerance
from fastdln import Status, _flow_run, flow
from fastdln._flow_run import flow_of
from fastdln._flow_slack import SlackEngine
from fastdln._threads import single

CASES = [(method, form) for method in ("tsit5", "dop853") for form in ("dual", "weights")]


def relative(psi, exact, eps):
    return np.max(np.abs(psi - exact) / (np.abs(exact) + eps))


def cases(reference):
    for case in reference("gradient_flow"):
        problem = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))
        t = [float(row["t"]) for row in case["rows"]]
        psi = np.array([[float(v) for v in row["psi"]] for row in case["rows"]])
        yield problem, float(case["p"]), float(case["alpha"]), t, psi


@pytest.mark.parametrize("rtol", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-12])
@pytest.mark.parametrize(("method", "form"), [("auto", "dual"), ("radau", "dual"), *CASES])
def test_reference(reference, method, form, rtol):
    count = 0
    for problem, p, alpha, t, exact in cases(reference):
        path = fd.gradient_flow(problem, p, alpha, t, method=method, form=form, rtol=rtol)
        assert path.status is Status.INTEGRATED
        assert relative(path.psi, exact, alpha**p) <= 5 * rtol
        count += len(t)
    assert count == 114


@pytest.mark.parametrize("p", [2.0, 2.2, 3.0, 6.0, 7.5])
def test_forms_agree(p):
    problem, t = fd.datasets.random(), [0.3, 1.0, 3.0, 10.0]
    dual = fd.gradient_flow(problem, p, 0.2, t, rtol=1e-11)
    weights = fd.gradient_flow(problem, p, 0.2, t, rtol=1e-11, form="weights")
    eps = 0.2**p
    assert relative(weights.psi, dual.psi, eps) <= 1e-10
    np.testing.assert_allclose(weights.dual, dual.dual, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weights.u, dual.u, rtol=1e-9)
    np.testing.assert_allclose(weights.v, dual.v, rtol=1e-9)
    np.testing.assert_allclose(weights.loss, dual.loss, rtol=1e-8)


@pytest.mark.parametrize("p", [2.0, 2.5, 3.5])
def test_invariants_hold_to_rounding(p):
    alpha = 0.05
    path = fd.gradient_flow(fd.datasets.plane(), p, alpha, [0.5, 2.0, 20.0], rtol=1e-4)
    if p == 2.0:
        np.testing.assert_allclose(path.u * path.v, alpha**2, rtol=1e-14)
    else:
        total = path.u ** (2 - p) + path.v ** (2 - p)
        np.testing.assert_allclose(total, 2 * alpha ** (2 - p), rtol=1e-13)
    np.testing.assert_allclose(path.u**p - path.v**p, path.psi, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("p", "log_alpha"), [(2.0, -4.0), (2.0, -20.0), (3.0, -1.0), (2.3, -1.5)])
def test_naive_twin(p, log_alpha):
    problem, t = fd.datasets.kink(0.2), [0.3, 2.0, 6.0]
    t = [0.3 * -log_alpha * x for x in t]
    exact = naive_flow.flow(problem.A, problem.y, p, log_alpha, t, digits=20, tol=1e-14)
    path = fd.gradient_flow(problem, p, None, t, log_alpha=log_alpha, rtol=1e-11)
    assert relative(path.psi, exact, math.exp(p * log_alpha)) <= 5e-11


@pytest.mark.parametrize("seed", [7, 14, 26, 43])
def test_tolerance_of_random_problems(seed):
    """A sample of benchmarks/flow_tolerance.py, the worst seed among them."""
    case = flow_tolerance.random_case(seed)
    for method, form, rtol, ratio in flow_tolerance.ratios(case):
        assert ratio <= 5.0, (method, form, rtol)


@pytest.mark.parametrize(("p", "alpha"), [(2.0, 1e-4), (2.0, 1e-150), (3.0, 0.01), (4.0, 0.2)])
def test_joined_to_the_limit(p, alpha):
    problem = fd.datasets.random()
    limit = fd.flow_limit(problem, p, alpha)
    for t in ([1.0, math.inf], [1.0, 1e300]):
        path = fd.gradient_flow(problem, p, alpha, t)
        assert path.status is Status.INTEGRATED
        assert relative(path.psi[-1], limit.psi, alpha**p) <= 1e-8
        np.testing.assert_allclose(path.u[-1] ** p - path.v[-1] ** p, limit.psi, rtol=1e-12)


@pytest.mark.parametrize("name", ["line", "plane", "random"])
@pytest.mark.parametrize(("p", "log10_alpha"), [(3.0, -6), (3.0, -20), (2.5, -20), (4.0, -7)])
def test_tiny_alpha(name, p, log10_alpha):
    """Where doubles cannot hold the slack in tau: plateau, activations, the end."""
    problem, log_alpha = getattr(fd.datasets, name)(), log10_alpha * math.log(10.0)
    c = p * (p - 2.0) * math.exp((p - 2.0) * log_alpha)
    pull = problem.A.T @ problem.y
    t = np.array([0.3, 0.9, 1.7, 3.1, 8.0, 100.0]) / (c * np.max(np.abs(pull)))
    fine = fd.gradient_flow(problem, p, None, t, log_alpha=log_alpha, rtol=1e-11)
    assert fine.status is Status.INTEGRATED
    with np.errstate(under="ignore"):
        eps = math.exp(p * log_alpha)
        for k in range(2):  # before anything is active lambda grows with t alone
            np.testing.assert_allclose(
                fine.psi[k], eps * fd.h(c * t[k] * pull, p), rtol=1e-9, atol=1e-13 * eps
            )
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
    assert relative(fine.psi[-1], limit.psi, eps) <= 1e-11
    coarse = fd.gradient_flow(problem, p, None, t, log_alpha=log_alpha, rtol=1e-6)
    assert relative(coarse.psi, fine.psi, eps) <= 5e-6
    np.testing.assert_allclose(fine.u**p - fine.v**p, fine.psi, rtol=1e-9, atol=1e-13 * eps)


@pytest.mark.parametrize("name", ["line", "plane", "random"])
def test_tiny_alpha_of_depth_two(name):
    problem, log_alpha = getattr(fd.datasets, name)(), -150.0 * math.log(10.0)
    t = [20.0, 60.0, 170.0, 400.0, 3000.0]
    psi = [
        fd.gradient_flow(problem, 2, None, t, log_alpha=log_alpha, rtol=rtol, method=method).psi
        for method, rtol in (("radau", 1e-11), ("dop853", 1e-9), ("auto", 1e-6))
    ]
    eps = math.exp(2 * log_alpha)
    assert relative(psi[1], psi[0], eps) <= 5e-9
    assert relative(psi[2], psi[0], eps) <= 5e-6
    limit = fd.flow_limit(problem, 2, log_alpha=log_alpha)
    assert relative(psi[0][-1], limit.psi, eps) <= 1e-11


@pytest.mark.parametrize(("p", "last"), [(3.0, -20), (2.0, -100)])
def test_steps_grow_as_the_logarithm_of_alpha(p, last):
    steps = []
    for log10_alpha in (last / 4, last / 2, last):
        log_alpha = log10_alpha * math.log(10.0)
        end = 100.0 * -log_alpha if p == 2.0 else 100.0 * math.exp((2.0 - p) * log_alpha)
        path = fd.gradient_flow(
            fd.datasets.random(), p, None, end, log_alpha=log_alpha, method="radau"
        )
        assert path.status is Status.INTEGRATED
        steps.append(path.stats.steps + path.stats.rejections)
    assert steps[2] <= 2.2 * steps[1] <= 2.2**2 * steps[0]


@pytest.mark.parametrize("rtol", [1e-3, 1e-7, 1e-12])
def test_reference_in_basis_slacks(reference, rtol):
    """The engine for tiny alpha, where the others are at home."""
    for problem, p, alpha, t, exact in cases(reference):
        engine = SlackEngine(flow_of(problem, p, math.log(alpha)), rtol)
        times, psi = np.array(t), []
        code = 0
        while code == 0:
            grid = times[len(psi) :]
            code, segments = engine.advance(t[-1], grid, False, np.empty(0), False, 10**6)
            if segments is not None:
                psi.extend(segments.observe(grid[grid <= segments.times[-1]]).psi)
        assert relative(np.array(psi), exact, alpha**p) <= 5 * rtol


@pytest.mark.parametrize("alpha", [1e-12, 1e-20])
def test_activation_beside_a_slack_far_below_rounding(alpha):
    """One slack is 1e-24 (1e-40) while others move: the guess for it must not be their rounding."""
    problem, p = fd.datasets.random(), 4
    t = np.array([1.0, 1.6725, 1.75, 2.0, 5.0, 20.0]) / (8 * alpha**2)
    path = fd.gradient_flow(problem, p, alpha, t, rtol=1e-6, max_steps=1000)
    assert path.status is Status.INTEGRATED
    assert path.stats.methods[0][0] == "radau-slack"
    finer = fd.gradient_flow(problem, p, alpha, t, rtol=1e-10)
    assert relative(path.psi, finer.psi, alpha**p) <= 5e-6
    limit = fd.flow_limit(problem, p, alpha).psi
    assert relative(finer.psi[-1], limit, alpha**p) <= 1e-9


def test_until_converged():
    path = fd.gradient_flow(fd.datasets.line(), 2, 1e-4)
    assert path.t[0] == 0.0
    assert path.t[-1] == math.inf
    assert np.all(np.diff(path.t) > 0.0)
    assert path.t.size == path.stats.steps + 2
    assert path.stats.joined == path.t[-2]
    assert np.all(path.loss[1:-1] < path.loss[:-2])


def test_dense_output():
    t = np.linspace(0.01, 8.0, 50)
    path = fd.gradient_flow(fd.datasets.line(), 2, 1e-3, t, rtol=1e-9)
    np.testing.assert_array_equal(path.sol(t), path.psi)
    between = fd.gradient_flow(fd.datasets.line(), 2, 1e-3, [0.5, 1.2345, 8.0], rtol=1e-12)
    assert relative(path.sol(1.2345), between.psi[1], 1e-6) <= 5e-9
    np.testing.assert_array_equal(path.sol(0.0), np.zeros(3))
    with pytest.raises(ValueError, match="t must lie within 0"):
        path.sol(8.1)


def test_activation_times():
    problem, level = fd.datasets.line(), 0.1
    path = fd.gradient_flow(problem, 2, 1e-4, 10.0, rtol=1e-11, events=[fd.Activation(level)])
    assert [event.coordinate for event in path.events] == [0, 2, 1]
    for event in path.events:
        assert event.rising
        assert event.psi[event.coordinate] == pytest.approx(level, rel=1e-10)
        there = fd.gradient_flow(problem, 2, 1e-4, event.t, rtol=1e-12)
        np.testing.assert_allclose(there.psi[0], event.psi, rtol=1e-9)


def test_events_up_and_down_and_of_the_user():
    @numba.njit
    def overshoot(t, psi):
        return psi[0] - 1.0

    events = [fd.ResidualBelow(1e-2), overshoot]
    path = fd.gradient_flow(fd.datasets.line(), 2, 1e-4, 10.0, events=events)
    mine = [event for event in path.events if event.event == 1]
    assert [event.rising for event in mine] == [True, False]
    for event in mine:
        assert event.psi[0] == pytest.approx(1.0, rel=1e-8)
    problem = fd.datasets.line()
    small = [event for event in path.events if event.event == 0]
    assert not small[-1].rising
    for event in small:
        residual = np.linalg.norm(problem.A @ event.psi - problem.y)
        assert residual == pytest.approx(1e-2, rel=1e-6)
    assert [event.t for event in path.events] == sorted(event.t for event in path.events)


def test_an_event_that_fails_is_named():
    def broken(t, psi):
        raise ZeroDivisionError

    with pytest.raises(ValueError, match=r"events\[0\] failed at t = .*ZeroDivisionError"):
        fd.gradient_flow(fd.datasets.line(), 2, 0.1, 1.0, events=[broken])
    with pytest.raises(ValueError, match=r"events\[0\] must return a number, got NaN"):
        fd.gradient_flow(fd.datasets.line(), 2, 0.1, 1.0, events=[lambda t, psi: math.nan])


def test_step_limit_keeps_the_path_so_far():
    t = np.linspace(0.1, 12.0, 40)
    full = fd.gradient_flow(fd.datasets.line(), 3, 0.01, t, method="dop853")
    path = fd.gradient_flow(fd.datasets.line(), 3, 0.01, t, method="dop853", max_steps=100)
    assert path.status is Status.STEP_LIMIT
    assert path.stats.steps + path.stats.rejections == 100
    assert 1 < path.t.size < t.size
    np.testing.assert_array_equal(path.psi[:-1], full.psi[: path.t.size - 1])
    assert path.t[-2] <= t[path.t.size - 2] < path.t[-1] < t[path.t.size - 1]


@pytest.mark.parametrize("t", [None, [1.0, 5.0, math.inf], [0.0, math.inf]])
@pytest.mark.parametrize("method", ["auto", "radau", "dop853"])
def test_an_end_that_was_not_found_is_told(monkeypatch, method, t):
    def doubtful(*args, **options):
        return dataclasses.replace(fd.flow_limit(*args, **options), status=Status.INACCURATE)

    monkeypatch.setattr(_flow_run, "flow_limit", doubtful)
    path = fd.gradient_flow(fd.datasets.line(), 2, 1e-3, t, method=method, max_steps=2500)
    assert path.status is Status.LIMIT_UNKNOWN
    assert path.t[-1] < math.inf
    if t == [1.0, 5.0, math.inf]:
        finite = fd.gradient_flow(fd.datasets.line(), 2, 1e-3, t[:2], method=method)
        np.testing.assert_array_equal(path.t, t[:2])
        np.testing.assert_array_equal(path.psi, finite.psi)
    else:
        limit = fd.flow_limit(fd.datasets.line(), 2, 1e-3)
        assert relative(path.psi[-1], limit.psi, 1e-6) <= 5e-8


def test_an_end_that_flow_limit_refuses_is_told():
    """Two of the three columns are parallel but for 1e-14."""
    A = np.array([[1.0, 2.0, 1.0], [1.0, 3.0, 1.0 + 2e-14], [1.0, -1.0, 1.0 - 1e-14]])
    path = fd.gradient_flow(fd.Problem(A, [1.0, 2.0, 4.0]), 3, 0.1, [1.0, math.inf])
    assert path.status is Status.LIMIT_UNKNOWN
    np.testing.assert_array_equal(path.t, [1.0])


POISONED = [
    ("tsit5", "dual", 2.0, -9.0), ("dop853", "dual", 2.0, -9.0), ("auto", "dual", 2.0, -9.0),
    ("radau", "dual", 2.0, -9.0), ("tsit5", "weights", 3.0, -2.0), ("auto", "weights", 2.0, -9.0),
    ("auto", "dual", 3.0, -14.0),
]  # fmt: skip


@pytest.mark.parametrize(("method", "form", "p", "log_alpha"), POISONED)
def test_nan_inside_ends_at_the_last_good_state(monkeypatch, method, form, p, log_alpha):
    """y turns into NaN after the first piece."""
    flows, pieces = [], []

    def writable(problem, p, log_alpha):
        flows.append(flow_of(problem, p, log_alpha)._replace(y=problem.y.copy()))
        return flows[-1]

    def poison(t, steps):
        pieces.append(t)
        flows[0].y[0] = math.nan

    problem, end = fd.datasets.line(), 20.0 * math.exp((2.0 - p) * log_alpha)
    t = np.linspace(end / 400, end, 400)
    options = {"log_alpha": log_alpha, "method": method, "form": form, "rtol": 1e-9}
    clean = fd.gradient_flow(problem, p, None, t, **options, events=[fd.Activation(1e9)])
    monkeypatch.setattr(_flow_run, "flow_of", writable)
    path = fd.gradient_flow(
        problem, p, None, t, **options, events=[fd.Activation(1e9)], progress=poison
    )
    assert path.status is Status.INVALID
    assert 0.0 < path.t[-1] == pieces[0] < end
    np.testing.assert_array_equal(path.psi[:-1], clean.psi[: path.t.size - 1])
    there = fd.gradient_flow(problem, p, None, path.t[-1], log_alpha=log_alpha, rtol=1e-11)
    assert relative(path.psi[-1], there.psi[0], math.exp(p * log_alpha)) <= 5e-9


@pytest.mark.parametrize("method", ["auto", "tsit5", "dop853", "radau"])
@pytest.mark.parametrize("t", [None, 1.0, [1.0, math.inf]])
def test_a_flow_that_overflows_at_once(method, t):
    path = fd.gradient_flow(fd.Problem([[1e160, 1.0]], [1e200]), 2, 0.1, t, method=method)
    assert path.status is Status.INVALID
    np.testing.assert_array_equal(path.t, [0.0])
    np.testing.assert_array_equal(path.psi, 0.0)


def test_a_problem_of_deficient_rank_and_one_without_solution():
    A, y = np.array([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]]), np.array([1.0, 2.0])
    t = [0.1, 1.0, 10.0]
    path = fd.gradient_flow(fd.Problem(A, y), 2, 0.1, t, rtol=1e-11)
    other = fd.gradient_flow(fd.Problem(A, y), 2, 0.1, t, rtol=1e-11, form="weights")
    assert relative(path.psi, other.psi, 0.01) <= 1e-10
    np.testing.assert_allclose(path.loss, 0.5 * ((path.psi @ A.T - y) ** 2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(2 * 0.01 * np.sinh(path.dual @ A), path.psi, rtol=1e-12)


def test_nothing_moves_where_nothing_pulls():
    for problem in (fd.Problem([[1.0, 2.0]], [0.0]), fd.Problem([[0.0, 0.0]], [3.0])):
        path = fd.gradient_flow(problem, 2, 0.1, [1.0, math.inf])
        np.testing.assert_array_equal(path.psi, 0.0)
        np.testing.assert_allclose(path.u, 0.1, rtol=1e-15)
        np.testing.assert_allclose(path.loss, 0.5 * problem.y[0] ** 2)
        np.testing.assert_array_equal(path.sol(0.5), 0.0)


def test_time_zero_and_a_single_time():
    path = fd.gradient_flow(fd.datasets.line(), 3, 0.1, [0.0, 1.0])
    np.testing.assert_array_equal(path.psi[0], 0.0)
    alone = fd.gradient_flow(fd.datasets.line(), 3, 0.1, 0.0)
    assert alone.psi.shape == (1, 3)
    np.testing.assert_allclose(alone.u, 0.1, rtol=1e-15)


def test_many_flows_have_the_bits_of_one():
    problems = [fd.datasets.line(), fd.datasets.plane(), fd.datasets.random()]
    paths = fd.gradient_flows(problems, [2, 3, 2.5], 0.1, [0.5, 5.0])
    for problem, p, path in zip(problems, [2, 3, 2.5], paths, strict=True):
        alone = fd.gradient_flow(problem, p, 0.1, [0.5, 5.0])
        np.testing.assert_array_equal(path.psi, alone.psi)
    line = fd.datasets.line()
    for row, path in zip([[3, 3], [1, 2]], fd.gradient_flows(line, 2, 0.1, 1.0, y=[[3, 3], [1, 2]]),
                         strict=True):  # fmt: skip
        alone = fd.gradient_flow(fd.Problem(line.A, row), 2, 0.1, 1.0)
        np.testing.assert_array_equal(path.psi, alone.psi)
    with pytest.raises(ValueError, match="alpha must have length 1 or 3"):
        fd.gradient_flows(problems, 2, [0.1, 0.2], 1.0)
    with pytest.raises(TypeError, match="gradient_flows has no argument 'speed'"):
        fd.gradient_flows(problems, 2, 0.1, 1.0, speed=2)


def test_an_interrupt_keeps_the_path():
    times, before = np.linspace(0.5, 500.0, 1000), signal.getsignal(signal.SIGINT)

    def press(t, steps):
        if t > 10.0:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(fd.FlowInterrupted) as caught:
        fd.gradient_flow(*(fd.datasets.random(), 4, 0.02, times), method="tsit5", progress=press)
    (path,) = caught.value.paths
    assert path.status is Status.INTERRUPTED
    assert path.t[-1] > 10.0
    np.testing.assert_array_equal(path.t[:-1], times[: path.t.size - 1])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("threads", ["one", "all"])
def test_an_interrupt_stops_many_flows(monkeypatch, threads):
    integrate, begun = flow._integrate, threading.Event()

    def press_then_integrate(*item):
        if not begun.is_set():
            begun.set()
            os.kill(os.getpid(), signal.SIGINT)
        return integrate(*item)

    monkeypatch.setattr(flow, "_integrate", press_then_integrate)
    many = fd.datasets.random(), 4, [0.003] * 400, 3e6
    with (
        single() if threads == "one" else contextlib.nullcontext(),
        pytest.raises(fd.FlowInterrupted) as caught,
    ):
        fd.gradient_flows(*many, method="tsit5")
    assert len(caught.value.paths) == 400
    assert caught.value.paths[-1].status is Status.INTERRUPTED


def test_progress(capsys):
    seen = []
    fd.gradient_flow(fd.datasets.line(), 2, 0.1, 3.0, progress=lambda t, n: seen.append((t, n)))
    assert seen[-1][0] == 3.0
    fd.gradient_flow(fd.datasets.line(), 2, 0.1, 3.0, progress=True)
    assert "t = 3, " in capsys.readouterr().err


BAD = [
    ({"t": [1.0, 1.0]}, "t must be increasing, got 1.0 and then 1.0 at index 1"),
    ({"t": [-1.0, 1.0]}, "t must not be negative, got -1.0"),
    ({"t": [1.0, math.nan]}, "t must not hold NaN, got one at index 1"),
    ({"t": [[1.0]]}, "t must be a time or a 1-D array of times"),
    ({"t": "soon"}, "t must be a time or a 1-D array of times"),
    ({"t": []}, "t must be a time or a 1-D array of times"),
    ({"rtol": 1e-15}, "rtol must lie between 1e-14 and 0.1, got 1e-15"),
    ({"rtol": "tight"}, "rtol must be a real number, got 'tight'"),
    ({"method": "euler"}, "method must be one of auto, tsit5, dop853, radau, got 'euler'"),
    ({"form": "primal"}, "form must be one of dual, weights, got 'primal'"),
    ({"p": 1.5}, "p must be a finite real number of at least 2"),
    ({"alpha": 0.0}, "alpha must be positive"),
    ({"alpha": [0.1, 0.2]}, "alpha must be a number; gradient_flows takes arrays"),
    ({"p": 3, "alpha": 1e-20, "method": "tsit5"}, "method 'tsit5' needs rtol .* >= 1e-15"),
    ({"max_steps": 0}, "max_steps must be at least 1"),
    ({"events": [3]}, r"events\[0\] must be an Activation"),
    ({"events": 3}, "events must be a sequence"),
    ({"events": [fd.Activation(0.0)]}, r"events\[0\]: level must be positive"),
    ({"progress": 3}, "progress must be True, False or a function"),
    ({"problem": np.eye(2)}, "problem must be a fastdln.Problem"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_named(change, message):
    arguments = {"problem": fd.datasets.line(), "p": 2, "alpha": 0.1, "t": 1.0, **change}
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        fd.gradient_flow(**arguments)
    assert "\n" not in str(caught.value)
