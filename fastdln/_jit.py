"""The one place where numba's options and caches live.

Every kernel is compiled by `jit`: strict IEEE arithmetic (no fastmath), NumPy's
division semantics, the GIL released, machine code cached on disk.
``FASTDLN_CACHE=0`` in the environment turns the cache off; ``FASTDLN_FMA=0`` compiles as for a
processor without a fused multiply-add.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile

from fastdln._inner_compiler import InnerCompiler, KernelCompiler
from fastdln._interrupt import uninterrupted

__all__ = ["JIT_DISABLED", "jit", "jit_for_users", "jit_inline", "jit_inner", "jit_returning"]

JIT_DISABLED = bool(numba.config.DISABLE_JIT)
_CACHE = os.environ.get("FASTDLN_CACHE", "1") != "0"


def _kernel_digest() -> str:
    """Hash of all kernels and of how they are compiled: numba would not notice a changed callee."""
    digest, here = hashlib.sha256(os.environ.get("FASTDLN_FMA", "").encode()), Path(__file__).parent
    compilers = (here / name for name in ("_borrowing.py", "_inner_compiler.py", "_jit.py"))
    for path in (*sorted((here / "kernels").glob("*.py")), *compilers):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_DIGEST = _kernel_digest() if _CACHE else ""


def _enable_cache(dispatcher: Any) -> None:
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # no folder can be written: compile in every process
        return
    cache = dispatcher._cache
    impl = getattr(cache, "_impl", None)
    if impl is not None:  # stamp with the whole kernel folder, not this file alone
        stamp = (*impl.locator.get_source_stamp(), _DIGEST)
        cache._cache_file = IndexDataCacheFile(
            cache_path=cache.cache_path, filename_base=impl.filename_base, source_stamp=stamp
        )


def jit(func: Callable[..., Any]) -> Any:
    """Compile a kernel: strict, cached, without the GIL.

    It returns numbers to Python, or nothing, and writes into arrays it is given. Where it
    returns more than that, see `jit_returning`.
    """
    return _kernel(func)


def _kernel(func: Callable[..., Any], **options: bool) -> Any:
    compiled = numba.njit(
        error_model="numpy",
        nogil=True,
        no_cfunc_wrapper=True,
        pipeline_class=KernelCompiler,
        **options,
    )(func)
    if JIT_DISABLED:
        return compiled
    if _CACHE:
        _enable_cache(compiled)
    inner = jit_inner(func, **options)  # what other kernels take in
    compiled.get_call_template, compiled.get_overload = inner.get_call_template, inner.get_overload
    return compiled


def jit_returning(func: Callable[..., Any]) -> Any:
    """`jit` for a kernel that returns arrays, or tuples of them, and that only Python calls.

    numba makes these objects with some Python code, and does not expect an exception there:
    an interrupt waits until they are made.
    """
    return func if JIT_DISABLED else uninterrupted(jit(func))


def jit_inner(func: Callable[..., Any], **options: bool) -> Any:
    """Compile a function that only kernels call: no way in from Python, no cache of its own.

    Its code is part of each caller's, cached there; see `_inner_compiler`.
    """
    if JIT_DISABLED:
        return func
    return numba.njit(
        error_model="numpy",
        nogil=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=InnerCompiler,
        **options,
    )(func)


def jit_inline(func: Callable[..., Any]) -> Any:
    """Compile a small helper that LLVM must inline into its callers, so that loops vectorise."""
    return _kernel(func, forceinline=True)


def jit_for_users(func: Callable[..., Any]) -> Any:
    """`jit_inline` for what users may call in kernels of their own: these find it in the cache."""
    compiled = numba.njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True, forceinline=True)(
        func
    )
    if _CACHE and not JIT_DISABLED:
        _enable_cache(compiled)
    return compiled
