"""How fast the limit tends to the l1 minimiser, as a power of eps = alpha**p."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._check import check_depth, check_scale
from fastdln._display import Displayed
from fastdln._support import Split, exponential, hyperbolic, least, lift, norm, power, split_at
from fastdln.certificate import log_bound, log_size
from fastdln.minimizer import l1_minimizer
from fastdln.null_space import Vertex, least_sup_norm
from fastdln.problem import Problem
from fastdln.results import L1Minimizer, Status

__all__ = ["ConvergenceRate", "convergence_rate"]

Array = NDArray[np.float64]

_ZERO = 1e-12  # of the numbers it comes from: a leading term below that is rounding


class _Geometry(NamedTuple):
    split: Split
    vertex: Vertex


@dataclass(frozen=True, repr=False)
class ConvergenceRate(Displayed):
    """``psi = W_p + eps**exponent (direction + o(1))`` as eps = alpha^p tends to 0.

    Attributes
    ----------
    p : float
        The depth.
    exponent : float
        Power of eps: 1 for p > 2; 1 - rho for p = 2, or 2 where all columns belong to the
        face of minimisers. Infinite where psi is W_p for every alpha.
    constant : float
        Euclidean norm of `direction`; infinite where that overflows, as it can for p near 2.
    direction : ndarray, shape (N,)
        The leading term.
    rho : float
        ``max -sum_S sigma_i n_i / ||n_Sc||_1`` over n in ker A, below 1.
    unique : bool
        Whether W_p is the only l1 minimiser.
    reason : str
        What the exponent comes from, in a few words.
    minimizer : L1Minimizer
        W_p.
    status : Status
        ``PROVED``; ``FASTER`` where the leading term vanishes, so that the error is of
        higher order; ``UNDECIDED`` where the minimiser is: then all numbers are NaN.
    """

    p: float
    exponent: float
    constant: float
    direction: Array
    rho: float
    unique: bool
    reason: str
    minimizer: L1Minimizer
    status: Status
    _geometry: _Geometry | None = field(repr=False, compare=False)

    def log_predict(
        self, alpha: ArrayLike | None = None, *, log_alpha: ArrayLike | None = None
    ) -> float | Array:
        """Logarithm of `predict`, which does not underflow."""
        log_eps, _ = check_scale(alpha, log_alpha, self.p)
        if self.constant == 0.0:
            return _plain(np.full_like(log_eps, -math.inf))
        return _plain(math.log(self.constant) + self.exponent * log_eps)

    def predict(
        self, alpha: ArrayLike | None = None, *, log_alpha: ArrayLike | None = None
    ) -> float | Array:
        """The leading term ``constant * eps**exponent`` of ||psi - W_p||_2."""
        return _exp(self.log_predict(alpha, log_alpha=log_alpha))

    def log_bound(
        self, alpha: ArrayLike | None = None, *, log_alpha: ArrayLike | None = None
    ) -> float | Array:
        """Logarithm of `bound`."""
        log_eps, _ = check_scale(alpha, log_alpha, self.p)
        return _plain(np.array([self._log_bound(v) for v in log_eps.flat]).reshape(log_eps.shape))

    def bound(
        self, alpha: ArrayLike | None = None, *, log_alpha: ArrayLike | None = None
    ) -> float | Array:
        """A number that ||psi - W_p||_2 does not exceed, computed without psi.

        For the only minimiser it tends to the distance itself as alpha -> 0. Where it says
        nothing better (several minimisers; p > 2 and eps too large) it is the size
        ``||W_p||_1 + ||W_p||_2``, that the distance never exceeds. NaN where the minimiser
        is undecided. The derivation is in docs/rates.md.
        """
        return _exp(self.log_bound(alpha, log_alpha=log_alpha))

    def _log_bound(self, log_eps: float) -> float:
        if self.exponent == math.inf:
            return -math.inf
        if self._geometry is None:
            return math.nan
        if not self.unique:
            return log_size(self._geometry.split)
        return log_bound(*self._geometry, self.p, log_eps)


def _plain(values: Array) -> float | Array:
    return float(values) if np.ndim(values) == 0 else values


def _exp(values: float | Array) -> float | Array:
    with np.errstate(under="ignore", over="ignore"):
        return _plain(np.exp(np.asarray(values)))


def convergence_rate(problem: Problem, p: float) -> ConvergenceRate:
    """How fast the limit of gradient flow tends to the l1 minimiser as alpha -> 0.

    Parameters
    ----------
    problem : Problem
        A and y.
    p : float
        Depth, at least 2.

    Returns
    -------
    ConvergenceRate
        Exponent, constant and direction of the leading term of psi - W_p, `predict` and an
        upper `bound` for any alpha.

    Raises
    ------
    TypeError, ValueError
        If p is not a finite real number of at least 2.

    Notes
    -----
    Off the support S of W_p the leading term is that of the dual vector with
    ``A_S^T mu = h_p^-1(W_S / eps)`` of least ``sum H_p((A_Sc^T mu)_i)``; on S it follows from
    A psi = y and, along a face of minimisers, from stationarity (docs/rates.md).

    Examples
    --------
    >>> import fastdln as fd
    >>> problem = fd.datasets.kink(0.25)
    >>> rate = fd.convergence_rate(problem, p=2)
    >>> rate.exponent, round(rate.constant, 6)
    (0.25, 1.25)
    >>> rate = fd.convergence_rate(problem, p=4)
    >>> limit = fd.flow_limit(problem, 4, alpha=1e-4)
    >>> rate.exponent, round(limit.deviation_norm / rate.predict(1e-4), 6)
    (1.0, 1.0)
    >>> bool(limit.deviation_norm <= rate.bound(1e-4))
    True
    """
    depth = check_depth(p)
    minimizer = l1_minimizer(problem, depth)
    none = np.zeros(problem.N)
    if minimizer.status is not Status.PROVED:
        nan = math.nan
        return ConvergenceRate(
            depth, nan, nan, none * nan, nan, minimizer.unique, "minimiser undecided",
            minimizer, minimizer.status, None,
        )  # fmt: skip
    if minimizer.support.size == 0:
        return _immediate(depth, minimizer, none)
    split = split_at(problem, minimizer)
    if minimizer.unique and problem.rank == split.on.size + split.off.size:
        return _immediate(depth, minimizer, none)
    vertex = least_sup_norm(split, split.sign)
    rho = 0.0 if vertex.rho < _ZERO else vertex.rho
    with np.errstate(over="ignore", invalid="ignore"):
        exponent, reason, off, on = _leading_term(split, vertex, depth, rho)
    direction = none
    direction[split.off], direction[split.on] = off, on
    constant = norm(direction)
    vanishes = _vanishes(constant, exponent, split)
    return ConvergenceRate(
        depth, exponent, 0.0 if vanishes else constant, direction * (not vanishes), rho,
        minimizer.unique, reason, minimizer, Status.FASTER if vanishes else Status.PROVED,
        _Geometry(split, vertex),
    )  # fmt: skip


def _vanishes(constant: float, exponent: float, split: Split) -> bool:
    """Whether the leading term is zero up to rounding; a sum of exponentials never is."""
    if 0.0 < exponent < 1.0:
        return False
    return constant <= _ZERO * float(np.max(split.size ** (1.0 - exponent)))


def _immediate(p: float, minimizer: L1Minimizer, none: Array) -> ConvergenceRate:
    """psi is W_p for every alpha, as the only solution of A psi = y or as 0."""
    return ConvergenceRate(
        p, math.inf, 0.0, none, 0.0, True, "psi is W_p for every alpha", minimizer,
        Status.PROVED, None,
    )  # fmt: skip


def _leading_term(
    split: Split, vertex: Vertex, p: float, rho: float
) -> tuple[float, str, Array, Array]:
    """Exponent, its reason, and the direction off and on the support."""
    if p > 2.0:
        s = least(power(p), split.A_off.T @ vertex.dual, split.A_off.T @ split.free)
        off = power(p).slope(s)
        return 1.0, "linear in eps", off, _on_support(split, p, off)
    if split.off.size == 0:
        return 2.0, "eps^2 along the face", np.empty(0), _on_support(split, p, np.empty(0))
    c = split.A_off.T @ lift(split, split.sign * np.log(split.size))
    directions = split.A_off.T @ split.free
    if rho == 0.0:  # every column is active, and none outgrows the others
        s = least(hyperbolic(), c, directions)
        off = 2.0 * np.sinh(s)
    else:
        size = float(np.linalg.norm(split.A_off[:, vertex.active], axis=0).max())
        seen = _independent(directions[vertex.active], size)
        s = least(exponential(vertex.sign), c[vertex.active], seen)
        off = np.zeros(split.off.size)
        off[vertex.active] = vertex.sign * np.exp(vertex.sign * s)
    return 1.0 - rho, f"1 - rho, rho = {rho:.6f}", off, _on_support(split, p, off)


def _independent(directions: Array, size: float) -> Array:
    """A basis of the range: the active columns need not see every dual direction."""
    U, values, _ = np.linalg.svd(directions, full_matrices=False)
    basis: Array = U[:, values > _ZERO * size]
    return basis


def _on_support(split: Split, p: float, off: Array) -> Array:
    """z on the support with ``A_on z = -A_off off``, stationary along the face.

    Of these, z has the least ``sum |W_i|^(-1-1/b) (z_i - t_i)^2``, 1/b = 1 - 2/p, the second
    order of sum q_p(psi_i / eps): t = -2^-b sign(W) for p > 2, from the half of h_p that
    vanishes; for p = 2 t_i = -1 / W_i at order eps^2, if there are no columns off the face.
    """
    z = -split.coupling @ off
    if split.kernel.shape[1] == 0:
        return z
    if p > 2.0:
        t = -(2.0 ** (-p / (p - 2.0))) * split.sign
    else:
        t = -split.sign / split.size if off.size == 0 else np.zeros_like(z)
    root = split.size ** (-0.5 * (2.0 - 2.0 / p))
    scaled = root[:, np.newaxis] * split.kernel
    along: Array = np.linalg.lstsq(scaled, root * (t - z), rcond=None)[0]
    return z + split.kernel @ along
