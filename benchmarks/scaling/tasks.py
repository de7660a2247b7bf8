"""What is scaled: each task along each of its axes, and the sizes on the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import gaussian


class Axis(NamedTuple):
    """One task along one axis; `make` prepares a size and returns what is timed."""

    task: str
    axis: str
    about: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    make: Callable[[int], Callable[[], Any]]


_EPS = 1e-9
_STEPS = 50


def _planted(m: int, N: int, seed: int = 0) -> Any:
    """Gaussian A on coarse grids, a tenth of m coordinates planted: one sparse minimiser."""
    import fastdln as fd

    return fd.datasets.gaussian(m, N, max(1, m // 10), rng=seed).problem


def limit(m: int, N: int) -> Callable[[], Any]:
    """One limit from A and y, p = 3, eps = 1e-9."""
    import fastdln as fd

    A, y = _arrays(m, N)
    return lambda: fd.flow_limit(fd.Problem(A, y), 3.0, log_alpha=math.log(_EPS) / 3)


def minimiser(m: int, N: int) -> Callable[[], Any]:
    """One minimiser from A and y, p = 3."""
    import fastdln as fd

    A, y = _arrays(m, N)
    return lambda: fd.l1_minimizer(fd.Problem(A, y), 3.0)


def _arrays(m: int, N: int) -> Any:
    problem = _planted(m, N)
    return problem.A, problem.y


def flow(m: int, N: int) -> Callable[[], Any]:
    """One flow to convergence, p = 3, eps = 1e-6, 20 times."""
    import fastdln as fd

    problem = fd.Problem(*gaussian(m, N, max(1, m // 10)))
    t = _times()
    return lambda: fd.gradient_flow(problem, 3.0, 1e-2, t)


def _times() -> Any:
    end = 30 / (3 * 1e-2)
    return np.linspace(end / 20, end, 20)


def descent(m: int, N: int) -> Callable[[], Any]:
    """Fifty plain steps, p = 3."""
    import fastdln as fd

    problem = fd.Problem(*gaussian(m, N, max(1, m // 10)))
    return lambda: fd.gradient_descent(problem, 3.0, 0.1, 1e-4, _STEPS, [_STEPS], method="plain")


def limits(count: int) -> Callable[[], Any]:
    """Limits of as many problems of 20 x 100 in one call."""
    import fastdln as fd

    problems = [_planted(20, 100, seed) for seed in range(count)]
    return lambda: fd.flow_limit(problems, 3.0, log_alpha=math.log(_EPS) / 3)


def flows(count: int) -> Callable[[], Any]:
    """As many flows of 20 x 100 in one call."""
    import fastdln as fd

    problems = [fd.Problem(*gaussian(20, 100 + k % 3, 2)) for k in range(count)]
    t = _times()
    return lambda: fd.gradient_flows(problems, 3.0, 1e-2, t)


def descents(count: int) -> Callable[[], Any]:
    """Fifty steps of as many step sizes at 50 x 500, A shared."""
    import fastdln as fd

    problem = fd.Problem(*gaussian(50, 500, 5))
    etas = np.linspace(0.5, 1.0, count) * 1e-4
    return lambda: fd.gradient_descent(problem, 3.0, 0.1, etas, _STEPS, [_STEPS], method="plain")


def sweep(count: int) -> Callable[[], Any]:
    """A sweep of limits: problems of 20 x 100 times 10 alphas, kept in memory."""
    import fastdln as fd
    from fastdln._threads import thread_count

    table = {"dataset": "gaussian", "m": 20, "N": 100, "sparsity": 2}
    alphas = {"logspace": [0, -3, 10]}
    return lambda: fd.sweep(
        table, p=[3], alpha=alphas, seed=range(count // 10), workers=thread_count(), progress=False
    )


def _by_N(m: int, make: Callable[[int, int], Any]) -> Callable[[int], Any]:
    return lambda N: make(m, N)


def _by_m(N: int, make: Callable[[int, int], Any]) -> Callable[[int], Any]:
    return lambda m: make(m, N)


_N = (1000, 3162, 10_000, 31_623, 100_000)
_FLOW_N = (300, 1000, 3000, 10_000)
_M = (25, 50, 100, 200, 400)
_B = (16, 64, 256, 1024)

AXES = (
    Axis("limit", "N", "m = 50", _N, (100, 200, 400), _by_N(50, limit)),
    Axis("limit", "m", "N = 4000", _M, (10, 20, 40), _by_m(4000, limit)),
    Axis("limit", "batch", "problems of 20 x 100", _B, (2, 4, 8), limits),
    Axis("minimiser", "N", "m = 50", _N, (100, 200, 400), _by_N(50, minimiser)),
    Axis("minimiser", "m", "N = 4000", _M, (10, 20, 40), _by_m(4000, minimiser)),
    Axis("flow", "N", "m = 20", _FLOW_N, (100, 200, 400), _by_N(20, flow)),
    Axis("flow", "m", "N = 2000", (5, 10, 20, 40), (5, 10, 20), _by_m(2000, flow)),
    Axis("flow", "batch", "problems of 20 x 100", (8, 32, 128), (2, 4, 8), flows),
    Axis("descent", "N", "m = 100", _N, (100, 200, 400), _by_N(100, descent)),
    Axis("descent", "m", "N = 10000", _M, (10, 20, 40), _by_m(10_000, descent)),
    Axis("descent", "batch", "step sizes at 50 x 500", (8, 32, 128, 512), (2, 4, 8), descents),
    Axis("sweep", "configurations", "20 x 100", (500, 2000, 8000), (20, 40, 80), sweep),
)
