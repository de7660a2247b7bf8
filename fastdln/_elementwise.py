"""What the coordinate functions share: NumPy's manners around a loop over plain memory.

Broadcasting, ``out=``, dtypes, memory layouts, overlap, and warnings as `numpy.errstate` asks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._jit import JIT_DISABLED
from fastdln._threads import PARALLEL_FROM, run_chunks

__all__ = ["Loop", "apply"]

Loop = Callable[[Any, Any, Any], int]

_FLOAT64 = np.dtype(np.float64)


def apply(
    name: str,
    argument: str,
    x: ArrayLike,
    p: ArrayLike,
    out: Any,
    choose: Callable[[float], Loop],
    *,
    above_2: bool = False,
) -> Any:
    """Check, run the loop, wrap: everything that the public functions share."""
    if _is_plain(x, p, out, above_2):
        plain, power = cast("NDArray[np.float64]", x), cast(float, p)
        result = np.empty(plain.shape) if out is None else out
        bad = _run(choose(power), _read_only(plain.reshape(-1)), power, result.reshape(-1))
        if bad or np.geterr()["under"] != "ignore":
            _warn(name, plain, result)
        return result
    values = _real(argument, x)
    depth = _depth(p, above_2)
    result = _result(argument, values, np.shape(depth), out)
    second: Any = depth
    if isinstance(depth, float):
        loop = choose(depth)
    else:
        loop, second = _pair_loop(name), np.broadcast_to(depth, result.shape)
    bad, seen = _fill(loop, np.broadcast_to(values, result.shape), second, result)
    if bad or result.dtype != np.float64 or np.geterr()["under"] != "ignore":
        _warn(name, seen, result)
    return result if out is not None or result.ndim else result[()]


def _is_plain(x: Any, p: Any, out: Any, above_2: bool) -> bool:
    """Is there nothing to check or to convert? Microseconds matter to arrays in the cache."""
    if type(p) is not float or not (2.0 < p < np.inf or (p == 2.0 and not above_2)):
        return False
    if not _is_memory(x) or x.ndim == 0:
        return False
    if out is None:
        return True
    good = _is_memory(out) and out.shape == x.shape and out.flags.writeable
    return good and not np.may_share_memory(x, out)


def _is_memory(x: Any) -> bool:
    """Is x an array of float64, one after the other in memory?"""
    if type(x) is not np.ndarray or x.dtype is not _FLOAT64:
        return False
    flags = x.flags
    return bool(flags.c_contiguous and flags.aligned)


def _run(loop: Loop, x: NDArray[Any], p: Any, y: NDArray[Any]) -> bool:
    """The loop over all elements, on all cores if they are many."""
    if y.size < PARALLEL_FROM and not JIT_DISABLED:
        return loop(x, p, y) < 0
    with np.errstate(all="ignore"):  # kernels that are not compiled would warn by themselves
        if isinstance(p, float):
            return run_chunks(lambda i, j: loop(x[i:j], p, y[i:j]), y.size)
        return run_chunks(lambda i, j: loop(x[i:j], p[i:j], y[i:j]), y.size)


def _read_only(x: NDArray[Any]) -> NDArray[Any]:
    """A view: one compiled form serves writeable and read-only input."""
    view = x.view()
    view.setflags(write=False)
    return view


def _pair_loop(name: str) -> Loop:
    from fastdln.kernels import coordinate_pairs  # compiled only for those who ask

    return getattr(coordinate_pairs, "each_" + name)


def _real(argument: str, x: ArrayLike) -> NDArray[Any]:
    """The argument as a plain array of real numbers."""
    values = np.asarray(x)
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise TypeError(
            f"{argument} must be real, in at most double precision; got dtype {values.dtype}"
        )
    return values


def _depth(p: ArrayLike, above_2: bool) -> float | NDArray[np.float64]:
    """The depth p as a float, or as an array where it is one."""
    depth = np.asarray(p)
    need = "a finite number above 2" if above_2 else "a finite number, at least 2"
    if depth.dtype.kind not in "fiu":
        raise TypeError(f"p must be {need}; got {p!r} of dtype {depth.dtype}")
    depth = depth.astype(np.float64)
    good = (depth > 2.0) if above_2 else (depth >= 2.0)
    good &= depth < np.inf
    if not good.all():
        worst = depth[~good].flat[0]
        raise ValueError(f"p must be {need}; got {float(worst)!r}")
    return depth if depth.ndim else float(depth)


def _result(argument: str, values: NDArray[Any], depths: tuple[int, ...], out: Any) -> NDArray[Any]:
    """`out` after its checks, or a new array laid out as the input is."""
    try:
        shape = np.broadcast_shapes(values.shape, depths)
    except ValueError:
        raise ValueError(
            f"{argument} and p must broadcast; got shapes {values.shape} and {depths}"
        ) from None
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if out is None:
        same = values.shape == shape
        return np.empty_like(values, dtype, subok=False) if same else np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray; got {type(out).__name__}")
    if not _fits(shape, out.shape):
        raise ValueError(f"out must have shape {shape}; got {out.shape}")
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise TypeError(f"out must hold {dtype} values; got dtype {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; got a read-only array")
    return out


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _input(a: NDArray[Any], order: list[int], result: NDArray[Any]) -> NDArray[np.float64]:
    """The elements in 1-D, axes in the given order: a read-only view where that is safe."""
    flat = np.ascontiguousarray(a.transpose(order), dtype=np.float64).reshape(-1)
    if np.may_share_memory(flat, result):
        flat = flat.copy()  # overlap is harmless, and warnings can look at it afterwards
    return _read_only(flat)


def _fill(
    loop: Loop, values: NDArray[Any], second: Any, result: NDArray[Any]
) -> tuple[bool, NDArray[Any]]:
    """Run the loop over all elements, in the result's order in memory; say what it saw."""
    order = sorted(range(result.ndim), key=lambda axis: -abs(result.strides[axis]))
    turned = np.asarray(result).transpose(order)
    direct = turned.flags.c_contiguous and turned.dtype == np.float64 and turned.flags.aligned
    y = turned.reshape(-1) if direct else np.empty(turned.size)
    x = _input(values, order, result)
    q = second if isinstance(second, float) else _input(second, order, result)
    bad = _run(loop, x, q, y)
    if not direct:
        with np.errstate(all="ignore"):
            np.copyto(turned, y.reshape(turned.shape), casting="unsafe")
    return bad, x.reshape(turned.shape).transpose(np.argsort(np.array(order, int)))


def _warn(name: str, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Report invalid, divide, overflow and underflow as `numpy.errstate` asks."""
    y = np.asarray(y)
    edge = {"h_of_slack": (0.0, 2.0)}.get(name, (-1.0, 1.0))
    poles = name in ("h", "h_prime", "h_integral", "h_of_slack")
    infinite = np.isinf(y) & np.isfinite(x)
    pole = infinite & ((x == edge[0]) | (x == edge[1])) if poles else np.zeros((), bool)
    _report("invalid", "invalid value", name, bool((np.isnan(y) & ~np.isnan(x)).any()))
    _report("divide", "divide by zero", name, bool(pole.any()))
    _report("over", "overflow", name, bool((infinite & ~pole).any()))
    if np.geterr()["under"] != "ignore" and y.dtype.kind == "f":
        tiny = (np.abs(y) < np.finfo(y.dtype).tiny) & (x != 0.0) & np.isfinite(x)
        tiny &= name not in ("selector_g",)
        _report("under", "underflow", name, bool(tiny.any()))


def _report(kind: str, what: str, name: str, happened: bool) -> None:
    mode = np.geterr()[kind]  # type: ignore[literal-required]
    if not happened or mode == "ignore":
        return
    message = f"{what} encountered in {name}"
    if mode == "raise":
        raise FloatingPointError(message)
    if mode == "warn":
        warnings.warn(message, RuntimeWarning, stacklevel=5)
    elif mode == "print":
        print(f"Warning: {message}")
    else:
        handler: Any = np.geterrcall()
        flag = {"divide": 1, "over": 2, "under": 4, "invalid": 8}[kind]
        if mode == "call" and handler is not None:
            handler(what, flag)
        elif handler is not None:
            handler.write(f"Warning: {message}\n")
