"""Gradient descent: steps beside the loops that users write, and long runs by leaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.common import gaussian, reference

from . import loops
from .contest import Array, Case, Contender, relative

PEERS = ("numpy", "torch", "jax")
THREADS = (1, 2)
TITLE = "Gradient descent"
INTRO = (
    "p = 3, the same start and step size for all. The loops: the gradient written out in "
    "NumPy; PyTorch's automatic differentiation; JAX, which compiles the whole loop. With "
    "many step sizes together NumPy and PyTorch multiply matrices and JAX uses `vmap`. The "
    "error is the largest over coordinates, relative to |psi| + alpha^p."
)
_P, _ALPHA, _ETA = 3.0, 0.1, 1e-4
_MAKERS: dict[str, Callable[..., Callable[[], Array]]] = {
    "NumPy": loops.numpy_loop, "PyTorch": loops.torch_loop, "JAX": loops.jax_loop,
}  # fmt: skip


def cases(quick: bool, threads: int) -> Iterator[Case]:
    """Steps of one configuration and of 32; the whole run of a small problem."""
    sizes = ((50, 500, 1000), (200, 10_000, 40), (500, 100_000, 20))
    for m, n, count in ((20, 100, 20),) if quick else sizes:
        yield _steps(m, n, count, _ETA)
    batches = ((50, 500, 200), (200, 10_000, 20))
    for m, n, count in ((20, 100, 20),) if quick else batches:
        yield _steps(m, n, count, np.linspace(0.5, 1.0, 4 if quick else 32) * _ETA)
    if threads == 1:
        yield _whole(10**3 if quick else 10**5)


def _contenders(problem: Any, eta: Any, count: int, methods: tuple[str, ...]) -> list[Contender]:
    import fastdln as fd

    def ours(method: str) -> Callable[[], Array]:
        return lambda: np.asarray(
            fd.gradient_descent(problem, _P, _ALPHA, eta, count, [count], method=method)
            .psi[..., 0, :]
        )  # fmt: skip

    found = [
        Contender(f"fastdln, {method}", lambda method=method: ours(method), ours=True)  # type: ignore[misc]
        for method in methods
    ]
    for name, make in _MAKERS.items():
        found.append(Contender(
            name, lambda make=make: make(problem.A, problem.y, _P, _ALPHA, eta, count),  # type: ignore[misc]
            compiles=name == "JAX",
        ))  # fmt: skip
    return found


def _steps(m: int, n: int, count: int, eta: Any) -> Case:
    """Single steps; the exact values are those in twice the precision."""
    import fastdln as fd

    problem = fd.Problem(*gaussian(m, n, max(1, m // 10)))
    args = (problem, _P, _ALPHA, eta, count, [count])
    exact = fd.gradient_descent(*args, method="compensated").psi[..., 0, :]
    many = np.size(eta)
    methods = ("plain", "compensated") if many == 1 else ("plain",)
    what = f", {many} step sizes" if many > 1 else ""
    return Case(
        name=f"{m} x {n}{what}", about=f"{count} steps, the problem known beforehand.",
        contenders=_contenders(problem, eta, count, methods),
        error_of=relative(np.asarray(exact), _ALPHA**_P), error_name="relative", floor=1e-12,
        per=many * count, unit="step", most=6.0,
    )  # fmt: skip


def _whole(count: int) -> Case:
    """The published 3 x 5 problem, against the table in quadruple precision."""
    import fastdln as fd

    table = next(
        case for case in reference("gradient_descent")
        if (case["name"], float(case["p"]), case["alpha"]) == ("random", _P, "0.1")
    )  # fmt: skip
    row = next(row for row in table["rows"] if row["step"] == count)
    problem = fd.Problem(np.array(table["A"], float), np.array(table["y"], float))
    eta = float(table["step_size"])
    contenders = _contenders(problem, eta, count, ("plain", "compensated"))
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):

        def leap(rtol: float = rtol) -> Array:
            path = fd.gradient_descent(
                problem, _P, _ALPHA, eta, count, [count], method="leap", rtol=rtol
            )
            return np.asarray(path.psi[0])

        contenders.append(
            Contender("fastdln, leap", lambda leap=leap: leap, f"rtol {rtol:.0e}", True)  # type: ignore[misc]
        )
    return Case(
        name=f"random 3 x 5, {count:.0e} steps",
        about="The published problem, alpha = 0.1, against the reference table.",
        contenders=contenders, error_of=relative(np.array(row["psi"], float), _ALPHA**_P),
        error_name="relative", floor=1e-14, unit="run", drawn=True, most=5.0,
    )  # fmt: skip
