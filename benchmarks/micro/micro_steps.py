"""Steps of flows and descents on the smallest problem and on one that fills a cache."""

import numpy as np
import pytest

import fastdln as fd

_PROBLEMS = {
    "random": fd.datasets.random(),
    "gaussian 50 x 500": fd.datasets.gaussian(50, 500, 10, rng=0).problem,
}


@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize("method", ["plain", "compensated"])
@pytest.mark.parametrize("name", list(_PROBLEMS))
def test_hundred_steps(benchmark, name, method, p):
    path = benchmark(fd.gradient_descent, _PROBLEMS[name], p, 0.1, 1e-4, 100, [100], method=method)
    assert np.all(np.isfinite(path.psi))


def test_leaps(benchmark):
    steps = [10**9]
    path = benchmark(
        fd.gradient_descent, _PROBLEMS["random"], 3.0, 1e-4, 5e-3, 10**9, steps, method="leap"
    )
    assert np.all(np.isfinite(path.psi))


@pytest.mark.parametrize("p", [2.0, 3.0])
@pytest.mark.parametrize("method", ["tsit5", "dop853", "radau"])
def test_flow(benchmark, method, p):
    flow = benchmark(fd.gradient_flow, _PROBLEMS["random"], p, 0.1, [1.0, 10.0], method=method)
    assert np.all(np.isfinite(flow.psi))
