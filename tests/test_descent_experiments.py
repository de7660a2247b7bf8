"""Experiments on the step size of gradient descent."""

import numpy as np
import pytest

import fastdln as fd
from fastdln import experiments_descent as experiments


def test_discretization_falls_with_slope_one():
    result = experiments.discretization(fractions=(1e-2, 3e-3, 1e-3, 3e-4))
    assert set(result.p) == {2.0, 3.0, 4.0}
    assert np.all(result.error < 1e-3 * result.distance)
    for p in (2.0, 3.0, 4.0):
        assert result.slope(p) == pytest.approx(1.0, abs=5e-3)
    assert len(result.table().rows) == 12


def test_edge_agrees_with_the_exact_sums():
    problem, alpha = fd.datasets.line(), 1e-2
    result = experiments.edge(problem, alpha, fractions=(0.01, 0.3))
    unit = fd.max_stable_step(problem, 2, alpha)
    outside = np.eye(3) - np.linalg.pinv(problem.A) @ problem.A
    for row, fraction in enumerate(result.fraction):
        eta = fraction * unit
        u = v = np.full(3, alpha)
        log_gain, shift = np.zeros(3), np.zeros(3)
        for _ in range(40_000):
            x = 2 * eta * (problem.A.T @ (problem.A @ (u * u - v * v) - problem.y))
            log_gain += np.log1p(-x * x)
            shift -= 2 * (np.arctanh(x) - x)
            u, v = u * (1 - x), v * (1 + x)
        np.testing.assert_allclose(result.gain[row], log_gain, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(result.shift[row], outside @ shift, rtol=1e-6, atol=1e-9)
    assert np.all(np.diff(result.distance) > 0)
    assert len(result.table().rows) == 2


def test_pictures():
    pytest.importorskip("matplotlib")
    small = experiments.discretization(depths=(2.0,), fractions=(1e-2, 1e-3))
    assert len(experiments.draw_discretization(small).axes[0].lines) == 2
    result = experiments.edge(fractions=(0.1, 0.2))
    assert len(experiments.draw_edge(result).axes[0].lines) == 3
