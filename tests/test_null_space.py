"""Null space constants against linear programs over ker A itself."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

import fastdln as fd
from benchmarks.certificates import random_problem
from fastdln import Status, null_space
from fastdln._chebyshev import least_maximum


def largest(A, on, zeta):
    """max of zeta.n_S over n in ker A with ||n_Sc||_1 <= 1, n_Sc split into two halves."""
    off = np.setdiff1d(np.arange(A.shape[1]), on)
    solution = linprog(
        -np.r_[zeta, np.zeros(2 * off.size)],
        A_eq=np.hstack((A[:, on], A[:, off], -A[:, off])),
        b_eq=np.zeros(A.shape[0]),
        A_ub=np.r_[np.zeros(on.size), np.ones(2 * off.size)][np.newaxis],
        b_ub=[1.0],
        bounds=[(None, None)] * on.size + [(0.0, None)] * (2 * off.size),
        method="highs-ds",
    )
    return math.inf if solution.status == 3 else -solution.fun


def naive(problem):
    """The three constants by enumeration of signs."""
    minimizer = fd.l1_minimizer(problem, 2)
    on = minimizer.support
    sigma = np.sign(minimizer.psi[on])
    some = [np.array(v) for v in itertools.product((0.0, 1.0), repeat=on.size)]
    return (
        largest(problem.A, on, -sigma),
        max(largest(problem.A, on, -sigma * part) for part in some),
        max(largest(problem.A, on, 2.0 * part - 1.0) for part in some),
    )


def test_against_enumeration_on_random_problems():
    generator = np.random.default_rng(3)
    exact = unique = rational = 0
    for _ in range(40):
        problem = random_problem(generator)
        if problem.m > 4 or not np.any(problem.y):
            continue
        constants = fd.null_space_constants(problem)
        assert constants.status is Status.PROVED
        rho, minus, tilde = naive(problem)
        assert constants.rho == pytest.approx(rho, abs=1e-8)
        assert constants.rho < 1.0
        near = Fraction(constants.rho).limit_denominator(10**5)
        if np.array_equal(np.round(problem.A), problem.A):  # rho is a ratio of small determinants
            assert abs(Fraction(constants.rho) - near) < Fraction(1, 10**14)
            rational += 1
        assert constants.rho_minus == pytest.approx(minus, abs=1e-8)
        assert constants.rho_tilde == pytest.approx(tilde, abs=1e-8)
        exact += constants.rho_minus_exact and constants.rho_tilde_exact
        unique += math.isfinite(constants.rho_tilde)
    assert 10 < unique < exact
    assert rational > 10


def test_large_supports_of_rank_below_m_are_bounded_and_say_so():
    problem, x = fd.datasets.gaussian(24, 40, 7, rng=4)
    constants = fd.null_space_constants(problem)
    assert np.array_equal(np.flatnonzero(x), fd.l1_minimizer(problem, 2).support)
    assert constants.rho_exact
    assert not constants.rho_minus_exact
    assert not constants.rho_tilde_exact
    rho, minus, tilde = naive(problem)
    assert constants.rho == pytest.approx(rho, abs=1e-8)
    assert constants.rho_minus >= minus - 1e-8
    assert constants.rho_tilde >= tilde - 1e-8


def test_a_face_has_vectors_of_the_kernel_on_the_support():
    constants = fd.null_space_constants(fd.datasets.plane())
    assert constants.rho == pytest.approx(0.5, abs=1e-15)
    assert constants.rho_minus == constants.rho_tilde == math.inf


@pytest.mark.parametrize("A", [[[1.0, 2.0]], [[0.0, 0.0]]])
def test_nothing_on_the_support(A):
    constants = fd.null_space_constants(fd.Problem(A, [0.0]))
    assert (constants.rho, constants.rho_minus, constants.rho_tilde) == (0.0, 0.0, 0.0)


def test_nothing_off_the_support():
    constants = fd.null_space_constants(fd.Problem([[1.0, 2.0], [0.0, 1.0]], [1.0, 1.0]))
    assert (constants.rho, constants.rho_minus, constants.rho_tilde) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("seed", range(6))
def test_least_maximum_by_homotopy_against_a_linear_program(seed):
    """The same maximum, attained by the same rows, and multipliers that prove it."""
    generator = np.random.default_rng(seed)
    n, f = int(generator.integers(40, 200)), int(generator.integers(2, 25))
    directions = generator.standard_normal((n, f))
    start = generator.standard_normal(n)
    z, rows, only = least_maximum(start, directions)
    values = start + directions @ z
    other, expected = null_space._linear_program(start, directions)
    assert only
    assert np.max(np.abs(values)) == pytest.approx(np.max(np.abs(start + directions @ other)))
    np.testing.assert_array_equal(rows, np.sort(expected))
    np.testing.assert_allclose(np.abs(values[rows]), np.max(np.abs(values)), rtol=1e-12)
    weights = np.linalg.svd((directions[rows] * np.sign(values[rows])[:, np.newaxis]).T)[2][-1]
    assert np.all(weights * np.sign(weights.sum()) > 0.0)


def test_least_maximum_leaves_what_is_degenerate():
    generator = np.random.default_rng(1)
    directions = np.round(generator.standard_normal((60, 4)))
    assert least_maximum(directions @ np.ones(4), directions) is None  # the maximum is 0
    assert least_maximum(np.zeros(60), directions) is None
    twice = np.vstack((directions, directions))
    found = least_maximum(np.round(generator.standard_normal(120)), twice)
    assert found is None or not found[2]


def test_rho_is_the_same_either_way(monkeypatch):
    problem, _ = fd.datasets.gaussian(30, 200, 4, rng=2)
    fast = fd.convergence_rate(problem, 2)
    monkeypatch.setattr(null_space, "least_maximum", lambda start, directions: None)
    slow = fd.convergence_rate(problem, 2)
    assert fast.rho == pytest.approx(slow.rho, abs=1e-13)
    assert fast.constant == pytest.approx(slow.constant, rel=1e-10)
    np.testing.assert_allclose(fast.direction, slow.direction, rtol=1e-9, atol=1e-12)
