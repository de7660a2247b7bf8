"""Four dot products at a time in sixteen partial sums each, as explicit vector code.

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

from fastdln._jit import JIT_DISABLED

__all__ = ["LANES", "four_dots"]

LANES = 16


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
                    place = sums[2 * row + half]
                    product = builder.fmul(load(rows[row], index), b)
                    builder.store(builder.fadd(builder.load(place), product), place)
        for k, place in enumerate(sums):
            spot = builder.gep(target, [ir.Constant(size.type, 8 * k)])
            store = builder.store(builder.load(place), builder.bitcast(spot, vector.as_pointer()))
            store.align = 8
        return context.get_dummy_value()

    return types.none(a0, a1, a2, a3, x, out, whole), codegen


def _lanes_slow(a0: Any, a1: Any, a2: Any, a3: Any, x: Any, out: Any, whole: int) -> None:
    """``out[r, k]``: the sum of ``a_r[j] x[j]`` over j = k mod 16, j < whole."""
    out[:] = 0.0
    for j in range(0, whole, LANES):
        for r, a in enumerate((a0, a1, a2, a3)):
            out[r] += a[j : j + LANES] * x[j : j + LANES]


# out is a C-ordered (4, 16); whole is a multiple of 16; the rows are contiguous
four_dots: Any = _lanes_slow if JIT_DISABLED else _four_dots
