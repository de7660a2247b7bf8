"""A in blocks of columns, for explicit methods: its products beside NumPy's, and bit by bit."""

import math

import numba
import numpy as np
import pytest

import fastdln as fd
from fastdln import _flow_run
from fastdln._flow_run import flow_of
from fastdln.kernels.flow_blocks import (
    WIDTH,
    across,
    add_blocks,
    add_plain,
    blocks_of,
    fold_blocks,
    fold_plain,
    padded,
)
from fastdln.kernels.flow_rhs import DUAL, derivative

SIZES = [(1, 1), (3, 31), (4, 32), (7, 33), (20, 100), (41, 257)]


@numba.njit
def products(blocks, x, psi, tau, sums, out):
    fold_blocks(blocks, 0, blocks.shape[0], x, tau)
    add_blocks(blocks, 0, blocks.shape[0], psi, sums)
    across(sums, out)


@numba.njit
def products_plain(blocks, x, psi, tau, sums, out):
    for b in range(blocks.shape[0]):
        fold_plain(blocks, b, x, tau)
        add_plain(blocks, b, psi, sums)
    across(sums, out)


def results(kernel, A, x, psi):
    blocks = blocks_of(A)
    wide = blocks.shape[0] * WIDTH
    long, tau = np.zeros(wide), np.full(wide, math.nan)
    long[: psi.size] = psi
    out = np.full(x.size, math.nan)
    kernel(blocks, x, long, tau, np.zeros((x.size, 8)), out)
    return tau, out


@pytest.mark.parametrize(("m", "N"), SIZES)
def test_products(m, N):
    rng = np.random.default_rng(m)
    A, x, psi = rng.standard_normal((m, N)), rng.standard_normal(m), rng.standard_normal(N)
    tau, out = results(products, A, x, psi)
    assert np.max(np.abs(tau[:N] - A.T @ x)) <= 1e-15 * m * np.max(np.abs(A.T) @ np.abs(x))
    assert np.max(np.abs(out - A @ psi)) <= 1e-15 * N * np.max(np.abs(A) @ np.abs(psi))
    assert np.all(tau[N:] == 0.0)
    for one, other in zip(results(products_plain, A, x, psi), (tau, out), strict=True):
        np.testing.assert_array_equal(one, other)


def test_blocks_hold_all_of_A_once():
    A = np.random.default_rng(0).standard_normal((5, 70))
    blocks = blocks_of(A)
    np.testing.assert_array_equal(np.concatenate(list(blocks), axis=1)[:, :70], A)
    assert np.count_nonzero(blocks) == A.size


@numba.njit
def slope(flow, x, out):
    wide = padded(flow)
    derivative(DUAL, flow, x, np.empty(wide), np.empty(wide), out)


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 7.5])
@pytest.mark.parametrize(("m", "N"), [(3, 5), (20, 100), (60, 300)])
def test_the_force_is_that_without_blocks(p, m, N):
    rng = np.random.default_rng(N)
    A = rng.standard_normal((m, N)) / math.sqrt(m)
    x = rng.standard_normal(m)
    x *= (9.0 if p == 2.0 else 0.9) / np.max(np.abs(A.T @ x))
    flow = flow_of(fd.Problem(A, rng.standard_normal(m)), p, -4.0)
    plain, blocked = np.empty(m), np.empty(m)
    slope(flow, x, plain)
    slope(flow._replace(blocks=blocks_of(flow.A)), x, blocked)
    scale = flow.c * np.max(np.abs(flow.y) + np.abs(A) @ np.abs(flow.eps * fd.h(A.T @ x, p)))
    # tau is rounded differently, and h_p makes more of that near its pole
    assert np.max(np.abs(plain - blocked)) <= 2e-13 * scale


@pytest.mark.parametrize("N", [5, 32, 100])
def test_explicit_and_implicit_agree(N):
    rng = np.random.default_rng(N)
    problem = fd.Problem(rng.standard_normal((3, N)), rng.standard_normal(3))
    t = np.linspace(0.1, 4.0, 20)
    one = fd.gradient_flow(problem, 2, 1e-2, t, method="tsit5", rtol=1e-9)
    other = fd.gradient_flow(problem, 2, 1e-2, t, method="radau", rtol=1e-11)
    assert np.max(np.abs(one.psi - other.psi) / (np.abs(other.psi) + 1e-4)) <= 5e-9
    np.testing.assert_allclose(one.u, other.u, rtol=1e-8)
    np.testing.assert_allclose(one.v, other.v, rtol=1e-8)
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-7, atol=1e-17)


@pytest.mark.parametrize(
    ("m", "N", "first"), [(150, 200, "radau"), (160, 300, "radau"), (200, 250, "tsit5")]
)
def test_auto_starts_with_the_cheaper_step(m, N, first):
    """Radau's m^3 beside the m N of a product."""
    rng = np.random.default_rng(m)
    problem = fd.Problem(rng.standard_normal((m, N)), rng.standard_normal(m))
    path = fd.gradient_flow(problem, 2, 0.1, 1e-4, rtol=1e-4)
    assert path.stats.methods == ((first, 0.0),)


@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
def test_an_explicit_start_gives_way_to_radau(monkeypatch, rtol):
    monkeypatch.setattr(_flow_run, "_NARROW", 0)
    monkeypatch.setattr(_flow_run, "_NARROW_IF_WIDE", 0)
    problem, t = fd.datasets.random(), np.array([1.0, 5.0, 30.0, 500.0, 3000.0])
    path = fd.gradient_flow(problem, 2, 1e-2, t, rtol=rtol)
    names = [name for name, _ in path.stats.methods]
    assert names == ["tsit5" if rtol > 1e-5 else "dop853", "radau"]
    exact = fd.gradient_flow(problem, 2, 1e-2, t, method="radau", rtol=1e-12).psi
    assert np.max(np.abs(path.psi - exact) / (np.abs(exact) + 1e-4)) <= 5 * rtol
