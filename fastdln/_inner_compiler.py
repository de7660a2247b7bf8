"""Compile functions that only kernels call once, as part of each kernel, and not before.

numba optimises a function and turns it into machine code where it is defined, and
again inside each of its callers. The first of these is wasted on a function that Python
never calls. Here its library keeps the code as it was lowered; the kernels that take it
in optimise it with their own.

At each operator numba looks for code that fits the types and its own options, and
compares those with the options of all code that it has: a tenth of the time, which `_Flags`
does in no time.

Where a later numba is built otherwise, these compilers are numba's own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, DefaultPassBuilder, Flags
from numba.core.typed_passes import AnnotateTypes

from fastdln._borrowing import Borrowing

__all__ = ["IS_SUPPORTED", "InnerCompiler", "KernelCompiler"]

IS_SUPPORTED = all(
    hasattr(JITCodeLibrary, name)
    for name in (
        "_optimize_final_module",
        "_finalize_final_module",
        "_finalize_dynamic_globals",
        "get_pointer_to_function",
    )
) and all(hasattr(Flags(), name) for name in ("options", "values", "_values"))

_OPTIONS = {k: option.default for k, option in Flags.options.items()} if IS_SUPPORTED else {}


class _Flags(Flags):
    """numba's options, quickly compared."""

    def values(self) -> dict[str, Any]:
        return {**_OPTIONS, **self._values}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Flags) and self.values() == other.values()

    def __hash__(self) -> int:
        return _HASH


_HASH = hash(Flags())  # numba's own, which is that of the options' names


class _NoEnvironment:
    """Stands for the code generator where numba stores what only a call from Python uses."""

    def set_env(self, name: str, env: object) -> None:
        pass


class _TakenIn(JITCodeLibrary):
    """Lowered code that waits for its callers."""

    @property
    def codegen(self) -> Any:
        return _NoEnvironment()

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0  # as numba answers for a function without a wrapper


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """numba makes objects by the million and keeps most: looking for garbage is in vain."""
    before = gc.get_threshold()
    if 0 < before[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


_OBJECTS = 100_000  # between two looks


class _KernelCompiler(Compiler):
    def __init__(
        self, typing: Any, target: Any, library: Any, args: Any, result: Any, flags: Any, *rest: Any
    ) -> None:
        super().__init__(typing, target, library, args, result, _Flags(flags), *rest)

    def compile_extra(self, func: Any) -> Any:
        with _seldom_collecting():
            return super().compile_extra(func)


class _InnerCompiler(_KernelCompiler):
    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, _TakenIn(target.codegen(), "inner"), *rest)

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(Borrowing, AnnotateTypes)
        passes.finalize()
        return [passes]


InnerCompiler = _InnerCompiler if IS_SUPPORTED else Compiler
KernelCompiler = _KernelCompiler if IS_SUPPORTED else Compiler
