"""What the benchmarks share: problems, grids, and the reference tables."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEPTHS",
    "FlowCase",
    "above_scale",
    "gaussian",
    "log_alphas",
    "published_problems",
    "reference",
    "worst_relative",
]

DEPTHS = (2.0, 2.5, 3.0, 4.0)
_REFERENCE = Path(__file__).resolve().parent.parent / "tests" / "reference"


def reference(name: str) -> Any:
    """A table of `tests/reference`."""
    return json.loads((_REFERENCE / f"{name}.json").read_text())


def published_problems() -> list[Any]:
    """The three problems of Figure 1."""
    from fastdln import datasets

    return [datasets.line(), datasets.plane(), datasets.random()]


def gaussian(m: int, n: int, sparsity: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A of independent normal entries, and y = A x for a sparse normal x."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, n)) / math.sqrt(m)
    x = np.zeros(n)
    x[rng.choice(n, sparsity, replace=False)] = rng.standard_normal(sparsity)
    return A, A @ x


def log_alphas(p: float, log10_epsilon: Sequence[float]) -> NDArray[np.float64]:
    """Natural logarithms of the alphas at which eps = alpha**p is 10**log10_epsilon."""
    return np.asarray(log10_epsilon, dtype=float) * (math.log(10.0) / p)


def worst_relative(values: Sequence[float], exact: Sequence[str]) -> float:
    """Largest relative error of `values` against decimal strings, 0 where both are zero."""
    worst = 0.0
    for value, text in zip(values, exact, strict=True):
        true, given = Decimal(text), Decimal(float(value))
        if true != given:
            worst = max(worst, float(abs(given - true) / abs(true)) if true else math.inf)
    return worst


def above_scale(psi: NDArray[np.float64], exact: NDArray[np.float64], eps: float) -> float:
    """Largest error of psi relative to abs(psi) + eps."""
    return float(np.max(np.abs(psi - exact) / (np.abs(exact) + eps)))


class FlowCase(NamedTuple):
    """One flow, or its limit, and the exact values."""

    A: NDArray[np.float64]
    y: NDArray[np.float64]
    p: float
    alpha: float
    t: NDArray[np.float64]
    exact: NDArray[np.float64]

    def error(self, psi: NDArray[np.float64]) -> float:
        """Largest error relative to abs(psi) + eps."""
        return above_scale(psi, self.exact, self.alpha**self.p)
