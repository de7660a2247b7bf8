"""The flow of the 2N weights by general ODE solvers: diffrax here, SciPy's in ``flow.py``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DIFFRAX = ("Tsit5", "Dopri8", "Kvaerno5")


def compiled_once(make: Callable[[str], Callable[[float], Array]]) -> Callable[[str, float], Any]:
    """``(solver, rtol) -> maker of a run``: all tolerances of a solver share what was compiled."""
    kept = functools.cache(make)
    return lambda solver, rtol: lambda: functools.partial(kept(solver), rtol)


def diffrax_weights(
    A: Array, y: Array, p: float, alpha: float, t: Array, solver: str
) -> Callable[[float], Array]:
    """rtol -> psi at the times t, NaN where the solver gives up; compiled by JAX, once.

    The tolerances are those SciPy is given: rtol, and rtol times alpha.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    import diffrax

    jnp = jax.numpy
    Aj, yj, times = jnp.asarray(A), jnp.asarray(y), jnp.asarray(t)
    q = int(p) if p == int(p) else p

    def field(_: Any, w: Any, __: Any) -> Any:
        u, v = w
        g = Aj.T @ (Aj @ (u**q - v**q) - yj)
        return -p * u ** (q - 1) * g, p * v ** (q - 1) * g

    @jax.jit
    def integrate(start: Any, rtol: Any) -> Any:
        out = diffrax.diffeqsolve(
            diffrax.ODETerm(field), getattr(diffrax, solver)(), 0.0, times[-1], None,
            (start, start), saveat=diffrax.SaveAt(ts=times), throw=False, max_steps=1_000_000,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol * alpha),
        )  # fmt: skip
        return out.ys[0] ** q - out.ys[1] ** q

    start = jnp.full(A.shape[1], alpha)

    def run(rtol: float) -> Array:
        psi = np.asarray(integrate(start, rtol))
        return np.where(np.isfinite(psi), psi, np.nan)

    return run
