"""Ctrl-C inside a kernel: heard when it returns, and the next call is as good as any."""

import signal

import pytest

from fastdln._interrupt import uninterrupted
from fastdln._jit import JIT_DISABLED

PRESS = """
import _thread, sys, threading
import numpy as np
import fastdln as fd

problem, p = fd.datasets.gaussian(60, 900, 8).problem, float(sys.argv[1])
log_alpha = np.linspace(0.0, -300.0 / p, 1200)
undisturbed = fd.flow_limit(problem, p, log_alpha=log_alpha[::40])
heard = 0
for wait in np.linspace(0.01, 0.25, 12):
    timer = threading.Timer(wait, _thread.interrupt_main)
    timer.start()
    try:
        for alphas in np.array_split(log_alpha, 3) * 1000:
            fd.flow_limit(problem, p, log_alpha=alphas)
    except KeyboardInterrupt:
        heard += 1
    timer.join()
again = fd.flow_limit(problem, p, log_alpha=log_alpha[::40])
np.testing.assert_array_equal(again.psi, undisturbed.psi)
print("heard", heard)
"""


@pytest.mark.parametrize("p", ["2", "3"])
def test_an_interrupt_inside_a_limit_is_heard_and_breaks_nothing(run_python, p):
    done = run_python("-c", PRESS, p)
    assert (done.returncode, done.stdout) == (0, "heard 12\n"), done.stderr[-2000:]


RETURNS = """
import importlib, pkgutil
from numba.core import types
from fastdln import kernels
from fastdln._warmup import compile_all

def holds_numbers_alone(returned):
    if isinstance(returned, types.BaseNamedTuple):
        return False
    if isinstance(returned, types.BaseTuple):
        return all(map(holds_numbers_alone, returned))
    return isinstance(returned, types.Number | types.Boolean | types.NoneType)

compile_all()
seen = 0
for module in pkgutil.iter_modules(kernels.__path__):
    for name, kernel in vars(importlib.import_module(f"fastdln.kernels.{module.name}")).items():
        if hasattr(kernel, "overloads") and not kernel.targetoptions.get("no_cpython_wrapper"):
            for overload in kernel.overloads.values():
                seen += 1
                if not holds_numbers_alone(overload.signature.return_type):
                    print(module.name, name)
print("looked at", "many" if seen > 100 else seen)
"""


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
def test_what_a_kernel_returns_to_python_is_made_without_python_code(run_python):
    """In a process of its own: other tests call kernels that only kernels call."""
    done = run_python("-c", RETURNS)
    assert (done.returncode, done.stdout) == (0, "looked at many\n"), done.stderr[-2000:]


def test_an_interrupt_waits_for_the_end_of_a_call():
    steps, before = [], signal.getsignal(signal.SIGINT)

    @uninterrupted
    def call(last):
        signal.raise_signal(signal.SIGINT)
        steps.append(last)

    with pytest.raises(KeyboardInterrupt):
        call("end")
    assert steps == ["end"]
    assert signal.getsignal(signal.SIGINT) is before
