"""What the public functions return: frozen dataclasses, and the sentences of `Status`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastdln._cached import cached_property
from fastdln._display import Displayed

__all__ = ["FlowEvent", "FlowLimit", "FlowPath", "FlowStats", "L1Minimizer", "Status"]

Array = NDArray[np.float64]


class Status(Enum):
    """How a computation ended; the value says what to make of the result.

    Examples
    --------
    >>> from fastdln import Status
    >>> print(Status.CONVERGED)
    Converged: psi is right to the relative error in error_bound, coordinate by coordinate.
    """

    CONVERGED = (
        "Converged: psi is right to the relative error in error_bound, coordinate by coordinate."
    )
    RESIDUAL = (
        "Solved to the residual in residual: A is known by its products alone, so that no bound "
        "on the error of single coordinates can be given."
    )
    INACCURATE = (
        "Not converged: Newton's method stalled above rounding; psi is its last iterate and "
        "residual says how far A psi is from y."
    )
    ITERATION_LIMIT = (
        "Stopped at the iteration limit: psi is the best iterate; raise max_iterations."
    )
    BREAKDOWN = (
        "The path broke down, for A is singular to working precision; psi is the last iterate."
    )
    NEAR_TWO = (
        "Not computed: p is so near 2, and alpha so small, that eps underflows before psi "
        "obeys its law for small alpha, and no way on from there was found; take p = 2, a larger "
        "p or a larger alpha."
    )
    FASTER = (
        "Faster than predicted: the term of order eps**exponent vanishes for this problem; what "
        "is left is of higher order."
    )
    INTEGRATED = "Integrated: psi is the flow at every time asked for, to the tolerance rtol."
    STEP_LIMIT = (
        "Stopped at the limit on steps: the path ends early, at its last time; raise max_steps, "
        "or take another method."
    )
    STUCK = (
        "Stopped: the steps that the tolerance asks for are below the resolution of t; the path "
        "ends at the last good state."
    )
    INVALID = (
        "Stopped: infinite or NaN values appeared; the path ends at the last good state, at its "
        "last time."
    )
    LIMIT_UNKNOWN = (
        "Integrated at the finite times, or where none were given as far as the limit on steps "
        "allows; the end t = inf is missing, for flow_limit did not converge on this problem."
    )
    PROVED = "Proved: a dual certificate shows that psi is the minimiser."
    UNDECIDED = (
        "Undecided: float64 could not tell which columns carry the minimiser; psi is a guess."
    )

    # of gradient descent
    ALL_STEPS = "Finished: every step that was asked for was taken."
    STALLED = (
        "Stalled by rounding: no weight can move any more in the arithmetic of this method; "
        "later iterates are the same numbers."
    )
    DIVERGED = (
        "Diverged: the step size is too large; the last row is the last state that was finite."
    )
    NO_LEAP = (
        "Stopped: the step size is so large that single steps take most of a weight; the last "
        "row is the last state before; use method='compensated'."
    )
    UNSETTLED = (
        "Not settled: rounding hides how far some directions still have to go; error_bound "
        "says how much that can be."
    )
    INTERRUPTED = "Interrupted: the last row is the state that was reached."

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, repr=False)
class L1Minimizer(Displayed):
    """The minimiser of ||x||_1 over A x = y that the flow of depth p tends to.

    Attributes
    ----------
    psi : ndarray, shape (N,)
        W_p(A, y); exact zeros outside the support.
    support : ndarray of int
        Indices of its nonzero coordinates, ascending.
    l1_norm : float
        The minimal l1 norm.
    dual : ndarray, shape (m,)
        A certificate: ``abs(A.T @ dual) <= 1``, equal to 1 where a minimiser can be nonzero.
    unique : bool
        Whether psi is the only minimiser.
    face_dimension : int
        Dimension of the set of minimisers.
    margin : float
        Least ``1 - abs(A.T @ dual)`` outside the support: how far the decision is from flipping.
    status : Status
        ``PROVED``, or ``UNDECIDED``.
    """

    psi: Array
    support: NDArray[np.int64]
    l1_norm: float
    dual: Array
    unique: bool
    face_dimension: int
    margin: float
    status: Status


@dataclass(frozen=True, repr=False)
class FlowLimit(Displayed):
    """The limit of gradient flow, for one alpha or for an array of them.

    With an array of shape (T,) every attribute below has that axis first.

    Attributes
    ----------
    psi : ndarray, shape (..., N)
        The limit; coordinates below 1e-308 underflow, see `log_abs_psi`.
    log_abs_psi : ndarray, shape (..., N)
        Natural logarithm of abs(psi), finite where psi underflows.
    dual : ndarray, shape (..., m)
        lambda with ``psi = eps h_p(A.T @ lambda)``; for a problem without full row rank,
        that of the constraints actually used.
    slack : ndarray, shape (..., N)
        ``1 - abs(A.T @ lambda)`` to its own relative accuracy (p > 2); for p = 2
        ``log(1/eps) - abs(A.T @ lambda)``, its limit as p -> 2.
    log_eps : float or ndarray
        p log(alpha), the logarithm of the output scale eps = alpha^p.
    residual : float or ndarray
        Euclidean norm of A psi - y, of the numbers in `psi`.
    error_bound : float or ndarray
        Bound on the relative error of every coordinate (first order, a posteriori). A
        coordinate that cannot be told from zero makes it infinite; one that is proved to be
        zero, as by a symmetry of A and y, is 0 and has no error.
    absolute_bound : float or ndarray
        Bound on the absolute error of every coordinate, of use where `error_bound` is not.
    iterations : int or ndarray
        Newton corrections after the path.
    factorisations : int or ndarray
        m x m matrices factored since the previous alpha, along one path.
    status : Status or ndarray of Status
        How it ended, one for each alpha.
    undetermined : ndarray of bool, shape (..., N)
        Coordinates that data as accurate as `input_error` do not determine: psi and
        log_abs_psi are NaN there. All False unless `input_error` is given.
    """

    psi: Array
    log_abs_psi: Array
    dual: Array
    slack: Array
    log_eps: float | Array
    residual: float | Array
    error_bound: float | Array
    absolute_bound: float | Array
    iterations: int | NDArray[np.int64]
    factorisations: int | NDArray[np.int64]
    status: Status | NDArray[np.object_]
    undetermined: NDArray[np.bool_]
    _minimizer: Callable[[], L1Minimizer] = field(repr=False, compare=False)
    _deviation: Callable[[], tuple[Array, Array]] = field(repr=False, compare=False)

    @cached_property
    def minimizer(self) -> L1Minimizer:
        """W_p, that the limit tends to as alpha -> 0."""
        return self._minimizer()

    @cached_property
    def _scaled_deviation(self) -> tuple[Array, Array]:
        return self._deviation()

    @cached_property
    def deviation(self) -> Array:
        """psi - W_p, shape (..., N), computed without cancellation; underflows below 1e-308."""
        scaled, log_unit = self._scaled_deviation
        with np.errstate(under="ignore"):
            return scaled * np.exp(log_unit)[..., np.newaxis]

    @cached_property
    def log_deviation_norm(self) -> float | Array:
        """Logarithm of the Euclidean norm of psi - W_p, finite where that underflows."""
        scaled, log_unit = self._scaled_deviation
        largest = np.max(np.abs(scaled), axis=-1)  # squares of small numbers underflow
        safe = np.where(largest > 0.0, largest, 1.0)
        with np.errstate(divide="ignore", under="ignore"):
            log_norm = np.log(np.linalg.norm(scaled / safe[..., np.newaxis], axis=-1))
            log_norm = log_norm + np.log(safe) + log_unit
        return float(log_norm) if log_norm.ndim == 0 else log_norm

    @cached_property
    def deviation_norm(self) -> float | Array:
        """Euclidean norm of psi - W_p."""
        with np.errstate(under="ignore"):
            if isinstance(self.log_deviation_norm, float):
                return math.exp(self.log_deviation_norm)
            return np.exp(self.log_deviation_norm)


@dataclass(frozen=True)
class FlowStats:
    """The work behind a `FlowPath`.

    Attributes
    ----------
    steps, rejections : int
        Steps accepted, and steps tried again with a smaller one.
    evaluations : int
        Evaluations of A psi (each also multiplies by the transpose of A).
    factorisations : int
        m x m matrices factored.
    methods : tuple of (str, float)
        The methods used, each with the time from which it worked.
    joined : float
        Time from which psi is that of `flow_limit`; infinite if that was not needed.
    """

    steps: int
    rejections: int
    evaluations: int
    factorisations: int
    methods: tuple[tuple[str, float], ...]
    joined: float


@dataclass(frozen=True)
class FlowEvent:
    """One crossing found along a flow.

    Attributes
    ----------
    t : float
        When.
    event : int
        Which of the events asked for.
    coordinate : int
        Which coordinate crossed its level; -1 for an event of the whole state.
    rising : bool
        Whether the watched number increased.
    psi : ndarray, shape (N,)
        The state there.
    """

    t: float
    event: int
    coordinate: int
    rising: bool
    psi: Array


@dataclass(frozen=True, repr=False)
class FlowPath(Displayed):
    """A trajectory of gradient flow. `sol` evaluates it anywhere up to its last time.

    The weights `u` and `v`, (T, N) each, and the `loss`, (T,), ||A psi - y||^2 / 2, are computed
    where they are asked for.

    Attributes
    ----------
    t : ndarray, shape (T,)
        The times asked for; all steps if none were. Shorter if `status` says so: then its
        last entry is the time of the last good state.
    psi : ndarray, shape (T, N)
        The output u^p - v^p.
    dual : ndarray, shape (T, m)
        lambda with ``psi = eps h_p(A.T @ lambda)``.
    events : tuple of FlowEvent
        Crossings, in the order of time.
    log_eps : float
        p log(alpha), the logarithm of the output scale.
    stats : FlowStats
        Steps, rejections, evaluations, factorisations, methods.
    status : Status
        How it ended.
    """

    t: Array
    psi: Array
    dual: Array
    events: tuple[FlowEvent, ...]
    log_eps: float
    stats: FlowStats
    status: Status
    _sol: Callable[[], Callable[[Array], Array]] = field(repr=False, compare=False)
    _losses: Callable[[], Array] = field(repr=False, compare=False)
    _weights: Callable[[], tuple[Array, Array]] = field(repr=False, compare=False)
    _computed: ClassVar[tuple[str, ...]] = ("loss", "u", "v")

    @cached_property
    def loss(self) -> Array:
        """||A psi - y||^2 / 2, (T,)."""
        return self._losses()

    @property
    def u(self) -> Array:
        """The weights u, (T, N)."""
        return self._both[0]

    @property
    def v(self) -> Array:
        """The weights v, (T, N)."""
        return self._both[1]

    @cached_property
    def _both(self) -> tuple[Array, Array]:
        return self._weights()

    @cached_property
    def sol(self) -> Callable[[Array], Array]:
        """Dense output: ``sol(t)`` is psi, (N,) or (T, N), for 0 <= t <= the last time.

        The steps are not kept, so the first use integrates once more and keeps their
        polynomials from then on.
        """
        return self._sol()
