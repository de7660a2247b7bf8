"""Gradient descent as one writes it in NumPy, PyTorch and JAX: for one or many step sizes.

Each maker takes A, y, p, alpha, the step size (a number, or one for each configuration)
and the number of steps, and returns the call that takes these and gives psi.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _rows(eta: Any) -> Any:
    """Step sizes as a column, one row a configuration; a number stays one."""
    return eta if np.ndim(eta) == 0 else np.asarray(eta)[:, None]


def numpy_loop(A: Array, y: Array, p: float, alpha: float, eta: Any, n: int) -> Callable[[], Array]:
    """The formula of the gradient, line by line; many configurations by matrix products."""
    start, step = np.full((*np.shape(eta), A.shape[1]), alpha), _rows(eta) * p
    q = int(p) if p == int(p) else p

    def run() -> Array:
        u = v = start
        for _ in range(n):
            up, vp = u ** (q - 1), v ** (q - 1)
            g = ((up * u - vp * v) @ A.T - y) @ A
            u, v = u - step * up * g, v + step * vp * g
        return np.asarray(u**q - v**q)

    return run


def torch_loop(A: Array, y: Array, p: float, alpha: float, eta: Any, n: int) -> Callable[[], Array]:
    """By automatic differentiation."""
    import torch

    At, yt = torch.from_numpy(A), torch.from_numpy(y)
    step = torch.as_tensor(_rows(eta), dtype=torch.float64)

    def run() -> Array:
        shape = (*np.shape(eta), A.shape[1])
        w = [torch.full(shape, alpha, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        for _ in range(n):
            loss = 0.5 * (((w[0] ** p - w[1] ** p) @ At.T - yt) ** 2).sum()
            slopes = torch.autograd.grad(loss, w)
            with torch.no_grad():
                for x, slope in zip(w, slopes, strict=True):
                    x -= step * slope
        with torch.no_grad():
            return np.asarray((w[0] ** p - w[1] ** p).numpy())

    return run


def jax_loop(A: Array, y: Array, p: float, alpha: float, eta: Any, n: int) -> Callable[[], Array]:
    """By automatic differentiation, the whole loop compiled; many configurations by vmap."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    Aj, yj, steps = jnp.asarray(A), jnp.asarray(y), jnp.asarray(eta)
    q = int(p) if p == int(p) else p

    def loss(w: Any) -> Any:
        return 0.5 * jnp.sum((Aj @ (w[0] ** q - w[1] ** q) - yj) ** 2)

    def one(step: Any, start: Any) -> Any:
        def body(_: Any, w: Any) -> Any:
            return tuple(x - step * d for x, d in zip(w, jax.grad(loss)(w), strict=True))

        u, v = jax.lax.fori_loop(0, n, body, (start, start))
        return u**q - v**q

    many = jax.jit(one if np.ndim(eta) == 0 else jax.vmap(one, (0, None)))
    start = jnp.full(A.shape[1], alpha)
    return lambda: np.asarray(many(steps, start))
