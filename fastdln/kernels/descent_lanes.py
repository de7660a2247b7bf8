"""Sums of products as explicit vector code: four dot products, and tiles of a product.

LLVM may not reorder a strict sum, and keeps hand-written lanes in memory (ten times
slower); so the two vectors of eight are spelled out here. The bits are those of the loop
in `_lanes_slow`, on every processor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inner
from fastdln.kernels.extended import two_product, two_sum
from fastdln.kernels.intrinsics import HAS_FMA, HAS_WIDE_REGISTERS, fma

__all__ = ["LANES", "TILE", "add_and_dot", "add_tile", "dot_dd", "four_dots"]

LANES = 16
AHEAD = 256  # doubles: how far before their use rows are asked for
TILE = 8  # rows of a tile: sixteen sums, which hide the latency of an addition
_AT_ONCE = TILE if HAS_WIDE_REGISTERS else 2  # rows whose sums have registers to themselves

VECTOR, NUMBER = ir.VectorType(ir.DoubleType(), LANES // 2), ir.IntType(64)


def _reader(context: Any, builder: Any, signature: Any, args: Any) -> Callable[[int], Any]:
    """Where the entries of argument i, an array, begin."""
    return lambda i: context.make_array(signature.args[i])(context, builder, args[i]).data


def _place(builder: Any, base: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(base, [index]), VECTOR.as_pointer())


def _load(builder: Any, base: Any, index: Any) -> Any:
    """The eight entries from ``base[index]`` on."""
    value = builder.load(_place(builder, base, index))
    value.align = 8
    return value


def _save(builder: Any, value: Any, base: Any, index: Any) -> None:
    builder.store(value, _place(builder, base, index)).align = 8


def _wide(builder: Any, scalar: Any) -> Any:
    """Eight times the same number."""
    none, number = ir.Constant(VECTOR, ir.Undefined), ir.IntType(32)
    lane = builder.insert_element(none, scalar, ir.Constant(number, 0))
    return builder.shuffle_vector(lane, none, ir.Constant(ir.VectorType(number, 8), [0] * 8))


def _fma(builder: Any) -> Callable[..., Any]:
    call = ir.FunctionType(VECTOR, [VECTOR] * 3)
    func = cgutils.get_or_insert_function(builder.module, call, "llvm.fma.v8f64")
    return lambda *args: builder.call(func, args)


@intrinsic
def _four_dots(
    typingctx: Any, a0: Any, a1: Any, a2: Any, a3: Any, x: Any, out: Any, whole: Any
) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _reader(context, builder, signature, args)
        rows, other, target, size = [data(i) for i in range(4)], data(4), data(5), args[6]
        sums = _zeros(builder, 8)
        with cgutils.for_range_slice(
            builder, ir.Constant(size.type, 0), size, ir.Constant(size.type, LANES)
        ) as (j, _):
            for half in range(2):
                index = builder.add(j, ir.Constant(j.type, 8 * half))
                _add_products(builder, rows, other, index, sums[half::2])
        for k, place in enumerate(sums):
            _save(builder, builder.load(place), target, NUMBER(8 * k))
        return context.get_dummy_value()

    return types.none(a0, a1, a2, a3, x, out, whole), codegen


def _zeros(builder: Any, count: int) -> list[Any]:
    """Places of so many vectors, zero at first: LLVM keeps them in registers."""
    places = [cgutils.alloca_once(builder, VECTOR) for _ in range(count)]
    for place in places:
        builder.store(ir.Constant(VECTOR, [0.0] * 8), place)
    return places


def _add_products(builder: Any, rows: list[Any], other: Any, index: Any, sums: list[Any]) -> None:
    """Add eight products of each row with the other array to its sum."""
    b = _load(builder, other, index)
    for row, place in zip(rows, sums, strict=True):
        _ask(builder, row, index)
        product = builder.fmul(_load(builder, row, index), b)
        builder.store(builder.fadd(builder.load(place), product), place)


def _ask(builder: Any, base: Any, index: Any) -> None:
    """Bring ``base[index + AHEAD]`` near without waiting for it, wherever that is."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    call = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    fetch = cgutils.get_or_insert_function(builder.module, call, "llvm.prefetch.p0")
    index = builder.add(index, ir.Constant(index.type, AHEAD))
    place = builder.bitcast(builder.gep(base, [index]), byte)
    builder.call(fetch, [place, number(0), number(3), number(1)])


def _lanes_slow(a0: Any, a1: Any, a2: Any, a3: Any, x: Any, out: Any, whole: int) -> None:
    """``out[r, k]``: the sum of ``a_r[j] x[j]`` over j = k mod 16, j < whole."""
    out[:] = 0.0
    for j in range(0, whole, LANES):
        for r, a in enumerate((a0, a1, a2, a3)):
            out[r] += a[j : j + LANES] * x[j : j + LANES]


# out is a C-ordered (4, 16); whole is a multiple of 16; the rows are contiguous
four_dots: Any = _lanes_slow if JIT_DISABLED else _four_dots


@intrinsic
def _add_and_dot(
    typingctx: Any, b0: Any, b1: Any, b2: Any, b3: Any, r: Any, g: Any,
    a0: Any, a1: Any, a2: Any, a3: Any, x: Any, out: Any, whole: Any,
) -> Any:  # fmt: skip
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _reader(context, builder, signature, args)
        past, share, rows = [data(i) for i in range(4)], data(5), [data(i) for i in range(6, 10)]
        other, target, size = data(10), data(11), args[12]
        sums = _zeros(builder, 8)
        wide = [_wide(builder, builder.load(builder.gep(data(4), [NUMBER(k)]))) for k in range(4)]
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, LANES)
        with cgutils.for_range_slice(builder, zero, size, step) as (j, _):
            for half in range(2):
                index = builder.add(j, ir.Constant(j.type, 8 * half))
                _add_products(builder, rows, other, index, sums[half::2])
                t = [builder.fmul(wide[k], _load(builder, past[k], index)) for k in range(4)]
                rest = builder.fadd(builder.fadd(t[0], t[1]), builder.fadd(t[2], t[3]))
                rest = builder.fadd(_load(builder, share, index), rest)
                _save(builder, rest, share, index)
        for k, place in enumerate(sums):
            _save(builder, builder.load(place), target, NUMBER(8 * k))
        return context.get_dummy_value()

    signature = types.none(b0, b1, b2, b3, r, g, a0, a1, a2, a3, x, out, whole)
    return signature, codegen


def _both_slow(
    b0: Any, b1: Any, b2: Any, b3: Any, r: Any, g: Any,
    a0: Any, a1: Any, a2: Any, a3: Any, x: Any, out: Any, whole: int,
) -> None:  # fmt: skip
    """``g += (r0 b0 + r1 b1) + (r2 b2 + r3 b3)`` up to whole, and `four_dots` of the a."""
    _lanes_slow(a0, a1, a2, a3, x, out, whole)
    g[:whole] += (r[0] * b0 + r[1] * b1)[:whole] + (r[2] * b2 + r[3] * b3)[:whole]


# one loop for both: rows in cache and rows from memory are read at the same time
add_and_dot: Any = _both_slow if JIT_DISABLED else _add_and_dot


@intrinsic
def _add_tile(
    typingctx: Any, P: Any, p0: Any, row: Any, step: Any, X: Any, x0: Any, width: Any,
    out: Any, o0: Any, count: Any,
) -> Any:  # fmt: skip
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _reader(context, builder, signature, args)
        base, other, target, fma = data(0), data(4), data(7), _fma(builder)
        _, p0, row, step, _, x0, width, _, o0, count = args

        def spot(r: int, half: int) -> Any:
            return builder.add(builder.add(o0, builder.mul(NUMBER(r), width)), NUMBER(8 * half))

        def add(rows: range) -> None:
            places = list(itertools.product(rows, range(2)))
            sums = {place: cgutils.alloca_once(builder, VECTOR) for place in places}
            for place in places:
                builder.store(_load(builder, target, spot(*place)), sums[place])
            with cgutils.for_range(builder, count) as loop:
                first = builder.add(x0, builder.mul(loop.index, width))
                x = [_load(builder, other, builder.add(first, NUMBER(8 * h))) for h in range(2)]
                for r in rows:
                    index = builder.add(p0, builder.mul(loop.index, step))
                    index = builder.add(index, builder.mul(NUMBER(r), row))
                    wide = _wide(builder, builder.load(builder.gep(base, [index])))
                    for half in range(2):
                        old = builder.load(sums[r, half])
                        builder.store(fma(wide, x[half], old), sums[r, half])
            for place in places:
                _save(builder, builder.load(sums[place]), target, spot(*place))

        for first in range(0, TILE, _AT_ONCE):
            add(range(first, first + _AT_ONCE))
        return context.get_dummy_value()

    whole = types.int64
    signature = types.none(P, whole, whole, whole, X, whole, whole, out, whole, whole)
    return signature, codegen


def _tile_slow(
    P: Any, p0: int, row: int, step: int, X: Any, x0: int, width: int, out: Any, o0: int, count: int
) -> None:
    """``out[o0 + r width + k] += sum_l P[p0 + r row + l step] X[x0 + l width + k]``.

    Eight rows r, sixteen columns k, arrays one-dimensional; fused multiply-adds in order of l.
    How many rows are done at once changes no bit: each sum is its own.
    """
    for r in range(TILE):
        for k in range(16):
            total = out[o0 + r * width + k]
            for n in range(count):
                total = fma(P[p0 + r * row + n * step], X[x0 + n * width + k], total)
            out[o0 + r * width + k] = total


if not JIT_DISABLED and not HAS_FMA:
    add_tile: Any = jit_inner(_tile_slow)
else:
    add_tile = _tile_slow if JIT_DISABLED else _add_tile


@intrinsic
def _dot_dd(typingctx: Any, a: Any, xh: Any, xl: Any, s: Any, c: Any, whole: Any, one: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = _reader(context, builder, signature, args)
        row, high, low, sums, rests = (data(i) for i in range(5))
        size, fma, add, sub = args[5], _fma(builder), builder.fadd, builder.fsub
        kept = [cgutils.alloca_once(builder, VECTOR) for _ in range(4)]
        places = [(array, NUMBER(8 * half)) for array in (sums, rests) for half in range(2)]
        for spot, place in zip(kept, places, strict=True):
            builder.store(_load(builder, *place), spot)
        # two of the eight additions are given to the multipliers, which have less to do: times
        # a 1 that the compiler cannot see
        one = _wide(builder, args[6])
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, LANES)
        with cgutils.for_range_slice(builder, zero, size, step) as (j, _):
            for half in range(2):
                index = builder.add(j, ir.Constant(j.type, 8 * half))
                x, bh, bl = (_load(builder, array, index) for array in (row, high, low))
                old, rest = builder.load(kept[half]), builder.load(kept[2 + half])
                p = builder.fmul(x, bh)
                e = fma(x, bh, builder.fneg(p))
                t = add(old, p)
                z = fma(t, one, builder.fneg(old))
                f = add(sub(old, sub(t, z)), sub(p, z))
                builder.store(t, kept[half])
                builder.store(add(rest, fma(x, bl, fma(e, one, f))), kept[2 + half])
        for spot, place in zip(kept, places, strict=True):
            _save(builder, builder.load(spot), *place)
        return context.get_dummy_value()

    return types.none(a, xh, xl, s, c, whole, one), codegen


def _dot_dd_slow(a: Any, xh: Any, xl: Any, s: Any, c: Any, whole: int, one: float) -> None:
    """``s[k] + c[k] += sum of a[j] (xh[j] + xl[j])`` over j = k mod 16, j < whole (Dot2)."""
    for j in range(0, whole, LANES):
        for k in range(LANES):
            p, e = two_product(a[j + k], xh[j + k])
            s[k], f = two_sum(s[k], p)
            c[k] += fma(a[j + k], xl[j + k], e + f)


if not JIT_DISABLED and not HAS_FMA:
    dot_dd: Any = jit_inner(_dot_dd_slow)
else:
    dot_dd = _dot_dd_slow if JIT_DISABLED else _dot_dd
