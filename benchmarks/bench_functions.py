"""The scalar functions: nanoseconds per element, and errors in units of the last place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = Path(__file__).parent / "functions" / "sample.json"
_N = 1_000_000  # enough for all cores to take part
# Public name, argument and result columns of the reference table.
_COLUMNS = {
    "h": ("t", "h"),
    "h_prime": ("t", "dh"),
    "h_integral": ("t", "H"),
    "h_inverse": ("x", "h_inv"),
    "h_of_slack": ("slack", "h"),
    "h_inverse_slack": ("x", "slack"),
    "potential_q": ("x", "q"),
}

# The slack forms are for p > 2.
_CASES = tuple(
    f"{name} {p}" for name in _COLUMNS for p in ("2", "3") if p != "2" or "slack" not in name
)


class Throughput:
    """A million values in one call."""

    version = "1"
    timeout = 120
    warmup_time = 1.0
    rounds = 4
    params = _CASES
    param_names = ("function and p",)

    def setup_cache(self) -> dict[str, NDArray[np.float64]]:
        """Arguments inside every function's domain, and of many sizes."""
        rng = np.random.default_rng(0)
        return {
            "t": rng.uniform(-0.999, 0.999, _N),
            "slack": 10.0 ** rng.uniform(-30.0, 0.0, _N),
            "x": 10.0 ** rng.uniform(-30.0, 30.0, _N),
        }

    def time_array(self, arguments: dict[str, Any], case: str) -> None:
        """One call."""
        import fastdln

        name, p = case.split()
        getattr(fastdln, name)(arguments[_COLUMNS[name][0]], float(p))


class Accuracy:
    """Largest error in units of the last place over the worst points known, and others.

    The sample and its references (sums of two doubles) were kept by
    ``benchmarks/functions/accuracy.py --save``.
    """

    version = "1"
    timeout = 120
    params = (*_COLUMNS, "selector_g")
    param_names = ("function",)

    def track_largest_ulp(self, function: str) -> float:
        """At every point of the sample but those whose values are nearly subnormal."""
        return max(largest_ulps(function).values())

    track_largest_ulp.unit = "ulp"  # type: ignore[attr-defined]


def largest_ulps(function: str) -> dict[float, float]:
    """Largest error over the sample for each depth in it."""
    import fastdln

    evaluate = getattr(fastdln, function)
    rows = np.array(json.loads(_SAMPLE.read_text())[function])
    depths = np.unique(rows[:, 0]).tolist()
    return {p: _ulps(evaluate, p, *rows[rows[:, 0] == p, 1:].T) for p in depths}


def _ulps(
    evaluate: Callable[[NDArray[np.float64], float], NDArray[np.float64]],
    p: float,
    x: NDArray[np.float64],
    high: NDArray[np.float64],
    low: NDArray[np.float64],
) -> float:
    """Largest error at one depth: value - high is exact where the two are near."""
    normal = np.abs(high) > 1e-290  # below it the low parts underflow
    x, high, low = x[normal], high[normal], low[normal]
    value = evaluate(x, p)
    assert np.isfinite(value).all(), f"{value} at {x}"
    return float(np.max(np.abs((value - high) - low) / np.spacing(np.abs(high)), initial=0.0))
