"""Gradient flow in time: SciPy's and diffrax's solvers on the weights and on the dual."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import flow, integrate
from .contest import Case, Contender

PEERS = ("numpy", "scipy", "jax", "diffrax")
THREADS = (1,)
TITLE = "Gradient flow"
INTRO = (
    "psi at 100 times up to convergence, eps = 1e-6, m/5 coordinates planted; all get the "
    'formulas of the gradient, and the implicit ones of SciPy the Jacobian. "weights" are the '
    '2N weights, as the flow is defined; "dual" are the m numbers that fastdln integrates, '
    "given to SciPy with fastdln's h_p. diffrax is compiled, its compilation not counted. The "
    "error is the largest over coordinates and times, relative to |psi| + eps, against "
    "fastdln's Radau at rtol 1e-12."
)


def cases(quick: bool, threads: int) -> Iterator[Case]:
    """Both kinds of depth, and a larger problem."""
    del threads
    sizes = ((20, 100, 2.0), (20, 100, 3.0), (50, 400, 3.0))
    for m, N, p in ((5, 10, 3.0),) if quick else sizes:
        yield _case(m, N, p, quick)


def _case(m: int, N: int, p: float, quick: bool) -> Case:
    import fastdln as fd

    case = flow.make_case(m, N, p)
    problem = fd.Problem(case.A, case.y)

    def ours(method: str, rtol: float) -> Callable[[], Any]:
        return lambda: (
            fd.gradient_flow(problem, p, case.alpha, case.t, method=method, rtol=rtol).psi
        )

    diffrax = integrate.compiled_once(
        lambda solver: integrate.diffrax_weights(case.A, case.y, p, case.alpha, case.t, solver)
    )
    contenders = []
    small = N <= 100
    for rtol in (1e-4, 1e-6) if quick else (1e-4, 1e-6, 1e-8, 1e-10):
        text = f"rtol {rtol:.0e}"
        contenders += [
            Contender(f"fastdln {method}", lambda method=method, rtol=rtol: ours(method, rtol),  # type: ignore[misc]
                      text, True)
            for method in ("auto", "dop853", "radau")
        ]  # fmt: skip
        contenders += [
            Contender(
                f"SciPy {method}, weights",
                lambda method=method, rtol=rtol: lambda: flow.scipy_weights(case, method, rtol),  # type: ignore[misc]
                text,
            )
            for method in (("LSODA", "DOP853", "Radau", "BDF") if small else ("LSODA", "DOP853"))
        ]  # fmt: skip
        contenders.append(Contender(
            "SciPy LSODA, dual",
            lambda rtol=rtol: lambda: flow.scipy_dual(case, rtol), text))  # type: ignore[misc]  # fmt: skip
        contenders += [
            Contender(f"diffrax {solver}, weights", diffrax(solver, rtol), text, compiles=True)
            for solver in (integrate.DIFFRAX if small else ("Tsit5", "Dopri8"))
        ]  # fmt: skip
    about = "" if small else (
        "Left out here, as a step solves with all 2N weights at once and takes too long: SciPy's "
        "Radau and BDF, diffrax's Kvaerno5."
    )  # fmt: skip
    return Case(
        name=f"{m} x {N}, p = {p:g}", about=about, contenders=contenders,
        error_of=lambda psi: case.error(psi) if np.shape(psi) == case.exact.shape else np.nan,
        error_name="relative above eps", floor=1e-11, unit="call", drawn=True, most=0.7,
    )  # fmt: skip
