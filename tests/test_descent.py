"""Gradient descent: bits, digits, ends, input."""

import signal
import threading
import time

import naive_descent as naive
import numpy as np
import pytest

import fastdln as fd
from fastdln import Status, _batch, _stepping


def gaussian(m, N, seed=0):
    rng = np.random.default_rng(seed)
    return fd.Problem(rng.standard_normal((m, N)) / np.sqrt(m), rng.standard_normal(m))


def relative(psi, exact, p, alpha):
    exact = np.array(exact, dtype=float)
    return np.max(np.abs(psi - exact) / (np.abs(exact) + alpha**p), axis=-1)


def table_case(case):
    problem = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))
    p, alpha, eta = (float(case[name]) for name in ("p", "alpha", "step_size"))
    steps = [row["step"] for row in case["rows"]]
    return problem, p, alpha, eta, steps, [row["psi"] for row in case["rows"]]


@pytest.mark.parametrize(("m", "N"), [(1, 1), (2, 3), (5, 33), (7, 16), (8, 100)])
@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 4.0])
def test_plain_has_the_bits_of_its_twin(m, N, p):
    problem = gaussian(m, N, seed=m)
    path = fd.gradient_descent(problem, p, 0.3, 1e-2, 40, [3, 40], method="plain")
    for row, step in enumerate((3, 40)):
        psi, u, v = naive.plain(problem.A, problem.y, p, 0.3, 1e-2, step)
        np.testing.assert_array_equal(path.psi[row], psi)
        np.testing.assert_array_equal(path.u[row], u)
        np.testing.assert_array_equal(path.v[row], v)


@pytest.mark.parametrize("p", [2.0, 2.5, 4.0])
def test_long_rows_have_the_bits_of_the_twin(p):
    problem = gaussian(6, 2**15 + 21)
    path = fd.gradient_descent(problem, p, 0.3, 1e-4, 3, [3], method="plain")
    psi, u, _ = naive.plain(problem.A, problem.y, p, 0.3, 1e-4, 3)
    np.testing.assert_array_equal(path.psi[0], psi)
    np.testing.assert_array_equal(path.u[0], u)
    other = fd.gradient_descent(problem, p, 0.3, 1e-4, 3, [3], method="compensated")
    np.testing.assert_allclose(other.u[0], u, rtol=1e-14)


@pytest.mark.parametrize("p", [2, 3, 5])
@pytest.mark.parametrize(("m", "N"), [(2, 3), (3, 19)])
def test_compensated_is_exact_arithmetic_rounded(p, m, N):
    problem = gaussian(m, N)
    path = fd.gradient_descent(problem, p, 0.4, 1e-2, 5, [5], method="compensated")
    psi, u, v = naive.exact(problem.A, problem.y, p, 0.4, 1e-2, 5)
    np.testing.assert_allclose(path.u[0], u, rtol=2.3e-16, atol=0)
    np.testing.assert_allclose(path.v[0], v, rtol=2.3e-16, atol=0)
    np.testing.assert_allclose(path.psi[0], psi, rtol=2.3e-16, atol=0)


@pytest.mark.parametrize("p", [2.5, 2.3, 3.7])
def test_real_depths_agree_between_the_methods(p):
    problem = gaussian(4, 20)
    paths = [
        fd.gradient_descent(problem, p, 0.3, 5e-3, 500, method=method)
        for method in ("plain", "compensated")
    ]
    assert np.all(relative(paths[0].psi, paths[1].psi, p, 0.3) < 1e-13)


def test_reference_table_step_by_step(reference):
    for case in reference("gradient_descent"):
        problem, p, alpha, eta, steps, exact = table_case(case)
        kept = [step for step in steps if step <= 100_000]
        path = fd.gradient_descent(problem, p, alpha, eta, kept[-1], kept, method="compensated")
        assert np.all(relative(path.psi, exact[: len(kept)], p, alpha) < 1e-14)
        path = fd.gradient_descent(problem, p, alpha, eta, kept[-1], kept, method="plain")
        assert np.all(relative(path.psi, exact[: len(kept)], p, alpha) < 1e-9)


@pytest.mark.parametrize("method", ["plain", "compensated"])
def test_bits_do_not_depend_on_the_number_of_threads(method, monkeypatch):
    monkeypatch.setattr(_stepping, "GROUPED_FROM", 1)
    problem = gaussian(20, 50)
    psis = []
    for count in (1, 2):
        monkeypatch.setattr(_stepping, "thread_count", lambda count=count: count)
        psis.append(fd.gradient_descent(problem, 3, 0.3, 1e-3, 30, method=method).psi)
    np.testing.assert_array_equal(*psis)


@pytest.mark.parametrize("method", ["plain", "compensated"])
def test_continued_bit_for_bit(method):
    problem = gaussian(5, 30)
    whole = fd.gradient_descent(problem, 2.5, 0.3, 1e-3, 500, method=method)
    half = fd.gradient_descent(problem, 2.5, 0.3, 1e-3, 211, method=method)
    rest = fd.gradient_descent(problem, 2.5, 0.3, 1e-3, 500, method=method, start=half)
    for name in ("psi", "u", "v"):
        np.testing.assert_array_equal(getattr(rest, name)[-1], getattr(whole, name)[-1])
    assert rest.steps[0] == 211
    assert rest.stats.single_steps == 289


def test_an_update_below_half_an_ulp_stalls_plain_only():
    problem = fd.Problem([[1.0]], [1.0])
    plain = fd.gradient_descent(problem, 4, 1e-9, 1e-2, 1000, [0, 1000], method="plain")
    assert plain.status is Status.STALLED
    np.testing.assert_array_equal(plain.u[0], plain.u[1])
    assert plain.stats.single_steps == 0
    assert list(plain.steps) == [0, 1000]
    other = fd.gradient_descent(problem, 4, 1e-9, 1e-2, 1000, [0, 1000], method="compensated")
    assert other.status is Status.ALL_STEPS
    # u grows by 4 eta alpha^2 of itself a step: the sum shows in the low part alone
    low = other._resume["state"][1, 0]
    assert low == pytest.approx(1000 * 4e-2 * 1e-27, rel=1e-6)


@pytest.mark.parametrize("method", ["plain", "compensated"])
@pytest.mark.parametrize("p", [2, 2.5, 4])
def test_a_large_step_diverges_with_the_last_finite_state(method, p):
    path = fd.gradient_descent(fd.datasets.random(), p, 0.5, 50.0, 10**6, method=method)
    assert path.status is Status.DIVERGED
    assert np.all(np.isfinite(path.psi))
    assert path.steps[-1] == path.stats.single_steps < 1000


def test_steps_saved():
    problem = fd.datasets.line()
    path = fd.gradient_descent(problem, 2, 0.1, 1e-3, 1000)
    assert path.steps[0] == 0
    assert path.steps[-1] == 1000
    assert np.all(np.diff(path.steps) > 0)
    assert len(path.steps) < 40
    assert path.psi.shape == path.u.shape == path.v.shape == (len(path.steps), 3)
    loss = 0.5 * np.sum((path.psi @ problem.A.T - problem.y) ** 2, axis=1)
    np.testing.assert_allclose(path.loss, loss, rtol=1e-12, atol=1e-30)
    only = fd.gradient_descent(problem, 2, 0.1, 1e-3, 1000, [7])
    assert list(only.steps) == [7]
    assert only.stats.single_steps == 1000
    assert list(fd.gradient_descent(problem, 2, 0.1, 1e-3, 0).steps) == [0]


def interrupt_after(seconds, call):
    timer = threading.Timer(seconds, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    started = time.perf_counter()
    path = call()
    return path, time.perf_counter() - started


@pytest.mark.parametrize("method", ["plain", "compensated"])
def test_ctrl_c_returns_the_state_so_far(method):
    problem = fd.datasets.random()
    fd.gradient_descent(problem, 3, 1e-4, 5e-3, 10, method=method)  # compile
    path, seconds = interrupt_after(
        0.5, lambda: fd.gradient_descent(problem, 3, 1e-4, 5e-3, 10**12, method=method)
    )
    assert path.status is Status.INTERRUPTED
    assert seconds < 1.5
    assert path.steps[-1] == path.stats.single_steps > 1000
    last = int(path.steps[-1])
    whole = fd.gradient_descent(problem, 3, 1e-4, 5e-3, last, [last], method=method)
    np.testing.assert_array_equal(whole.psi[0], path.psi[-1])


ETAS = np.array([1e-3, 2e-3, 5e-3, 80.0, 7e-3])
ALPHAS = np.array([0.3, 0.1, 0.2, 0.5, 0.01])


@pytest.mark.parametrize("p", [2, 2.5, 3])
def test_configurations_together_are_the_single_ones(p):
    problem = gaussian(7, 150)
    path = fd.gradient_descent(problem, p, ALPHAS, ETAS, 300, [0, 5, 300], method="plain")
    assert path.psi.shape == path.u.shape == (5, 3, 150)
    assert path.loss.shape == (5, 3)
    for k, (alpha, eta) in enumerate(zip(ALPHAS, ETAS, strict=True)):
        one = fd.gradient_descent(problem, p, alpha, eta, 300, [0, 5, 300], method="plain")
        assert path.status[k] is one.status
        if one.status is Status.DIVERGED:
            np.testing.assert_allclose(path.u[k, -1], one.u[-1], rtol=1e-9)
            continue
        np.testing.assert_allclose(path.u[k], one.u, rtol=1e-11, atol=1e-300)
        np.testing.assert_allclose(path.psi[k], one.psi, rtol=1e-9, atol=1e-13 * alpha**p)


def test_a_configuration_does_not_feel_its_neighbours(monkeypatch):
    problem = gaussian(6, 300)
    whole = fd.gradient_descent(problem, 3, ALPHAS, ETAS, 50, method="plain")
    part = fd.gradient_descent(problem, 3, ALPHAS[1:3], ETAS[1:3], 50, method="plain")
    np.testing.assert_array_equal(part.psi, whole.psi[1:3])
    monkeypatch.setattr(_batch, "_GROUPED_FROM", 1)
    psis = []
    for count in (1, 2):
        monkeypatch.setattr(_batch, "thread_count", lambda count=count: count)
        psis.append(fd.gradient_descent(problem, 3, ALPHAS, ETAS, 50, method="plain").psi)
    np.testing.assert_array_equal(*psis)


@pytest.mark.parametrize("method", ["plain", "compensated", "leap"])
def test_configurations_continue_bit_for_bit(method):
    problem = gaussian(5, 70)
    args = (problem, 3, ALPHAS[:3], ETAS[:3])
    whole = fd.gradient_descent(*args, 500, [200, 500], method=method)
    half = fd.gradient_descent(*args, 200, [200], method=method)
    rest = fd.gradient_descent(*args, 500, [500], method=method, start=half)
    np.testing.assert_array_equal(rest.u[:, -1], whole.u[:, -1])
    assert whole.psi.shape == (3, 2, 70)


@pytest.mark.parametrize("p", [2, 3])
def test_rows_drawn_have_the_bits_of_their_twin(p):
    problem = gaussian(9, 40)
    path = fd.gradient_descent(problem, p, 0.3, 1e-3, 60, [60], batch_size=4, rng=5)
    keys = np.random.default_rng(5).random((60, 9))
    rows = np.argsort(keys, axis=1)[:, :4]
    psi, u, v = naive.by_rows(problem.A, problem.y, p, 0.3, 1e-3, rows)
    np.testing.assert_array_equal(path.psi[0], psi)
    np.testing.assert_array_equal(path.v[0], v)
    again = fd.gradient_descent(problem, p, 0.3, 1e-3, 60, [10, 60], batch_size=4, rng=5)
    np.testing.assert_array_equal(again.u[1], u)
    half = fd.gradient_descent(problem, p, 0.3, 1e-3, 25, batch_size=4, rng=5)
    rest = fd.gradient_descent(problem, p, 0.3, 1e-3, 60, batch_size=4, start=half)
    np.testing.assert_array_equal(rest.u[-1], u)


def test_all_rows_drawn_are_plain_descent_but_for_the_order():
    problem = gaussian(6, 20)
    drawn = fd.gradient_descent(problem, 2, 0.3, 1e-3, 200, batch_size=6, rng=0)
    plain = fd.gradient_descent(problem, 2, 0.3, 1e-3, 200, method="plain")
    np.testing.assert_allclose(drawn.psi, plain.psi, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("batch_size needs method 'plain'.*'leap'", {"method": "leap"}),
        ("batch_size needs method 'plain'.*'compensated'", {"method": "compensated"}),
        ("batch_size needs method 'plain'.*arrays", {"alpha": [0.1, 0.2]}),
        ("batch_size must be at least 1", {"batch_size": 0}),
        ("batch_size must be at most m = 2", {"batch_size": 3}),
        ("rng must be given with batch_size", {"rng": None}),
        ("rng must be given with batch_size only", {"batch_size": None}),
    ],
)
def test_bad_input_of_stochastic_descent(match, changes):
    with pytest.raises(ValueError, match=match):
        fd.gradient_descent(fd.datasets.line(), **(GOOD | {"batch_size": 1, "rng": 0} | changes))


@pytest.mark.parametrize("p", [2, 2.5, 3])
@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_the_largest_stable_step_is_the_edge(p, alpha):
    problem = fd.datasets.plane()
    edge = fd.max_stable_step(problem, p, alpha)
    limit = fd.flow_limit(problem, p, alpha).psi
    if p == 2:
        u = np.sqrt(np.hypot(limit / 2, alpha**2) + limit / 2)
        v = alpha**2 / u
        np.testing.assert_allclose(u**2 - v**2, limit, rtol=1e-9)
        J = np.hstack([problem.A * (2 * u), -problem.A * (2 * v)])
        assert 2 / np.linalg.norm(J, 2) ** 2 == pytest.approx(edge, rel=1e-9)
    # the weights of a descent with small steps, which are near those of the flow
    tau = fd.gradient_descent(problem, p, alpha, 1e-3 * edge, 10**9, [10**9], method="leap")
    u, v = tau.u[-1], tau.v[-1]
    J = np.hstack([problem.A * (p * u ** (p - 1)), -problem.A * (p * v ** (p - 1))])
    assert 2 / np.linalg.norm(J, 2) ** 2 == pytest.approx(edge, rel=1e-2)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_a_sufficient_step_never_raises_the_loss(p):
    for problem in (fd.datasets.line(), fd.datasets.random(), gaussian(5, 20)):
        eta = fd.sufficient_step(problem, p, 0.05)
        assert eta < fd.max_stable_step(problem, p, 0.05)
        path = fd.gradient_descent(problem, p, 0.05, eta, 3000, np.arange(3001))
        assert np.all(np.diff(path.loss) <= 1e-15)
        assert np.all(path.u > 0)


GOOD = {"p": 2, "alpha": 0.1, "step_size": 1e-3, "n_steps": 100}


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (ValueError, "step_size must be positive and finite", {"step_size": 0.0}),
        (ValueError, "step_size must be positive and finite", {"step_size": -1.0}),
        (ValueError, "step_size must be positive and finite", {"step_size": float("nan")}),
        (TypeError, "step_size must be a positive real", {"step_size": "x"}),
        (ValueError, "alpha must be positive", {"alpha": 0.0}),
        (ValueError, "n_steps must be from 0", {"n_steps": -1}),
        (ValueError, "n_steps must be from 0", {"n_steps": 2**63 + 1}),
        (TypeError, "n_steps must be an integer or inf", {"n_steps": 10.5}),
        (
            ValueError,
            "save_steps must ascend, got 5 before 5 at index 1",
            {"save_steps": [1, 5, 5]},
        ),
        (ValueError, "save_steps must lie from 0 to n_steps = 100", {"save_steps": [1, 101]}),
        (ValueError, "save_steps must lie from 0 to n_steps = 100", {"save_steps": [-1, 5]}),
        (TypeError, "save_steps must be a 1-D array of integers", {"save_steps": [0.5]}),
        (ValueError, "method must be one of", {"method": "euler"}),
        (ValueError, "p must be", {"p": 1.5}),
        (ValueError, "rtol must be from", {"method": "leap", "rtol": 1e-15}),
        (ValueError, "rtol must be positive", {"method": "leap", "rtol": float("nan")}),
        (
            ValueError,
            "n_steps must be finite for method 'plain'",
            {
                "n_steps": float("inf"),
                "method": "plain",
            },
        ),
        (TypeError, "alpha must be a real number or a 1-D array", {"alpha": [[0.1]]}),
        (ValueError, "step_size must be positive", {"step_size": [1e-3, 0.0]}),
        (
            ValueError,
            "must have the same length, got 2 and 3",
            {
                "alpha": [0.1, 0.2],
                "step_size": [1e-3] * 3,
            },
        ),
        (TypeError, "start must be a DescentPath", {"start": 3}),
    ],
)
def test_bad_input_is_named(error, match, changes):
    with pytest.raises(error, match=match):
        fd.gradient_descent(fd.datasets.line(), **(GOOD | changes))


def test_a_count_may_be_written_as_a_float():
    line = fd.datasets.line()
    one, two = (fd.gradient_descent(line, **(GOOD | {"n_steps": n})) for n in (1e2, 100))
    np.testing.assert_array_equal(one.steps, two.steps)
    np.testing.assert_array_equal(one.psi, two.psi)
    assert one.steps.dtype == two.steps.dtype


def test_a_start_from_elsewhere_is_refused():
    line, plane = fd.datasets.line(), fd.datasets.plane()
    path = fd.gradient_descent(line, **GOOD)
    scaled = fd.Problem(2 * line.A, line.y)
    for problem, changes, match in (
        (plane, {}, "start must have 4 coordinates"),
        (scaled, {}, "start must come from the same problem"),
        (line, {"alpha": 0.2}, "start must come from .p, alpha. = .2.0, 0.2."),
        (line, {"p": 3}, "start must come from .p, alpha. = .3.0"),
        (line, {"method": "plain"}, "start must come from method 'plain'"),
        (line, {"n_steps": 50}, "n_steps must be at least 100"),
        (line, {"save_steps": [50]}, "save_steps must lie from 100"),
    ):
        with pytest.raises(ValueError, match=match):
            fd.gradient_descent(problem, **(GOOD | changes), start=path)
    same = fd.Problem(line.A.copy(), line.y.copy())
    assert fd.gradient_descent(same, **(GOOD | {"n_steps": 200}), start=path).steps[-1] == 200


def test_command(run_python, tmp_path):
    problem = fd.datasets.line()
    np.savez(tmp_path / "line.npz", A=problem.A, y=problem.y)
    options = ["--alpha", "0.1", "--step-size", "1e-3", "--steps", "1e3", "--out", "path.npz"]
    process = run_python("-m", "fastdln.cli", "descend", "line.npz", *options)
    assert process.returncode == 0, process.stderr
    assert "Finished" in process.stdout
    with np.load(tmp_path / "path.npz") as kept:
        path = fd.gradient_descent(problem, 2, 0.1, 1e-3, 1000)
        np.testing.assert_array_equal(kept["psi"], path.psi)
    process = run_python(
        "-m", "fastdln.cli", "descend", "line.npz", *options[:3], "0", *options[4:]
    )
    assert process.returncode == 2
    assert "step_size must be positive" in process.stderr
