"""Products with A and with its transpose in one reading of A, for explicit methods.

``blocks`` (B, m, 32): 32 columns of A at a time, the last block filled up with zeros. An
evaluation takes a group of blocks that fits into the nearest cache, and needs its psi between the
two products. Vectors along the N coordinates have 32 B entries here, those beyond N being 0.

Each sum runs in one order, fused: the bits are the same on every processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inner
from fastdln.kernels.intrinsics import HAS_FMA, fma, stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES

__all__ = [
    "WIDTH",
    "across",
    "add_blocks",
    "add_plain",
    "blocks_of",
    "fold_blocks",
    "fold_plain",
    "group_of",
    "padded",
]

WIDTH = 32  # four vectors of eight
_NEAR = 28_000  # bytes of A between its two uses, in a nearest cache of 32 kB
_DOUBLES, _INDEX = ir.VectorType(ir.DoubleType(), LANES), ir.IntType(64)


def blocks_of(A: np.ndarray) -> np.ndarray:
    """A in blocks of columns."""
    m, N = A.shape
    count = -(-N // WIDTH)
    space = np.zeros(count * m * WIDTH + LANES)  # vectors should not lie across cache lines
    skip = -(space.ctypes.data // 8) % LANES
    blocks: np.ndarray = space[skip : skip + count * m * WIDTH].reshape(count, m, WIDTH)
    whole = N // WIDTH
    if whole > 0:
        parts = A[:, : whole * WIDTH].reshape(m, whole, WIDTH)
        blocks[:whole] = parts.transpose(1, 0, 2)
    if whole < count:
        blocks[whole, :, : N - whole * WIDTH] = A[:, whole * WIDTH :]
    return blocks


def _vectors(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Pointers to the data of the arguments 0, 2 and 3, and what the loops of both need."""
    arrays = [context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 2, 3)]
    height = cgutils.unpack_tuple(builder, arrays[0].shape)[1]
    start = builder.mul(builder.mul(args[1], height), _INDEX(WIDTH))
    call = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
    fused = cgutils.get_or_insert_function(builder.module, call, f"llvm.fma.v{LANES}f64")

    def place(data: Any, offset: Any) -> Any:
        return builder.bitcast(builder.gep(data, [offset]), _DOUBLES.as_pointer())

    return [array.data for array in arrays], height, start, fused, place


@intrinsic
def _fold_block(typingctx: Any, blocks: Any, b: Any, x: Any, out: Any) -> Any:
    """``out[32 b:][:32] = blocks[b].T @ x``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, height, start, fused, place = _vectors(context, builder, signature, args)
        sums = [cgutils.alloca_once_value(builder, _DOUBLES([0.0] * LANES)) for _ in range(4)]
        same = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        empty = ir.Constant(_DOUBLES, ir.Undefined)
        for total in sums:
            builder.store(_DOUBLES([0.0] * LANES), total)
        with cgutils.for_range(builder, height) as loop:
            entry = builder.load(builder.gep(data[1], [loop.index]))
            entry = builder.insert_element(empty, entry, ir.IntType(32)(0))
            entry = builder.shuffle_vector(entry, empty, same)
            row = builder.add(start, builder.mul(loop.index, _INDEX(WIDTH)))
            for k, total in enumerate(sums):
                part = builder.load(place(data[0], builder.add(row, _INDEX(k * LANES))), align=8)
                builder.store(builder.call(fused, [entry, part, builder.load(total)]), total)
        first = builder.mul(args[1], _INDEX(WIDTH))
        for k, total in enumerate(sums):
            target = place(data[2], builder.add(first, _INDEX(k * LANES)))
            builder.store(builder.load(total), target, align=8)
        return context.get_dummy_value()

    return types.none(blocks, types.int64, x, out), codegen


@intrinsic
def _add_block(typingctx: Any, blocks: Any, b: Any, psi: Any, out: Any) -> Any:
    """``out[i, q] += sum_k blocks[b, i, 8 k + q] psi[32 b + 8 k + q]``, the last k first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, height, start, fused, place = _vectors(context, builder, signature, args)
        first = builder.mul(args[1], _INDEX(WIDTH))
        parts = [
            builder.load(place(data[1], builder.add(first, _INDEX(k * LANES))), align=8)
            for k in range(4)
        ]
        with cgutils.for_range(builder, height) as loop:
            row = builder.add(start, builder.mul(loop.index, _INDEX(WIDTH)))
            target = place(data[2], builder.mul(loop.index, _INDEX(LANES)))
            total = builder.load(target, align=8)
            for k in range(3, -1, -1):
                entry = builder.load(place(data[0], builder.add(row, _INDEX(k * LANES))), align=8)
                total = builder.call(fused, [entry, parts[k], total])
            builder.store(total, target, align=8)
        return context.get_dummy_value()

    return types.none(blocks, types.int64, psi, out), codegen


@jit_inner
def fold_plain(blocks, b, x, out):
    """`_fold_block` in plain loops: the same bits."""
    use_wide_vectors()
    part, target = blocks[b], out[b * WIDTH : (b + 1) * WIDTH]
    for q in range(WIDTH):
        target[q] = 0.0
    for i in range(x.size):
        row, a = part[i], x[i]
        for q in range(WIDTH):
            target[q] = fma(a, row[q], target[q])


@jit_inner
def add_plain(blocks, b, psi, out):
    """`_add_block` in plain loops: the same bits."""
    part, values = blocks[b], psi[b * WIDTH : (b + 1) * WIDTH]
    for i in range(part.shape[0]):
        row = part[i]
        for k in range(3, -1, -1):
            for q in range(LANES):
                out[i, q] = fma(row[k * LANES + q], values[k * LANES + q], out[i, q])


_USE_VECTORS = HAS_FMA and not JIT_DISABLED
_fold: Any = _fold_block if _USE_VECTORS else fold_plain
_add: Any = _add_block if _USE_VECTORS else add_plain


@jit_inner
def group_of(blocks):
    """Blocks that stay in the nearest cache between their two uses."""
    return max(1, _NEAR // (8 * WIDTH * blocks.shape[1]))


@jit_inner
def fold_blocks(blocks, first, last, x, out):
    """``out = A^T x`` over the blocks first ... last - 1."""
    stay_apart()
    for b in range(first, last):
        _fold(blocks, b, x, out)


@jit_inner
def add_blocks(blocks, first, last, psi, sums):
    """``sums += A psi`` over these blocks, each row's part in eight lanes (m, 8)."""
    stay_apart()
    for b in range(first, last):
        _add(blocks, b, psi, sums)


@jit_inner
def across(sums, out):
    """``out`` (m,): the sum of each row's lanes."""
    for i in range(out.size):
        a = sums[i]
        out[i] = ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))


@jit_inner
def padded(flow):
    """Length of vectors along the coordinates: N where there are no blocks."""
    return max(flow.A.shape[1], WIDTH * flow.blocks.shape[0])
