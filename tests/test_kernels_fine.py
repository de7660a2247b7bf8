"""exp, log and |psi| as sums of two numbers, against mpmath in 60 digits and more."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from fastdln.kernels import fine
from fastdln.kernels.magnitude import power_of

pytestmark = pytest.mark.nojit
DIGITS = 90
DEPTHS = [2.001, 2.05, 2.2, 2.5, 3.0, 4.0, 10.0]
LEVELS = [-300.0, -1.0, 0.3, 20.0, 300.0, 690.0, 2000.0, 1e6]  # of L
RNG = np.random.default_rng(8)


def pair(x: mpmath.mpf) -> tuple[float, float]:
    """The sum of two doubles nearest to x."""
    hi = float(x)
    return hi, float(x - hi)


def total(hi: float, lo: float) -> mpmath.mpf:
    return mpmath.mpf(hi) + mpmath.mpf(lo)


def near(x: float) -> tuple[float, float]:
    """x and some lower part."""
    return float(x), float(x) * 2.0**-53 * float(RNG.uniform(-1.0, 1.0))


def test_exp_fine_where_it_is_not_reduced():
    """q = exp(x) - 1 to 2**-98 of itself, however small x is."""
    ends = [0.3465735, -0.3465735, 0.34, -0.33, 1e-17, -1e-100]
    points = [*RNG.uniform(-0.3465, 0.3465, 500), *10 ** RNG.uniform(-100, -1, 100), *ends]
    with mpmath.workdps(DIGITS + 110):
        for x in points:
            hi, lo = near(x)
            k, q, q_lo = fine.exp_fine(hi, lo)
            want = mpmath.expm1(total(hi, lo))
            assert k == 0
            assert abs(total(q, q_lo) - want) <= mpmath.mpf(2) ** -98 * abs(want)


def test_exp_fine_over_the_whole_range():
    """1 + q to 2**-98 and the rounding of what is reduced."""
    with mpmath.workdps(DIGITS):
        for x in [*RNG.uniform(-1500, 1500, 500), -1500.0, 1500.0, 0.0, -100.0, 709.0]:
            hi, lo = near(x)
            k, q, q_lo = fine.exp_fine(hi, lo)
            want = mpmath.exp(total(hi, lo) - k * mpmath.log(2)) - 1
            assert abs(q) < 0.4143
            off = abs(total(q, q_lo) - want)
            assert off <= 0.42 * mpmath.mpf(2) ** -98 + abs(hi) * mpmath.mpf(2) ** -105


def test_log_fine():
    middle = [*RNG.uniform(0.68, 1.42, 400), 0.70711, 1.41421]
    points = [*10 ** RNG.uniform(-300, 300, 200), *(1 + 10 ** RNG.uniform(-15, -1, 100))]
    points += [*(1 - 10 ** RNG.uniform(-15, -0.1, 100)), *middle, 2.0**-999, 2.0**999]
    with mpmath.workdps(DIGITS):
        for x in points:
            hi, lo = pair(total(*near(x)))
            got = total(*fine.log_fine(hi, lo, *pair(total(hi, lo) - 1)))
            want = mpmath.log(total(hi, lo))
            assert abs(got - want) <= mpmath.mpf(2) ** -98 * abs(want)


def check(got: tuple[float, float], want: mpmath.mpf, L: float) -> None:
    claimed = mpmath.mpf(fine.UNIT) * (1500 + abs(mpmath.mpf(L)))
    assert got[0] + got[1] == got[0]
    assert abs(total(*got) - want) <= claimed * want


@pytest.mark.parametrize("L", LEVELS)
def test_magnitude_fine_2(L):
    """|psi| up to 1e300 and down to eps * 1e-100, in a unit where that would underflow."""
    L_pair = near(L)
    sizes = [*10 ** RNG.uniform(-100, 0.0, 30), *(max(L, 0.0) + RNG.uniform(-600, 600, 40)), 0.4999]
    with mpmath.workdps(DIGITS + 110):
        for a in sizes:
            a_pair = near(abs(a))
            d = total(*L_pair) - total(*a_pair)
            unit = 0.0 if abs(d) < 600 else -float(d)
            got = fine.magnitude_fine_2(*a_pair, *pair(d), unit)
            d, low = total(*pair(d)), total(*a_pair)
            want = mpmath.exp(-d - mpmath.mpf(unit)) * -mpmath.expm1(-2 * low)
            check(got, want, L)


@pytest.mark.parametrize("p", DEPTHS)
def test_magnitude_fine_p(p):
    """The same for every depth; |tau| from 1e-100 to 1 less a slack that psi stays finite with."""
    with mpmath.workdps(DIGITS + 110):
        exact = mpmath.mpf(p) / (mpmath.mpf(p) - 2)
        power = power_of(p)
        for L in LEVELS:
            L_pair = near(L)
            support = [-(L + v) / power[0] for v in RNG.uniform(-600, 600, 14)]  # log of slacks
            slacks = [math.exp(v) for v in support if -690.0 < v < -0.01]
            sizes = [*10 ** RNG.uniform(-100, 0.0, 8), 0.3, 0.31, 0.5]
            for s in [*(mpmath.mpf(v) for v in slacks), *(1 - mpmath.mpf(a) for a in sizes)]:
                s_pair = pair(s)
                a_pair = pair(1 - total(*s_pair)) if s < 0.9 else pair(1 - s)
                # 1 - |tau| near 1 and |tau| are both as given to the kernel
                slack = total(*s_pair) if s < 0.9 else 1 - total(*a_pair)
                u = -exact * mpmath.log(slack) - total(*L_pair)
                unit = 0.0 if abs(u) < 600 else float(u)
                got = fine.magnitude_fine_p(*power, *a_pair, *s_pair, *L_pair, unit)
                w = exact * (mpmath.log1p(1 - slack) - mpmath.log(slack))
                check(got, mpmath.exp(u - mpmath.mpf(unit)) * -mpmath.expm1(-w), L)
