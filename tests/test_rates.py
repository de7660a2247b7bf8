"""Exponents, constants and certificates, against the reference tables and flow_limit."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from naive_limit import solve_rational

import fastdln as fd
from benchmarks.certificates import DEPTHS, log_ratios, random_problem
from fastdln import Status, certificate, null_space, rates

LN10 = math.log(10.0)
CASES = [
    "line", "plane", "random", "kink_0.3", "kink_0.1", "kink_0.01",
    "gauss_1", "gauss_2", "gauss_3", "sparse_11", "sparse_12",
]  # fmt: skip
# Of these the tables' last point is not near its limit: corrections are small powers of eps.
SLOW = ("kink_0.01", "gauss_2", "sparse_12")


def case_named(reference, name):
    case = next(case for case in reference("flow_limits") if case["name"] == name)
    A, y = (np.array(case[key], dtype=float) for key in ("A", "y"))
    return case, fd.Problem(A, y)


def log_distances(case, p):
    """log distance by log10 eps, of one depth."""
    return {
        row["log10_alpha_p"]: float(Decimal(row["distance"]).ln())
        for row in case["rows"]
        if float(row["p"]) == p
    }


def exact_rho(problem, minimizer):
    """rho over the rationals, where the support has as many columns as A has rows."""
    A = [[Fraction(float(v)) for v in row] for row in problem.A]
    on = minimizer.support.tolist()
    transposed = [[row[j] for row in A] for j in on]
    dual = solve_rational(transposed, [Fraction(int(v)) for v in np.sign(minimizer.psi[on])])
    return max(
        abs(sum(row[j] * value for row, value in zip(A, dual, strict=True)))
        for j in range(problem.N)
        if j not in on
    )


@pytest.mark.parametrize("p", DEPTHS)
@pytest.mark.parametrize("name", CASES)
def test_exponent_and_constant_of_the_tables(reference, name, p):
    case, problem = case_named(reference, name)
    rate = fd.convergence_rate(problem, p)
    assert rate.status is Status.PROVED
    assert rate.unique is case["unique"]
    assert rate.constant == pytest.approx(np.linalg.norm(rate.direction), rel=1e-15)
    if p == 2 and name in SLOW:
        return
    log_distance = log_distances(case, p)
    slope = (log_distance[-200] - log_distance[-300]) / (100 * LN10)
    assert rate.exponent == pytest.approx(slope, abs=1e-12)
    error = log_distance[-300] - rate.log_predict(log_alpha=-300 * LN10 / p)
    assert abs(error) < 1e-11


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("line", "sparse_11")])
def test_exponent_at_2_against_rationals(reference, name):
    problem = case_named(reference, name)[1]
    rate = fd.convergence_rate(problem, 2)
    exact = exact_rho(problem, rate.minimizer) if rate.unique else Fraction(1, 2)
    assert abs(Fraction(rate.exponent) - (1 - exact)) < Fraction(1, 10**15)
    assert abs(Fraction(rate.rho) - exact) < Fraction(1, 10**15)


@pytest.mark.parametrize("name", SLOW)
def test_constant_at_2_where_the_tables_end_too_early(reference, name):
    problem = case_named(reference, name)[1]
    rate = fd.convergence_rate(problem, 2)
    limit = fd.flow_limit(problem, 2, log_alpha=-1e5)
    assert abs(limit.log_deviation_norm - rate.log_predict(log_alpha=-1e5)) < 1e-9
    if name.startswith("kink"):
        assert rate.constant == pytest.approx(math.hypot(1.0, 0.99), rel=1e-14)


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_direction_coordinate_by_coordinate(p):
    problem = fd.datasets.plane()
    rate = fd.convergence_rate(problem, p)
    log_alpha = -100 * LN10 / p
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
    scaled = limit.deviation * math.exp(-rate.exponent * limit.log_eps)
    np.testing.assert_allclose(scaled, rate.direction, rtol=1e-10)


@pytest.mark.parametrize("p", DEPTHS)
@pytest.mark.parametrize("name", CASES)
def test_bound_against_the_tables(reference, name, p):
    """Never below; for p > 2 within 6 % of the distance from eps = 1e-9 on."""
    case, problem = case_named(reference, name)
    rate = fd.convergence_rate(problem, p)
    for log10_eps, log_distance in log_distances(case, p).items():
        excess = rate.log_bound(log_alpha=log10_eps * LN10 / p) - log_distance
        assert excess > 0.0
        if rate.unique:
            assert excess < math.log(7.3)
        if rate.unique and p > 2 and log10_eps <= -9:
            assert excess < math.log(1.06)


@pytest.mark.slow
def test_bound_is_never_below_on_random_problems():
    generator = np.random.default_rng(11)
    unique = compared = 0
    for _ in range(400):
        problem = random_problem(generator)
        rate, ratio = log_ratios(problem, float(generator.choice(DEPTHS)))
        assert not np.any(ratio < 0.0)
        unique += rate.unique
        compared += int(np.isfinite(ratio).sum())
    assert 300 < unique < 400  # both kinds occur
    assert compared > 3000


@pytest.mark.slow
@pytest.mark.parametrize("p", [2.0, 2.5, 4.0])
def test_constants_of_random_problems(p):
    """Faces, fewer nonzeros than equations, degenerate linear programs: all kinds."""
    generator = np.random.default_rng(12)
    checked = 0
    for _ in range(60):
        problem = random_problem(generator)
        rate = fd.convergence_rate(problem, p)
        if rate.status is not Status.PROVED or rate.constant == 0.0:
            continue
        depth = -100.0 if not rate.unique else -3000.0
        limit = fd.flow_limit(problem, p, log_alpha=depth * LN10 / p)
        error = limit.log_deviation_norm - rate.log_predict(log_alpha=depth * LN10 / p)
        if p == 2 and abs(error) > 1e-9:  # slow: smaller at half the depth would be wrong
            half = fd.flow_limit(problem, p, log_alpha=0.5 * depth * LN10 / p)
            before = half.log_deviation_norm - rate.log_predict(log_alpha=0.5 * depth * LN10 / p)
            assert abs(error) < 0.9 * abs(before)
        else:
            assert abs(error) < 1e-9
        checked += 1
    assert checked > 40


def test_several_columns_balance_at_2():
    """Two equal columns off the support share what one alone would carry."""
    one = fd.convergence_rate(fd.Problem([[1.0, 0.5]], [3.0]), 2)
    two = fd.convergence_rate(fd.Problem([[1.0, 0.5, -0.5]], [3.0]), 2)
    assert one.direction[1] == pytest.approx(math.sqrt(3.0), rel=1e-14)
    np.testing.assert_allclose(two.direction[1:], [math.sqrt(3.0), -math.sqrt(3.0)], rtol=1e-14)
    assert two.direction[0] == pytest.approx(2 * one.direction[0], rel=1e-14)


def test_active_columns_that_no_free_dual_direction_moves():
    """The first column is parallel to the support: its s is 2/3 for every dual."""
    A = [[-2.0, -3.0, 3.0, 0.0, 2.0, 3.0], [2.0, 3.0, 0.0, -1.0, 0.0, -2.0]]
    rate = fd.convergence_rate(fd.Problem(A, [-12.0, 12.0]), 2)
    assert rate.exponent == pytest.approx(1 / 3, abs=1e-15)
    first = 4 ** (2 / 3)
    np.testing.assert_allclose(rate.direction, [first, -2 / 3 * first, 0, 0, 0, 0], rtol=1e-14)


def test_rho_zero_at_2():
    """A column that the dual need not see: order eps, with the balance of 2 sinh."""
    problem = fd.Problem([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]], [3.0, 1.0])
    rate = fd.convergence_rate(problem, 2)
    limit = fd.flow_limit(problem, 2, log_alpha=-40.0)
    error = limit.log_deviation_norm - rate.log_predict(log_alpha=-40.0)
    assert abs(error) < 1e-9


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_a_leading_term_that_vanishes_is_said(p):
    rate = fd.convergence_rate(fd.Problem([[1.0, 1.0]], [1.0]), p)
    assert (rate.exponent == 2.0) if p == 2 else (rate.exponent == 1.0)
    assert (rate.constant, rate.status, rate.unique) == (0.0, Status.FASTER, False)
    assert rate.predict(0.1) == 0.0
    assert rate.log_bound(0.1) == pytest.approx(math.log(1 + math.sqrt(0.5)))


@pytest.mark.parametrize(
    "problem",
    [
        fd.Problem([[2.0, 1.0], [0.0, 1.0]], [1.0, 3.0]),
        fd.Problem([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0]], [1.0, 3.0]),
        fd.Problem([[1.0, 0.5], [0.25, 1.0]], [1.0, 0.25]),  # off the support, and yet 0
        fd.Problem([[1.0, 2.0]], [0.0]),
        fd.Problem([[0.0, 0.0]], [1.0]),
    ],
)
def test_one_solution_or_none_to_find(problem):
    rate = fd.convergence_rate(problem, 3)
    assert (rate.exponent, rate.constant, rate.unique) == (math.inf, 0.0, True)
    assert rate.predict(0.5) == rate.bound(0.5) == 0.0
    assert rate.log_bound(log_alpha=[-1.0, -2.0]).tolist() == [-math.inf, -math.inf]


def test_undecided_is_nan_and_said(monkeypatch):
    undecided = dataclasses.replace(fd.l1_minimizer(fd.datasets.line(), 2), status=Status.UNDECIDED)
    for module in (rates, null_space):
        monkeypatch.setattr(module, "l1_minimizer", lambda problem, p: undecided)
    rate = fd.convergence_rate(fd.datasets.line(), 2)
    constants = fd.null_space_constants(fd.datasets.line())
    assert rate.status is constants.status is Status.UNDECIDED
    assert np.isnan([rate.exponent, rate.constant, rate.predict(0.1), rate.bound(0.1)]).all()
    assert np.isnan([constants.rho, constants.rho_minus, constants.rho_tilde]).all()
    flags = (constants.rho_exact, constants.rho_minus_exact, constants.rho_tilde_exact)
    assert not any(flags)


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_the_problem_that_the_flow_sees(p):
    """Dependent rows, y outside the range, and rows of any scale."""
    A, y = fd.datasets.random().A, fd.datasets.random().y
    plain = fd.convergence_rate(fd.Problem(A, y), p)
    beside = np.vstack((A, np.zeros(5)))
    for other in (
        fd.Problem(np.vstack((A, A[0])), np.append(y, y[0])),
        fd.Problem(beside, np.append(y, 1.0)),
        fd.Problem(A * np.array([[2.0**300], [1.0], [2.0**-300]]), y * [2.0**300, 1.0, 2.0**-300]),
    ):
        rate = fd.convergence_rate(other, p)
        assert rate.exponent == pytest.approx(plain.exponent, abs=1e-12)
        np.testing.assert_allclose(rate.direction, plain.direction, rtol=1e-10)
        assert rate.bound(1e-5) == pytest.approx(plain.bound(1e-5), rel=1e-9)


@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize("size", [1e-200, 1e-20, 1e20, 1e200])
def test_scales_of_psi(p, size):
    """psi and eps scale together, the constant with the power that is left."""
    A, y = fd.datasets.random().A, fd.datasets.random().y
    plain, scaled = (fd.convergence_rate(fd.Problem(A, c * y), p) for c in (1.0, size))
    expected = math.log(plain.constant) + (1 - plain.exponent) * math.log(size)
    assert math.log(scaled.constant) == pytest.approx(expected, abs=1e-11)
    log_alpha = (math.log(size) + math.log(1e-6)) / p
    expected = plain.log_bound(log_alpha=math.log(1e-6) / p) + math.log(size)
    assert scaled.log_bound(log_alpha=log_alpha) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("p", [2.0, 2.01, 2.5, 10.0])
def test_eps_from_one_end_to_the_other(p):
    problem = fd.datasets.random()
    log_alpha = np.array([300.0, 20.0, 3.0, -20.0, -200.0]) * LN10 / p
    excess = fd.convergence_rate(problem, p).log_bound(log_alpha=log_alpha)
    excess -= fd.flow_limit(problem, p, log_alpha=log_alpha).log_deviation_norm
    assert np.all((excess > 0.0) & (excess < math.log(8.0)))


@pytest.mark.parametrize("p", [2.1, 2.5, 3.0, 10.0])
def test_energy_is_inverted_from_above(p):
    t = np.array([1e-100, 1e-20, 1e-5, 0.3, 0.9])
    for energy, exact in zip(fd.h_integral(t, p), fd.h(t, p), strict=True):
        assert certificate._h_at_energy(float(energy), p) == pytest.approx(exact, rel=1e-12)
    slack = 1e-10  # one rounding of t is seen: it may not take the result below
    energy = fd.h_integral(1 - slack, p)
    assert certificate._h_at_energy(float(energy), p) >= fd.h(1 - slack, p) * (1 - 1e-14)


def test_a_constant_that_overflows_is_infinite():
    problem = fd.datasets.kink(0.01)
    rate = fd.convergence_rate(problem, 2.01)
    assert rate.constant == math.inf
    limit = fd.flow_limit(problem, 2.01, alpha=0.1)
    assert limit.deviation_norm <= rate.bound(0.1) < 3 * limit.deviation_norm


def test_logarithms_do_not_underflow():
    rate = fd.convergence_rate(fd.datasets.random(), 2)
    assert rate.predict(log_alpha=-4000.0) == 0.0
    expected = math.log(rate.constant) - 8000.0 * rate.exponent
    assert rate.log_predict(log_alpha=-4000.0) == pytest.approx(expected, rel=1e-15)
    assert rate.log_bound(log_alpha=-4000.0) == pytest.approx(expected, abs=2e-9)
    both = rate.log_bound([1e-3, 1e-5])
    assert both.tolist() == [rate.log_bound(1e-3), rate.log_bound(1e-5)]


def test_bad_input_is_named_in_one_line():
    with pytest.raises(ValueError, match="p must be a finite real number of at least 2, got 1"):
        fd.convergence_rate(fd.datasets.line(), 1)
    rate = fd.convergence_rate(fd.datasets.line(), 3)
    for method in (rate.predict, rate.log_predict, rate.bound, rate.log_bound):
        with pytest.raises(ValueError, match="exactly one of alpha and log_alpha must be given"):
            method()
        with pytest.raises(ValueError, match="alpha must be positive and finite, got 0"):
            method(0.0)
