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
    SMALL,
    decay,
    growth,
    h_fast_end,
    log_1_plus,
    log_slack_small,
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
    argument_2,
    exp_rough,
    finish,
    finish_slack,
    guess_first,
    guess_last,
    log1p_rough,
    log1p_sum,
    log_mixed,
    refine,
    usual,
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
from fastdln.kernels.coordinate_power import exponent_b
from fastdln.kernels.elementary import pow2, with_sign
from fastdln.kernels.intrinsics import (
    float_to_bits,
    use_wide_vectors,
)

BLOCK = 512  # elements between two loops of one function: they stay in the nearest cache
ROW = BLOCK + 24  # rows 4096 bytes apart would seem to overlap to the processor
ONE_BITS = 0x3FF0000000000000
LINEAR_BITS = int(np.float64(LINEAR).view(np.int64))
SMALL_BITS = 0x336F000000000000  # below it `one.h_moderate` may take another form


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
    b, bl = exponent_b(p)
    n, nl, d, c, g = np.empty((5, ROW))
    for begin in range(0, out.size, BLOCK):
        t, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        for i in range(y.size):
            n[i], nl[i] = log_slack_small(abs(t[i]))
        for i in range(y.size):
            d[i] = log_1_plus(abs(t[i]))
        for i in range(y.size):
            k, g[i] = growth(n[i], nl[i], b, bl)
            c[i] = pow2(k - 2)
            bits = float_to_bits(t[i]) & MAGNITUDE
            seen |= (1022 - k) | (bits - SMALL_BITS) | (ONE_BITS - 1 - bits)
        for i in range(y.size):
            v = h_fast_end(n[i], nl[i], d[i], c[i], g[i], b, bl)
            y[i] = with_sign(v, t[i])
    return seen


@jit
def h_fast(x: Array, p: float, out: Array) -> int:
    """The function, any p with b <= 100."""
    seen = inside_fast(x, p, out)
    if seen >= 0:
        return seen
    seen = 0
    for i in range(out.size):
        a, y = abs(x[i]), out[i]
        if a == 0.0:
            out[i] = x[i]
        elif not (a >= SMALL and a < 1.0 and abs(y) < 8e307):
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


@jit_inline
def inverse_guess(x: Array, p: float, work: Array) -> None:
    """a, ``1 - a`` in the first two rows of work, before the last step; the others are used."""
    use_wide_vectors()
    b, ib = p / (p - 2.0), (p - 2.0) / p
    a, n, e, v, u, w = work
    for i in range(x.size):
        e[i], u[i] = guess_first(usual(x[i]), ib)
    for i in range(x.size):
        n[i], a[i] = exp_rough(u[i])
    for i in range(x.size):
        w[i] = -b * log1p_rough(-a[i])
    for i in range(x.size):
        v[i] = exp_rough(w[i])[1]
    for i in range(x.size):
        a[i], n[i] = guess_last(usual(x[i]), e[i], n[i], a[i], v[i], ib)


@jit_inline
def inverse_parts(size: int, p: float, work: Array, more: Array) -> None:
    """h at the guess: what `refine` needs, in the last four rows of work."""
    use_wide_vectors()
    b, bl = exponent_b(p)
    a, n, c, g, q, ql = work
    u, ul = more
    for i in range(size):
        u[i], ul[i] = log_mixed(a[i], n[i])
    for i in range(size):
        q[i] = log_1_plus(a[i])
    for i in range(size):
        k, g[i] = growth(u[i], ul[i], b, bl)
        c[i] = pow2(2 - k)
    for i in range(size):
        q[i], ql[i] = decay(u[i], ul[i], q[i], b, bl)


@jit
def h_inverse_fast(x: Array, p: float, out: Array) -> int:
    """The inverse of h, p from 2.0203 to 1000."""
    use_wide_vectors()
    seen = 0
    b, ib = p / (p - 2.0), (p - 2.0) / p
    work, more = np.empty((6, ROW)), np.empty((2, ROW))
    a, n, c, g, q, ql = work
    for begin in range(0, out.size, BLOCK):
        part, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        inverse_guess(part, p, work)
        inverse_parts(part.size, p, work, more)
        for i in range(y.size):
            t = refine(usual(part[i]), a[i], n[i], c[i], g[i], q[i], ql[i], b, ib)[0]
            t = finish(part[i], p, t)
            y[i] = t
            seen |= mark(t)
    return seen


@jit
def h_inverse_slack_fast(x: Array, p: float, out: Array) -> int:
    """The inverse's slack, p from 2.0203 to 1000."""
    use_wide_vectors()
    seen = 0
    b, ib = p / (p - 2.0), (p - 2.0) / p
    work, more = np.empty((6, ROW)), np.empty((2, ROW))
    a, n, c, g, q, ql = work
    for begin in range(0, out.size, BLOCK):
        part, y = x[begin : begin + BLOCK], out[begin : begin + BLOCK]
        inverse_guess(part, p, work)
        inverse_parts(part.size, p, work, more)
        for i in range(y.size):
            s = refine(usual(part[i]), a[i], n[i], c[i], g[i], q[i], ql[i], b, ib)[1]
            s = finish_slack(part[i], s)
            y[i] = s
            seen |= mark(s)
    return seen


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
