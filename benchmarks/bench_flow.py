"""Gradient flow in time: seconds, steps, and accuracy against the reference table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .common import gaussian, reference


class Gaussian:
    """One flow to convergence, eps = 1e-6, 100 output times."""

    version = "1"
    timeout = 300
    warmup_time = 1.0
    rounds = 2
    params = ((20, 50), (2.0, 3.0))
    param_names = ("m", "p")

    def _run(self, m: int, p: float) -> Any:
        import fastdln as fd

        alpha = 1e-6 ** (1 / p)
        end = 5 * math.log(1e6) if p == 2.0 else 30 / (p * (p - 2) * alpha ** (p - 2))
        problem = fd.Problem(*gaussian(m, (5 if m == 20 else 8) * m, m // 5))
        return fd.gradient_flow(problem, p, alpha, np.linspace(end / 100, end, 100))

    def time_flow(self, m: int, p: float) -> None:
        """Problem, integration, output."""
        self._run(m, p)

    def track_steps(self, m: int, p: float) -> int:
        """Steps of all methods together."""
        return int(self._run(m, p).stats.steps)

    track_steps.unit = "steps"  # type: ignore[attr-defined]


class Accuracy:
    """Largest error over rtol against the reference table."""

    version = "1"
    timeout = 300
    params = ("auto", "radau")
    param_names = ("method",)

    def track_largest_error(self, method: str) -> float:
        """At rtol 1e-4, 1e-6, 1e-8 and 1e-10; 5 is the limit."""
        worst = max(_error(method, rtol) / rtol for rtol in (1e-4, 1e-6, 1e-8, 1e-10))
        assert worst <= 5.0, f"error {worst:.2e} rtol, 5 rtol is the limit"
        return worst

    track_largest_error.unit = "rtol"  # type: ignore[attr-defined]


def _error(method: str, rtol: float) -> float:
    """The largest over all cases and coordinates, relative to |psi| + eps."""
    import fastdln as fd

    worst = 0.0
    for case in reference("gradient_flow"):
        problem = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))
        p, alpha = float(case["p"]), float(case["alpha"])
        exact = np.array([[float(v) for v in row["psi"]] for row in case["rows"]])
        t = [float(row["t"]) for row in case["rows"]]
        psi = fd.gradient_flow(problem, p, alpha, t, method=method, rtol=rtol).psi
        worst = max(worst, float(np.max(np.abs(psi - exact) / (np.abs(exact) + alpha**p))))
    return worst
