"""The two machine operations that numba does not offer: fused multiply-add and bit casts.

Where the processor has no FMA unit, LLVM would call libm for every `fma` (8 to 23
times slower overall), so there `fma` is built from Dekker's splitting instead and
`HAS_FMA` is False. That form is exact as `two_product` needs it, and correctly
rounded up to the last addition elsewhere; it needs |a|, |b| < 2**996.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inline

__all__ = [
    "HAS_FMA",
    "bits_to_float",
    "fetch",
    "float_to_bits",
    "fma",
    "stay_apart",
    "use_wide_vectors",
]


def _host_has_fma() -> bool:
    try:
        return bool(llvm.get_host_cpu_features().get("fma", False)) or (
            llvm.get_process_triple().startswith(("aarch64", "arm64"))
        )
    except RuntimeError:  # LLVM cannot tell: the slow form is always right
        return False


HAS_FMA = _host_has_fma()


@intrinsic
def _fma_unit(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@intrinsic
def _to_bits(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def _from_bits(typingctx: Any, n: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def _wide(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # llvmlite admits only the attributes it knows; this one is a plain string to LLVM
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def _apart(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def _fetch(typingctx: Any, array: Any, i: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, call, "llvm.prefetch.p0")
        builder.call(fetch, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(array, types.int64), codegen


def _fma_exact(a: float, b: float, c: float) -> float:
    """``a * b + c`` rounded once, for runs without compilation (NUMBA_DISABLE_JIT=1)."""
    try:
        return float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))
    except (OverflowError, ValueError):  # an infinity or NaN: nothing to round
        return a * b + c


def _fma_dekker(a: float, b: float, c: float) -> float:
    """``a * b + c`` from Dekker's product and Knuth's sum."""
    p = a * b
    if not abs(p) < 8.98846567431158e307:
        return p + c
    t = 134217729.0 * a
    ah = t - (t - a)
    al = a - ah
    t = 134217729.0 * b
    bh = t - (t - b)
    bl = b - bh
    e = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    s = p + c
    z = s - p
    return s + (((p - (s - z)) + (c - z)) + e)


if JIT_DISABLED:
    fma: Any = _fma_exact

    def _nothing() -> None:
        """Nothing to do without compilation."""

    use_wide_vectors: Any = _nothing
    stay_apart: Any = _nothing

    def fetch(array: Any, i: int) -> None:
        """Nothing to do without compilation."""

    def float_to_bits(x: float) -> int:
        """The 64 bits of x as a signed integer."""
        return int(struct.unpack("<q", struct.pack("<d", x))[0])

    def bits_to_float(n: int) -> float:
        """The float64 whose bits are the signed integer n."""
        return float(struct.unpack("<d", struct.pack("<Q", n % 2**64))[0])

else:
    if HAS_FMA:

        @jit_inline
        def fma(a: float, b: float, c: float) -> float:
            """``a * b + c`` rounded once."""
            return _fma_unit(a, b, c)

    else:
        fma = jit_inline(_fma_dekker)

    @jit_inline
    def float_to_bits(x: float) -> int:
        """The 64 bits of x as a signed integer."""
        return _to_bits(x)

    @jit_inline
    def bits_to_float(n: int) -> float:
        """The float64 whose bits are the signed integer n."""
        return _from_bits(n)

    # in a function with a loop of arithmetic: 512-bit vectors where there are any (LLVM
    # would take 256); the intrinsic itself, for the attribute is that of its caller
    use_wide_vectors = _wide

    # in a function called from several places: one copy of its code, so that it compiles once
    stay_apart = _apart

    # bring array[i] near without waiting for it; i may lie outside: nothing is read
    fetch = _fetch
