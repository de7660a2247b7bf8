"""Functions that only kernels call are compiled once, with the kernels."""

import pytest

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
