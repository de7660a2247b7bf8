"""The data of a linear regression, A psi = y, checked once."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._cached import cached_property
from fastdln._check import check_count, real_array
from fastdln._operator import Matrix
from fastdln._spread import as_matrix

__all__ = ["Constraints", "Problem", "check_problem"]

Array = NDArray[np.float64]

_ULP = 2.0**-52
_SMALL = 50_000  # multiplications that BLAS and LAPACK do on one thread
_BUDGET = 160_000_000  # bytes: where a dense A serves better than any other


class Constraints(NamedTuple):
    """Independent, well scaled equations ``A psi' = y`` with ``psi = scale * psi'``."""

    A: Array
    y: Array
    squares: Array
    row_scale: Array  # these rows are the original ones divided by row_scale
    scale: float
    exact: bool  # no rounding went into them: zeros among them mean something


class Problem:
    """A linear regression problem: find psi with A psi = y.

    The network psi = u^p - v^p is trained on the loss 1/2 ||A psi - y||^2.

    Parameters
    ----------
    A : array_like, scipy.sparse array or LinearOperator, shape (m, N)
        Real matrix. A C-ordered float64 array is used as it is, without a copy; integers
        and float32 are promoted to float64, exactly. It is never changed. Sparse ones,
        operators, `numpy.memmap` and dask arrays are stored densely if that takes at most
        `memory_budget`; else a memmap or dask array is read in blocks of columns, and
        the others serve by their products. The blocks of a dask array stay with the workers
        of the `distributed.Client` at work, if there is one.
    y : array_like, shape (m,)
        Real right-hand side, treated alike.
    name : str, optional
        What to call the problem in tables and figures.
    memory_budget : int, optional
        Bytes that a dense copy of an A given in another form may take.

    Raises
    ------
    ValueError
        If A is not 2-D or y not of length m, if one is empty, or holds NaN or infinity;
        if a LinearOperator's adjoint fails the dot test, <A x, l> = <x, A^T l>.
    TypeError
        If one does not hold real numbers that float64 can represent.

    Notes
    -----
    The flow sees A and y through A^T A and A^T y alone (arXiv 2307.07410, section 2). With
    A = U S V^T it is the flow of the reduced problem (S V^T, U^T y), which has full row
    rank and a solution; where A has full row rank, that is the problem itself.

    Examples
    --------
    >>> import fastdln as fd
    >>> problem = fd.Problem([[1, 1, 1], [3, 0, 1]], [3, 3])
    >>> problem
    Problem(m=2, N=3)
    >>> problem.rank, problem.consistent
    (2, True)
    """

    def __init__(
        self, A: Any, y: Any, *, name: str | None = None, memory_budget: int = _BUDGET
    ) -> None:
        budget = check_count("memory_budget", memory_budget, 0)
        matrix = as_matrix(A, budget)
        self._matrix: Matrix | None = matrix
        self._budget = budget
        self.A: Any
        if matrix is None:
            self.A = np.ascontiguousarray(real_array("A", A, 2, "(m, N)"))
        else:
            self.A = matrix.given
        self.y: Array = self._checked(y)
        self.name = name

    def _checked(self, y: Any) -> Array:
        array = np.ascontiguousarray(real_array("y", y, 1, "(m,)"))
        if array.size != self.m:
            raise ValueError(
                f"y must have one entry for each row of A, got {array.size} for {self.m} rows"
            )
        return array

    def with_y(self, y: Any, *, name: str | None = None) -> Problem:
        """Same A, another y: what is known of A alone (its rank) is not computed again.

        Parameters
        ----------
        y : array_like, shape (m,)
            Right-hand side.
        name : str, optional
            What to call the new problem.

        Returns
        -------
        Problem
            (A, y). A is shared, not copied.

        Examples
        --------
        >>> import fastdln as fd
        >>> problem = fd.Problem([[1.0, 0.9]], [1.0])
        >>> batch = [problem.with_y([scale]) for scale in (1.0, 2.0)]
        >>> [limit.psi.round(4).tolist() for limit in fd.flow_limit(batch, 3, 1e-5)]
        [[1.0, 0.0], [2.0, 0.0]]
        """
        other = copy.copy(self)
        for known in ("consistent", "reduced", "_constraints"):  # these depend on y
            other.__dict__.pop(known, None)
        other.y, other.name = other._checked(y), name
        return other

    @property
    def m(self) -> int:
        """Number of equations."""
        return int(self.A.shape[0])

    @property
    def N(self) -> int:
        """Number of unknowns."""
        return int(self.A.shape[1])

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}, "
        return f"Problem({name}m={self.m}, N={self.N})"

    @property
    def large(self) -> bool:
        """Whether A is used through its products only, for a dense copy exceeds the budget."""
        return self._matrix is not None and 8 * self.m * self.N > self._budget

    @cached_property
    def dense(self) -> Array:
        """A as an array, made on first use; ValueError where that exceeds the memory budget."""
        if self._matrix is None:
            dense: Array = self.A
            return dense
        if self.large:
            raise ValueError(
                f"A must fit into memory_budget = {self._budget} bytes as a dense array here, "
                f"got {8 * self.m * self.N} bytes: raise memory_budget to allow for it "
                "(flow_limit, l1_minimizer, gradient_flow and plain gradient_descent do without)"
            )
        return self._matrix.dense()

    @cached_property
    def rank(self) -> int:
        """Rank of A, to rounding, after scaling its rows to the same size."""
        scaled = self._scaled_rows
        if self.m <= self.N and _surely_full_rank(scaled):
            return self.m
        return int(np.linalg.matrix_rank(scaled))

    @cached_property
    def consistent(self) -> bool:
        """Whether some psi solves A psi = y, to rounding."""
        if self.rank == self.m:
            return True
        if self.rank == 0:
            return not np.any(self.y)
        U, _, _ = self._svd
        outside = self.y - U @ (U.T @ self.y)
        tolerance = 16 * max(self.m, self.N) * _ULP
        return bool(np.linalg.norm(outside) <= tolerance * np.linalg.norm(self.y))

    @cached_property
    def reduced(self) -> Problem:
        """The problem (S V^T, U^T y) of full row rank with the same flow."""
        if self.rank == self.m:
            return self
        if self.rank == 0:
            raise ValueError("A must have a nonzero entry for a reduced problem, got A = 0")
        U, S, Vt = self._svd
        return Problem(S[:, np.newaxis] * Vt, U.T @ self.y, name=self.name)

    @cached_property
    def _svd(self) -> tuple[Array, Array, Array]:
        U, S, Vt = np.linalg.svd(self.dense, full_matrices=False)
        return U[:, : self.rank], S[: self.rank], Vt[: self.rank]

    @cached_property
    def _row_scale(self) -> Array:
        """Powers of two, so that each row divided by its own has a largest entry near 1."""
        A = self.dense
        largest = np.maximum(A.max(axis=1), -A.min(axis=1))  # no copy of A
        return np.exp2(np.frexp(np.where(largest > 0.0, largest, 1.0))[1].astype(float))

    @property
    def _scaled_rows(self) -> Array:
        ratio = self._row_scale.max() / self._row_scale.min()
        centred = 2.0**-60 < self._row_scale.max() < 2.0**60
        if ratio < 2.0**20 and centred:
            return self.dense
        with np.errstate(under="ignore"):
            return self.dense / self._row_scale[:, np.newaxis]

    @cached_property
    def _constraints(self) -> Constraints:
        """The equations that the limit has to satisfy, in the form the kernels want.

        Solutions of A psi = y do not change when rows are scaled by powers of two or
        when dependent ones are left out, and neither rounds.
        """
        if not self.consistent:
            return self.reduced._constraints._replace(exact=False)
        A = self._scaled_rows
        row_scale = self._row_scale if A is not self.dense else np.ones(self.m)
        y = self.y / row_scale
        if self.rank < self.m:
            from scipy.linalg import qr  # slow to import, and rarely needed

            _, order = qr(A.T, mode="r", pivoting=True)
            rows = np.sort(order[: self.rank])
            A, y, row_scale = np.ascontiguousarray(A[rows]), y[rows], row_scale[rows]
        size = float(np.max(np.abs(y), initial=0.0))
        scale = 1.0
        if size > 0.0 and not 2.0**-60 < size < 2.0**60:
            scale = math.ldexp(1.0, math.frexp(size)[1])
        return Constraints(A, y / scale, _squares(A), row_scale, scale, True)


def check_problem(problem: Any) -> Problem:
    """The argument `problem` of a public function, if it is one."""
    if not isinstance(problem, Problem):
        inside = isinstance(getattr(problem, "problem", None), Problem)
        raise TypeError(
            f"problem must be a fastdln.Problem(A, y), got an object of type "
            f"{type(problem).__name__}{': pass its .problem' if inside else ''}"
        )
    return problem


def _squares(A: Array) -> Array:
    """Squared norms of the columns, bit by bit as `kernels.many` has them."""
    from fastdln.kernels.linear import squares_of  # numba is slow to import

    out = np.empty(A.shape[1])
    squares_of(A, out)
    return out


def _surely_full_rank(A: Array) -> bool:
    """Whether a Gram matrix, at a fraction of an SVD's cost, proves full row rank.

    That of a few columns is no larger than that of all, and mostly enough. A large one is not
    formed by BLAS: where a core is busy elsewhere its threads wait for each other, 100 times
    longer. For a small one there are no threads, and nothing to compile.
    """
    m, N = A.shape
    small, trace = m * m * N <= _SMALL, float(np.sum(_squares(A)))
    for count in (2 * m, N) if 3 * m < N else (N,):
        few = A[:, :count]
        gram = few @ few.T if small else _gram(A, count)
        shifted = gram.copy()
        shifted.flat[:: m + 1] -= 2e-10 * trace
        if _is_definite(shifted, small):  # the least eigenvalue is above a part of the trace
            return True
    eigenvalues = np.linalg.eigvalsh(gram)
    return bool(eigenvalues[0] > 1e-10 * eigenvalues[-1])


def _gram(A: Array, count: int) -> Array:
    """A A^T of its first columns."""
    from fastdln.kernels.linear import weighted_gram  # numba is slow to import

    m, N = A.shape
    gram = np.empty((m, m))
    weighted_gram(A, (np.arange(N) < count).astype(np.float64), gram)
    return gram


def _is_definite(gram: Array, small: bool) -> bool:
    if small:
        try:
            np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:
            return False
        return True
    from fastdln.kernels.linear import cholesky

    return bool(cholesky(gram))
