"""Figure 1 by integration alone, and a batch of 256: ``python -m benchmarks.flow_figures``."""

from __future__ import annotations

import math
import time

import numpy as np

from .common import DEPTHS, gaussian, published_problems


def figure1() -> tuple[float, float]:
    """Seconds of 120 flows to a long finite time, and the largest difference from the limits."""
    import fastdln as fd

    seconds, worst = 0.0, 0.0
    for problem in published_problems():
        for p in DEPTHS:
            for decade in range(10):
                alpha = 10.0 ** (-decade / p)
                end = 40.0 * max(decade * math.log(10.0), 1.0)
                if p > 2.0:
                    end = 300.0 / (p * (p - 2.0) * alpha ** (p - 2.0))
                start = time.perf_counter()
                path = fd.gradient_flow(problem, p, alpha, end, method="radau", rtol=1e-10)
                seconds += time.perf_counter() - start
                assert math.isinf(path.stats.joined)  # nothing of flow_limit in it
                limit = fd.flow_limit(problem, p, alpha).psi
                error = np.abs(path.psi[-1] - limit) / (np.abs(limit) + alpha**p)
                worst = max(worst, float(np.max(error)))
    return seconds, worst


def batch() -> tuple[float, float]:
    """Seconds of 256 flows of 20 x 100 one by one, and together."""
    import fastdln as fd

    problem = fd.Problem(*gaussian(20, 100, 4))
    alphas, t = np.logspace(-3.5, -2.5, 256), np.linspace(0.7, 69.0, 100)
    start = time.perf_counter()
    for alpha in alphas.tolist():
        fd.gradient_flow(problem, 2, alpha, t)
    middle = time.perf_counter()
    fd.gradient_flows(problem, 2, alphas, t)
    return middle - start, time.perf_counter() - middle


def main() -> None:
    """Each once to warm up, then measured."""
    figure1()
    print("Figure 1: {:.2f} s, largest difference from the limits {:.1e}".format(*figure1()))
    batch()
    alone, together = batch()
    print(f"256 flows: {alone:.2f} s alone, {together:.2f} s together, {alone / together:.2f} x")


if __name__ == "__main__":
    main()
