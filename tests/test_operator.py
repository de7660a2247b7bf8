"""Problems whose A is sparse, a LinearOperator, or a file: the same limits as of the array."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from naive_limit import exact_eps
from scipy.fft import dct, idct
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import fastdln as fd
from fastdln import Status
from fastdln._matrix_free_gram import follow_pieces
from fastdln.limit import _of_columns


def subsampled_cosines(m, N, sparsity, seed=0):
    """Rows of the orthonormal DCT, and y of a sparse signal: (operator, array, y)."""
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.choice(N, m, replace=False))

    def spread(dual):
        out = np.zeros(N)
        out[rows] = np.ravel(dual)
        return idct(out, norm="ortho")

    operator = LinearOperator(
        (m, N), lambda x: dct(np.ravel(x), norm="ortho")[rows], spread, dtype=float
    )
    array = np.array([spread(row) for row in np.eye(m)])
    x = np.zeros(N)
    x[generator.choice(N, sparsity, replace=False)] = generator.choice([-1.0, 1.0], sparsity)
    return operator, array, array @ x


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, sp.coo_matrix, aslinearoperator])
def test_reference_tables_through_other_forms(reference, form):
    """Where a dense copy is affordable it is made, and every digit is the same."""
    for case in reference("flow_limits"):
        A, y = np.array(case["A"], float), np.array(case["y"], float)
        dense, other = fd.Problem(A, y), fd.Problem(form(A), y)
        np.testing.assert_array_equal(other.dense, A)
        for p in (2.0, 3.0):
            first, second = (fd.flow_limit(q, p, [1e-2, 1e-30]) for q in (dense, other))
            assert first.psi.tobytes() == second.psi.tobytes()
            assert first.deviation.tobytes() == second.deviation.tobytes()


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 6.0])
def test_products_alone_reach_the_dense_limits(p):
    operator, A, y = subsampled_cosines(60, 300, 5)
    log_alpha = np.log([1.0, 1e-4, 1e-9]) / p
    exact = fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_alpha)
    limit = fd.flow_limit(fd.Problem(operator, y, memory_budget=0), p, log_alpha=log_alpha)
    assert all(status is Status.RESIDUAL for status in limit.status)
    assert np.all(limit.residual < 1e-13)
    assert np.all(np.isinf(limit.error_bound))
    # the operator's rounding, 1e-16, is as large as 1e-7 eps: what sums to zero feels it
    for k, tolerance in enumerate((1e-8, 1e-8, 1e-5)):
        eps = math.exp(limit.log_eps[k])
        np.testing.assert_allclose(limit.psi[k], exact.psi[k], rtol=tolerance, atol=tolerance * eps)
        np.testing.assert_allclose(limit.slack[k], exact.slack[k], rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, sp.coo_array])
def test_large_sparse_matrices(form):
    generator = np.random.default_rng(3)
    A = generator.standard_normal((40, 200)) * (generator.random((40, 200)) < 0.2)
    y = A[:, :4] @ np.array([1.0, -2.0, 0.5, 3.0])
    given = form(A)
    before = given.data.tobytes()
    limit = fd.flow_limit(fd.Problem(given, y, memory_budget=0), 3, 1e-3)
    assert given.data.tobytes() == before
    exact = fd.flow_limit(fd.Problem(A, y), 3, 1e-3)
    np.testing.assert_allclose(limit.psi, exact.psi, rtol=1e-5, atol=1e-14)


def test_duplicate_entries_are_summed_in_a_copy():
    given = sp.csc_array(([4.0, 1.0, 2.0], [1, 0, 0], [0, 1, 3, 3]), shape=(2, 3))
    problem = fd.Problem(given, [1.0, 1.0])
    assert given.nnz == 3
    np.testing.assert_array_equal(problem.dense, [[0.0, 3.0, 0.0], [4.0, 0.0, 0.0]])


def _operator(matvec, rmatvec, shape=(2, 3)):
    return LinearOperator(shape, matvec, rmatvec, dtype=float)


MATRIX = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 1.0]])


@pytest.mark.parametrize(
    ("A", "error", "message"),
    [
        (
            _operator(lambda x: MATRIX @ x, lambda l: -MATRIX.T @ l),
            ValueError,
            r"A.rmatvec must be the adjoint of A.matvec, got <A x, l> = \S+ but <x, A\^T l> = \S+",
        ),
        (
            _operator(lambda x: MATRIX @ x * np.nan, lambda l: MATRIX.T @ l),
            ValueError,
            r"A.matvec must return finite numbers, got nan at index \[0\]",
        ),
        (
            _operator(lambda x: MATRIX @ x, lambda l: MATRIX.T @ l / 0.0 * np.array([0, 1, 1])),
            ValueError,
            r"A.rmatvec must return finite numbers, got \S+ at index \[\d\]",
        ),
        (
            LinearOperator((2, 3), lambda x: MATRIX @ x, dtype=float),
            TypeError,
            "A must define rmatvec, the product with its transpose",
        ),
        (
            LinearOperator((2, 3), lambda x: MATRIX @ x, lambda l: MATRIX.T @ l, dtype=complex),
            TypeError,
            "A must hold real numbers, got dtype complex128",
        ),
        (
            sp.csr_array(np.array([[0.0, 1.0, 0.0], [2.0, 0.0, np.inf]])),
            ValueError,
            r"A must be finite, got inf at index \[1, 2\]",
        ),
        (
            sp.csr_array(MATRIX.astype(complex)),
            TypeError,
            "A must hold real numbers, got dtype complex128",
        ),
        (sp.csr_array((0, 3)), ValueError, r"A must not be empty, got shape \(0, 3\)"),
    ],
)
def test_bad_operators_are_named(A, error, message):
    with np.errstate(all="ignore"), pytest.raises(error, match=message) as caught:
        fd.Problem(A, np.ones(2)[: A.shape[0]])
    assert "\n" not in str(caught.value)


def test_a_product_that_turns_bad_later_is_named():
    calls = []

    def matvec(x):
        calls.append(1)
        return MATRIX @ x * (1.0 if len(calls) < 20 else np.nan)

    operator = _operator(matvec, lambda l: MATRIX.T @ l)
    problem = fd.Problem(operator, [1.0, 0.5], memory_budget=0)
    with pytest.raises(ValueError, match=r"A.matvec must return finite numbers, got nan"):
        fd.flow_limit(problem, 3, 1e-3)


def test_what_needs_the_array_says_so():
    operator, _, y = subsampled_cosines(20, 60, 3)
    problem = fd.Problem(operator, y, memory_budget=1000)
    for call in (fd.convergence_rate, lambda q, _: fd.null_space_constants(q)):
        with pytest.raises(ValueError, match="A must fit into memory_budget = 1000 bytes as a de"):
            call(problem, 3)


def test_iteration_limit_gives_the_last_point_of_the_path():
    operator, A, y = subsampled_cosines(60, 300, 5)
    problem = fd.Problem(operator, y, memory_budget=0)
    limit = fd.flow_limit(problem, 3, 1e-3, max_iterations=8)
    assert limit.status is Status.ITERATION_LIMIT
    assert limit.residual == pytest.approx(np.linalg.norm(A @ limit.psi - y), rel=1e-9)
    assert limit.residual < 0.1 * np.linalg.norm(y)


def test_an_unreachable_y_is_not_called_solved():
    A = np.vstack((MATRIX, MATRIX[0]))
    operator = _operator(lambda x: A @ x, lambda l: A.T @ l, (3, 3))
    limit = fd.flow_limit(fd.Problem(operator, [1.0, 0.5, 2.0], memory_budget=0), 3, 1e-3)
    assert limit.status in (Status.INACCURATE, Status.BREAKDOWN, Status.ITERATION_LIMIT)
    assert limit.residual > 0.1


def test_interrupt_is_heard_between_products():
    class Stopped(Exception):
        pass

    calls = []

    def matvec(x):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return MATRIX @ x

    problem = fd.Problem(_operator(matvec, lambda l: MATRIX.T @ l), [1.0, 0.5], memory_budget=0)
    with pytest.raises(KeyboardInterrupt):
        fd.flow_limit(problem, 3, 1e-3)
    limit = fd.flow_limit(problem, 3, 1e-3)  # nothing broken is left behind
    exact = fd.flow_limit(fd.Problem(MATRIX, [1.0, 0.5]), 3, 1e-3)
    np.testing.assert_allclose(limit.psi, exact.psi, rtol=1e-6)


def _as_file(tmp_path, A, mode="r"):
    path = tmp_path / "A.dat"
    A.tofile(path)
    return np.memmap(path, dtype=A.dtype, mode=mode, shape=A.shape)


# Bounds of psi evaluated to three units of 2^-52, as in pieces: from a file, and sparse.
_BOUNDS = {
    2.0: ([9.7e-10, 1.3e-9, 2.0e-10, 2.8e-12], [2.0e-10, 6.2e-10, 1.6e-11, 9.9e-13]),
    2.5: ([9.7e-10, 4.5e-9, 7.5e-13, 1.4e-15], [2.0e-10, 1.3e-9, 2.5e-12, 1.4e-15]),
    3.0: ([9.7e-10, 2.8e-9, 3.3e-14, 1.6e-15], [2.0e-10, 2.8e-10, 4.9e-14, 1.4e-15]),
    6.0: ([9.7e-10, 4.1e-9, 1.4e-15, 1.6e-15], [2.0e-10, 3.0e-10, 4.3e-14, 1.5e-15]),
}


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 6.0])
def test_pieces_reach_the_dense_limits_to_the_last_digits(tmp_path, p, monkeypatch):
    """A read from a file in blocks, and a sparse A, at any alpha."""
    monkeypatch.setattr("fastdln._operator._BLOCK_BYTES", 1 << 16)  # ten blocks or so
    generator = np.random.default_rng(2)
    A = generator.standard_normal((12, 4000))
    y = generator.standard_normal(12)
    sparse = A * (generator.random(A.shape) < 0.5)
    log_alpha = np.log([1e2, 1e-3, 1e-9, 1e-60]) / p
    forms = (A, _as_file(tmp_path, A)), (sparse, sp.csr_array(sparse))
    for (array, given), bounds in zip(forms, _BOUNDS[p], strict=True):
        exact = fd.flow_limit(fd.Problem(array, y), p, log_alpha=log_alpha)
        limit = fd.flow_limit(fd.Problem(given, y, memory_budget=0), p, log_alpha=log_alpha)
        for k in range(log_alpha.size):
            assert limit.status[k] is exact.status[k] is Status.CONVERGED
            assert exact.error_bound[k] < 6e-16
            assert limit.error_bound[k] < 10 * bounds[k]
            allowed = (limit.error_bound[k] + exact.error_bound[k]) * np.abs(exact.psi[k])
            assert np.all(np.abs(limit.psi[k] - exact.psi[k]) <= allowed)
            typical = np.median(np.abs(exact.psi[k]))
            np.testing.assert_allclose(limit.psi[k], exact.psi[k], rtol=1e-12, atol=1e-12 * typical)
            np.testing.assert_allclose(limit.slack[k], exact.slack[k], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("p", ["2", "2.5", "3", "4", "10"])
def test_reference_tables_piece_by_piece(reference, p):
    """Where a bound is given it holds; on faces of minimisers it may be refused."""
    refused = 0
    for case in reference("flow_limits"):
        A, y = np.array(case["A"], float), np.array(case["y"], float)
        problem = fd.Problem(sp.csr_array(A), y, memory_budget=0)
        for row in case["rows"]:
            exponent = float(row["log10_alpha_p"])
            if row["p"] != p or exponent < -60:
                continue
            high, low = exact_eps(row["log10_alpha_p"])
            (answer,), ((bound, _),) = follow_pieces(
                problem._matrix, y, float(p), np.array([high]), np.array([low]), 100, _of_columns
            )
            if not np.isfinite(bound):
                assert not case["unique"]
                assert exponent <= -15
                refused += 1
                continue
            exact = np.array([float(text) for text in row["psi"]])
            error = np.max(np.abs(answer.psi - exact) / np.abs(exact))
            assert error <= bound + 2e-16  # the table was rounded to doubles here
            assert error < 1e-12
    assert refused <= 6


def test_a_file_is_neither_changed_nor_held(tmp_path):
    A = np.random.default_rng(0).standard_normal((5, 40))
    for mode in ("r", "r+", "c"):
        given = _as_file(tmp_path, A, mode)
        if mode == "c":
            given[0, 0] = A[0, 0] = 7.0  # private: must not be lost
        problem = fd.Problem(given, A[:, 0], memory_budget=0)
        assert problem.A is given
        limit = fd.flow_limit(problem, 3, 1e-3)
        exact = fd.flow_limit(fd.Problem(A, A[:, 0]), 3, 1e-3)
        np.testing.assert_allclose(limit.psi, exact.psi, rtol=1e-9)
    given[2, 7] = np.nan
    with pytest.raises(ValueError, match=r"A must be finite, got nan at index \[2, 7\]"):
        fd.Problem(given, A[:, 0], memory_budget=0)


def test_dask_arrays():
    dask_array = pytest.importorskip("dask.array")
    A = np.random.default_rng(1).standard_normal((4, 30))
    given, y = dask_array.from_array(A, chunks=(2, 10)), np.ones(4)
    exact = fd.flow_limit(fd.Problem(A, y), 3, 1e-3)
    assert fd.flow_limit(fd.Problem(given, y), 3, 1e-3).psi.tobytes() == exact.psi.tobytes()
    limit = fd.flow_limit(fd.Problem(given, y, memory_budget=0), 3, 1e-3)
    np.testing.assert_allclose(limit.psi, exact.psi, rtol=1e-11)


def test_dependent_rows_in_pieces_are_refused():
    A = sp.csr_array(np.vstack((MATRIX, MATRIX[0])))
    limit = fd.flow_limit(fd.Problem(A, [1.0, 0.5, 1.0], memory_budget=0), 3, 1e-3)
    assert limit.status is Status.BREAKDOWN
    assert np.all(np.isnan(limit.psi))


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_wide_dense_problems_in_pieces_and_along_the_path(monkeypatch, p):
    generator = np.random.default_rng(4)
    A, y = generator.standard_normal((5, 3000)), generator.standard_normal(5)
    log_alpha = np.log(1e-9) / p
    path = fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_alpha)
    monkeypatch.setattr("fastdln.limit._WIDE", 100)
    pieces = fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_alpha)
    assert pieces.status is Status.CONVERGED
    assert pieces.psi.tobytes() != path.psi.tobytes()
    typical = np.median(np.abs(path.psi))
    np.testing.assert_allclose(pieces.psi, path.psi, rtol=1e-12, atol=1e-12 * typical)
    assert pieces.deviation.tobytes() == path.deviation.tobytes()
    assert pieces.minimizer.status is Status.PROVED
    # a face of minimisers, deep down: refused by the pieces, solved along the path
    double = fd.Problem(np.column_stack((A, A)), y)
    assert fd.flow_limit(double, p, 1e-40).status is Status.CONVERGED
