"""Sums of products as explicit vector code: four dot products, and tiles of a product.

LLVM may not reorder a strict sum, and keeps hand-written lanes in memory (ten times
slower); so the two vectors of eight are spelled out here. The bits are those of the loop
in `_lanes_slow`, on every processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inner
from fastdln.kernels.extended import two_product, two_sum
from fastdln.kernels.intrinsics import HAS_FMA, fma

__all__ = ["LANES", "TILE", "add_and_dot", "add_tile", "dot_dd", "four_dots"]

LANES = 16
AHEAD = 256  # doubles: how far before their use rows are asked for
TILE = 8  # rows of a tile: sixteen sums, which hide the latency of an addition


@intrinsic
def _four_dots(
    typingctx: Any, a0: Any, a1: Any, a2: Any, a3: Any, x: Any, out: Any, whole: Any
) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        vector = ir.VectorType(ir.DoubleType(), 8)
        rows, other, target, size = [data(i) for i in range(4)], data(4), data(5), args[6]
        sums = [cgutils.alloca_once(builder, vector) for _ in range(8)]
        for place in sums:
            builder.store(ir.Constant(vector, [0.0] * 8), place)

        def load(base: Any, index: Any) -> Any:
            place = builder.bitcast(builder.gep(base, [index]), vector.as_pointer())
            value = builder.load(place)
            value.align = 8
            return value

        with cgutils.for_range_slice(
            builder, ir.Constant(size.type, 0), size, ir.Constant(size.type, LANES)
        ) as (j, _):
            for half in range(2):
                index = builder.add(j, ir.Constant(j.type, 8 * half))
                b = load(other, index)
                for row in range(4):
                    _ask(builder, rows[row], index)
                    place = sums[2 * row + half]
                    product = builder.fmul(load(rows[row], index), b)
                    builder.store(builder.fadd(builder.load(place), product), place)
        for k, place in enumerate(sums):
            spot = builder.gep(target, [ir.Constant(size.type, 8 * k)])
            store = builder.store(builder.load(place), builder.bitcast(spot, vector.as_pointer()))
            store.align = 8
        return context.get_dummy_value()

    return types.none(a0, a1, a2, a3, x, out, whole), codegen


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
        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        number, vector = ir.IntType(64), ir.VectorType(ir.DoubleType(), 8)
        past, share, rows = [data(i) for i in range(4)], data(5), [data(i) for i in range(6, 10)]
        other, target, size = data(10), data(11), args[12]
        sums = [cgutils.alloca_once(builder, vector) for _ in range(8)]
        for place in sums:
            builder.store(ir.Constant(vector, [0.0] * 8), place)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
        none, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        wide = []
        for k in range(4):
            scalar = builder.load(builder.gep(data(4), [ir.Constant(number, k)]))
            lane = builder.insert_element(none, scalar, first)
            wide.append(builder.shuffle_vector(lane, none, zeros))

        def spot(base: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(base, [index]), vector.as_pointer())

        def load(base: Any, index: Any) -> Any:
            value = builder.load(spot(base, index))
            value.align = 8
            return value

        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, LANES)
        with cgutils.for_range_slice(builder, zero, size, step) as (j, _):
            for half in range(2):
                index = builder.add(j, ir.Constant(j.type, 8 * half))
                b = load(other, index)
                for row in range(4):
                    _ask(builder, rows[row], index)
                    place = sums[2 * row + half]
                    product = builder.fmul(load(rows[row], index), b)
                    builder.store(builder.fadd(builder.load(place), product), place)
                t = [builder.fmul(wide[k], load(past[k], index)) for k in range(4)]
                rest = builder.fadd(builder.fadd(t[0], t[1]), builder.fadd(t[2], t[3]))
                store = builder.store(builder.fadd(load(share, index), rest), spot(share, index))
                store.align = 8
        for k, place in enumerate(sums):
            store = builder.store(builder.load(place), spot(target, ir.Constant(size.type, 8 * k)))
            store.align = 8
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
        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        vector, number = ir.VectorType(ir.DoubleType(), 8), ir.IntType(64)
        base, other, target = data(0), data(4), data(7)
        _, p0, row, step, _, x0, width, _, o0, count = args
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), "llvm.fma.v8f64"
        )

        def place(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array, [index]), vector.as_pointer())

        def load(array: Any, index: Any) -> Any:
            value = builder.load(place(array, index))
            value.align = 8
            return value

        def spot(r: int, half: int) -> Any:
            index = builder.add(o0, builder.mul(ir.Constant(number, r), width))
            return builder.add(index, ir.Constant(number, 8 * half))

        sums = [[cgutils.alloca_once(builder, vector) for _ in range(2)] for _ in range(TILE)]
        for r in range(TILE):
            for half in range(2):
                builder.store(load(target, spot(r, half)), sums[r][half])
        with cgutils.for_range(builder, count) as loop:
            first = builder.add(x0, builder.mul(loop.index, width))
            x = [load(other, builder.add(first, ir.Constant(number, 8 * h))) for h in range(2)]
            for r in range(TILE):
                index = builder.add(p0, builder.mul(loop.index, step))
                index = builder.add(index, builder.mul(ir.Constant(number, r), row))
                scalar = builder.load(builder.gep(base, [index]))
                lane = builder.insert_element(
                    ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
                )
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
                wide = builder.shuffle_vector(lane, ir.Constant(vector, ir.Undefined), zeros)
                for half in range(2):
                    old = builder.load(sums[r][half])
                    builder.store(builder.call(fma, [wide, x[half], old]), sums[r][half])
        for r in range(TILE):
            for half in range(2):
                store = builder.store(builder.load(sums[r][half]), place(target, spot(r, half)))
                store.align = 8
        return context.get_dummy_value()

    whole = types.int64
    signature = types.none(P, whole, whole, whole, X, whole, whole, out, whole, whole)
    return signature, codegen


def _tile_slow(
    P: Any, p0: int, row: int, step: int, X: Any, x0: int, width: int, out: Any, o0: int, count: int
) -> None:
    """``out[o0 + r width + k] += sum_l P[p0 + r row + l step] X[x0 + l width + k]``.

    Eight rows r, sixteen columns k, arrays one-dimensional; fused multiply-adds in order of l.
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
        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, args[i]).data

        vector, size = ir.VectorType(ir.DoubleType(), 8), args[5]
        row, high, low, sums, rests = (data(i) for i in range(5))
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), "llvm.fma.v8f64"
        )

        def place(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array, [index]), vector.as_pointer())

        def load(array: Any, index: Any) -> Any:
            value = builder.load(place(array, index))
            value.align = 8
            return value

        kept = [cgutils.alloca_once(builder, vector) for _ in range(4)]
        for half in range(2):
            spot = ir.Constant(size.type, 8 * half)
            builder.store(load(sums, spot), kept[half])
            builder.store(load(rests, spot), kept[2 + half])
        add, sub = builder.fadd, builder.fsub
        # two of the eight additions are given to the multipliers, which have less to do: times
        # a 1 that the compiler cannot see
        none, number = ir.Constant(vector, ir.Undefined), ir.IntType(32)
        lane = builder.insert_element(none, args[6], ir.Constant(number, 0))
        one = builder.shuffle_vector(lane, none, ir.Constant(ir.VectorType(number, 8), [0] * 8))
        zero, step = ir.Constant(size.type, 0), ir.Constant(size.type, LANES)
        with cgutils.for_range_slice(builder, zero, size, step) as (j, _):
            for half in range(2):
                index = builder.add(j, ir.Constant(j.type, 8 * half))
                x, bh, bl = load(row, index), load(high, index), load(low, index)
                old, rest = builder.load(kept[half]), builder.load(kept[2 + half])
                p = builder.fmul(x, bh)
                e = builder.call(fma, [x, bh, builder.fneg(p)])
                t = add(old, p)
                z = builder.call(fma, [t, one, builder.fneg(old)])
                f = add(sub(old, sub(t, z)), sub(p, z))
                both = builder.call(fma, [e, one, f])
                builder.store(t, kept[half])
                builder.store(add(rest, builder.call(fma, [x, bl, both])), kept[2 + half])
        for half in range(2):
            spot = ir.Constant(size.type, 8 * half)
            for array, source in ((sums, kept[half]), (rests, kept[2 + half])):
                store = builder.store(builder.load(source), place(array, spot))
                store.align = 8
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
