"""Products and factorisations, m x N dense: the kernels that limits and flows stand on."""

import numpy as np
import pytest

from fastdln.kernels import linear

_SIZES = [(20, 100), (50, 500), (200, 2000)]
_RNG = np.random.default_rng(0)


def _matrix(m, N):
    return _RNG.standard_normal((m, N)) / np.sqrt(N)


@pytest.mark.parametrize(("m", "N"), _SIZES)
def test_matvec(benchmark, m, N):
    A, x, out = _matrix(m, N), _RNG.standard_normal(N), np.empty(m)
    benchmark(linear.matvec, A, x, out)
    np.testing.assert_allclose(out, A @ x, atol=1e-12)


@pytest.mark.parametrize(("m", "N"), _SIZES)
def test_rmatvec(benchmark, m, N):
    A, w, out = _matrix(m, N), _RNG.standard_normal(m), np.empty(N)
    benchmark(linear.rmatvec, A, w, out)
    np.testing.assert_allclose(out, A.T @ w, atol=1e-12)


@pytest.mark.parametrize(("m", "N"), _SIZES)
def test_weighted_gram(benchmark, m, N):
    A, d, out = _matrix(m, N), _RNG.uniform(0.5, 2.0, N), np.empty((m, m))
    benchmark(linear.weighted_gram, A, d, out)
    np.testing.assert_allclose(np.triu(out), np.triu((A * d) @ A.T), atol=1e-11)


@pytest.mark.parametrize("m", [20, 50, 200])
def test_cholesky(benchmark, m):
    X = _matrix(m, 4 * m)
    M = X @ X.T + np.eye(m)
    benchmark.pedantic(linear.cholesky, setup=lambda: ((M.copy(),), {}), rounds=200)
    U = M.copy()
    linear.cholesky(U)
    np.testing.assert_allclose(np.triu(U).T @ np.triu(U), M, atol=1e-10)


@pytest.mark.parametrize("m", [20, 50, 200])
def test_cholesky_solve(benchmark, m):
    X = _matrix(m, 4 * m)
    M = X @ X.T + np.eye(m)
    U, b = M.copy(), _RNG.standard_normal(m)
    linear.cholesky(U)
    benchmark.pedantic(linear.cholesky_solve, setup=lambda: ((U, b.copy()), {}), rounds=200)
    x = b.copy()
    linear.cholesky_solve(U, x)
    np.testing.assert_allclose(M @ x, b, atol=1e-10)
