"""Limits of gradient flow: time, accuracy, and the steps that they take."""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import DEPTHS, gaussian, log_alphas, published_problems, reference, worst_relative

_GRID = range(0, -10, -1)


class PublishedFigure:
    """The 120 limits of Figure 1."""

    version = "1"
    timeout = 300
    warmup_time = 1.0
    rounds = 4

    def setup_cache(self) -> list[Any]:
        """The three problems."""
        return published_problems()

    def time_all(self, problems: list[Any]) -> None:
        """Twelve paths of ten limits each."""
        from fastdln import flow_limit

        for problem in problems:
            for p in DEPTHS:
                flow_limit(problem, p, log_alpha=log_alphas(p, _GRID))


class Gaussian:
    """Random problems of growing size, ten limits along one path."""

    version = "1"
    timeout = 300
    warmup_time = 1.0
    rounds = 4
    params = ((20, 50), (2.0, 3.0))
    param_names = ("m", "p")

    def setup_cache(self) -> dict[int, Any]:
        """Problems of m x 10 m, with m / 5 coordinates that are not zero."""
        return {m: gaussian(m, 10 * m, m // 5) for m in self.params[0]}

    def time_path(self, problems: dict[int, Any], m: int, p: float) -> None:
        """Problem and path."""
        import fastdln

        fastdln.flow_limit(fastdln.Problem(*problems[m]), p, log_alpha=log_alphas(p, _GRID))

    def track_factorisations(self, problems: dict[int, Any], m: int, p: float) -> int:
        """Matrices of m x m factored along the path."""
        import fastdln

        problem = fastdln.Problem(*problems[m])
        limit = fastdln.flow_limit(problem, p, log_alpha=log_alphas(p, _GRID))
        return int(np.sum(limit.factorisations))

    track_factorisations.unit = "factorisations"  # type: ignore[attr-defined]


class SingleTarget:
    """One limit at one alpha, 200 x 2000 with 30 coordinates that are not zero."""

    version = "1"
    timeout = 300
    warmup_time = 0.5
    rounds = 2
    repeat = (2, 5, 3.0)  # least, most, and seconds: one takes up to a second
    params = ((-9, -100), (2.0, 3.0))
    param_names = ("log10 of eps", "p")

    def setup_cache(self) -> Any:
        """A and y."""
        return gaussian(200, 2000, 30)

    def time_limit(self, arrays: Any, log10_epsilon: int, p: float) -> None:
        """Problem and limit."""
        _single(arrays, log10_epsilon, p)

    def track_factorisations(self, arrays: Any, log10_epsilon: int, p: float) -> int:
        """Matrices of m x m factored on the way to it."""
        return int(_single(arrays, log10_epsilon, p).factorisations)

    track_factorisations.unit = "factorisations"  # type: ignore[attr-defined]


class Curve:
    """Three hundred alphas over three hundred decades, 200 x 2000 with 30 nonzeros, exactly."""

    version = "1"
    timeout = 300
    params = (2.0, 2.5, 3.0, 4.0)
    param_names = ("p",)

    def track_factorisations(self, p: float) -> int:
        """Matrices of m x m factored in all."""
        import fastdln

        problem = fastdln.datasets.gaussian(200, 2000, 30).problem
        limit = fastdln.flow_limit(
            problem, p, log_alpha=log_alphas(p, np.linspace(0, -300, 300).tolist())
        )
        return int(np.sum(limit.factorisations))

    track_factorisations.unit = "factorisations"  # type: ignore[attr-defined]


class Accuracy:
    """Largest relative error per coordinate against the reference table, down to 1e-60.

    The `sparse` problems are left out below 1e-15.
    """

    version = "1"
    params = DEPTHS
    param_names = ("p",)
    timeout = 300

    def track_psi(self, p: float) -> float:
        """Of every coordinate of every problem of the table."""
        import fastdln

        worst = 0.0
        for case in reference("flow_limits"):
            problem = fastdln.Problem(_floats(case["A"]), _floats(case["y"]))
            last = -15 if case["name"].startswith("sparse") else -60
            for row in case["rows"]:
                if float(row["p"]) == p and row["log10_alpha_p"] >= last:
                    log_alpha = log_alphas(p, [row["log10_alpha_p"]])[0]
                    psi = fastdln.flow_limit(problem, p, log_alpha=log_alpha).psi
                    worst = max(worst, worst_relative(psi, row["psi"]))
        assert worst <= 1e-11, f"relative error {worst:.2e}, 1e-11 is the limit"
        return worst

    track_psi.unit = "relative"  # type: ignore[attr-defined]


def _single(arrays: Any, log10_epsilon: int, p: float) -> Any:
    import fastdln

    log_alpha = float(log_alphas(p, [log10_epsilon])[0])
    return fastdln.flow_limit(fastdln.Problem(*arrays), p, log_alpha=log_alpha)


def _floats(texts: Any) -> np.ndarray:
    return np.array(texts, dtype=float)
