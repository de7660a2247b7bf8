"""Limits and minimisers: beside basis pursuit, and beside integration to convergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.common import FlowCase, reference

from . import flow, integrate, pursuit
from .contest import Array, Case, Contender, distance, relative

PEERS = ("numpy", "scipy", "clarabel", "spgl1", "scikit-learn", "celer", "skglm", "jax", "diffrax")
THREADS = (1,)
TITLE = "Limits and l1 minimisers"
INTRO = (
    "First beside solvers of basis pursuit, min ||x||_1 over A x = y, on problems with a known "
    "sparse minimiser and y = A x without rounding. `l1_minimizer` answers the same question; "
    "`flow_limit` answers another, the end of the flow at one alpha (eps = alpha^p), which is "
    "as far from the minimiser as eps makes it. Each call starts from A and y. Then beside the "
    "ODE solvers with which the end of the flow is found otherwise: all 2N weights are "
    "integrated until psi is within 1e-11 of its limit."
)

_TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)


def cases(quick: bool, threads: int) -> Iterator[Case]:
    """Two sizes of basis pursuit, two flows to their ends."""
    del threads
    if quick:
        yield _pursuit(20, 60, 3, tuple(pursuit.SOLVERS))
        yield _integration("random", 3.0, -3, quick)
        return
    yield _pursuit(200, 2000, 30, tuple(pursuit.SOLVERS))
    yield _pursuit(300, 10_000, 40, ("HiGHS simplex", "SPGL1", "lars_path", "celer", "skglm"))
    for p, log10_eps in ((2.0, -6), (3.0, -6)):
        yield _integration("random", p, log10_eps, quick)


def ours(A: Array, y: Array) -> list[Contender]:
    """The minimiser, and limits at both kinds of depth; a new Problem each time."""
    import fastdln as fd

    def limit(p: float, eps: float) -> Callable[[], Array]:
        log_alpha = math.log(eps) / p
        return lambda: np.asarray(fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_alpha).psi)

    def minimizer() -> Array:
        return np.asarray(fd.l1_minimizer(fd.Problem(A, y), 3.0).psi)

    return [
        Contender("fastdln, l1_minimizer", lambda: minimizer, ours=True),
        *(
            Contender(
                f"fastdln, flow_limit p = {p:g}",
                lambda p=p, eps=eps: limit(p, eps),  # type: ignore[misc]
                f"eps {eps:.0e}",
                True,
            )
            for p in (2.0, 3.0)
            for eps in (1e-9, 1e-60)
        ),
    ]


def peers(A: Array, y: Array, names: tuple[str, ...]) -> list[Contender]:
    """Each at its settings."""
    found = []
    for name in names:
        what, settings = pursuit.SETTINGS.get(name, ("", (0.0,)))
        for value in settings:
            make: Any = lambda name=name, value=value: pursuit.SOLVERS[name](A, y, value)  # noqa: E731
            text = f"{what} {value:.0e}" if what else ""
            found.append(Contender(name, make, text, compiles=name == "skglm"))
    return found


def _pursuit(m: int, N: int, sparsity: int, names: tuple[str, ...]) -> Case:
    import fastdln as fd

    problem, x = fd.datasets.gaussian(m, N, sparsity)
    A, y = problem.A, problem.y
    left = [name for name in pursuit.SOLVERS if name not in names]
    return Case(
        name=f"{m} x {N}, {sparsity} nonzeros",
        about=f"Left out, as they take more than a minute: {', '.join(left)}." if left else "",
        contenders=ours(A, y) + peers(A, y, names),
        error_of=distance(x), error_name="relative, l2", floor=1e-12, unit="call", drawn=True,
        most=1.5,
    )  # fmt: skip


def _integration(name: str, p: float, log10_eps: int, quick: bool) -> Case:
    """A flow of the reference table to its end."""
    import fastdln as fd

    table = next(case for case in reference("flow_limits") if case["name"] == name)
    row = next(
        row for row in table["rows"]
        if float(row["p"]) == p and row["log10_alpha_p"] == log10_eps
    )  # fmt: skip
    exact, eps = np.array(row["psi"], float), 10.0**log10_eps
    A, y, alpha = np.array(table["A"], float), np.array(table["y"], float), eps ** (1 / p)
    t = np.array([_end(fd.Problem(A, y), p, alpha, exact)])
    case = FlowCase(A, y, p, alpha, t, exact[None])
    diffrax = integrate.compiled_once(
        lambda solver: integrate.diffrax_weights(A, y, p, alpha, t, solver)
    )
    contenders = [
        Contender(
            "fastdln, flow_limit",
            lambda: lambda: np.asarray(fd.flow_limit(fd.Problem(A, y), p, alpha).psi)[None],
            ours=True,
        )
    ]  # fmt: skip
    for rtol in _TOLERANCES[:2] if quick else _TOLERANCES:
        for method in ("LSODA", "Radau", "BDF"):
            contenders.append(Contender(
                f"SciPy {method}",
                lambda method=method, rtol=rtol: lambda: flow.scipy_weights(  # type: ignore[misc]
                    case, method, rtol),
                f"rtol {rtol:.0e}",
            ))  # fmt: skip
        contenders.append(Contender(
            "diffrax Kvaerno5", diffrax("Kvaerno5", rtol), f"rtol {rtol:.0e}", compiles=True
        ))  # fmt: skip
    return Case(
        name=f"{name} {A.shape[0]} x {A.shape[1]} to convergence, p = {p:g}, eps = {eps:.0e}",
        about=f"The published problem to t = {t[0]:.3g}; exact values from the reference table.",
        contenders=contenders, error_of=relative(exact[None], eps), error_name="relative above eps",
        floor=1e-13, unit="call", drawn=True, most=1.0,
    )  # fmt: skip


def _end(problem: Any, p: float, alpha: float, exact: Array) -> float:
    """A time at which psi is at its limit, to 1e-11 of it."""
    import fastdln as fd

    t = 1.0
    near = relative(exact, alpha**p)
    while near(fd.gradient_flow(problem, p, alpha, [t], rtol=1e-12).psi[-1]) > 1e-11 and t < 1e15:
        t *= 2.0
    return 1.2 * t
