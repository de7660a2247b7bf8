"""Products of a matrix with eight vectors at a time: the stages of one step, side by side.

Eight columns X (n, 8) are one register of 512 bits a row (or two, or four), so that an
entry of the matrix is read once for all of them. Four rows of the result stay in registers.
Every sum runs in the order of the columns, fused, so that the bits are the same everywhere.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inner
from fastdln.kernels.intrinsics import HAS_FMA, fma, stay_apart, use_wide_vectors

__all__ = ["LANES", "dots"]

LANES = 8
_DOUBLES, _INDEX = ir.VectorType(ir.DoubleType(), LANES), ir.IntType(64)


@intrinsic
def _four_rows(typingctx: Any, B: Any, i: Any, X: Any, n: Any, out: Any) -> Any:
    """``out[i:i+4] = B[i:i+4, :n] @ X[:n]``, all of them contiguous."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b, x, o = (
            context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 4)
        )
        first, width = args[1], cgutils.unpack_tuple(builder, b.shape)[1]
        places = [builder.add(first, _INDEX(r)) for r in range(4)]
        rows = [builder.gep(b.data, [builder.mul(place, width)]) for place in places]
        sums = [cgutils.alloca_once_value(builder, _DOUBLES([0.0] * LANES)) for _ in places]
        call = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
        fused = cgutils.get_or_insert_function(builder.module, call, f"llvm.fma.v{LANES}f64")
        same = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        empty = ir.Constant(_DOUBLES, ir.Undefined)

        def eight(array: Any, row: Any) -> Any:
            place = builder.gep(array.data, [builder.mul(row, _INDEX(LANES))])
            return builder.bitcast(place, _DOUBLES.as_pointer())

        with cgutils.for_range(builder, args[3]) as loop:
            vector = builder.load(eight(x, loop.index), align=8)
            for row, total in zip(rows, sums, strict=True):
                entry = builder.load(builder.gep(row, [loop.index]))
                entry = builder.insert_element(empty, entry, ir.IntType(32)(0))
                entry = builder.shuffle_vector(entry, empty, same)
                value = builder.call(fused, [entry, vector, builder.load(total)])
                builder.store(value, total)
        for place, total in zip(places, sums, strict=True):
            builder.store(builder.load(total), eight(o, place), align=8)
        return context.get_dummy_value()

    return types.none(B, types.int64, X, types.int64, out), codegen


@jit_inner
def _one_row(b, X, n, out):
    use_wide_vectors()
    for q in range(LANES):
        out[q] = 0.0
    for j in range(n):
        a, x = b[j], X[j]
        for q in range(LANES):
            out[q] = fma(a, x[q], out[q])


if HAS_FMA and not JIT_DISABLED:
    _rows_of_four = _four_rows
else:

    @jit_inner
    def _rows_of_four(B, i, X, n, out):
        for r in range(4):
            _one_row(B[i + r], X, n, out[i + r])


@jit_inner
def dots(B, rows, X, n, out):
    """``out[:rows] = B[:rows, :n] @ X[:n]`` for X (., 8)."""
    stay_apart()
    use_wide_vectors()
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        _rows_of_four(B, i, X, n, out)
    if whole == rows:
        return
    if rows > 4:  # some of these rows a second time, which costs less than one by one
        _rows_of_four(B, rows - 4, X, n, out)
        return
    for i in range(whole, rows):
        _one_row(B[i], X, n, out[i])
