"""flow_limit against the tables, against a naive twin, and at its edges."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from naive_limit import exact_eps
from naive_limit import flow_limit as naive_flow_limit

import fastdln as fd
from fastdln import Status
from fastdln._proving import deviations, locate_face
from fastdln._solver import solve_curve

CASES = [
    "line", "plane", "random", "kink_0.3", "kink_0.1", "kink_0.01",
    "gauss_1", "gauss_2", "gauss_3", "sparse_11", "sparse_12",
]  # fmt: skip
DEPTHS = ["2", "2.5", "3", "4", "10"]


def _case(reference, name):
    return next(case for case in reference("flow_limits") if case["name"] == name)


def _problem(case):
    return fd.Problem(np.array(case["A"], float), np.array(case["y"], float))


def _relative(values, digits):
    """Largest relative error against decimal strings; below 1e-290 another test looks."""
    worst = 0.0
    for value, text in zip(values, digits, strict=True):
        exact = mpmath.mpf(text)
        if abs(exact) > mpmath.mpf(10) ** -290:
            worst = max(worst, float(abs((mpmath.mpf(float(value)) - exact) / exact)))
        else:
            assert abs(value) < 1e-289
    return worst


def _log(text):
    with mpmath.workdps(40):
        return mpmath.log(abs(mpmath.mpf(text)))


@pytest.mark.parametrize("p", DEPTHS)
@pytest.mark.parametrize("name", CASES)
def test_every_row_of_the_tables(reference, name, p):
    """psi to 1e-12, its logarithm to 1e-11, the deviation to 1e-10; the bound holds."""
    case = _case(reference, name)
    constraints = _problem(case)._constraints
    rows = [row for row in case["rows"] if row["p"] == p]
    high, low = np.array([exact_eps(row["log10_alpha_p"]) for row in rows]).T
    curve = solve_curve(constraints, float(p), high, low, 400)
    face = locate_face(constraints, float(p), curve.state[0], 400)
    scaled, unit = deviations(constraints, float(p), face, curve)
    assert not curve.codes.any()
    for k, row in enumerate(rows):
        error = _relative(curve.psi[k], row["psi"])
        assert error < 1e-12
        assert error <= curve.bound[k] < 1e-11
        for value, text in zip(curve.log_abs[k], row["psi"], strict=True):
            assert abs(value - float(_log(text))) < 1e-11
        largest = np.abs(scaled[k]).max()
        log_norm = math.log(np.linalg.norm(scaled[k] / largest)) + math.log(largest) + unit[k]
        assert abs(log_norm - float(_log(row["distance"]))) < 1e-10


@pytest.mark.parametrize("name", CASES)
def test_minimizers_of_the_tables(reference, name):
    case = _case(reference, name)
    for p in DEPTHS:
        minimizer = fd.l1_minimizer(_problem(case), float(p))
        assert minimizer.status is Status.PROVED
        assert minimizer.unique is case["unique"]
        assert _relative(minimizer.psi, case["minimizer"][p]) < 1e-13


@pytest.mark.parametrize("p", [2.0, 2.3, 3.0, 7.0])
def test_against_the_naive_twin_on_random_problems(p):
    generator = np.random.default_rng(5)
    A = generator.standard_normal((3, 7)).round(2)
    y = generator.standard_normal(3).round(2)
    limit = fd.flow_limit(fd.Problem(A, y), p, log_alpha=-6 * math.log(10) / p)
    exact = naive_flow_limit(A.tolist(), y.tolist(), p, -6)
    error = max(abs((float(v) - e) / e) for v, e in zip(limit.psi, exact, strict=True))
    assert error < 1e-12


def test_an_array_of_alphas_gives_what_each_alone_gives():
    problem = fd.datasets.random()
    alphas = np.array([1e-4, 3.0, 1e-70, 1e-2, 1e-2])
    together = fd.flow_limit(problem, 3, alphas)
    assert together.psi.shape == (5, 5)
    for k, alpha in enumerate(alphas):
        alone = fd.flow_limit(problem, 3, alpha)
        assert alone.status is together.status[k] is Status.CONVERGED
        np.testing.assert_allclose(together.psi[k], alone.psi, rtol=1e-13)
        assert together.log_eps[k] == alone.log_eps
        np.testing.assert_allclose(
            together.log_deviation_norm[k], alone.log_deviation_norm, rtol=1e-12
        )


def test_same_bits_every_time():
    problem, _ = fd.datasets.gaussian(20, 100, 4)
    first, second = (fd.flow_limit(problem, 2.5, 1e-20).psi for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_first_order_law_where_eps_underflows(p):
    """log_alpha = -1e6: off the support log|psi| follows its first-order law."""
    problem = fd.datasets.random()
    near, far = (fd.flow_limit(problem, p, log_alpha=v) for v in (-200.0, -1e6))
    assert far.status is Status.CONVERGED
    off = problem.N - 3
    rho = 1.0 - near.minimizer.margin
    slope = 1.0 - rho if p == 2.0 else 1.0
    minimizer = near.minimizer.psi
    assert np.count_nonzero(minimizer == 0.0) == off
    worst = np.argmax(np.where(minimizer == 0.0, near.log_abs_psi, -np.inf))
    rise = (far.log_abs_psi - near.log_abs_psi)[worst]
    assert rise == pytest.approx(slope * (far.log_eps - near.log_eps), rel=1e-12)
    assert np.all(np.isfinite(far.log_abs_psi))
    support = minimizer != 0.0
    np.testing.assert_allclose(far.psi[support], minimizer[support], rtol=4e-16)
    assert far.deviation_norm == 0.0
    assert far.log_deviation_norm - near.log_deviation_norm == pytest.approx(
        slope * (far.log_eps - near.log_eps), rel=1e-10
    )


def test_psi_obeys_its_own_definition():
    """psi = eps h_p(A^T lambda), slack = 1 - |tau|, A psi = y."""
    problem = fd.datasets.plane()
    limit = fd.flow_limit(problem, 3, 1e-3)
    tau = problem.A.T @ limit.dual
    np.testing.assert_allclose(limit.psi, 1e-9 * fd.h(tau, 3), rtol=1e-9)
    np.testing.assert_allclose(limit.slack, 1 - np.abs(tau), rtol=1e-9)
    assert limit.residual < 1e-14
    np.testing.assert_allclose(limit.deviation, limit.psi - limit.minimizer.psi, atol=1e-15)


def test_zero_right_hand_side_gives_zero():
    problem = fd.Problem([[1.0, 2.0, 3.0]], [0.0])
    limit = fd.flow_limit(problem, 3, [1e-3, 1e-5])
    assert limit.psi.shape == (2, 3)
    assert not limit.psi.any()
    assert not limit.deviation_norm.any()
    assert limit.minimizer.status is Status.PROVED


def test_iteration_limit_is_said():
    limit = fd.flow_limit(fd.datasets.kink(0.01), 3, 1e-50, max_iterations=1)
    assert limit.status is Status.ITERATION_LIMIT
    assert limit.error_bound == np.inf


def test_scales_from_one_end_of_float64_to_the_other():
    """Scaling A and y moves the scale of psi, and of eps with it, and nothing else."""
    A, y = fd.datasets.random().A, fd.datasets.random().y
    plain = fd.flow_limit(fd.Problem(A, y), 3, 1e-4)
    for a, c in ((2.0**500, 1.0), (1.0, 2.0**-480), (2.0**-300, 2.0**200), (2.0**400, 2.0**400)):
        alpha = (1e-12 * c / a) ** (1 / 3)
        scaled = fd.flow_limit(fd.Problem(a * A, c * y), 3, alpha)
        assert scaled.status is Status.CONVERGED
        np.testing.assert_allclose(scaled.psi / (c / a), plain.psi, rtol=1e-11)
        assert scaled.log_deviation_norm - math.log(c / a) == pytest.approx(
            plain.log_deviation_norm, rel=1e-11
        )


@pytest.mark.parametrize("p", [2, 3, 4])
@pytest.mark.parametrize("k", [62, 166, 502, -310])
def test_the_bound_holds_in_any_unit(p, k):
    """2^k y and 2^k eps give 2^k psi, to the last digits: log(2^k) is not rounded."""
    A, y = fd.datasets.random().A, fd.datasets.random().y
    log_eps = math.log(1e-3)
    plain = fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_eps / p)
    with mpmath.workdps(60):
        exact = mpmath.mpf(log_eps / p) * p + k * mpmath.log(2)
        log_alpha = float(exact / p)
        off_by = float(abs(mpmath.mpf(log_alpha) * p - exact))  # of log eps
    scaled = fd.flow_limit(fd.Problem(A, 2.0**k * y), p, log_alpha=log_alpha)
    near = fd.flow_limit(fd.Problem(A, y), p, log_alpha=(log_eps + 1e-4) / p)
    # d log |psi| / d log eps, about: it may exceed 1 (here up to 1.124, at p = 3, in mpmath)
    slope = np.abs(near.log_abs_psi - plain.log_abs_psi) / 1e-4
    error = np.abs(scaled.psi / 2.0**k - plain.psi) / np.abs(plain.psi)
    assert np.all(error <= plain.error_bound + scaled.error_bound + 1.001 * slope * off_by)


def test_small_coordinates_beside_a_large_right_hand_side():
    """psi of 1e-301 underflows in the units that y = 1e19 is computed in."""
    a, log_alpha = np.array([0.25, 0.03, 0.05, -0.08]), -300 * math.log(10) / 4
    limit = fd.flow_limit(fd.Problem([a], [1e19]), 4, log_alpha=log_alpha)
    with mpmath.workdps(60):  # b = 2, and the first slack is 1e-160
        eps = mpmath.exp(4 * mpmath.mpf(log_alpha))
        ratios = [mpmath.mpf(v) / mpmath.mpf(0.25) for v in a[1:]]
        exact = [eps * ((1 - t) ** -2 - (1 + t) ** -2) for t in ratios]
        error = max(abs(v / w - 1) for v, w in zip(limit.psi[1:].tolist(), exact, strict=True))
        assert error <= limit.error_bound < 1e-11


def test_rows_of_very_different_scales():
    A, y = fd.datasets.random().A, fd.datasets.random().y
    rows = np.array([2.0**400, 1.0, 2.0**-450])
    plain = fd.flow_limit(fd.Problem(A, y), 2, 1e-10)
    scaled = fd.flow_limit(fd.Problem(A * rows[:, np.newaxis], y * rows), 2, 1e-10)
    np.testing.assert_allclose(scaled.psi, plain.psi, rtol=1e-13)


@pytest.mark.parametrize("change", ["zero column", "duplicate column", "nearly equal columns"])
def test_degenerate_columns(change):
    problem = fd.datasets.random()
    extra = {
        "zero column": np.zeros(3),
        "duplicate column": problem.A[:, 4],
        "nearly equal columns": problem.A[:, 4] * (1 + 1e-12),
    }[change]
    wide = fd.Problem(np.column_stack((problem.A, extra)), problem.y)
    limit = fd.flow_limit(wide, 3, 1e-6)
    assert limit.status is Status.CONVERGED
    np.testing.assert_allclose(wide.A @ limit.psi, problem.y, rtol=1e-12)
    if change == "zero column":
        assert limit.psi[5] == 0.0
        np.testing.assert_allclose(limit.psi[:5], fd.flow_limit(problem, 3, 1e-6).psi, rtol=1e-12)
    if change == "duplicate column":
        assert limit.psi[5] == pytest.approx(limit.psi[4], rel=1e-13)
        assert limit.minimizer.face_dimension == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 1.5, "alpha": 0.1}, "p must be a finite real number of at least 2, got 1.5"),
        ({"p": math.nan, "alpha": 0.1}, "p must be a finite real number of at least 2, got nan"),
        ({"p": "3x", "alpha": 0.1}, "p must be a real number of at least 2, got '3x'"),
        ({"p": 3, "alpha": 0.0}, "alpha must be positive and finite, got 0.0"),
        ({"p": 3, "alpha": [0.1, math.nan]}, "alpha must be positive and finite"),
        ({"p": 3, "alpha": [[0.1]]}, "alpha must be a real number or a 1-D array"),
        ({"p": 3, "alpha": []}, "alpha must be a real number or a 1-D array"),
        ({"p": 3, "alpha": 1j}, "alpha must be a real number or a 1-D array"),
        ({"p": 3}, "exactly one of alpha and log_alpha must be given, got neither"),
        ({"p": 3, "alpha": 0.1, "log_alpha": -1}, "exactly one of .* got both"),
        ({"p": 3, "log_alpha": -math.inf}, "log_alpha must be finite"),
        ({"p": 3, "alpha": 0.1, "max_iterations": 0}, "max_iterations must be at least 1, got 0"),
        ({"p": 3, "alpha": 0.1, "max_iterations": 1.5}, "max_iterations must be an integer"),
    ],
)
def test_bad_input_is_named_in_one_line(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        fd.flow_limit(fd.datasets.line(), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
def test_coordinates_that_exist_by_rounding_alone(p):
    """y = fl(A x), x sparse: as exact data its minimiser has m nonzeros, most near 1e-17.

    They appear only once eps is below them, a bend that no series foresees.
    """
    generator = np.random.default_rng(0)
    A = generator.standard_normal((33, 70)) / math.sqrt(33)
    x = np.zeros(70)
    x[generator.choice(70, 5, replace=False)] = generator.standard_normal(5)
    problem = fd.Problem(A, A @ x)
    limit = fd.flow_limit(problem, p, log_alpha=np.array([-10.0, -100.0]) * math.log(10) / p)
    assert list(limit.status) == [Status.CONVERGED] * 2
    assert limit.minimizer.status is Status.PROVED
    tiny = (x == 0.0) & (limit.minimizer.psi != 0.0)
    assert np.count_nonzero(tiny) == 33 - 5
    assert np.abs(limit.minimizer.psi[tiny]).max() < 1e-14
    deepest = limit.psi[1][tiny]
    if p > 2:
        np.testing.assert_allclose(deepest, limit.minimizer.psi[tiny], rtol=1e-12)


def test_a_path_followed_in_pieces_ends_in_the_same_place(monkeypatch):
    """Long paths are cut so that Ctrl-C is heard: the pieces must fit together."""
    problem, _ = fd.datasets.gaussian(20, 60, 4)
    whole = fd.flow_limit(problem, 3, 1e-12)
    monkeypatch.setattr("fastdln._solver._factorisations_in_half_a_second", lambda m, N: 2)
    pieces = fd.flow_limit(problem, 3, 1e-12)
    assert pieces.status is Status.CONVERGED
    np.testing.assert_allclose(pieces.psi, whole.psi, rtol=1e-12)


@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize("shape", [(3, 5), (20, 600)])
def test_an_array_of_one_alpha_is_that_alpha_to_the_bit(p, shape):
    problem, _ = fd.datasets.gaussian(*shape, 2)
    one, several = (fd.flow_limit(problem, p, alpha) for alpha in (1e-5, [1e-5]))
    for name in ("psi", "log_abs_psi", "dual", "slack", "error_bound", "factorisations"):
        first, second = np.asarray(getattr(one, name)), np.asarray(getattr(several, name))
        assert second.shape == (1, *first.shape)
        assert first.tobytes() == second.tobytes()
    assert several.deviation[0].tobytes() == one.deviation.tobytes()
