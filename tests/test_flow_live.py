"""Radau where few of many coordinates are live: the others' force continued, then made exact."""

import math

import numba
import numpy as np
import pytest

import fastdln as fd
from fastdln.kernels.flow_live import choose, live_limit, new_live
from fastdln.results import Status


def gaussian(m, N, k, seed=0):
    rng = np.random.default_rng(seed)
    A, x = rng.standard_normal((m, N)) / math.sqrt(m), np.zeros(N)
    x[rng.choice(N, k, replace=False)] = rng.standard_normal(k)
    return fd.Problem(A, A @ x)


def times(problem, p, alpha):
    c = 4.0 if p == 2.0 else p * (p - 2.0) * alpha ** (p - 2.0)
    scale = -2.0 * math.log(alpha) if p == 2.0 else 1.0
    pull = np.max(np.abs(problem.A.T @ problem.y))
    return np.geomspace(0.05, 60.0, 40) * scale / (c * pull)


@numba.njit
def live_ones(p, b, L, least, keys, base, shift):
    live = new_live(3, keys.size)
    choose(p, keys, live_limit(p, b, L, least), base, shift, live)
    return live.which[: live.size[0]].copy()


CASES = [(2.0, 1e-4), (2.2, 1e-3), (2.5, 1e-3), (3.0, 3e-2), (4.0, 0.1)]


@pytest.mark.parametrize(("p", "alpha"), CASES)
def test_every_tolerance_is_kept(p, alpha):
    """Beside an explicit method, which knows nothing of live coordinates."""
    problem = gaussian(8, 160, 2)
    t = times(problem, p, alpha)
    exact = fd.gradient_flow(problem, p, alpha, t, method="dop853", rtol=1e-12)
    assert exact.status is Status.INTEGRATED
    for rtol in (1e-3, 1e-5, 1e-7, 1e-9, 1e-11):
        path = fd.gradient_flow(problem, p, alpha, t, method="radau", rtol=rtol)
        error = np.abs(path.psi - exact.psi) / (np.abs(exact.psi) + alpha**p)
        assert np.max(error) <= 5.0 * rtol


def test_passes_through_all_coordinates_are_few():
    """One pass or so an attempt, where iterations through all took three."""
    problem = gaussian(20, 400, 4)
    stats = fd.gradient_flow(problem, 3, 1e-2, 3000.0, method="radau", rtol=1e-6).stats
    attempts = stats.steps + stats.rejections
    assert stats.evaluations <= 1.6 * 7 * attempts


@pytest.mark.parametrize(("p", "log_alpha"), [(2.0, math.log(1e-3)), (3.0, -7.0), (2.2, -3.0)])
def test_what_is_not_live_has_a_small_slope(p, log_alpha):
    """The limit is on d psi / d tau ||a||^2; no coordinate within twice of it is wrong."""
    rng, N, b = np.random.default_rng(1), 500, 1.0 if p == 2.0 else p / (p - 2.0)
    eps, squares = math.exp(p * log_alpha), rng.uniform(0.1, 3.0, N)
    most = -p * log_alpha if p == 2.0 else 1.0
    tau = most * (1.0 - 10.0 ** rng.uniform(-2.0, 0.0, N)) * rng.choice([-1.0, 1.0], N)
    base, shift = np.zeros((4, N)), np.zeros((N, 8))
    shift[:, 3] = rng.uniform(-0.5, 0.5, N) * (most - np.abs(tau))
    if p == 2.0:
        base[0], keys = tau, np.log(squares)
    else:
        base[0], base[2], keys = 1.0 - tau, 1.0 + tau, squares ** (1.0 / (b + 1.0))
    slope = squares * eps * np.maximum(fd.h_prime(tau, p), fd.h_prime(tau + shift[:, 3], p))
    least, chosen = float(np.median(slope)), np.zeros(N, bool)
    chosen[live_ones(p, b, -p * log_alpha, least, keys, base, shift)] = True
    assert np.all(slope[~chosen] <= 2.0 * least)
    assert np.all(slope[chosen] >= 0.4 * least)
    assert 100 < np.sum(chosen) < 400
