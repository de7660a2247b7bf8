"""A curve of many alphas takes few factorisations, and each point is as right as one alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastdln as fd
from fastdln import Status

_LN10 = math.log(10.0)


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("exact", [True, False])
def test_points_of_a_curve_agree_with_single_limits_within_their_bounds(p, exact):
    problem, x = fd.datasets.gaussian(40, 300, 6)
    if not exact:  # then the minimiser has 40 nonzeros, most of them tiny
        problem = fd.Problem(problem.A / 3.0, (problem.A / 3.0) @ x)
    log_alpha = np.linspace(0.0, -300.0, 301) * (_LN10 / p)
    curve = fd.flow_limit(problem, p, log_alpha=log_alpha)
    assert all(status is Status.CONVERGED for status in curve.status)
    assert np.sum(curve.factorisations == 0) >= (20 if p == 2.0 else 150)
    for k in (0, 7, 12, 20, 50, 75, 120, 225, 300):
        alone = fd.flow_limit(problem, p, log_alpha=log_alpha[k])
        error = np.abs(curve.psi[k] - alone.psi) / np.abs(alone.psi)
        settled = np.abs(alone.psi) > 1e-290
        assert np.max(error[settled]) <= curve.error_bound[k] + alone.error_bound
        np.testing.assert_allclose(curve.log_abs_psi[k], alone.log_abs_psi, rtol=0, atol=1e-9)
        assert curve.residual[k] <= 1e-14 * np.linalg.norm(problem.y)
        assert curve.error_bound[k] <= 30.0 * alone.error_bound


@pytest.mark.slow
@pytest.mark.parametrize("p", [2.5])  # the worst of 2.5, 3, 4: see benchmarks/bench_limits.py
def test_three_hundred_alphas_in_eighty_factorisations(p):
    problem, _ = fd.datasets.gaussian(200, 2000, 30)
    log_alpha = np.linspace(0.0, -300.0, 300) * (_LN10 / p)
    curve = fd.flow_limit(problem, p, log_alpha=log_alpha)
    assert all(status is Status.CONVERGED for status in curve.status)
    assert np.sum(curve.factorisations) <= 80


def test_a_curve_below_the_smallest_double_is_cheap_and_counts_all_its_work(monkeypatch):
    from fastdln import _solver

    counts = []

    def counted(name, count_of):
        function = getattr(_solver, name)

        def call(*arguments):
            result = function(*arguments)
            counts.append(count_of(result))
            return result

        monkeypatch.setattr(_solver, name, call)

    counted("from_least_norm", lambda start: start.factorisations)
    counted("go_on", lambda start: start.factorisations)
    counted("go_along", lambda result: result[2])
    problem = fd.datasets.gaussian(40, 300, 6).problem
    log_alpha = np.linspace(-300.0, -900.0, 200)
    curve = fd.flow_limit(problem, 2.0, log_alpha=log_alpha)
    assert all(status is Status.CONVERGED for status in curve.status)
    assert np.sum(curve.factorisations) == sum(counts)
    assert sum(counts[-150:]) <= 20  # eps underflows from the 16th on: no path for each
    for k in (10, 16, 17, 100, 199):
        counts.clear()
        alone = fd.flow_limit(problem, 2.0, log_alpha=log_alpha[k])
        assert alone.factorisations == sum(counts)
        gap = np.abs(curve.log_abs_psi[k] - alone.log_abs_psi)
        assert np.max(gap) <= curve.error_bound[k] + alone.error_bound
        assert np.all(np.signbit(curve.psi[k]) == np.signbit(alone.psi))
