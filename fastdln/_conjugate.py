"""Newton systems A D A^T x = r by conjugate gradients, D spanning many decades.

The few columns of large D are what makes the system ill-conditioned. With F these, g the
squared lengths of the rows and c the mean of D over the rest, it is preconditioned by

    P = c diag(g) + A_F D_F A_F^T,
    P^-1 = C - C A_F (D_F^-1 + A_F^T C A_F)^-1 A_F^T C,   C = diag(1 / (c g)),

which needs the k x k matrix A_F^T diag(1/g) A_F, kept from one system to the next, and
products with A and A^T. Where the rows of A are orthonormal (a subsampled transform),
P^-1 A D A^T is close to the identity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from fastdln._operator import Matrix

__all__ = ["NewtonSystem"]

Array = NDArray[np.float64]

_PROBES = 24  # random vectors for the lengths of the rows of an operator
_ORTHONORMAL = 1e-10
_MOST = 1024  # columns in F
_PATIENCE = 60  # iterations without gain after which rounding is all that is left
_TWICE = 1e8  # spread of D from which what is left of a projection is projected again
_LARGE = 0.5  # weight of a column against the rest from which it belongs to F


class NewtonSystem:
    """A D A^T for one A and one D after another."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._rows = _row_squares(matrix)
        self._share = 1.0 / matrix.shape[1]
        self._pool = np.empty(0, np.int64)
        self._gram = np.empty((0, 0))
        self.products = 0
        self.precondition(np.ones(matrix.shape[1]))

    def precondition(self, D: Array) -> None:
        """Set D, and choose F."""
        m, N = self._matrix.shape
        self._D = D
        count = min(_MOST, N - 1, m)
        top = np.argpartition(D, N - count)[N - count :]
        rest = float(np.sum(D) - np.sum(D[top])) / N
        for _ in range(3):  # what is large depends on the mean of the rest, and that on it
            large = top[D[top] * m * self._share > _LARGE * rest]
            rest = float(np.sum(D) - np.sum(D[large])) / N
            if not rest > 0.0:
                break
        rest = max(rest, float(np.min(D)))
        self._C = 1.0 / (rest * self._rows)
        self._in(large)
        places = np.flatnonzero(np.isin(self._pool, large))
        self._F = self._pool[places]
        small = self._gram[np.ix_(places, places)] / rest
        small[np.diag_indices_from(small)] += 1.0 / D[self._F]
        self._spread = float(np.max(D)) / rest
        self._factor = cho_factor(small, lower=True, check_finite=False) if places.size else None

    def _in(self, wanted: NDArray[np.int64]) -> None:
        """Take `wanted` into the pool, with its part of A_F^T diag(1/g) A_F."""
        kept = np.isin(self._pool, wanted)
        if np.count_nonzero(~kept) > _MOST:
            self._pool, self._gram = self._pool[kept], self._gram[np.ix_(kept, kept)]
        new = np.setdiff1d(wanted, self._pool)
        if new.size == 0:
            return
        old = self._pool.size
        self._pool = np.concatenate((self._pool, new))
        gram = np.zeros((self._pool.size, self._pool.size))
        gram[:old, :old] = self._gram
        for k, j in enumerate(new):
            column = self._matrix.columns(np.array([j]))[:, 0]
            products = self._matrix.rmatvec(column / self._rows)[self._pool]
            gram[old + k] = gram[:, old + k] = products
            self.products += 2
        self._gram = gram

    def apply(self, v: Array) -> Array:
        """A D A^T v."""
        self.products += 2
        return self._matrix.matvec(self._D * self._matrix.rmatvec(v))

    def _solve_roughly(self, r: Array) -> tuple[Array, float]:
        """z = P^-1 r and r . z, the latter as a sum of positive terms.

        With q = (D_F^-1 + A_F^T C A_F)^-1 A_F^T C r and w = r - A_F q, z = C w and
        r . z = w . C w + q . D_F^-1 q. Where D_F is large w is small: it is projected twice.
        """
        if self._factor is None:
            z = self._C * r
            return z, float(r @ z)
        scattered = np.zeros(self._matrix.shape[1])
        w, q = r, np.zeros(self._F.size)
        for _ in range(2 if self._spread > _TWICE else 1):
            inner = self._matrix.rmatvec(self._C * w)[self._F] - q / self._D[self._F]
            more = cho_solve(self._factor, inner, check_finite=False)
            q += more
            scattered[self._F] = more
            w = w - self._matrix.matvec(scattered)
            self.products += 2
        z = self._C * w
        return z, float(w @ z) + float(q @ (q / self._D[self._F]))

    def solve(self, r: Array, tolerance: float, limit: int) -> tuple[Array, float]:
        """x with the residual of A D A^T x = r reduced by `tolerance`, and the reduction reached.

        Sizes are those of the norm of P^-1, close to that of Newton's decrement.
        """
        x, left = np.zeros_like(r), r.copy()
        z, rho = self._solve_roughly(left)
        direction, first, least, since = z.copy(), rho, rho, 0
        if not 0.0 < rho < np.inf:
            return x, 0.0 if rho == 0.0 else np.inf
        for _ in range(limit):
            image = self.apply(direction)
            curvature = float(direction @ image)
            if not curvature > 0.0:
                break
            step = rho / curvature
            x += step * direction
            left -= step * image
            last = rho
            z, rho = self._solve_roughly(left)
            since = 0 if rho < 0.5 * least else since + 1
            least = min(least, rho)
            if rho <= tolerance**2 * first or since > _PATIENCE:
                break
            direction *= rho / last
            direction += z
        return x, float(np.sqrt(rho / first))


def _row_squares(matrix: Matrix) -> Array:
    """diag(A A^T): exact where known or constant, else estimated by random signs.

    (Bekas, Kokiopoulou and Saad, "An estimator for the diagonal of a matrix", 2007.)
    """
    known = matrix.row_squares()
    if known is not None:
        return np.where(known > 0.0, known, 1.0)
    generator = np.random.default_rng(0)
    total = np.zeros(matrix.shape[0])
    for k in range(_PROBES):
        z = generator.choice([-1.0, 1.0], matrix.shape[0])
        image = matrix.matvec(matrix.rmatvec(z))
        mean = float(z @ image) / z.size
        if k == 0 and np.linalg.norm(image - mean * z) <= _ORTHONORMAL * np.linalg.norm(image):
            return np.full(matrix.shape[0], mean)
        total += z * image
    estimate = total / _PROBES
    mean = float(np.mean(estimate))
    return np.clip(estimate, 0.1 * mean, None) if mean > 0.0 else np.ones_like(estimate)
