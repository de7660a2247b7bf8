"""The coordinate functions: one thread, 16384 numbers, which stay in the cache."""

import numpy as np
import pytest

import fastdln as fd

_N = 1 << 14
_RNG = np.random.default_rng(0)
_T = _RNG.uniform(-0.999, 0.999, _N)
_SLACK = 10.0 ** _RNG.uniform(-30.0, 0.0, _N)
_X = _RNG.standard_normal(_N) * 10.0 ** _RNG.uniform(-3.0, 3.0, _N)
_ARGUMENTS = {
    "h": _T, "h_prime": _T, "h_integral": _T, "h_inverse": _X, "h_of_slack": _SLACK,
    "h_inverse_slack": _X, "potential_q": _X, "selector_g": _X,
}  # fmt: skip
_CASES = [
    (name, p) for name in _ARGUMENTS for p in (2.0, 2.5, 3.0, 4.0, 2.7)
    if p > 2 or "slack" not in name
]  # fmt: skip


@pytest.mark.parametrize(("name", "p"), _CASES)
def test_array(benchmark, name, p):
    x, out, function = _ARGUMENTS[name], np.empty(_N), getattr(fd, name)
    benchmark(function, x, p, out=out)
    assert np.all(np.isfinite(out))
