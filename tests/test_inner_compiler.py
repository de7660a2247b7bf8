"""Functions that only kernels call are compiled once, with the kernels."""

import gc
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core.compiler import Flags
from numba.core.runtime import _nrt_python, rtsys

from fastdln import _inner_compiler
from fastdln._jit import JIT_DISABLED, jit, jit_inner

pytestmark = pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")


def test_this_numba_is_supported():
    assert _inner_compiler.IS_SUPPORTED


def test_inner_code_is_made_by_its_caller_alone():
    @jit_inner
    def square(x):
        return x * x

    @jit
    def cube(x):
        return square(x) * x

    assert cube(3.0) == 27.0
    (inner,) = square.overloads.values()
    (outer,) = cube.overloads.values()
    name = inner.fndesc.mangled_name
    assert isinstance(inner.library, _inner_compiler._TakenIn)
    assert inner.library.get_pointer_to_function(name) == 0
    assert outer.library.get_pointer_to_function(outer.fndesc.mangled_name) != 0


def test_one_inner_function_in_two_kernels():
    @jit_inner
    def twice(x):
        return x + x

    @jit_inner
    def four_times(x):
        return twice(twice(x))

    @jit
    def first(x):
        return twice(x)

    @jit
    def second(x):
        return four_times(x) - first(x)

    assert (first(1.5), second(1.5)) == (3.0, 3.0)


def test_kernels_take_in_what_is_also_a_kernel():
    @jit
    def half(x):
        return 0.5 * x

    @jit
    def quarter(x):
        return half(half(x))

    assert quarter(3.0) == 0.75
    assert not half.overloads  # never made into code of its own
    assert half(3.0) == 1.5
    assert len(half.overloads) == 1


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


@jit_inner
def weighed(pair, i):
    """Views and tuples of views, made of what others hold."""
    swapped = Pair(pair.second[i], pair.first.T[0])
    row, other = swapped
    total = 0.0
    for j in range(other.size):
        total += row[j] * other[j]
    return total + row[1:].size * other[0]


@jit_inner
def copied(x):
    return x.copy()


@jit_inner
def largest_of_copy(x):
    return copied(x).max()


@jit_inner
def chosen(x, index):
    return x[index].sum()  # a copy, though only an index


@jit_inner
def first_of(pairs):
    return pairs[0].first[0, 0]


def counts(dispatcher):
    (found,) = dispatcher.overloads.values()
    own = str(found.library._final_module.get_function(found.fndesc.llvm_func_name))
    return "NRT_" in own


def test_references_are_counted_where_an_array_is_made():
    @numba.njit  # not found in a cache
    def outer(x, index):
        pair = Pair(x, x + 1.0)
        total = 0.0
        for i in range(2):
            total += weighed(pair, i) + largest_of_copy(pair.first[i]) + chosen(x[i], index)
        return total + first_of([pair, pair])

    x, index = np.arange(6.0).reshape(2, 3), np.array([0, 2])
    _nrt_python.memsys_enable_stats()
    before = rtsys.get_allocation_stats()
    for _ in range(100):
        assert outer(x, index) == 38.0 + x[0, 0]
    after = rtsys.get_allocation_stats()
    _nrt_python.memsys_disable_stats()
    assert after.alloc - before.alloc == after.free - before.free > 100
    assert not counts(weighed)
    assert counts(copied)
    assert counts(largest_of_copy)
    assert counts(chosen)
    assert counts(first_of)


def test_options_compare_as_those_of_numba():
    plain = Flags()
    plain.error_model = "numpy"
    quick = _inner_compiler._Flags(plain)
    assert quick == plain == quick.copy()
    assert quick != Flags()
    assert hash(quick) == hash(plain) == hash(Flags())
    assert quick.values() == plain.values()


def test_garbage_is_sought_as_before_once_a_kernel_is_compiled():
    before = gc.get_threshold()
    seen = []

    with _inner_compiler._seldom_collecting():
        seen.append(gc.get_threshold())
        with _inner_compiler._seldom_collecting():
            seen.append(gc.get_threshold())
    assert seen[0] == seen[1] == (_inner_compiler._OBJECTS, *before[1:])
    assert gc.get_threshold() == before
