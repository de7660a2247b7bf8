"""Compile functions that only kernels call once, as part of each kernel, and not before.

numba optimises a function and turns it into machine code where it is defined, and
again inside each of its callers. The first of these is wasted on a function that Python
never calls. Here its library keeps the code as it was lowered; the kernels that take it
in optimise it with their own. A first run takes two thirds of the time.

Where a later numba is built otherwise, `InnerCompiler` is numba's own compiler.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = ["IS_SUPPORTED", "InnerCompiler"]

IS_SUPPORTED = all(
    hasattr(JITCodeLibrary, name)
    for name in (
        "_optimize_final_module",
        "_finalize_final_module",
        "_finalize_dynamic_globals",
        "get_pointer_to_function",
    )
)


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


class _InnerCompiler(Compiler):
    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, _TakenIn(target.codegen(), "inner"), *rest)


InnerCompiler = _InnerCompiler if IS_SUPPORTED else Compiler
