"""Gradient descent: steps, leaps, and how right they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import reference

_LONG = 10**6


class Steps:
    """Single steps at 50 x 500, p = 3."""

    version = "1"
    timeout = 300
    warmup_time = 0.5
    rounds = 2
    params = ("plain", "compensated")
    param_names = ("method",)

    def time_steps(self, method: str) -> None:
        """A thousand."""
        import fastdln

        problem = fastdln.datasets.gaussian(50, 500, 10, rng=0).problem
        fastdln.gradient_descent(problem, 3, 0.1, 1e-4, 1000, [1000], method=method)

    def time_configurations(self, method: str) -> None:
        """A hundred of sixteen configurations."""
        import fastdln

        problem = fastdln.datasets.gaussian(50, 500, 10, rng=0).problem
        etas = np.linspace(1e-5, 1e-4, 16)
        fastdln.gradient_descent(problem, 3, 0.1, etas, 100, [100], method=method)


class Leaps:
    """The long cases of the reference table, at rtol = 1e-9."""

    version = "1"
    timeout = 300
    warmup_time = 0.5
    rounds = 2

    def time_leap(self) -> None:
        """All of them."""
        for case in reference("gradient_descent"):
            if case["rows"][-1]["step"] >= _LONG:
                _descend(case, "leap")

    def track_attempts(self) -> int:
        """Leaps and leaps taken back."""
        paths = [_descend(case, "leap")[0] for case in reference("gradient_descent")]
        return sum(path.stats.leaps + path.stats.rejected for path in paths)

    track_attempts.unit = "leaps"  # type: ignore[attr-defined]


class Accuracy:
    """Largest relative error per coordinate, with a floor of eps, on the reference table."""

    version = "1"
    timeout = 600

    def track_leap(self) -> float:
        """At rtol = 1e-9, every step of the table."""
        return _worst("leap", 1e-9)

    track_leap.unit = "relative"  # type: ignore[attr-defined]

    def track_compensated(self) -> float:
        """Up to 1e5 steps."""
        return _worst("compensated", 1e-14, most=10**5)

    track_compensated.unit = "relative"  # type: ignore[attr-defined]


def _descend(case: Any, method: str, most: float = np.inf) -> tuple[Any, np.ndarray]:
    """The path of a case, and the exact psi at its steps."""
    import fastdln

    problem = fastdln.Problem(np.array(case["A"], float), np.array(case["y"], float))
    p, alpha, eta = (float(case[name]) for name in ("p", "alpha", "step_size"))
    rows = [row for row in case["rows"] if row["step"] <= most]
    steps = [row["step"] for row in rows]
    path = fastdln.gradient_descent(problem, p, alpha, eta, steps[-1], steps, method=method)
    return path, np.array([row["psi"] for row in rows], dtype=float)


def _worst(method: str, limit: float, most: float = np.inf) -> float:
    worst = 0.0
    for case in reference("gradient_descent"):
        path, exact = _descend(case, method, most)
        floor = float(case["alpha"]) ** float(case["p"])
        worst = max(worst, float(np.max(np.abs(path.psi - exact) / (np.abs(exact) + floor))))
    assert worst <= limit, f"relative error {worst:.2e}, {limit:.0e} is the limit"
    return worst
