"""exp and log of the kernels against mpmath, and the fallback where there is no FMA."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from fastdln.kernels import coordinate_fast, elementary, intrinsics

pytestmark = pytest.mark.nojit
RNG = np.random.default_rng(5)


def relative(parts: tuple[float, ...], want: mpmath.mpf) -> float:
    return float(abs(mpmath.fsum(mpmath.mpf(v) for v in parts) - want) / abs(want))


def test_log_dd():
    points = [*10 ** RNG.uniform(-290, 290, 200), *(1 + 10 ** RNG.uniform(-15, -1, 100))]
    with mpmath.workdps(60):
        for x in points:
            want = mpmath.log(mpmath.mpf(float(x)))
            assert relative(elementary.log_dd(float(x), 0.0), want) < 2.0**-64
            assert relative(elementary.log_any_dd(float(x)), want) < 2.0**-64


def test_log_any_dd_at_the_ends():
    with mpmath.workdps(60):
        for x in (5e-324, 1e-310, 2.3e-308, 1.7e308):
            assert relative(elementary.log_any_dd(x), mpmath.log(mpmath.mpf(x))) < 2.0**-64


def test_log1p_dd():
    with mpmath.workdps(400):
        for x in [*10 ** RNG.uniform(-300, 17, 200), *-(10 ** RNG.uniform(-300, -0.1, 100))]:
            want = mpmath.log1p(mpmath.mpf(float(x)))
            assert relative(elementary.log1p_dd(float(x), 0.0), want) < 2.0**-64


def test_exponents_of_the_fast_form():
    points = [*RNG.uniform(0, 1, 200), *10 ** RNG.uniform(-30, 0, 100)]
    with mpmath.workdps(60):
        for p in (2.0203, 2.7, 11.0, 1000.0):
            e = coordinate_fast.exponents(p)
            b = mpmath.mpf(p) / (mpmath.mpf(p) - 2)
            for a in points:
                x = mpmath.mpf(float(a))
                got = coordinate_fast.growth(float(a), e)
                assert relative(got, -b * mpmath.log1p(-x) / mpmath.ln2) < 2.0**-57
                got = coordinate_fast.decline(float(a), float(a) * 1e-17, e)
                want = b * mpmath.log1p(x + mpmath.mpf(float(a) * 1e-17)) / mpmath.ln2
                weight = min(1.0, float(mpmath.mpf(2) ** -want) * 2)  # in h
                assert weight * relative(got, want) < 2.0**-51


def test_exp_parts():
    with mpmath.workdps(60):
        for x in RNG.uniform(-700, 700, 300):
            k, p, low = elementary.exp_parts(float(x), 1e-17)
            want = mpmath.exp(mpmath.mpf(float(x)) + mpmath.mpf(1e-17)) / mpmath.mpf(2) ** k
            assert relative((1.0, p, low), want) < 2.0**-56


def test_one_minus_exp_keeps_small_arguments():
    with mpmath.workdps(60):
        for x in [*10 ** RNG.uniform(-30, 2, 300), 150.0, 1e17]:
            want = -mpmath.expm1(-mpmath.mpf(float(x)))
            assert relative(elementary.one_minus_exp(float(x), 0.0), want) < 2.0**-55


def test_scale2_rounds_once():
    assert elementary.scale2(1.5, 1100) == np.inf
    assert elementary.scale2(1.25, 1023) == 1.25 * 2.0**1023
    assert elementary.scale2(1.0, -1074) == 5e-324


def test_fma_without_a_unit():
    fallback = intrinsics._fma_built
    exact = intrinsics._fma_exact
    for a, b, c in RNG.standard_normal((300, 3)) * 10 ** RNG.uniform(-20, 20, (300, 3)):
        a, b, c = float(a), float(b), float(c)
        assert fallback(a, b, -(a * b)) == exact(a, b, -(a * b))
        assert fallback(a, b, c) == exact(a, b, c)
    assert fallback(1e300, 1e-300, -1.0) == exact(1e300, 1e-300, -1.0)
