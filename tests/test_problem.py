"""Problem: what it takes, what it refuses, and the reduced problem."""

from __future__ import annotations

import numpy as np
import pytest

import fastdln as fd


def test_float64_is_neither_copied_nor_changed():
    A = np.array([[1.0, 2.0, 3.0]])
    y = np.array([1.0])
    A.flags.writeable = False
    problem = fd.Problem(A, y)
    assert problem.A is A
    assert problem.y is y
    before = A.tobytes()
    fd.flow_limit(problem, 3, 1e-3).deviation_norm  # noqa: B018
    assert A.tobytes() == before
    assert (problem.m, problem.N, problem.rank, problem.consistent) == (1, 3, 1, True)
    assert problem.reduced is problem


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float32, np.float16, bool])
def test_other_real_types_are_promoted(dtype):
    A = np.array([[1, 1, 1], [1, 0, 1]], dtype=dtype)
    problem = fd.Problem(A, np.array([1, 0], dtype=dtype))
    assert problem.A.dtype == problem.y.dtype == np.float64
    np.testing.assert_array_equal(problem.A, A)


def test_any_layout_gives_the_same_limit():
    A, y = fd.datasets.random().A, fd.datasets.random().y
    plain = fd.flow_limit(fd.Problem(A, y), 3, 1e-3).psi
    big = np.zeros((6, 10))
    big[::2, ::2] = A
    for same in (np.asfortranarray(A), big[::2, ::2], A[:, ::-1][:, ::-1], A.tolist()):
        assert fd.flow_limit(fd.Problem(same, y), 3, 1e-3).psi.tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("A", "y", "message"),
    [
        ([1.0, 2.0], [1.0], r"A must have shape \(m, N\), got shape \(2,\)"),
        ([[1.0, 2.0]], 1.0, r"y must have shape \(m,\), got shape \(\)"),
        ([[1.0, 2.0]], [1.0, 2.0], "y must have one entry for each row of A, got 2 for 1 rows"),
        (np.empty((0, 3)), [], r"A must not be empty, got shape \(0, 3\)"),
        (np.empty((3, 0)), [1.0] * 3, r"A must not be empty, got shape \(3, 0\)"),
        ([[1.0, np.nan]], [1.0], r"A must be finite, got nan at index \[0, 1\]"),
        ([[1.0, 2.0]], [np.inf], r"y must be finite, got inf at index \[0\]"),
        ([[1.0, 2j]], [1.0], "A must hold real numbers, got dtype complex128"),
        (np.array([[None, 1]]), [1.0], "A must hold real numbers, got dtype object"),
        ([["a", "b"]], [1.0], "A must hold real numbers, got dtype <U1"),
        ([[1.0, 2.0], [1.0]], [1.0, 1.0], r"A must be a \(m, N\) array of real numbers"),
    ],
)
def test_bad_input_is_named_in_one_line(A, y, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        fd.Problem(A, y)
    assert "\n" not in str(caught.value)


def test_dependent_rows_leave_the_limit_alone():
    A, y = fd.datasets.random().A, fd.datasets.random().y
    deficient = fd.Problem(np.vstack((A, A[0] + 2 * A[2])), np.append(y, y[0] + 2 * y[2]))
    assert (deficient.rank, deficient.consistent) == (3, True)
    assert deficient.reduced.m == 3
    limit = fd.flow_limit(deficient, 3, 1e-3)
    np.testing.assert_allclose(limit.psi, fd.flow_limit(fd.Problem(A, y), 3, 1e-3).psi, rtol=1e-11)


def test_inconsistent_y_is_projected():
    """The flow sees A^T A and A^T y: the limit solves the normal equations."""
    A = np.array([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5], [0.0, 1.0, 1.0]])
    y = np.array([1.0, 3.0, -1.0])
    problem = fd.Problem(A, y)
    assert (problem.rank, problem.consistent) == (2, False)
    limit = fd.flow_limit(problem, 2, 1e-3)
    np.testing.assert_allclose(A.T @ (A @ limit.psi - y), 0.0, atol=1e-13)
    kept = fd.Problem(A[1:], np.array([2.0, -1.0]))
    np.testing.assert_allclose(limit.psi, fd.flow_limit(kept, 2, 1e-3).psi, rtol=1e-11)


def test_the_reduced_problem_has_the_same_flow():
    generator = np.random.default_rng(1)
    A = generator.standard_normal((4, 2)) @ generator.standard_normal((2, 6))
    y = generator.standard_normal(4)
    problem = fd.Problem(A, y)
    reduced = problem.reduced
    assert (problem.rank, reduced.m) == (2, 2)
    np.testing.assert_allclose(reduced.A.T @ reduced.A, A.T @ A, atol=1e-13)
    np.testing.assert_allclose(reduced.A.T @ reduced.y, A.T @ y, atol=1e-13)


def test_more_rows_than_columns():
    A = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    x = np.array([0.5, -2.0])
    limit = fd.flow_limit(fd.Problem(A, A @ x), 3, 1e-5)
    np.testing.assert_allclose(limit.psi, x, rtol=1e-13)


def test_a_zero_matrix_leaves_psi_at_zero():
    problem = fd.Problem(np.zeros((2, 3)), [0.0, 1.0])
    assert (problem.rank, problem.consistent) == (0, False)
    assert not fd.flow_limit(problem, 3, 1e-2).psi.any()
    with pytest.raises(ValueError, match="A must have a nonzero entry"):
        problem.reduced  # noqa: B018


@pytest.mark.parametrize(
    "call",
    [
        lambda A: fd.flow_limit(A, 3, 0.1),
        lambda A: fd.l1_minimizer(A, 3),
        lambda A: fd.convergence_rate(A, 3),
        lambda A: fd.null_space_constants(A),
    ],
)
def test_a_matrix_in_place_of_a_problem_is_named(call):
    with pytest.raises(TypeError, match=r"problem must be a fastdln.Problem\(A, y\), got an obj"):
        call(np.eye(2))
    with pytest.raises(TypeError, match=r"object of type Planted: pass its \.problem$"):
        call(fd.datasets.gaussian(4, 10, 2))


def test_a_number_that_is_not_finite_has_no_index():
    problem = fd.Problem([[1.0, 0.9]], [1.0])
    with pytest.raises(ValueError, match=r"must be finite, got nan$"):
        fd.flow_limit(problem, 3, 1e-5, input_error=float("nan"))
