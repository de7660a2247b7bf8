"""Patterns of loops over contiguous arrays, and what the loops share.

numba caches no function that gets another as an argument. So a pattern is a plain
function with free names, and `instance` makes of it a function of its own for each meaning
of those names, which numba compiles and caches by its name.

Every loop is ``loop(x, p, out) -> int``: it fills out, and is negative if a value came
out infinite or NaN, so that warnings cost nothing where there is nothing to warn of (the
comparison with 0 is left to the caller: inside, LLVM would no longer see a reduction).
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from fastdln._jit import jit, jit_inline, jit_inner
from fastdln.kernels.elementary import with_sign
from fastdln.kernels.intrinsics import (
    fetch,
    float_to_bits,
    use_wide_vectors,
)

__all__ = [
    "Array",
    "each_of_pair",
    "each_of_x",
    "each_of_x_and_p",
    "fetch_ahead",
    "in_blocks",
    "instance",
    "mark",
]

Array = Any  # a 1-D contiguous float64 array

STEP = 128  # elements between two requests to memory
AHEAD = 512  # how far before use the requests are made
MAGNITUDE = 0x7FFFFFFFFFFFFFFF
LARGEST = 0x7FEFFFFFFFFFFFFF  # the bits of the largest double


@jit_inline
def mark(y: float) -> int:
    """Negative where y is infinite or NaN, else not."""
    return LARGEST - (float_to_bits(y) & MAGNITUDE)


@jit_inline
def fetch_ahead(x: Array, begin: int) -> None:
    """Ask for what the loops after this one will read.

    By itself the processor looks only a few vectors ahead, its window full of arithmetic.
    """
    for i in range(begin + AHEAD, min(begin + AHEAD + STEP, x.size), 8):
        fetch(x, i)


def instance(pattern: Callable[..., Any], name: str, **meanings: Any) -> Callable[..., Any]:
    """The pattern as a function of its own, its free names given meanings."""
    made = FunctionType(pattern.__code__, {**pattern.__globals__, **meanings}, name)
    made.__qualname__, made.__doc__ = name, pattern.__doc__
    return made


value: Any = None  # free names of the patterns
form: Any = None
inside: Any = None
edges: Any = None


def _of_x(x: Array, p: float, out: Array) -> int:
    """A scalar function of x, element by element."""
    use_wide_vectors()
    seen = 0
    for i in range(out.size):
        y = value(x[i])
        out[i] = y
        seen |= mark(y)
    return seen


def _of_x_and_p(x: Array, p: float, out: Array) -> int:
    """A scalar function of x and p, element by element."""
    use_wide_vectors()
    seen = 0
    for i in range(out.size):
        y = value(x[i], p)
        out[i] = y
        seen |= mark(y)
    return seen


def _of_pair(x: Array, p: Array, out: Array) -> int:
    """A scalar function of x and p, both arrays."""
    seen = 0
    for i in range(out.size):
        y = value(x[i], p[i])
        out[i] = y
        seen |= mark(y)
    return seen


def _inside(x: Array, out: Array) -> int:
    """An odd form where it holds; negative if there is an x for which it does not."""
    use_wide_vectors()
    seen = 0
    for begin in range(0, out.size, STEP):
        t, y = x[begin : begin + STEP], out[begin : begin + STEP]
        fetch_ahead(x, begin)
        for i in range(y.size):
            v, d = form(t[i])
            y[i] = with_sign(v, t[i])
            seen |= d
    return seen


def _in_blocks(x: Array, p: float, out: Array) -> int:
    """An odd form, then its edges if there are any."""
    seen = inside(x, out)
    return edges(x, out) if seen < 0 else seen


def each_of_x(name: str, function: Any) -> Any:
    """The loop over a scalar function of x."""
    return jit(instance(_of_x, name, value=function))


def each_of_x_and_p(name: str, function: Any) -> Any:
    """The loop over a scalar function of x and p."""
    return jit(instance(_of_x_and_p, name, value=function))


def each_of_pair(name: str, function: Any) -> Any:
    """The loop over a scalar function of x and p, p an array."""
    return jit(instance(_of_pair, name, value=function))


def in_blocks(name: str, function: Any, put_edges: Any) -> Any:
    """The loop over an odd form, ``function(x) -> value, negative where it does not hold``."""
    within = jit_inner(instance(_inside, "inside_" + name, form=function))
    return jit(instance(_in_blocks, name, inside=within, edges=put_edges))
