"""flow_limit on problems nobody would choose: it is right, or it says that it is not."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from naive_limit import exact_eps, one_row_limit, solve_rational
from naive_limit import flow_limit as naive_flow_limit

import fastdln as fd
from fastdln import Status
from fastdln._solver import solve_curve

DEPTHS = [2.0, 2.0 + 1e-9, 2.001, 2.05, 2.5, 3.0, 3.7, 10.0, 100.0, 1000.0]
LOG_ALPHAS = [2.0, 0.0, -1.0, -5.0, -20.0, -100.0, -230.0, -1000.0, -1e5]


def _integers(generator, m, N):
    return generator.integers(-3, 4, (m, N)).astype(float)


def _scaled_columns(generator, m, N):
    return generator.standard_normal((m, N)) * 10.0 ** generator.integers(-6, 7, N)


def _scaled_rows(generator, m, N):
    return generator.standard_normal((m, N)) * 10.0 ** generator.integers(-6, 7, (m, 1))


def _repeated_columns(generator, m, N):
    few = max(1, N // 2)
    columns = generator.standard_normal((m, few))[:, generator.integers(0, few, N)]
    return columns * (1 + 1e-12 * generator.integers(0, 3, N))


def _binary(generator, m, N):
    return generator.integers(0, 2, (m, N)).astype(float)


KINDS = [_integers, _scaled_columns, _scaled_rows, _repeated_columns, _binary]


@pytest.mark.parametrize("kind", KINDS)
def test_right_or_said_not_to_be(kind):
    generator = np.random.default_rng(KINDS.index(kind))
    usual = converged = 0
    for _ in range(120):
        m, N = int(generator.integers(1, 6)), int(generator.integers(1, 14))
        A = kind(generator, m, N)
        x = generator.integers(-2, 3, N) * (generator.random(N) < 0.4)
        y = A @ x if generator.random() < 0.5 else generator.standard_normal(m)
        p, log_alpha = float(generator.choice(DEPTHS)), float(generator.choice(LOG_ALPHAS))
        problem = fd.Problem(A, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
            distance = limit.log_deviation_norm
        everyday = p == 2.0 or (2.05 <= p <= 100.0 and log_alpha >= -100.0)
        usual += everyday
        converged += everyday and limit.status is Status.CONVERGED
        if limit.status is not Status.CONVERGED:
            assert limit.error_bound == math.inf
            continue
        if limit.minimizer.status is Status.PROVED:
            assert not math.isnan(distance)
        if problem.consistent and y.any():
            size = np.max(np.abs(A) @ np.abs(limit.psi) + np.abs(y))
            tolerance = max(1e-12, min(limit.error_bound, 1e-5))
            assert np.max(np.abs(A @ limit.psi - y)) <= tolerance * size
    assert converged >= 0.97 * usual


@pytest.mark.parametrize("p", [2.0, 3.0, 100.0])
def test_a_huge_alpha_gives_the_least_norm_solution(p):
    problem = fd.datasets.random()
    least_norm = np.linalg.pinv(problem.A) @ problem.y
    for log_alpha in (30.0, 1e4):
        limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
        assert limit.status is Status.CONVERGED
        np.testing.assert_allclose(limit.psi, least_norm, rtol=1e-13)


@pytest.mark.parametrize("name", ["plane", "random", "gauss_1", "sparse_12"])
def test_near_two_where_eps_underflows_before_sigma_vanishes(reference, name):
    case = next(case for case in reference("flow_limits") if case["name"] == name)
    problem = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))
    rows = next(case["rows"] for case in reference("near_two") if case["name"] == name)
    for row in rows:
        high, low = exact_eps(row["log10_alpha_p"])
        curve = solve_curve(
            problem._constraints, float(row["p"]), np.array([high]), np.array([low]), 400
        )
        assert not curve.codes.any()
        for value, log_abs, text in zip(curve.psi[0], curve.log_abs[0], row["psi"], strict=True):
            exact = mpmath.mpf(text)
            assert abs(log_abs - mpmath.log(abs(exact))) < 1e-12
            if abs(exact) > mpmath.mpf(10) ** -290:
                assert abs((float(value) - exact) / exact) <= curve.bound[0] < 1e-13


def test_near_two_on_many_alphas_deeper_than_float64():
    """As each alone; the minimiser is proved, and psi goes on to tend to it."""
    problem, p = fd.datasets.random(), 2.02
    log_alpha = np.array([-2.0, -300.0, -500.0, -1e4])
    together = fd.flow_limit(problem, p, log_alpha=log_alpha)
    assert together.minimizer.status is Status.PROVED
    assert np.all(np.diff(together.log_deviation_norm) < 0.0)
    for k, one in enumerate(log_alpha):
        alone = fd.flow_limit(problem, p, log_alpha=one)
        assert alone.status is together.status[k] is Status.CONVERGED
        np.testing.assert_allclose(together.log_abs_psi[k], alone.log_abs_psi, rtol=1e-13)


def test_near_two_what_is_not_reached_is_said():
    problem, _ = fd.datasets.gaussian(20, 100, 6)
    limit = fd.flow_limit(problem, 2.02, log_alpha=-1e4, max_iterations=10)
    assert limit.status is Status.NEAR_TWO
    assert limit.error_bound == math.inf
    assert np.isnan(limit.psi).all()


rational = np.vectorize(Fraction, otypes=[object])


@pytest.mark.parametrize("p", [2.0, 2.7, 3.0])
@pytest.mark.parametrize("log_alpha", [-3.0, -40.0])
def test_columns_that_are_nearly_dependent_and_all_needed(p, log_alpha):
    """A square A of condition 3e12 to 3e13, where psi is the one solution, whatever alpha."""
    for seed in range(7):
        generator = np.random.default_rng(seed)
        A, y = generator.standard_normal((3, 3)), generator.standard_normal(3)
        A[:, 2] = A[:, 0] * (1.0 + 1e-12 * generator.standard_normal(3))
        limit = fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_alpha)
        assert limit.status is Status.CONVERGED
        exact = np.array(solve_rational(rational(A), rational(y)), dtype=float)
        assert np.max(np.abs(limit.psi - exact) / np.abs(exact)) <= limit.error_bound < 1e-13


@pytest.mark.parametrize("p", [2.0, 2.7, 3.0, 10.0])
@pytest.mark.parametrize("size", [1e-20, 1e-140, 1e-250])
def test_a_tiny_psi_has_a_bound_too(p, size):
    """Where alpha is huge beside psi the flow is linear: psi is the least-norm solution."""
    A, y = np.array([[1.0, -2.0, 4.0], [0.0, 1.0, 2.0]]), size * np.array([3.0, -5.0])
    limit = fd.flow_limit(fd.Problem(A, y), p, alpha=1.0)
    exact = rational(A).T @ solve_rational(rational(A) @ rational(A).T, rational(y))
    exact = exact.astype(float)
    assert limit.status is Status.CONVERGED
    assert np.max(np.abs(limit.psi - exact) / np.abs(exact)) <= limit.error_bound < 1e-13


def test_depth_tends_to_two_continuously():
    """b = p / (p - 2) is 2e9 at p = 2 + 1e-9, and no digit is lost to that."""
    problem, p = fd.datasets.random(), 2.0 + 1e-9
    high, low = exact_eps(-8)
    near = solve_curve(problem._constraints, p, np.array([high]), np.array([low]), 400)
    at_two = fd.flow_limit(problem, 2.0, alpha=1e-4)
    np.testing.assert_allclose(near.psi[0], at_two.psi, rtol=1e-6)
    exact = naive_flow_limit(problem.A.tolist(), problem.y.tolist(), p, -8, digits=60)
    error = max(abs((float(v) - e) / e) for v, e in zip(near.psi[0], exact, strict=True))
    assert error <= near.bound[0] < 1e-13


@pytest.mark.parametrize("p", [2.0005, 2.02, 2.1, 2.17, 2.27, 3.3])
def test_bound_holds_at_depths_whose_exponent_is_rounded(p):
    """One row, two columns that differ by delta: a root of one equation, to 60 digits."""
    for delta in (1e-6, 9e-6, 1e-3, 0.3):
        for log10_eps in (-3, -50, -150, -226, -260):
            high, low = exact_eps(log10_eps)
            problem = fd.Problem([[1.0, 1.0 - delta]], [1.0])
            curve = solve_curve(problem._constraints, p, np.array([high]), np.array([low]), 400)
            assert not curve.codes.any()
            exact = one_row_limit([1.0, 1.0 - delta], 1.0, p, log10_eps, curve.slack[0, 0])
            for value, log_abs, e in zip(curve.psi[0], curve.log_abs[0], exact, strict=True):
                assert abs(log_abs - mpmath.log(e)) < 1e-12
                if e > 1e-290:
                    assert abs((float(value) - e) / e) <= curve.bound[0] < 1e-14
