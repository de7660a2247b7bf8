"""The coordinate functions over contiguous arrays: one loop for each form.

The patterns and what they return are in `coordinate_loops`; the longer functions have loops
of their own, over blocks, a loop for each step. The bodies are free of branches: LLVM
vectorises them, and vector and scalar instructions give the same bits, wherever an
array is cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdln._jit import jit, jit_inline, jit_inner
from fastdln.kernels import coordinate as one
from fastdln.kernels.coordinate_closed import h_2_small, h_3, h_4, h_5_halves, h_6
from fastdln.kernels.coordinate_fast import (
    ONE_BITS,
    decline,
    difference,
    exponents,
    growth,
)
from fastdln.kernels.coordinate_inverse_algebraic import (
    LINEAR,
    last_3,
    last_4,
    slack_3,
    slack_4,
    start_3,
    start_4,
)
from fastdln.kernels.coordinate_inverse_fast import (
    TINY,
    argument_2,
    finish,
    finish_slack,
    guess_constants,
    guess_u,
    inverse_constants,
    inverse_step,
    is_usual,
    log1p_sum,
    slack_parts,
)
from fastdln.kernels.coordinate_loops import (
    LARGEST,
    MAGNITUDE,
    Array,
    each_of_x,
    each_of_x_and_p,
    in_blocks,
    instance,
    mark,
)
from fastdln.kernels.elementary import with_sign
from fastdln.kernels.intrinsics import (
    float_to_bits,
    use_wide_vectors,
)

BLOCK = 512  # elements between two loops of one function: they stay in the nearest cache
ROW = BLOCK + 24  # rows 4096 bytes apart would seem to overlap to the processor
LINEAR_BITS = int(np.float64(LINEAR).view(np.int64))
USUAL_BITS = int(np.float64(TINY).view(np.int64))
LOW = 1e-55  # below this value `one.h_moderate` may take another form
LOW_BITS = int(np.float64(LOW).view(np.int64))


@jit_inline
def hyperbolic(t: float) -> tuple[float, int]:
    """`h_hyperbolic` for |t| < 690; the second is negative for other t."""
    return h_2_small(abs(t))


@jit_inline
def cubic(t: float) -> tuple[float, int]:
    """`h_cubic` for |t| < 1; the second is negative for other t."""
    v, d = h_3(t)
    return v, float_to_bits(d) - 1


@jit_inline
def quartic(t: float) -> tuple[float, int]:
    """`h_quartic` for |t| < 1; the second is negative for other t."""
    v, d = h_4(t)
    return v, float_to_bits(d) - 1


@jit_inline
def five_halves(t: float) -> tuple[float, int]:
    """`h_five_halves` for |t| < 1; the second is negative for other t."""
    v, d = h_5_halves(t)
    return v, float_to_bits(d) - 1


@jit_inline
def sextic(t: float) -> tuple[float, int]:
    """`h_sextic` for |t| < 1; the second is negative for other t."""
    v, d = h_6(t)
    return v, float_to_bits(d) - 1


@jit_inner
def put_edges(x: Array, out: Array) -> int:
    """Infinities and NaN where |x| >= 1; as if there were some."""
    for i in range(out.size):
        if not abs(x[i]) < 1.0:
            out[i] = one.edge_odd(out[i], x[i])
    return -1


@jit_inner
def put_hyperbolic(x: Array, out: Array) -> int:
    """The function, p = 2, for any x."""
    seen = 0
    for i in range(out.size):
        y = one.h_hyperbolic(x[i])
        out[i] = y
        seen |= mark(y)
    return seen


slack: Any = None  # free names of a pattern
start: Any = None
last: Any = None
whole: Any = None
edges: Any = None


def _in_steps(x: Array, p: float, out: Array) -> int:
    """An inverse in three steps; where it is linear or at infinity, in a second pass."""
    use_wide_vectors()
    seen = 0
    n, t, tl, d, dl, r = np.empty((6, ROW))
    for begin in range(0, out.size, BLOCK):
        part, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        for i in range(y.size):
            n[i] = slack(abs(part[i]))
        for i in range(y.size):
            t[i], tl[i], d[i], dl[i], r[i] = start(abs(part[i]), n[i])
        for i in range(y.size):
            v = last(abs(part[i]), t[i], tl[i], d[i], dl[i], r[i])
            y[i] = with_sign(v, part[i])
            bits = float_to_bits(part[i]) & MAGNITUDE
            seen |= (bits - LINEAR_BITS) | (LARGEST - bits)
    return edges(x, out) if seen < 0 else seen


def _edges_of_inverse(x: Array, out: Array) -> int:
    """The function where it is linear or at infinity; negative if there is a NaN."""
    seen = 0
    for i in range(out.size):
        if not one.is_algebraic(abs(x[i])):
            out[i] = whole(x[i])
            seen |= mark(out[i])
    return seen


def in_steps(name: str, slack: Any, start: Any, last: Any, whole: Any) -> Any:
    """The loop over an inverse's steps."""
    edges = jit_inner(instance(_edges_of_inverse, "edges_" + name, whole=whole))
    steps = {"slack": slack, "start": start, "last": last, "edges": edges}
    return jit(instance(_in_steps, name, **steps))


h_hyperbolic = in_blocks("h_hyperbolic", hyperbolic, put_hyperbolic)
h_cubic = in_blocks("h_cubic", cubic, put_edges)
h_quartic = in_blocks("h_quartic", quartic, put_edges)
h_five_halves = in_blocks("h_five_halves", five_halves, put_edges)
h_sextic = in_blocks("h_sextic", sextic, put_edges)
h_general = each_of_x_and_p("h_general", one.h_general)

h_prime_hyperbolic = each_of_x("h_prime_hyperbolic", one.h_prime_hyperbolic)
h_prime_cubic = each_of_x("h_prime_cubic", one.h_prime_cubic)
h_prime_quartic = each_of_x("h_prime_quartic", one.h_prime_quartic)
h_prime_five_halves = each_of_x("h_prime_five_halves", one.h_prime_five_halves)
h_prime_general = each_of_x_and_p("h_prime_general", one.h_prime_general)

h_integral_hyperbolic = each_of_x("h_integral_hyperbolic", one.h_integral_hyperbolic)
h_integral_general = each_of_x_and_p("h_integral_general", one.h_integral_general)

h_inverse_cubic = in_steps("h_inverse_cubic", slack_3, start_3, last_3, one.h_inverse_cubic)
h_inverse_quartic = in_steps("h_inverse_quartic", slack_4, start_4, last_4, one.h_inverse_quartic)
h_inverse_general = each_of_x_and_p("h_inverse_general", one.h_inverse_general_alone)
h_inverse_slack = each_of_x_and_p("h_inverse_slack", one.h_inverse_slack_general)
h_of_slack = each_of_x_and_p("h_of_slack", one.h_of_slack)

potential_hyperbolic = each_of_x("potential_hyperbolic", one.potential_hyperbolic)
potential_general = each_of_x_and_p("potential_general", one.potential_general)


@jit_inner
def inside_fast(x: Array, p: float, out: Array) -> int:
    """`h_fast` for x neither small nor outside; negative where there is another, or overflow."""
    use_wide_vectors()
    seen = 0
    e = exponents(p)
    u, ul, v, vl = np.empty((4, ROW))
    for begin in range(0, out.size, BLOCK):
        t, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        for i in range(y.size):
            u[i], ul[i] = growth(abs(t[i]), e)
        for i in range(y.size):
            v[i], vl[i] = decline(abs(t[i]), 0.0, e)
        for i in range(y.size):
            h = difference(u[i], ul[i], v[i], vl[i])
            y[i] = with_sign(h, t[i])
            size = float_to_bits(h)
            outside = ONE_BITS - 1 - (float_to_bits(t[i]) & MAGNITUDE)
            seen |= (size - LOW_BITS) | (LARGEST - size) | outside
    return seen


@jit
def h_fast(x: Array, p: float, out: Array) -> int:
    """The function, any p with b <= 100."""
    seen = inside_fast(x, p, out)
    if seen >= 0:
        return seen
    seen = 0
    for i in range(out.size):
        a, y = abs(x[i]), abs(out[i])
        if a == 0.0:
            out[i] = x[i]
        elif not (y >= LOW and a < 1.0 and y < 8e307):
            y = one.h_moderate(x[i], p)
            out[i] = y
            seen |= mark(y)
    return seen


@jit
def h_inverse_hyperbolic(x: Array, p: float, out: Array) -> int:
    """The inverse of h, p = 2."""
    use_wide_vectors()
    seen = 0
    e, el = np.empty((2, ROW))
    for begin in range(0, out.size, BLOCK):
        part, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        for i in range(y.size):
            e[i], el[i] = argument_2(one.finite_or_1(part[i]))
        for i in range(y.size):
            t = one.inverse_edges(part[i], log1p_sum(e[i], el[i]))
            y[i] = t
            seen |= mark(t)
    return seen


close: Any = None  # free names of the pattern below
end: Any = None


@jit_inline
def close_inverse(a: float, al: float, n: float, nl: float, step: float, x: float) -> float:
    """The inverse from ``a + al``, its slack and the last step."""
    return with_sign(a + (al + step), x)


@jit_inline
def close_slack(a: float, al: float, n: float, nl: float, step: float, x: float) -> float:
    """Its slack."""
    return n + (nl - step)


@jit_inline
def end_inverse(x: float, p: float) -> float:
    """The inverse where it is linear or at infinity."""
    return finish(x, p, 1.0)


@jit_inline
def end_slack(x: float, p: float) -> float:
    """Its slack there."""
    return finish_slack(x, 1.0)


def _inverse_fast(x: Array, p: float, out: Array) -> int:
    """The inverse or its slack, p from 2.0203 to 1000; edges in a second pass."""
    use_wide_vectors()
    seen = 0
    e, g = exponents(p), guess_constants(p)
    ib, ih, il = inverse_constants(p)
    u, a, al, n, nl, v, vl = np.empty((7, ROW))
    for begin in range(0, out.size, BLOCK):
        part, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        for i in range(y.size):
            u[i] = guess_u(abs(part[i]), g)
        for i in range(y.size):
            a[i], al[i], n[i], nl[i] = slack_parts(u[i], ih, il)
        for i in range(y.size):
            v[i], vl[i] = decline(a[i], al[i], e)
        for i in range(y.size):
            step = inverse_step(abs(part[i]), u[i], a[i], n[i], v[i], vl[i], ib)
            y[i] = close(a[i], al[i], n[i], nl[i], step, part[i])
            bits = float_to_bits(part[i]) & MAGNITUDE
            seen |= (bits - USUAL_BITS) | (LARGEST - bits)
    return edges(x, p, out) if seen < 0 else seen


def _edges_of_fast(x: Array, p: float, out: Array) -> int:
    """The function where it is linear or at infinity; negative if there is a NaN."""
    seen = 0
    for i in range(out.size):
        if not is_usual(x[i]):
            out[i] = end(x[i], p)
            seen |= mark(out[i])
    return seen


def inverse_in_blocks(name: str, close: Any, end: Any) -> Any:
    """The loop over the steps of `inverse_pair_fast`."""
    edges = jit_inner(instance(_edges_of_fast, "edges_" + name, end=end))
    return jit(instance(_inverse_fast, name, close=close, edges=edges))


h_inverse_fast = inverse_in_blocks("h_inverse_fast", close_inverse, end_inverse)
h_inverse_slack_fast = inverse_in_blocks("h_inverse_slack_fast", close_slack, end_slack)


@jit
def selector(x: Array, p: float, zero: float, zero_low: float, out: Array) -> int:
    """The selector, any p >= 2, from the place of its zero."""
    use_wide_vectors()
    seen = 0
    for i in range(out.size):
        y = one.selector_from_zero(x[i], p, zero, zero_low)
        out[i] = y
        seen |= mark(y)
    return seen
