"""Limits at p = 2 where eps underflows, and bounds where psi_j is all but zero."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from naive_limit import limit_near, log_planted_limit

import fastdln as fd
from fastdln import Status


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("log_alpha", [-1e3, -1e4, -1e6])
def test_far_below_the_smallest_double_as_in_sixty_digits(seed, log_alpha):
    problem, x = fd.datasets.gaussian(20, 100, 3, rng=seed)
    limit = fd.flow_limit(problem, 2.0, log_alpha=log_alpha)
    assert limit.status is Status.CONVERGED
    exact = log_planted_limit(problem.A, x, 2.0 * log_alpha, limit.dual)
    gap = [abs(mpmath.mpf(float(a)) - b) for a, b in zip(limit.log_abs_psi, exact, strict=True)]
    rounding = np.spacing(np.abs(limit.log_abs_psi))  # of a logarithm as a double
    assert all(gap <= limit.error_bound + rounding)
    assert limit.error_bound < 1e-11
    assert np.max(np.abs(limit.psi - x)) <= limit.absolute_bound


@pytest.mark.parametrize("log_alpha", [-1e4, -1e6])
def test_many_columns_that_settle_late(log_alpha):
    """At 200 x 2000 the last column leaves those that count only near L = 4e5."""
    problem, _ = fd.datasets.gaussian(200, 2000, 30)
    limit = fd.flow_limit(problem, 2.0, log_alpha=log_alpha)
    assert limit.status is Status.CONVERGED
    assert limit.error_bound < 1e-9
    assert limit.factorisations <= 60


def test_a_deep_curve_is_as_each_alone():
    problem, _ = fd.datasets.gaussian(20, 100, 3)
    log_alpha = np.array([-100.0, -340.0, -500.0, -2e3, -1e4, -2e5, -1e6])
    curve = fd.flow_limit(problem, 2.0, log_alpha=log_alpha)
    for k, one in enumerate(log_alpha):
        alone = fd.flow_limit(problem, 2.0, log_alpha=one)
        assert alone.status is curve.status[k] is Status.CONVERGED
        gap = np.abs(curve.log_abs_psi[k] - alone.log_abs_psi)
        rounding = 2.0 * np.spacing(np.abs(alone.log_abs_psi))
        assert np.all(gap <= curve.error_bound[k] + alone.error_bound + rounding)


@pytest.mark.parametrize("log_alpha", [0.0, -5.0, -40.0])
def test_the_bound_of_a_coordinate_that_is_all_but_zero(log_alpha):
    """psi_j is 1e-9 of its usual size: the bound holds, and is some 100 times the error."""
    problem, _ = fd.datasets.gaussian(20, 100, 3)
    dual = fd.flow_limit(problem, 2.0, log_alpha=log_alpha).dual
    column = np.zeros(20)
    column[:2] = dual[1], -dual[0]
    column /= np.linalg.norm(column)
    column[0] += 1e-9
    wider = fd.Problem(np.column_stack((problem.A, column)), problem.y)
    limit = fd.flow_limit(wider, 2.0, log_alpha=log_alpha)
    exact = limit_near(wider.A, wider.y, 2.0 * log_alpha, limit.dual, digits=120)
    error = max(
        float(abs(mpmath.mpf(float(a)) / b - 1)) for a, b in zip(limit.psi, exact, strict=True)
    )
    assert error <= limit.error_bound < 2e-5


@pytest.mark.parametrize(("log_alpha", "largest"), [(0.0, 1e-6), (-258.3, 1e-7)])
def test_the_bound_at_two_hundred_rows(log_alpha, largest):
    """At -258 a column outside the basis stays representable, of 1e-22: x has exact zeros."""
    problem, _ = fd.datasets.gaussian(200, 2000, 30)
    assert fd.flow_limit(problem, 2.0, log_alpha=log_alpha).error_bound < largest
