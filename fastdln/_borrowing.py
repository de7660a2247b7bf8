"""Count no references in functions that make no array and return none.

Around each use of an array, or of a tuple that holds some, numba counts references. Where
nothing is made there is nothing to free: the caller holds what the function works on. A sixth
of all code is thereby never written.
"""

from __future__ import annotations

from typing import Any

from numba.core import ir, types
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.types import BaseTuple, SliceType  # type: ignore[attr-defined]

__all__ = ["Borrowing"]

# Statements without effect on references, and expressions whose arrays others hold.
_PLAIN = (ir.SetItem, ir.StaticSetItem, ir.Del, ir.Jump, ir.Branch, ir.Return, ir.StaticRaise)
_VIEWS = ["build_tuple", "cast", "exhaust_iter", "iternext", "pair_first", "pair_second"]
_VIEWS += ["phi", "static_getitem", "undef"]


@register_pass(mutates_CFG=False, analysis_only=True)
class Borrowing(AnalysisPass):
    """Turn reference counts off where the types of all expressions show that none is needed."""

    _name = "fastdln_borrowing"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        if not _makes_arrays(state, state.targetctx.data_model_manager):
            state.targetctx = state.targetctx.subtarget(enable_nrt=False)
        return False


def _makes_arrays(state: Any, models: Any) -> bool:
    """Whether the function makes an object that is counted, or returns one."""
    if models[state.return_type].contains_nrt_meminfo():
        return True
    counted = (kind for kind in state.typemap.values() if models[kind].contains_nrt_meminfo())
    if not all(map(_holds_arrays, counted)):  # even looking into a list asks for the counts
        return True
    for block in state.func_ir.blocks.values():
        for one in block.body:
            if not isinstance(one, ir.Assign):
                if not isinstance(one, _PLAIN):
                    return True
            elif isinstance(one.value, ir.Yield) or (
                isinstance(one.value, ir.Expr)
                and models[state.typemap[one.target.name]].contains_nrt_meminfo()
                and not _is_view(one.value, state.typemap)
            ):
                return True
    return False


def _holds_arrays(kind: Any) -> bool:
    """Whether it is an array, or a tuple of such."""
    if isinstance(kind, BaseTuple):
        return all(isinstance(part, types.Number) or _holds_arrays(part) for part in kind)
    return isinstance(kind, types.Array | types.Boolean)


def _is_view(expr: Any, typemap: Any) -> bool:
    """Whether what `expr` yields is held by something else."""
    if expr.op == "call":
        return isinstance(typemap[expr.func.name], types.NamedTupleClass)
    if expr.op == "getattr":
        return isinstance(typemap[expr.value.name], BaseTuple) or expr.attr == "T"
    if expr.op == "getitem":
        index = typemap[expr.index.name]
        parts = index.types if isinstance(index, BaseTuple) else (index,)
        return all(isinstance(part, types.Integer | SliceType) for part in parts)
    return expr.op in _VIEWS
