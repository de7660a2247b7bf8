"""Every kernel, called once in each of its forms, so that its machine code is cached.

numba compiles one function of a process at a time: several processes fill the cache sooner.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from fastdln import _jit, datasets, functions
from fastdln.descent import gradient_descent
from fastdln.flow import gradient_flow
from fastdln.limit import flow_limit
from fastdln.minimizer import l1_minimizer
from fastdln.null_space import null_space_constants
from fastdln.problem import Problem

__all__ = ["compile_all"]

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    functions.h,
    functions.h_prime,
    functions.h_integral,
    functions.h_inverse,
    functions.potential_q,
    functions.selector_g,
)
_SLACK_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    functions.h_of_slack,
    functions.h_inverse_slack,
)


def _limits() -> None:
    deficient = Problem(np.array([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]]), np.array([1.0, 2.0]))
    problems = (datasets.line(), datasets.plane(), datasets.random(), deficient)
    for p in (2.0, 3.0):
        for problem in problems:
            l1_minimizer(problem, p)
            limit = flow_limit(problem, p, alpha=np.array([1.0, 1e-5]))
            assert np.all(np.isfinite(limit.deviation_norm))  # computed when asked for
        flow_limit([problems[2]] * 20, p, 1e-3)  # several in one call
    null_space_constants(datasets.gaussian(40, 120, 4).problem)  # large enough for homotopy
    large = datasets.gaussian(200, 2000, 30).problem  # and for limits on several threads
    for p in (2.0, 3.0):
        flow_limit(large, p, log_alpha=-60.0 / p)


def _flows() -> None:
    for p in (2.0, 3.0):
        for method in ("dop853", "radau"):
            gradient_flow(datasets.line(), p, 0.1, [0.5, 1.0], method=method)
    gradient_flow(datasets.line(), 2, 0.1, 1.0, method="tsit5", form="weights")


def _joined_flows() -> None:
    """What takes kernels of limits as well."""
    for p in (2.0, 3.0):
        for method in ("dop853", "radau"):
            gradient_flow(datasets.line(), p, 0.1, [1.0, np.inf], method=method)
    gradient_flow(datasets.line(), 3, 1e-20, 1.0)


def _descents() -> None:
    problem = datasets.line()
    for method in ("plain", "compensated", "leap"):
        gradient_descent(problem, 3.0, 0.1, 1e-3, 10, method=method)
    gradient_descent(problem, 3.0, [0.1, 0.2], 1e-3, 10, method="plain")
    gradient_descent(problem, 3.0, 0.1, 1e-3, 10, batch_size=1, rng=0)


def _coordinates() -> None:
    t = np.array([0.25, 0.5])
    # Depths with a closed form of their own, one without, and one for each element.
    for depth in (2.0, 2.5, 3.0, 4.0, 6.0, 3.5, np.array([2.0, 3.5])):
        for function in _FUNCTIONS:
            function(t, depth)
    for depth in (3.5, np.array([3.0, 3.5])):
        for function in _SLACK_FUNCTIONS:
            function(t, depth)


_PARTS = (_limits, _flows, _descents, _coordinates)  # those that take longest come first


def compile_all(jobs: int = 1) -> None:
    """Compile, or load from the cache, what the public functions call, in `jobs` processes."""
    if jobs > 1 and not _jit.JIT_DISABLED:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that are held
        with ProcessPoolExecutor(min(jobs, len(_PARTS)), context) as pool:
            for done in [pool.submit(part) for part in _PARTS]:
                done.result()
    for part in (*_PARTS, _joined_flows):  # what is compiled now is loaded
        part()
