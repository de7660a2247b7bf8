"""Rows of eights: the tridiagonal form of a symmetric matrix, and what is made of it."""

import numba
import numpy as np
import pytest

from fastdln.kernels.flow_modes import factor, new_newton, set_stride, solve_modes
from fastdln.kernels.octets import reflect
from fastdln.kernels.tridiagonal import reduce_rows

pytestmark = pytest.mark.nojit


@numba.njit
def reduced(K, n, diagonal, side, tau, turns):
    reduce_rows(K, n, diagonal, side, tau, turns)


@numba.njit
def solved(columns, squares, slope, least, mu, cH, Z):
    m, N = columns.shape[1], columns.shape[0]
    newton = new_newton(m, N)
    factor(columns, squares, slope, 7, 4, least, newton)
    set_stride(mu, cH, newton)
    solve_modes(mu, cH, newton, Z)
    return newton.size[0]


@numba.njit
def reflected(v, first, t, Z):
    reflect(v, first, v.size, t, Z)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13, 21])
@pytest.mark.parametrize("scale", [1.0, 1e-140, 1e140])
def test_reduction_is_undone_by_its_reflections(n, scale):
    rng = np.random.default_rng(n)
    G = rng.standard_normal((n, n + 2))
    exact = G @ G.T
    K = np.zeros((n, -(-n // 8) * 8))
    K[:, :n] = scale * exact
    diagonal, side, tau, turns = np.zeros(n), np.zeros(n), np.zeros(n), np.full(K.shape, np.nan)
    reduced(K, n, diagonal, side, tau, turns)
    T = np.diag(diagonal) + np.diag(side[: n - 1], 1) + np.diag(side[: n - 1], -1)
    Q = np.eye(n)
    for v, t in zip(turns[: n - 1, :n], tau[: n - 1], strict=True):
        Q = Q @ (np.eye(n) - t * np.outer(v, v))
    assert np.max(np.abs(Q @ (T / scale) @ Q.T - exact)) <= 1e-14 * n * np.max(np.abs(exact))


@pytest.mark.parametrize(("m", "N", "active"), [(5, 9, 3), (5, 9, 9), (9, 17, 8), (1, 4, 2)])
def test_modes_are_solved(m, N, active):
    """Few active coordinates, and all: both forms of the matrix."""
    rng = np.random.default_rng(N)
    columns, slope = rng.standard_normal((N, m)), np.full((N, 8), 1e-30)
    slope[rng.choice(N, active, replace=False)] = rng.uniform(0.5, 2.0, (active, 1))
    mu, cH = np.array([[0.3, 0.2, 0.1], [0.0, 0.4, 0.7]]), 1.7
    Z = np.zeros((m, 8))
    Z[:, [0, 1, 2, 5, 6]] = rng.standard_normal((m, 5))
    right, squares = Z.copy(), np.sum(columns**2, axis=1)
    with np.errstate(all="ignore"):  # rows that fill up a four hold anything
        assert solved(columns, squares, slope, 1e-20, mu, cH, Z) == active
    K = columns.T @ (slope[:, 4:5] * columns)
    for mode in range(3):
        matrix = np.eye(m) + cH * (mu[0, mode] + 1j * mu[1, mode]) * K
        exact = np.linalg.solve(matrix, right[:, mode] + 1j * right[:, 4 + mode])
        np.testing.assert_allclose(Z[:, mode] + 1j * Z[:, 4 + mode], exact, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(Z[:, [3, 4, 7]], 0.0)


def test_reflection_of_eight_columns():
    rng = np.random.default_rng(0)
    v, Z = rng.standard_normal(11), rng.standard_normal((11, 8))
    exact = Z.copy()
    exact[3:] -= 0.7 * np.outer(v[3:], v[3:] @ Z[3:])
    reflected(v, 3, 0.7, Z)
    np.testing.assert_allclose(Z, exact, rtol=1e-14, atol=1e-15)
