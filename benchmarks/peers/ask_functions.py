"""The coordinate functions on a million elements: NumPy, SciPy's special functions, naive numba."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.common import reference
from benchmarks.functions.speed import arguments, naive_h, naive_inverse

from .contest import Array, Case, Contender

PEERS = ("numpy", "scipy", "numba")
THREADS = (1, 2)
TITLE = "Coordinate functions"
INTRO = (
    "h_p and its inverse on many elements all over the domain, into a new array. NumPy's "
    "formula is the difference of powers as it stands in the papers (its inverse: ten steps of "
    "Newton's method); SciPy's avoids the cancellation by `log1p` and `expm1` from "
    "`scipy.special` (its inverse: `scipy.optimize.newton` on all elements); naive numba is "
    "NumPy's formula in a loop, over `prange` where there are two threads. NumPy and SciPy "
    "use one thread whatever there is. The error is the largest over the reference table "
    "(30 digits), tiny and huge arguments included, in units of the last place."
)


def cases(quick: bool, threads: int) -> Iterator[Case]:
    """h and its inverse at a closed depth, another, and p = 2."""
    for name in ("h", "h_inverse"):
        for p in (2.0, 3.0) if quick else (2.0, 3.0, 2.7):
            slow = name == "h_inverse" and p > 2  # in every form but ours
            yield _case(name, p, 20_000 if quick else 300_000 if slow else 1_000_000, threads)


def _case(name: str, p: float, size: int, threads: int) -> Case:
    import fastdln as fd

    points, exact = _table(name, p)
    x = np.concatenate([arguments(name, p, size), points])
    function = getattr(fd, name)
    numpy_form = naive_h if name == "h" else naive_inverse
    contenders = [
        Contender("fastdln", lambda: lambda: function(x, p), ours=True),
        Contender("NumPy formula", lambda: lambda: _quiet(numpy_form, x, p)),
        Contender("naive numba", lambda: _numba(name, x, p, threads > 1), compiles=True),
    ]
    scipy_form = scipy_h if name == "h" else scipy_inverse
    if name == "h" or p > 2:
        contenders.append(Contender("SciPy special", lambda: lambda: _quiet(scipy_form, x, p)))

    def ulps(values: Array) -> float:
        with np.errstate(all="ignore"):
            off = np.abs(values[-exact.size :] - exact) / np.spacing(np.abs(exact))
        return float(np.max(off)) if np.all(np.isfinite(off)) else math.inf

    return Case(
        name=f"{name}, p = {p:g}, {size:,} elements", about="", contenders=contenders,
        error_of=ulps, error_name="ulp", floor=4.0, per=size, unit="element", most=5.0,
    )  # fmt: skip


def _table(name: str, p: float) -> tuple[Array, Array]:
    """Arguments and values that are normal numbers, rounded from 30 digits."""
    argument, value = ("t", "h") if name == "h" else ("x", "h_inv")
    rows = [row for row in reference("scalar_functions") if float(row["p"]) == p]
    pairs = np.array([(row[argument], row[value]) for row in rows if row["f"] == argument], float)
    return tuple(pairs[np.abs(pairs[:, 1]) > 1e-290].T)


def _quiet(function: Callable[..., Array], x: Array, p: float) -> Array:
    with np.errstate(all="ignore"):
        return function(x, p)


def scipy_h(t: Array, p: float) -> Array:
    """Without cancellation."""
    from scipy import special

    if p == 2.0:
        return np.asarray(special.expm1(t) - special.expm1(-t))
    b, low = p / (p - 2), special.log1p(t)
    return np.asarray(np.exp(-b * low) * special.expm1(b * (low - special.log1p(-t))))


def scipy_inverse(x: Array, p: float) -> Array:
    """SciPy's Newton method on all elements, from the guess of `naive_inverse`."""
    from scipy import optimize

    b = p / (p - 2)

    def slope(t: Array) -> Array:
        return np.asarray(b * ((1 - t) ** (-b - 1) + (1 + t) ** (-b - 1)))

    start = np.tanh(np.arcsinh(x / 2) / b)
    return np.asarray(
        optimize.newton(lambda t: scipy_h(t, p) - x, start, slope, maxiter=10, disp=False)
    )


def _numba(name: str, x: Array, p: float, parallel: bool) -> Callable[[], Array]:
    import numba

    many: Any = numba.prange if parallel else range

    def h(x: Array, b: float, out: Array) -> None:
        for i in many(x.size):
            out[i] = (1 - x[i]) ** -b - (1 + x[i]) ** -b

    def inverse(x: Array, b: float, out: Array) -> None:
        for i in many(x.size):
            t = math.tanh(math.asinh(x[i] / 2) / b)
            for _ in range(10):
                slope = b * ((1 - t) ** (-b - 1) + (1 + t) ** (-b - 1))
                t -= ((1 - t) ** -b - (1 + t) ** -b - x[i]) / slope
            out[i] = t

    def h_2(x: Array, b: float, out: Array) -> None:
        for i in many(x.size):
            out[i] = 2 * math.sinh(x[i])

    def inverse_2(x: Array, b: float, out: Array) -> None:
        for i in many(x.size):
            out[i] = math.asinh(x[i] / 2)

    chosen = {"h": (h_2, h), "h_inverse": (inverse_2, inverse)}[name][p != 2.0]
    loop = numba.njit(parallel=parallel, error_model="numpy")(chosen)
    b = p / (p - 2) if p > 2 else 0.0

    def run() -> Array:
        out = np.empty_like(x)
        loop(x, b, out)
        return out

    return run
