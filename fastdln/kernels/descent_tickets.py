"""Who does what in a step that several threads share, without any of them being waited for.

A step has two phases, each cut into pieces that depend on the shape alone. A thread draws
the next ticket, waits until the phase of its piece has begun, does it, and whoever ends the
last piece of a phase begins the next one. So a thread that comes late, or never, holds up
nobody; one alone does all of it; and the bits do not depend on who did what.

`clock` holds four counters, each in a cache line of its own: the tickets drawn, the phases
that have begun, the pieces of the present phase that are done, and why it was stopped.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastdln._jit import JIT_DISABLED, jit_inner

__all__ = ["begin_next", "claim", "finished", "new_clock", "reason", "stop"]

TICKETS, PHASES, DONE, STOPPED = 0, 8, 16, 24
PATIENCE = 2000  # looks before the processor is offered to others: some microseconds
YIELDS = 400  # offers before it is left to them: a thread put aside elsewhere then moves here
MICROSECONDS = 50


def new_clock() -> Any:
    """A clock at zero, (32,)."""
    return np.zeros(32, dtype=np.int64)


def reason(clock: Any) -> int:
    """Why it was stopped, or 0."""
    return int(clock[STOPPED])


@intrinsic
def _add_now(typingctx: Any, array: Any, i: Any, n: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.gep(data, [args[1]])
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), codegen


@intrinsic
def _load_now(typingctx: Any, array: Any, i: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "seq_cst", 8)

    return types.int64(array, types.int64), codegen


@intrinsic
def _store_now(typingctx: Any, array: Any, i: Any, n: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store_atomic(args[2], builder.gep(data, [args[1]]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.none(array, types.int64, types.int64), codegen


# calls of the C library of every POSIX system; elsewhere a thread that waits keeps looking
_HAS_CALLS = not JIT_DISABLED and all(map(llvm.address_of_symbol, ("sched_yield", "usleep")))


@intrinsic
def _give_way(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _HAS_CALLS:
            call = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, call, "sched_yield"), [])
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def _sleep(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _HAS_CALLS:
            number = ir.IntType(32)
            call = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(number, [number]), "usleep"
            )
            builder.call(call, [number(MICROSECONDS)])
        return context.get_dummy_value()

    return types.none(), codegen


def _add_slow(array: Any, i: int, n: int) -> int:
    """``array[i] += n`` in one piece; what was there before (one thread, without compilation)."""
    before = int(array[i])
    array[i] += n
    return before


def _load_slow(array: Any, i: int) -> int:
    return int(array[i])


def _store_slow(array: Any, i: int, n: int) -> None:
    array[i] = n


def _stay() -> None:
    """Nothing to give way to."""


add_now: Any = _add_slow if JIT_DISABLED else _add_now
load_now: Any = _load_slow if JIT_DISABLED else _load_now
store_now: Any = _store_slow if JIT_DISABLED else _store_now
give_way: Any = _stay if JIT_DISABLED else _give_way
sleep: Any = _stay if JIT_DISABLED else _sleep


@jit_inner
def claim(clock, first, second, n_steps):
    """The next ticket, once its phase has begun; -1 when there is nothing left to do.

    A step has `first` pieces, then `second` others. Ticket t is for step t // (first + second).
    """
    ticket = add_now(clock, TICKETS, 1)
    step = ticket // (first + second)
    if step >= n_steps:
        return -1
    phase = 2 * step + (1 if ticket % (first + second) >= first else 0)
    looks = 0
    while load_now(clock, PHASES) < phase:
        if load_now(clock, STOPPED) != 0:
            return -1
        looks += 1
        if looks > PATIENCE + YIELDS:
            sleep()
        elif looks > PATIENCE:
            give_way()
    return ticket


@jit_inner
def finished(clock, pieces):
    """A piece of a phase of so many is done; was it the last one?"""
    if add_now(clock, DONE, 1) < pieces - 1:
        return False
    store_now(clock, DONE, 0)
    return True


@jit_inner
def begin_next(clock):
    """Let the next phase begin: for who finished the last piece."""
    add_now(clock, PHASES, 1)


@jit_inner
def stop(clock, why):
    """End the run instead of beginning the next phase."""
    store_now(clock, STOPPED, why)
