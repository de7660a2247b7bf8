"""What a sweep can compute: one class each, with the variables it leaves in the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastdln.descent import gradient_descent
from fastdln.flow import gradient_flow
from fastdln.limit import flow_limit
from fastdln.minimizer import l1_minimizer
from fastdln.problem import Problem
from fastdln.rates import convergence_rate
from fastdln.results import FlowLimit, Status
from fastdln.sweep_grid import Config

__all__ = ["ERROR", "MISSING", "QUANTITIES", "STATUSES", "Point", "Quantity", "Variable", "code_of"]

STATUSES = tuple(status.name.lower() for status in Status)
ERROR = len(STATUSES)  # code of a configuration that raised an error
MISSING = -1  # and of one not computed yet

_CODES = {status: code for code, status in enumerate(Status)}

Values = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Variable:
    """One array of results: a value, or an inner array, for each configuration."""

    name: str
    long_name: str
    inner: tuple[str, ...] = ()
    dtype: str = "<f8"
    units: str = "1"


@dataclass(frozen=True)
class Point:
    """Configurations that are solved together: one problem, one depth, some initialisations."""

    problem: Problem
    p: float
    block: slice  # of the initialisations; of length 1 where they play no part
    step_size: float  # NaN where there is none
    config: Config

    @property
    def initialisation(self) -> dict[str, NDArray[np.float64]]:
        """Keyword argument for the library: alpha or log_alpha, shape (T,)."""
        return self.config.initialisation(self.p, self.block)


def code_of(status: Any) -> NDArray[np.int8]:
    """Codes of one status or of an array of them, at least 1-D."""
    found = np.atleast_1d(np.asarray(status, dtype=object))
    return np.array([_CODES[one] for one in found], np.int8)


class Quantity:
    """A function of the library, seen as a source of variables.

    Its index axes are problem, seed, `axes`; `solve` gets a `Point` and returns an array with
    one row for each configuration of the point, for every variable and for "status".
    """

    name: ClassVar[str]
    axes: ClassVar[tuple[str, ...]] = ("p",)
    needs: ClassVar[tuple[str, ...]] = ()  # what the config must give
    takes: ClassVar[tuple[str, ...]] = ()  # what it may give besides
    together: ClassVar[bool] = False  # whether one call solves many initialisations
    problems_together: ClassVar[bool] = False  # and many problems

    def variables(self, config: Config) -> list[Variable]:
        """Variables beside status and seconds, which all quantities have."""
        raise NotImplementedError

    def solve(self, point: Point) -> Values:
        """Values of the variables at a point, and "status"."""
        raise NotImplementedError

    def solve_all(self, points: list[Point]) -> list[Values]:
        """Values at points of one depth and the same initialisations, as `solve` gives them."""
        return [self.solve(point) for point in points]

    def seconds(self, m: int, N: int, together: int) -> float:
        """About how long one configuration takes, `together` at a time; for chunk sizes."""
        raise NotImplementedError

    def all_variables(self, config: Config) -> list[Variable]:
        """All of them, status last: once that is written the others have been."""
        return [
            *self.variables(config),
            Variable("seconds", "time taken, as a share of the batch", units="s"),
            Variable("status", "how it ended", dtype="|i1"),
        ]


def _psi(config: Config, long_name: str, *inner: str) -> list[Variable]:
    return [Variable("psi", long_name, (*inner, "coordinate"))] if config.keep_psi else []


def _factorisation(m: int, N: int) -> float:
    """Seconds for one step of the path, roughly."""
    return 1e-10 * m * m * N + 6e-8 * m * N + 2e-5


class Limit(Quantity):
    """`flow_limit`: where gradient flow ends."""

    name = "limit"
    axes = ("p", "size")
    needs = ("size",)
    together = problems_together = True

    def variables(self, config: Config) -> list[Variable]:
        """psi, its distance to W_p, and how surely."""
        return [
            *_psi(config, "limit of gradient flow"),
            Variable("log_distance", "natural logarithm of the l2 distance of psi to W_p"),
            Variable("l1_norm", "l1 norm of psi"),
            Variable("residual", "l2 norm of A psi - y"),
            Variable("error_bound", "bound on the relative error of every coordinate of psi"),
            Variable("iterations", "Newton corrections after the path", dtype="<i4"),
            Variable("factorisations", "factorisations along the path", dtype="<i4"),
        ]

    def solve(self, point: Point) -> Values:
        """One path through all initialisations of the point."""
        return self.solve_all([point])[0]

    def solve_all(self, points: list[Point]) -> list[Values]:
        """Small problems by one call of a kernel, to the bits that each gives alone."""
        given: Mapping[str, Any] = points[0].initialisation
        limits = flow_limit([point.problem for point in points], points[0].p, **given)
        return [self._values(*pair) for pair in zip(points, limits, strict=True)]

    @staticmethod
    def _values(point: Point, limit: FlowLimit) -> Values:
        if getattr(point.problem, "large", False):  # of its A there are products only
            log_distance = np.full(len(limit.psi), np.nan)
        else:
            log_distance = np.asarray(limit.log_deviation_norm)
        return {
            "psi": limit.psi,
            "log_distance": log_distance,
            "l1_norm": np.abs(limit.psi).sum(axis=-1),
            "residual": np.asarray(limit.residual),
            "error_bound": np.asarray(limit.error_bound),
            "iterations": np.asarray(limit.iterations),
            "factorisations": np.asarray(limit.factorisations),
            "status": code_of(limit.status),
        }

    def seconds(self, m: int, N: int, together: int) -> float:
        """A few factorisations, and a path from its start to the first."""
        return (3.0 + 9.0 / together) * _factorisation(m, N)


class Minimizer(Quantity):
    """`l1_minimizer`: what the limits tend to."""

    name = "minimizer"

    def variables(self, config: Config) -> list[Variable]:
        """W_p and the face it lies on."""
        return [
            *_psi(config, "l1 minimiser W_p"),
            Variable("l1_norm", "l1 norm of W_p"),
            Variable("support_size", "nonzero coordinates of W_p", dtype="<i4"),
            Variable("face_dimension", "dimension of the set of l1 minimisers", dtype="<i4"),
            Variable("margin", "least 1 - |A^T dual| outside the support"),
        ]

    def solve(self, point: Point) -> Values:
        """One minimiser."""
        found = l1_minimizer(point.problem, point.p)
        return {
            "psi": found.psi[np.newaxis],
            "l1_norm": np.array([found.l1_norm]),
            "support_size": np.array([found.support.size]),
            "face_dimension": np.array([found.face_dimension]),
            "margin": np.array([found.margin]),
            "status": code_of(found.status),
        }

    def seconds(self, m: int, N: int, together: int) -> float:
        """A path from its start."""
        return 12.0 * _factorisation(m, N)


class Rate(Quantity):
    """`convergence_rate`: how fast."""

    name = "rate"
    takes = ("size",)

    def variables(self, config: Config) -> list[Variable]:
        """Exponent and constant; prediction and bound where initialisations are given."""
        at_sizes = [
            Variable("log_predicted", "natural logarithm of the predicted distance", ("size",)),
            Variable("log_bound", "natural logarithm of a bound on the distance", ("size",)),
        ]
        return [
            Variable("exponent", "predicted slope: distance ~ constant * eps^exponent"),
            Variable("constant", "predicted constant of the distance"),
            Variable("rho", "null space constant rho"),
            *(at_sizes if config.sizes is not None else []),
        ]

    def solve(self, point: Point) -> Values:
        """The leading term, and what it says at each initialisation."""
        rate = convergence_rate(point.problem, point.p)
        values: Values = {
            name: np.array([getattr(rate, name)]) for name in ("exponent", "constant", "rho")
        }
        if point.config.sizes is not None:
            given: Mapping[str, Any] = point.config.initialisation(point.p, slice(None))
            values["log_predicted"] = np.asarray(rate.log_predict(**given))[np.newaxis]
            values["log_bound"] = np.asarray(rate.log_bound(**given))[np.newaxis]
        return {**values, "status": code_of(rate.status)}

    def seconds(self, m: int, N: int, together: int) -> float:
        """A minimiser and linear programs, which are slower."""
        return 60.0 * _factorisation(m, N) + 0.002


class Flow(Quantity):
    """`gradient_flow`: psi and loss at times t."""

    name = "flow"
    axes = ("p", "size")
    needs = ("size", "t")

    def variables(self, config: Config) -> list[Variable]:
        """psi and loss in time."""
        return [
            *_psi(config, "psi(t) of gradient flow", "time"),
            Variable("loss", "||A psi - y||^2 / 2", ("time",)),
            Variable("steps", "steps accepted", dtype="<i8"),
        ]

    def solve(self, point: Point) -> Values:
        """One trajectory; what comes after its end, if it breaks off, stays blank."""
        given: Mapping[str, Any] = {k: float(v[0]) for k, v in point.initialisation.items()}
        path = gradient_flow(point.problem, point.p, t=point.config.t, **given)
        assert point.config.t is not None
        there = int(np.sum(path.t == point.config.t[: path.t.size]))
        return {
            "psi": path.psi[np.newaxis, :there],
            "loss": path.loss[np.newaxis, :there],
            "steps": np.array([path.stats.steps]),
            "status": code_of(path.status),
        }

    def seconds(self, m: int, N: int, together: int) -> float:
        """Some hundreds of steps."""
        return 0.01 + 1e-5 * m * N


class Descent(Quantity):
    """`gradient_descent`: psi and loss after some numbers of steps."""

    name = "descent"
    axes = ("p", "size", "step_size")
    needs = ("size", "step_size", "n_steps")
    takes = ("save_steps",)

    def variables(self, config: Config) -> list[Variable]:
        """psi and loss in steps."""
        return [
            *_psi(config, "iterates of gradient descent", "step"),
            Variable("loss", "||A psi - y||^2 / 2", ("step",)),
            Variable("single_steps", "steps taken one by one", dtype="<i8"),
        ]

    def solve(self, point: Point) -> Values:
        """One descent; what comes after its end, if it diverges, stays blank."""
        config = point.config
        assert config.n_steps is not None
        assert config.save_steps is not None
        alpha = float(np.exp(config.log_alpha(point.p, point.block))[0])
        if config.size_name == "alpha":
            alpha = float(point.initialisation["alpha"][0])
        path = gradient_descent(
            point.problem, point.p, alpha, point.step_size, config.n_steps, config.save_steps
        )
        there = int(np.sum(path.steps == config.save_steps[: path.steps.size]))
        return {
            "psi": path.psi[np.newaxis, :there],
            "loss": path.loss[np.newaxis, :there],
            "single_steps": np.array([path.stats.single_steps]),
            "status": code_of(path.status),
        }

    def seconds(self, m: int, N: int, together: int) -> float:
        """As many steps as a path of leaps usually takes singly."""
        return 0.05 + 1e-5 * m * N


QUANTITIES: dict[str, Quantity] = {
    one.name: one for one in (Limit(), Minimizer(), Rate(), Flow(), Descent())
}
