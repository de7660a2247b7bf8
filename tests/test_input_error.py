"""input_error: what is determined by data of limited accuracy, against perturbed data."""

from __future__ import annotations

import numpy as np
import pytest

import fastdln as fd
from fastdln._sensitivity import sensitivity


def _bound(problem, p, log_alpha, error):
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
    error = tuple(np.asarray(part) for part in error)
    arguments = (limit.psi, limit.slack, limit.dual, error)
    return limit, sensitivity(problem._constraints, p, -p * log_alpha, *arguments)


def _exact_first_order(problem, p, limit, error):
    """Largest |dpsi| entry by entry, from dense matrices without a basis."""
    A, eps = problem.A, np.exp(limit.log_eps)
    D = eps * fd.h_prime(A.T @ limit.dual, p)
    back = np.linalg.inv((A * D) @ A.T)
    of_u = D[:, np.newaxis] * A.T @ back  # dpsi = of_u u + of_v v
    of_v = np.diag(D) - of_u @ (A * D)
    total = np.abs(of_u) @ np.broadcast_to(error[1], problem.y.shape)
    # dA_ij enters u_i by -psi_j and v_j by lambda_i
    for i in range(problem.m):
        for j in range(problem.N):
            change = -of_u[:, i] * limit.psi[j] + of_v[:, j] * limit.dual[i]
            total += np.abs(change) * np.broadcast_to(error[0], A.shape)[i, j]
    return total


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 6.0])
@pytest.mark.parametrize("eps", [1.0, 1e-3, 1e-6])
def test_the_bound_lies_above_the_exact_first_order_and_not_far(p, eps):
    generator = np.random.default_rng(0)
    for m, N in ((1, 4), (3, 8), (6, 20)):
        A, y = generator.standard_normal((m, N)), generator.standard_normal(m)
        problem = fd.Problem(A, y)
        error = (generator.random((m, N)), generator.random(m))
        limit, bound = _bound(problem, p, np.log(eps) / p, error)
        exact = _exact_first_order(problem, p, limit, error)
        assert np.all(bound >= exact * (1 - 1e-6))
        assert np.median(bound / exact) < 100.0


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_perturbed_data_move_psi_by_less(p):
    generator = np.random.default_rng(1)
    A, y, size = generator.standard_normal((5, 15)), generator.standard_normal(5), 1e-9
    log_alpha = np.log(1e-4) / p
    limit, bound = _bound(fd.Problem(A, y), p, log_alpha, (size, size))
    for _ in range(20):
        dA, dy = (size * generator.choice([-1.0, 1.0], shape) for shape in (A.shape, y.shape))
        moved = fd.flow_limit(fd.Problem(A + dA, y + dy), p, log_alpha=log_alpha).psi
        assert np.all(np.abs(moved - limit.psi) <= 1.01 * bound)


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_a_sparse_signal_is_determined_and_what_is_below_the_error_is_not(p):
    problem, x = fd.datasets.gaussian(20, 60, 4)
    log_alpha = np.log(1e-60) / p
    plain = fd.flow_limit(problem, p, log_alpha=log_alpha)
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha, input_error=1e-12)
    assert not plain.undetermined.any()
    np.testing.assert_array_equal(limit.undetermined, x == 0.0)
    np.testing.assert_array_equal(np.isnan(limit.psi), limit.undetermined)
    np.testing.assert_array_equal(np.isnan(limit.log_abs_psi), limit.undetermined)
    np.testing.assert_array_equal(limit.psi[x != 0.0], plain.psi[x != 0.0])
    exact = fd.flow_limit(problem, p, log_alpha=log_alpha, input_error=0.0)
    assert not exact.undetermined.any()


def test_numbers_arrays_scales_and_batches_agree():
    problem, x = fd.datasets.gaussian(3, 9, 1)
    alphas = [1e-1, 1e-4]
    of_A, of_y = np.full((3, 9), 1e-6), np.full(3, 1e-6)
    one = fd.flow_limit(problem, 3, alphas, input_error=1e-6)
    pair = fd.flow_limit(problem, 3, alphas, input_error=(of_A, of_y))
    (batch,) = fd.flow_limit([problem], 3, alphas, input_error=1e-6)
    rows = np.array([2.0**100, 1.0, 2.0**-90])
    scaled = fd.flow_limit(
        fd.Problem(problem.A * rows[:, np.newaxis], problem.y * rows),
        3, alphas, input_error=(of_A * rows[:, np.newaxis], of_y * rows),
    )  # fmt: skip
    np.testing.assert_array_equal(one.undetermined, [np.zeros(9, bool), x == 0.0])
    for other in (pair, batch, scaled):
        np.testing.assert_array_equal(other.undetermined, one.undetermined)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1e-9, r"input_error of A must not be negative, got -1e-09"),
        ((0.0, -1.0), r"input_error of y must not be negative, got -1.0"),
        (np.nan, r"input_error of A must be finite, got nan"),
        ((0.0, np.zeros(2)), r"input_error of y must be a number or of shape \(3,\), got \(2,\)"),
        ((0.0, 0.0, 0.0), r"input_error must be a number or a pair \(of A, of y\), got 3 entries"),
        ("x", r"input_error of A must hold real numbers"),
    ],
)
def test_bad_errors_are_named(value, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fd.flow_limit(fd.datasets.random(), 3, 1e-3, input_error=value)


def test_a_deficient_A_is_determined_by_no_accuracy():
    problem = fd.Problem([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0])
    with pytest.raises(ValueError, match="input_error needs A of full row rank"):
        fd.flow_limit(problem, 3, 1e-3, input_error=1e-9)
