"""Pairs of doubles, against mpmath."""

import mpmath
import numpy as np
import pytest

from fastdln import _pairs

pytestmark = pytest.mark.nojit

ALPHAS = np.array([5e-324, 1e-300, 0.1, 0.9999999999999999, 1.0, 3.0, 1e308])
LOGS = np.array([-1e6, -1234.5, -1e-300, 0.0, 0.1, 700.0])


@pytest.mark.parametrize("p", [2.0, 2.2, 3.0, 7.7])
def test_log_eps_has_its_last_digits(p):
    with mpmath.workdps(60):
        for array, are_logs in ((ALPHAS, False), (LOGS, True)):
            high, low = _pairs.log_eps_pair(array, p, are_logs)
            for value, *pair in zip(array, high, low, strict=True):
                log_alpha = mpmath.mpf(value) if are_logs else mpmath.log(mpmath.mpf(value))
                exact = mpmath.mpf(p) * log_alpha
                error = abs(mpmath.mpf(pair[0]) + mpmath.mpf(pair[1]) - exact)
                assert error <= abs(exact) * 2.0**-104 + 5e-324  # a subnormal low part
                assert pair[0] == float(exact)


@pytest.mark.parametrize("p", [2.0000001, 2.2, 3.0, 5.5, 1e6])
def test_exponents_have_their_last_digits(p):
    with mpmath.workdps(60):
        exact = mpmath.mpf(p) / (mpmath.mpf(p) - 2)
        high, low = _pairs.exponent_pair(p)
        assert abs(mpmath.mpf(high) + mpmath.mpf(low) - exact) <= exact * 2.0**-104
