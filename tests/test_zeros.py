"""Coordinates that are zero for every alpha: proved where they are, and only there."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from naive_limit import exact_eps, rational_rank
from naive_limit import flow_limit as naive_flow_limit

import fastdln as fd
from fastdln import Status
from fastdln._solver import solve_curve
from fastdln._zeros import proved_zeros

# exchanging the rows exchanges columns 0 and 1, keeps column 2 and turns column 3 round
_EXCHANGE = np.array([[0.1, 0.2, 0.1, 0.3], [0.2, 0.1, 0.1, -0.3]])
_ORDER, _SIGNS = [1, 0, 2, 3], [1.0, 1.0, 1.0, -1.0]
_Y = np.array([0.7, 0.7])


def _curve(A, y, p, log10_eps):
    high, low = exact_eps(log10_eps)
    return solve_curve(fd.Problem(A, y)._constraints, p, np.array([high]), np.array([low]), 400)


def _errors(psi, exact):
    """Largest relative error, and absolute."""
    with mpmath.workdps(120):
        away = [abs(mpmath.mpf(float(v)) - e) for v, e in zip(psi, exact, strict=True)]
        relative = [a / abs(e) if e else mpmath.inf * a for a, e in zip(away, exact, strict=True)]
        relative = [0 if mpmath.isnan(r) else r for r in relative]
        return float(max(relative)), float(max(away))


def _circle():
    """Eight columns, opposite ones equal up to sign; two are orthogonal to y."""
    angles = np.arange(8) * math.pi / 4
    return np.round([np.cos(angles), np.sin(angles)], 3), np.array([1.0, 0.0])


def _block():
    """y = 0 in the rows of the last three columns, which no other column meets."""
    A = np.zeros((3, 7))
    A[:2, :4], A[2, 4:] = _EXCHANGE, (1.0, -0.3, 0.1)
    return A, np.array([0.7, 0.7, 0.0])


CASES = {
    "exchange": (_EXCHANGE, _Y, [3]),
    "circle": (*_circle(), [2, 6]),
    "block": (*_block(), [3, 4, 5, 6]),
    "zero column": (np.array([[1.0, 0.5, 0.0]]), np.array([1.0]), [2]),
}


def test_the_exchange_of_rows_is_a_symmetry_in_rational_arithmetic():
    """The reference behind the case: ranks over the rationals, no float64 anywhere."""
    turned = np.column_stack((_SIGNS * _EXCHANGE[:, _ORDER], _Y))
    assert rational_rank(np.vstack((np.column_stack((_EXCHANGE, _Y)), turned))) == 2
    near = _EXCHANGE.copy()
    near[0, 3] = np.nextafter(0.3, 1.0)
    turned = np.column_stack((_SIGNS * near[:, _ORDER], _Y))
    assert rational_rank(np.vstack((np.column_stack((near, _Y)), turned))) > 2


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("name", CASES)
def test_what_is_zero_by_symmetry_is_zero(name, p):
    A, y, zero = CASES[name]
    alphas = np.array([2.0, 1e-3, 1e-9, 1e-60, 1e-200])
    limit = fd.flow_limit(fd.Problem(A, y), p, alphas)
    assert list(limit.status) == [Status.CONVERGED] * 5
    assert not limit.psi[:, zero].any()
    assert np.all(limit.log_abs_psi[:, zero] == -np.inf)
    others = np.setdiff1d(np.arange(A.shape[1]), zero)
    assert np.all(limit.log_abs_psi[:, others] > -np.inf)
    assert np.max(limit.error_bound) < 1e-13
    for slack in limit.slack[:, zero].T:
        np.testing.assert_array_equal(slack, -limit.log_eps if p == 2 else 1.0)


@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize("name", CASES)
def test_the_bounds_hold_beside_zeros(name, p):
    A, y, zero = CASES[name]
    for log10_eps in (0, -6):
        curve = _curve(A, y, p, log10_eps)
        exact = naive_flow_limit(A.tolist(), y.tolist(), p, log10_eps)
        assert all(abs(exact[j]) < 1e-50 for j in zero)
        exact = [mpmath.mpf(0) if j in zero else v for j, v in enumerate(exact)]
        relative, absolute = _errors(curve.psi[0], exact)
        assert relative <= curve.bounds[0, 0] < 1e-13
        assert absolute <= curve.bounds[0, 2] < 1e-13


@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize("where", [(0, 0), (0, 2), (0, 3)])
def test_a_last_digit_off_symmetry_is_no_symmetry(where, p):
    """psi is then of the size of rounding, and the bounds know what they do not know."""
    A = _EXCHANGE.copy()
    A[where] = np.nextafter(A[where], 1.0)
    assert not proved_zeros(A, _Y, np.array([False, False, False, True])).any()
    for log10_eps in (0, -6):
        curve = _curve(A, _Y, p, log10_eps)
        exact = naive_flow_limit(A.tolist(), _Y.tolist(), p, log10_eps)
        relative, absolute = _errors(curve.psi[0], exact)
        assert exact[3] != 0
        assert relative <= curve.bounds[0, 0]
        assert absolute <= curve.bounds[0, 2] < 1e-14


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0])
@pytest.mark.parametrize("alpha", [1.0, 1e-9, 1e-60])
def test_a_coupling_too_weak_for_double_double_is_one_all_the_same(alpha, p):
    """The last column is no symmetry's zero: psi there is of size 1e-200 eps, not of noise."""
    A = np.zeros((3, 5))
    A[:2, :4], A[2] = _EXCHANGE, (1e-200, 0.0, 0.0, 0.0, 1.0)
    limit = fd.flow_limit(fd.Problem(A, [0.7, 0.7, 0.0]), p, alpha)
    assert limit.status is Status.CONVERGED
    assert limit.error_bound == math.inf
    assert limit.absolute_bound < 1e-13


def test_signed_permutations_need_not_fix_the_other_coordinates():
    """Random problems with an exchange of rows, their columns in any order."""
    generator = np.random.default_rng(3)
    B, C, fixed = (generator.standard_normal(size) for size in ((8, 12), (4, 3), (4, 2)))
    other = np.roll(B, 4, axis=0)
    A = np.column_stack((B, other, np.vstack((C, -C)), np.vstack((fixed, fixed))))
    order = generator.permutation(A.shape[1])
    zero = np.isin(order, [24, 25, 26])
    half = generator.standard_normal(4)
    problem = fd.Problem(A[:, order], np.concatenate((half, half)))
    limit = fd.flow_limit(problem, 3, [1.0, 1e-5])
    np.testing.assert_array_equal(limit.psi == 0.0, [zero, zero])
    assert np.max(limit.error_bound) < 1e-11
    assert not limit.minimizer.psi[zero].any()
    same = fd.flow_limit([problem] * 8, 3, [1.0, 1e-5])  # several in one call of a kernel
    assert all(one.psi.tobytes() == limit.psi.tobytes() for one in same)
    assert all(one.error_bound.tobytes() == limit.error_bound.tobytes() for one in same)


def test_random_data_have_no_symmetry():
    generator = np.random.default_rng(1)
    for m, N in ((2, 4), (5, 20), (20, 60)):
        A, y = generator.standard_normal((m, N)), generator.standard_normal(m)
        assert not proved_zeros(A, y, np.ones(N, bool)).any()


def test_a_wide_problem_says_that_a_coordinate_may_be_zero():
    """Read in pieces, noise is told from a digit as well."""
    generator = np.random.default_rng(2)
    A = np.column_stack((_EXCHANGE, generator.standard_normal((2, 4100))))
    A = np.column_stack((A, A[::-1, 4:]))
    wide = fd.flow_limit(fd.Problem(A, _Y), 3, 1.0)
    assert wide.status is Status.CONVERGED
    assert wide.error_bound == math.inf
    assert abs(wide.psi[3]) <= wide.absolute_bound < 1e-13
