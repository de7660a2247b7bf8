"""The dense kernels behind the limits, against NumPy, mpmath and rational arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from naive_limit import rational_rank

from fastdln.kernels import blocked, compensated, exact, extended, linear, select, tableau


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 5), (7, 64), (13, 7), (30, 41), (40, 1100), (65, 130)]
)
def test_products_agree_with_numpy(generator, shape):
    m, N = shape
    A, x, w = generator.standard_normal(shape), generator.standard_normal(N), np.empty(m)
    linear.matvec(A, x, w)
    np.testing.assert_allclose(w, A @ x, rtol=1e-12, atol=1e-13)
    back = np.empty(N)
    linear.rmatvec(A, w, back)
    np.testing.assert_allclose(back, A.T @ w, rtol=1e-12, atol=1e-12)
    d = generator.random(N)
    gram = np.empty((m, m))
    linear.weighted_gram(A, d, gram)
    np.testing.assert_allclose(gram, (A * d) @ A.T, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 5), (13, 7), (30, 41), (66, 130)])
def test_two_products_are_those_of_each(generator, shape):
    m, N = shape
    A, X, W = (generator.standard_normal(size) for size in (shape, (2, N), (2, m)))
    rows, columns, row, column = np.empty((2, m)), np.empty((2, N)), np.empty(m), np.empty(N)
    linear.two_matvecs(A, X[0], X[1], rows[0], rows[1])
    linear.two_rmatvecs(A, W[0], W[1], columns[0], columns[1])
    for k in range(2):
        linear.matvec(A, X[k], row)
        np.testing.assert_array_equal(rows[k], row)
        linear.rmatvec(A, W[k], column)
        np.testing.assert_array_equal(columns[k], column)


@pytest.mark.parametrize("shape", [(3, 5), (16, 64), (21, 150)])
def test_sums_of_absolute_values(generator, shape):
    m, N = shape
    A, left = generator.standard_normal(shape), generator.standard_normal((m, m))
    weights, out = generator.random(N), generator.random(m)
    expected = out + np.abs(left @ A) @ weights
    blocked.add_absolute_sums(left, A, weights, out)
    np.testing.assert_allclose(out, expected, rtol=1e-13)


@pytest.mark.parametrize("m", [1, 3, 4, 15, 16, 33, 48, 77])
def test_square_products_and_inverses(generator, m):
    X, Y, out = (
        generator.standard_normal((m, m)),
        generator.standard_normal((m, m)),
        np.empty((m, m)),
    )
    linear.multiply(X, Y, out)
    np.testing.assert_allclose(out, X @ Y, rtol=1e-11, atol=1e-12)
    M = X + m * np.eye(m)
    np.testing.assert_allclose(linear.inverse_of(M) @ M, np.eye(m), atol=1e-12)
    swapped = np.roll(np.eye(m), 1, axis=0)  # no pivot on the diagonal
    np.testing.assert_array_equal(linear.inverse_of(swapped), swapped.T)


@pytest.mark.parametrize("shape", [(13, 40), (20, 300), (37, 130)])
def test_pieces_and_columns_of_weight_zero(generator, shape):
    m, N = shape
    A, d = generator.standard_normal(shape), generator.random(N)
    d[generator.random(N) < 0.4] = 0.0
    whole, some, gram = np.empty((m, m)), np.empty((m, m)), np.empty((m, m))
    linear.weighted_gram(A, d, whole)
    kept = d != 0.0
    linear.weighted_gram(np.ascontiguousarray(A[:, kept]), d[kept], some)
    np.testing.assert_array_equal(whole, some)
    total = np.zeros(linear.padded_size(m))
    for start, stop in ((0, N // 3), (N // 3, N)):
        linear.add_columns(A, d, start, stop, total)
    linear.unfold(total, gram)
    np.testing.assert_array_equal(whole, gram)


@pytest.mark.parametrize("m", [1, 7, 16, 45, 48, 83])
def test_inverse_from_a_factor_and_upper_products(generator, m):
    X, Y = generator.standard_normal((2, m, m))
    M, inverse, upper = X @ X.T + np.eye(m), np.empty((m, m)), np.empty((m, m))
    U = M.copy()
    assert linear.cholesky(U)
    linear.invert_factored(U, inverse)
    np.testing.assert_allclose(inverse @ M, np.eye(m), atol=1e-10)
    np.testing.assert_array_equal(inverse, inverse.T)
    linear.multiply_upper(X, Y, upper)
    np.testing.assert_allclose(np.triu(upper), np.triu(X @ Y), rtol=1e-11, atol=1e-12)


def test_cholesky_solves_and_refuses(generator):
    A = generator.standard_normal((6, 9))
    M = A @ A.T
    b = generator.standard_normal(6)
    U, x = M.copy(), b.copy()
    assert linear.cholesky(U)
    linear.cholesky_solve(U, x)
    np.testing.assert_allclose(M @ x, b, rtol=1e-9)
    assert not linear.cholesky(-M)


@pytest.mark.parametrize("m", [48, 83])
def test_cholesky_in_tiles(generator, m):
    X = generator.standard_normal((m, 2 * m))
    M, b = X @ X.T, generator.standard_normal(m)
    U, x = M.copy(), b.copy()
    assert linear.cholesky(U)
    np.testing.assert_allclose(np.triu(U), np.linalg.cholesky(M).T, atol=1e-12 * m)
    np.testing.assert_array_equal(np.tril(U, -1), np.tril(M, -1))
    linear.cholesky_solve(U, x)
    np.testing.assert_allclose(M @ x, b, atol=1e-10)
    M[m - 1, m - 1] -= 1.01 * U[m - 1, m - 1] ** 2  # not definite, in the very last row
    assert not linear.cholesky(M)


@pytest.mark.nojit
@pytest.mark.parametrize("N", [1, 7, 8, 100])
def test_compensated_products_are_right_under_cancellation(generator, N):
    """Against mpmath, where a plain product loses every digit."""
    A = generator.standard_normal((2, N)) * 10.0 ** generator.integers(-8, 9, (2, N))
    x_hi = generator.standard_normal(N)
    A[:, -1] = -(A[:, :-1] @ x_hi[:-1]) / x_hi[-1]
    x_lo = x_hi * 2.0**-54 * generator.uniform(-1, 1, N)
    hi, lo = np.empty(2), np.empty(2)
    compensated.matvec_dd(A, x_hi, x_lo, hi, lo)
    with mpmath.workdps(60):
        for i in range(2):
            terms = [mpmath.mpf(a) * (mpmath.mpf(h) + mpmath.mpf(e))
                     for a, h, e in zip(A[i], x_hi, x_lo, strict=True)]  # fmt: skip
            size = float(sum(abs(t) for t in terms))
            assert abs(float(sum(terms) - mpmath.mpf(hi[i]) - mpmath.mpf(lo[i]))) <= 1e-29 * size


@pytest.mark.nojit
def test_compensated_transpose(generator):
    A = generator.standard_normal((3, 5))
    w_hi, w_lo = generator.standard_normal(3), 1e-17 * generator.standard_normal(3)
    hi, lo = np.empty(5), np.empty(5)
    compensated.rmatvec_dd(A, w_hi, w_lo, hi, lo)
    with mpmath.workdps(60):
        for j in range(5):
            exact_value = sum(
                mpmath.mpf(A[i, j]) * (mpmath.mpf(w_hi[i]) + mpmath.mpf(w_lo[i])) for i in range(3)
            )
            assert abs(float(exact_value - mpmath.mpf(hi[j]) - mpmath.mpf(lo[j]))) < 1e-30


@pytest.mark.nojit
def test_double_double_arithmetic(generator):
    """Each operation within its published bound, on 2000 random pairs."""
    with mpmath.workdps(60):
        for _ in range(2000):
            a_hi, b_hi = generator.standard_normal(2) * 10.0 ** generator.integers(-5, 6, 2)
            a_lo, b_lo = generator.uniform(-0.5, 0.5, 2) * np.spacing([a_hi, b_hi])
            a, b = mpmath.mpf(a_hi) + a_lo, mpmath.mpf(b_hi) + b_lo
            for operation, exact_value, units in (
                (extended.dd_add, a + b, 3), (extended.dd_mul, a * b, 5),
                (extended.dd_div, a / b, 15),
            ):  # fmt: skip
                hi, lo = operation(a_hi, a_lo, b_hi, b_lo)
                error = abs((mpmath.mpf(hi) + mpmath.mpf(lo) - exact_value) / exact_value)
                assert float(error) <= units * 2.0**-106


def test_solve_in_double_double(generator):
    M = generator.standard_normal((5, 5))
    b, zero = generator.standard_normal(5), np.zeros(5)
    hi, lo = np.empty(5), np.empty(5)
    tableau.solve_dd(M, np.linalg.inv(M), b, zero, hi, lo)
    with mpmath.workdps(60):
        x = mpmath.lu_solve(mpmath.matrix(M.tolist()), mpmath.matrix(b.tolist()))
        for i in range(5):
            assert abs(float(x[i] - mpmath.mpf(hi[i]) - mpmath.mpf(lo[i]))) < 1e-28


def test_basis_prefers_weight_and_skips_dependent_columns():
    A = np.array([[1.0, 2.0, 0.0, 1.0], [1.0, 2.0, 1.0, 0.0]])
    squares = (A**2).sum(axis=0)
    columns = np.empty(2, np.int64)
    # column 1 is twice column 0: however heavy both are, only one of them may enter
    assert select.select_basis(A, np.array([1e300, 1e299, 1e-200, 1.0]), squares, columns)
    assert sorted(columns) == [0, 3]
    assert not select.select_basis(A[:, :2].copy(), np.ones(2), squares[:2], columns)


@pytest.mark.nojit
def test_exact_rank_against_rationals(generator):
    for _ in range(60):
        rows, columns = generator.integers(1, 6, 2)
        M = generator.integers(-2, 3, (rows, columns)) / 2.0 ** generator.integers(0, 60, columns)
        if rows > 2:
            M[-1] = M[0] - 3 * M[1]
        assert exact.exact_rank(M) == rational_rank(M)


@pytest.mark.nojit
def test_exact_rank_sees_the_last_bit():
    M = np.array([[0.1, 0.3], [0.2, 0.6]])
    assert exact.exact_rank(M) == rational_rank(M) == 1
    M[1, 1] = np.nextafter(0.6, 1.0)
    assert exact.exact_rank(M) == rational_rank(M) == 2
    assert exact.exact_rank(np.array([[5e-324, 1.0], [1.0, 1e308]])) == 2


def test_tiles_are_fused_sums_in_order(generator):
    """The same bits on every processor, however many rows of a tile have registers at once."""
    X, Y = generator.standard_normal((2, 19, 19))
    out = np.empty((19, 19))
    linear.multiply(X, Y, out)
    for i, k in itertools.product(range(19), range(19)):
        total = 0.0
        for n in range(19):
            total = float(Fraction(X[i, n]) * Fraction(Y[n, k]) + Fraction(total))
        assert out[i, k] == total
