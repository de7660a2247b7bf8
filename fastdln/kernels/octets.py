"""Rows of doubles, eight at a time: what the Newton matrix of a flow is made and taken apart with.

Rows are padded with zeros to a whole number of eights, so that short ones leave no remainder,
and every sum is in one order on every machine: eight sums side by side, then those by halves.
LLVM makes no such loops of plain ones: it takes 32 numbers at a time, and the rest one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inner
from fastdln.kernels.intrinsics import HAS_FMA, fma

__all__ = ["EIGHT", "combine", "dot", "gram_rows", "padded", "reflect", "sweep_four", "sweep_one"]

EIGHT = 8
_DOUBLES, _INDEX = ir.VectorType(ir.DoubleType(), EIGHT), ir.IntType(64)


@jit_inner
def padded(n):
    """n, or the next multiple of eight."""
    return (n + EIGHT - 1) // EIGHT * EIGHT


class _Lines:
    """Loads, stores and fused operations on eight doubles in the code of an intrinsic."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self._builder, self._args = builder, args
        self._context, self._signature = context, signature
        call = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
        self._fma = cgutils.get_or_insert_function(builder.module, call, f"llvm.fma.v{EIGHT}f64")

    def array(self, k: int) -> tuple[Any, Any]:
        """Data of an argument, and the length of its rows."""
        array = self._context.make_array(self._signature.args[k])(
            self._context, self._builder, self._args[k]
        )
        return array.data, cgutils.unpack_tuple(self._builder, array.shape)[-1]

    def row(self, data: Any, width: Any, i: Any) -> Any:
        return self._builder.gep(data, [self._builder.mul(i, width)])

    def _place(self, data: Any, j: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(data, [j]), _DOUBLES.as_pointer())

    def load(self, data: Any, j: Any) -> Any:
        return self._builder.load(self._place(data, j), align=8)

    def store(self, value: Any, data: Any, j: Any) -> None:
        self._builder.store(value, self._place(data, j), align=8)

    def all_of(self, x: Any) -> Any:
        """One number eight times."""
        empty = ir.Constant(_DOUBLES, ir.Undefined)
        one = self._builder.insert_element(empty, x, ir.IntType(32)(0))
        same = ir.Constant(ir.VectorType(ir.IntType(32), EIGHT), [0] * EIGHT)
        return self._builder.shuffle_vector(one, empty, same)

    def entry(self, data: Any, j: Any) -> Any:
        return self.all_of(self._builder.load(self._builder.gep(data, [j])))

    def fma(self, a: Any, x: Any, y: Any) -> Any:
        return self._builder.call(self._fma, [a, x, y])

    def total(self) -> Any:
        return cgutils.alloca_once_value(self._builder, _DOUBLES([0.0] * EIGHT))

    def zero(self, total: Any) -> None:
        self._builder.store(_DOUBLES([0.0] * EIGHT), total)

    def add(self, total: Any, a: Any, x: Any) -> None:
        self._builder.store(self.fma(a, x, self._builder.load(total)), total)

    def each(self, first: Any, end: Any, step: int) -> Any:
        return cgutils.for_range_slice(self._builder, first, end, _INDEX(step), _INDEX)


def _sweep_of(rows: int) -> Callable[..., Any]:
    @intrinsic
    def sweep(typingctx: Any, B: Any, i: Any, first: Any, a: Any, b: Any, c: Any, w: Any, v: Any,
              p: Any) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            lines = _Lines(context, builder, signature, args)
            data, width = lines.array(0)
            A, B, C, W, V, P = (lines.array(k)[0] for k in range(3, 9))
            places = [builder.add(args[1], _INDEX(r)) for r in range(rows)]
            lined = [lines.row(data, width, place) for place in places]
            aw = [builder.fneg(lines.entry(A, place)) for place in places]
            bw = [builder.fneg(lines.entry(B, place)) for place in places]
            cw = [lines.entry(C, place) for place in places]
            with lines.each(args[2], width, EIGHT) as (j, _):
                x, y, total = lines.load(W, j), lines.load(V, j), lines.load(P, j)
                for r in range(rows):
                    z = lines.fma(aw[r], x, lines.fma(bw[r], y, lines.load(lined[r], j)))
                    lines.store(z, lined[r], j)
                    total = lines.fma(cw[r], z, total)
                lines.store(total, P, j)
            return context.get_dummy_value()

        index = types.int64
        return types.none(B, index, index, a, b, c, w, v, p), codegen

    return sweep


@intrinsic
def _dot(typingctx: Any, x: Any, y: Any, first: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines = _Lines(context, builder, signature, args)
        (X, size), (Y, _) = lines.array(0), lines.array(1)
        total = lines.total()
        lines.zero(total)
        with lines.each(args[2], size, EIGHT) as (j, _):
            lines.add(total, lines.load(X, j), lines.load(Y, j))
        eight = builder.load(total)
        parts = [builder.extract_element(eight, ir.IntType(32)(q)) for q in range(EIGHT)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [builder.fadd(parts[k], parts[k + half]) for k in range(half)]
        return parts[0]

    return types.float64(x, y, types.int64), codegen


@intrinsic
def _combine(typingctx: Any, out: Any, z: Any, a: Any, x: Any, b: Any, y: Any, first: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines = _Lines(context, builder, signature, args)
        (out, size), (Z, _), (X, _), (Y, _) = (lines.array(k) for k in (0, 1, 3, 5))
        a, b = lines.all_of(args[2]), lines.all_of(args[4])
        with lines.each(args[6], size, EIGHT) as (j, _):
            inner = lines.fma(b, lines.load(Y, j), lines.load(Z, j))
            lines.store(lines.fma(a, lines.load(X, j), inner), out, j)
        return context.get_dummy_value()

    number = types.float64
    return types.none(out, z, number, x, number, y, types.int64), codegen


@intrinsic
def _gram_four(typingctx: Any, left: Any, i: Any, right: Any, n: Any, first: Any, out: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines = _Lines(context, builder, signature, args)
        (L, wide), (R, width), (O, _) = (lines.array(k) for k in (0, 2, 5))
        places = [builder.add(args[1], _INDEX(r)) for r in range(4)]
        lefts = [lines.row(L, wide, place) for place in places]
        outs = [lines.row(O, width, place) for place in places]
        totals = [lines.total() for _ in places]
        with lines.each(args[4], width, EIGHT) as (block, _):
            for total in totals:
                lines.zero(total)
            column = builder.gep(R, [block])
            with lines.each(_INDEX(0), args[3], 1) as (k, _):
                x = lines.load(column, builder.mul(k, width))
                for row, total in zip(lefts, totals, strict=True):
                    lines.add(total, lines.entry(row, k), x)
            for row, total in zip(outs, totals, strict=True):
                lines.store(builder.load(total), row, block)
        return context.get_dummy_value()

    index = types.int64
    return types.none(left, index, right, index, index, out), codegen


@intrinsic
def _reflect(typingctx: Any, v: Any, first: Any, end: Any, t: Any, Z: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lines = _Lines(context, builder, signature, args)
        (v, _), (Z, _) = lines.array(0), lines.array(4)
        first, end = args[1], args[2]
        fours = builder.and_(builder.sub(end, first), _INDEX(-4))
        whole, eight = builder.add(first, fours), _INDEX(EIGHT)
        totals = [lines.total() for _ in range(4)]
        for total in totals:
            lines.zero(total)
        with lines.each(first, whole, 4) as (j, _):
            for q, total in enumerate(totals):
                k = builder.add(j, _INDEX(q))
                lines.add(total, lines.entry(v, k), lines.load(Z, builder.mul(k, eight)))
        with lines.each(whole, end, 1) as (j, _):
            lines.add(totals[0], lines.entry(v, j), lines.load(Z, builder.mul(j, eight)))
        s, t, u, w = (builder.load(total) for total in totals)
        sums = builder.fadd(builder.fadd(s, t), builder.fadd(u, w))
        c = builder.fmul(lines.all_of(builder.fneg(args[3])), sums)
        with lines.each(first, end, 1) as (j, _):
            at = builder.mul(j, eight)
            lines.store(lines.fma(lines.entry(v, j), c, lines.load(Z, at)), Z, at)
        return context.get_dummy_value()

    index = types.int64
    return types.none(v, index, index, types.float64, Z), codegen


@jit_inner
def _slow_sweep(B, i, first, a, b, c, w, v, p):
    row = B[i]
    for j in range(first, row.size):
        row[j] = fma(-a[i], w[j], fma(-b[i], v[j], row[j]))
        p[j] = fma(c[i], row[j], p[j])


@jit_inner
def _slow_sweep_four(B, i, first, a, b, c, w, v, p):
    for r in range(4):
        _slow_sweep(B, i + r, first, a, b, c, w, v, p)


@jit_inner
def _slow_dot(x, y, first):
    s = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    for j in range(first, x.size):
        s[j % EIGHT] = fma(x[j], y[j], s[j % EIGHT])
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


@jit_inner
def _slow_combine(out, z, a, x, b, y, first):
    for j in range(first, out.size):
        out[j] = fma(a, x[j], fma(b, y[j], z[j]))


@jit_inner
def _slow_gram_four(left, i, right, n, first, out):
    for r in range(4):
        row, x = out[i + r], left[i + r]
        for j in range(first, row.size):
            row[j] = 0.0
            for k in range(n):
                row[j] = fma(x[k], right[k, j], row[j])


@jit_inner
def _slow_reflect(v, first, end, t, Z):
    whole = first + (end - first) // 4 * 4
    for q in range(EIGHT):
        s = [0.0, 0.0, 0.0, 0.0]
        for j in range(first, whole):
            s[(j - first) % 4] = fma(v[j], Z[j, q], s[(j - first) % 4])
        for j in range(whole, end):
            s[0] = fma(v[j], Z[j, q], s[0])
        c = -t * ((s[0] + s[1]) + (s[2] + s[3]))
        for j in range(first, end):
            Z[j, q] = fma(v[j], c, Z[j, q])


_FAST = HAS_FMA and not JIT_DISABLED

# B[i, first:] -= a_i w + b_i v, and p += c_i B[i, first:], for four rows from i on, or one
sweep_four: Any = _sweep_of(4) if _FAST else _slow_sweep_four
sweep_one: Any = _sweep_of(1) if _FAST else _slow_sweep
# (x, y, first): x[first:] . y[first:]
dot: Any = _dot if _FAST else _slow_dot
# (out, z, a, x, b, y, first): out = z + a x + b y from first on
combine: Any = _combine if _FAST else _slow_combine
# (left, i, right, n, first, out): out[i:i+4, first:] = left[i:i+4, :n] @ right[:n, first:]
gram_rows: Any = _gram_four if _FAST else _slow_gram_four
# (v, first, end, t, Z): Z -= t v (v . Z), rows first to end, Z (n, 8)
reflect: Any = _reflect if _FAST else _slow_reflect
