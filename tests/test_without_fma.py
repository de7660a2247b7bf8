"""The path for processors without a fused multiply-add, forced in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from fastdln import functions
from fastdln._jit import JIT_DISABLED

pytestmark = pytest.mark.skipif(JIT_DISABLED, reason="is about compiled code")

CASES = {
    "h": [2.0, 3.0, 2.7],
    "h_prime": [3.0],
    "h_inverse": [2.0],
}
SCRIPT = """
import json, sys
import numba
import numpy as np
from fastdln import functions
from fastdln.kernels.intrinsics import HAS_FMA, fma

@numba.njit
def fused(a, b, c, out):
    for i in range(out.size):
        out[i] = fma(a[i], b[i], c[i])

asked = json.load(sys.stdin)
out = np.empty(len(asked["triples"][0]))
fused(*map(np.array, asked["triples"]), out)
values = {
    f"{name} {p}": getattr(functions, name)(np.array(x), p).tolist()
    for name, p, x in asked["cases"]
}
print(json.dumps({"has": HAS_FMA, "fused": out.tolist(), "values": values}))
"""


def arguments(name: str, p: float) -> list[float]:
    """Random, near 0 and near the edge."""
    rng = np.random.default_rng(int(10 * p))
    if name == "h_inverse":
        return (rng.standard_normal(400) * 10 ** rng.uniform(-30, 30, 400)).tolist()
    top = 700.0 if p == 2.0 else 1.0
    near = top * (1.0 - 2.0 ** rng.uniform(-40, 0, 200))
    return [*rng.uniform(-top, top, 200), *10 ** rng.uniform(-100, 0, 200), *near]


def triples() -> list[list[float]]:
    """a, b, c with every kind of cancellation in ``a b + c``, and ties."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(1, 2, (2, 4000))
    a[1000:2000] = np.round(a[1000:2000] * 2**20) / 2**20  # few bits: halfway cases
    b[1000:2000] = np.round(b[1000:2000] * 2**20) / 2**20
    c = rng.choice([-1, 1], 4000) * 2.0 ** rng.integers(-110, 110, 4000) * rng.uniform(1, 2, 4000)
    c[1500:2500] = 2.0 ** rng.integers(-60, 60, 1000)
    c[3000:] = -a[3000:] * b[3000:]
    return [a.tolist(), b.tolist(), c.tolist()]


def test_values_without_an_fma_unit_are_those_with_one():
    given = triples()
    cases = [(name, p, arguments(name, p)) for name, depths in CASES.items() for p in depths]
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps({"triples": given, "cases": cases}),
        env=os.environ | {"FASTDLN_FMA": "0", "FASTDLN_CACHE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    got = json.loads(process.stdout)
    assert got["has"] is False
    exact = [float(Fraction(a) * Fraction(b) + Fraction(c)) for a, b, c in zip(*given, strict=True)]
    assert got["fused"] == exact  # rounded once: the bits of the unit
    for name, p, x in cases:
        want = getattr(functions, name)(np.array(x), p)
        np.testing.assert_array_equal(np.array(got["values"][f"{name} {p}"]), want, f"{name} {p}")
