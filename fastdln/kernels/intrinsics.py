"""The two machine operations that numba does not offer: fused multiply-add and bit casts.

Where the processor has no FMA unit, LLVM would call libm for every `fma` (8 to 23
times slower overall), so there `fma` is built from Dekker's splitting and a sum rounded to
odd (Boldo, Melquiond, IEEE Trans. Comput. 57, 2008), and `HAS_FMA` is False: the same bits,
but where it underflows or ``a b`` nearly overflows. FASTDLN_FMA=0 in the environment asks for it.
"""

from __future__ import annotations

import math
import os
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
    "HAS_WIDE_REGISTERS",
    "arrays_are_disjoint",
    "bits_to_float",
    "fetch",
    "float_to_bits",
    "fma",
    "hidden",
    "inverse",
    "root",
    "stay_apart",
    "use_wide_vectors",
]


def _host_has(feature: str) -> bool:
    try:
        return bool(llvm.get_host_cpu_features().get(feature, False))
    except RuntimeError:  # LLVM cannot tell: the form without it is always right
        return False


def _host_has_fma() -> bool:
    if os.environ.get("FASTDLN_FMA") == "0":
        return False
    return _host_has("fma") or llvm.get_process_triple().startswith(("aarch64", "arm64"))


HAS_FMA = _host_has_fma()
HAS_WIDE_REGISTERS = _host_has("avx512f")  # 32 of eight numbers; else sums of 64 spill


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
def _disjoint(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for arg in builder.function.args:
            if isinstance(arg.type, ir.PointerType) and str(arg.type) == "double*":
                arg.add_attribute("noalias")
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


@intrinsic
def _hidden(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        keep = ir.InlineAsm(ir.FunctionType(whole, [whole]), "", "=r,0", side_effect=False)
        return builder.bitcast(builder.call(keep, [builder.bitcast(args[0], whole)]), args[0].type)

    return types.float64(types.float64), codegen


def _fma_exact(a: float, b: float, c: float) -> float:
    """``a * b + c`` rounded once, for runs without compilation (NUMBA_DISABLE_JIT=1)."""
    try:
        return float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)))
    except (OverflowError, ValueError):  # an infinity or NaN: nothing to round
        return a * b + c


def _fma_built(a: float, b: float, c: float) -> float:
    """``a * b + c`` from Dekker's product and three sums, the last but one rounded to odd."""
    p = a * b
    if not abs(p) < 8.98846567431158e307:
        return p + c
    ah, al = _split(a)
    bh, bl = _split(b)
    e = ((ah * bh - p) + ah * bl + al * bh) + al * bl
    u, ul = _sum(c, e)
    v, vl = _sum(p, u)
    w, wl = _sum(ul, vl)
    n = float_to_bits(w)
    away = 1 if (wl > 0.0) == (w > 0.0) else -1
    return v + (bits_to_float(n + away) if (n & 1 == 0) & (wl != 0.0) else w)


def _split_parts(a: float) -> tuple[float, float]:
    """Two halves of 26 bits whose sum is a (Veltkamp), of the largest a too."""
    big = abs(a) > 1e270
    c = a * (2.0**-40 if big else 1.0)
    t = 134217729.0 * c
    high = (t - (t - c)) * (2.0**40 if big else 1.0)
    return high, a - high


def _sum_parts(a: float, b: float) -> tuple[float, float]:
    """The sum, rounded, and its error."""
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


_sum: Any = _sum_parts
_split: Any = _split_parts

if JIT_DISABLED:
    fma: Any = _fma_exact

    def _nothing() -> None:
        """Nothing to do without compilation."""

    use_wide_vectors: Any = _nothing
    arrays_are_disjoint: Any = _nothing
    stay_apart: Any = _nothing

    def hidden(x: float) -> float:
        """``x``: nothing to hide from without compilation."""
        return x

    def fetch(array: Any, i: int) -> None:
        """Nothing to do without compilation."""

    def inverse(x: float) -> float:
        """``1 / x``, infinite at 0 as in compiled code."""
        return 1.0 / x if x != 0.0 else math.copysign(math.inf, x)

    def root(x: float) -> float:
        """The square root, NaN below 0 as in compiled code."""
        return math.sqrt(x) if not x < 0.0 else math.nan

    def float_to_bits(x: float) -> int:
        """The 64 bits of x as a signed integer."""
        return int(struct.unpack("<q", struct.pack("<d", x))[0])

    def bits_to_float(n: int) -> float:
        """The float64 whose bits are the signed integer n."""
        return float(struct.unpack("<d", struct.pack("<Q", n % 2**64))[0])

else:

    @jit_inline
    def inverse(x: float) -> float:
        """``1 / x`` by the processor's division."""
        return 1.0 / x

    @jit_inline
    def root(x: float) -> float:
        """The square root by the processor."""
        return math.sqrt(x)

    @jit_inline
    def float_to_bits(x: float) -> int:
        """The 64 bits of x as a signed integer."""
        return _to_bits(x)

    @jit_inline
    def bits_to_float(n: int) -> float:
        """The float64 whose bits are the signed integer n."""
        return _from_bits(n)

    if HAS_FMA:

        @jit_inline
        def fma(a: float, b: float, c: float) -> float:
            """``a * b + c`` rounded once."""
            return _fma_unit(a, b, c)

    else:
        _sum, _split = jit_inline(_sum_parts), jit_inline(_split_parts)
        fma = jit_inline(_fma_built)

    # in a function with a loop of arithmetic: 512-bit vectors where there are any (LLVM
    # would take 256); the intrinsic itself, for the attribute is that of its caller
    use_wide_vectors = _wide

    # in a function none of whose arrays overlaps one that it writes: LLVM would compare them all,
    # and gives up beyond eight pairs
    arrays_are_disjoint = _disjoint

    # in a function called from several places: one copy of its code, so that it compiles once
    stay_apart = _apart

    # the number itself, in a way that the compiler cannot follow
    hidden = _hidden

    # bring array[i] near without waiting for it; i may lie outside: nothing is read
    fetch = _fetch
