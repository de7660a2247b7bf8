"""Gradient flow side by side with others: ``python -m benchmarks.peers.flow [m N p ...]``.

SciPy on the 2N weights and on the dual; diffrax on the weights where it is installed, its
compilation not counted.

Work against achieved error on A of m x N normal entries, m/5 coordinates planted, eps =
1e-6, 100 output times to convergence; the error is the largest over coordinates and
times of |difference| / (|psi| + eps) against Radau at rtol 1e-12. Prints a table, the ratio at
equal error, and writes the drawing flow.png into the folder of ``--out`` if given.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import FlowCase, gaussian

Array = NDArray[np.float64]

EPS = 1e-6
TOLERANCES = (1e-3, 1e-4, 1e-6, 1e-8, 1e-10)
OURS = ("auto", "dop853", "radau")
WEIGHTS = ("LSODA", "Radau", "BDF", "DOP853")
DIFFRAX = ("Kvaerno5", "Tsit5")
_MOST = 30.0  # seconds: a method that needs more is not run at the next tolerance


class Point(NamedTuple):
    """One run."""

    method: str
    rtol: float
    error: float
    seconds: float


def make_case(m: int, N: int, p: float) -> FlowCase:
    """The problem, with 100 times up to convergence."""
    import fastdln as fd

    A, y = gaussian(m, N, m // 5)
    alpha = EPS ** (1 / p)
    end = 5 * math.log(1 / EPS) if p == 2.0 else 30 / (p * (p - 2) * alpha ** (p - 2))
    t = np.linspace(end / 100, end, 100)
    exact = fd.gradient_flow(fd.Problem(A, y), p, alpha, t, method="radau", rtol=1e-12).psi
    return FlowCase(A, y, p, alpha, t, exact)


def weights_problem(case: FlowCase) -> tuple[Callable[..., Array], Callable[..., Array], Array]:
    """Right-hand side and Jacobian on the 2N weights, in NumPy."""
    A, y, p = case.A, case.y, case.p
    N = A.shape[1]

    def f(t: float, x: Array) -> Array:
        u, v = x[:N], x[N:]
        g = A.T @ (A @ (u**p - v**p) - y)
        return np.concatenate([-p * u ** (p - 1) * g, p * v ** (p - 1) * g])

    gram = A.T @ A

    def jacobian(t: float, x: Array) -> Array:
        u, v = x[:N], x[N:]
        g = A.T @ (A @ (u**p - v**p) - y)
        du, dv = p * u ** (p - 1), p * v ** (p - 1)
        J = np.block([
            [-du[:, None] * gram * du, du[:, None] * gram * dv],
            [dv[:, None] * gram * du, -dv[:, None] * gram * dv],
        ])  # fmt: skip
        J[np.diag_indices(2 * N)] += np.concatenate(
            [-p * (p - 1) * u ** (p - 2) * g, p * (p - 1) * v ** (p - 2) * g]
        )
        return J

    return f, jacobian, np.full(2 * N, case.alpha)


def scipy_weights(case: FlowCase, method: str, rtol: float) -> Array:
    """SciPy on the 2N weights."""
    from scipy.integrate import solve_ivp

    f, jacobian, start = weights_problem(case)
    extra = {} if method == "DOP853" else {"jac": jacobian}
    out = solve_ivp(
        f, (0.0, case.t[-1]), start, method, case.t, rtol=rtol, atol=rtol * case.alpha, **extra
    ).y.T
    N = case.A.shape[1]
    return np.asarray(out[:, :N] ** case.p - out[:, N:] ** case.p)


def scipy_dual(case: FlowCase, rtol: float) -> Array:
    """SciPy's LSODA on the m-dimensional dual, with its Jacobian."""
    from scipy.integrate import solve_ivp

    import fastdln as fd

    A, y, p = case.A, case.y, case.p
    c = 4.0 if p == 2.0 else p * (p - 2) * case.alpha ** (p - 2)

    def f(t: float, x: Array) -> Array:
        return c * (y - A @ (EPS * fd.h(A.T @ x, p)))

    def jacobian(t: float, x: Array) -> Array:
        return -c * (A * (EPS * fd.h_prime(A.T @ x, p))) @ A.T

    with np.errstate(all="ignore"):
        out = solve_ivp(
            f, (0.0, case.t[-1]), np.zeros(y.size), "LSODA", case.t, rtol=rtol, atol=rtol,
            jac=jacobian,
        ).y.T  # fmt: skip
        return np.asarray(EPS * fd.h(out @ A, p))


def diffrax_weights(case: FlowCase, method: str) -> Callable[[float], Array] | None:
    """Diffrax on the 2N weights, compiled once for each tolerance; None if it is not installed."""
    try:
        import diffrax
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    A, y, p = jax.numpy.asarray(case.A), jax.numpy.asarray(case.y), case.p

    def f(t: Any, x: Any, args: Any) -> Any:
        u, v = x
        g = A.T @ (A @ (u**p - v**p) - y)
        return -p * u ** (p - 1) * g, p * v ** (p - 1) * g

    start = jax.numpy.full(case.A.shape[1], case.alpha)
    times = jax.numpy.asarray(case.t)

    @jax.jit
    def solve(rtol: Any) -> Any:
        u, v = diffrax.diffeqsolve(
            diffrax.ODETerm(f), getattr(diffrax, method)(), 0.0, case.t[-1], None, (start, start),
            saveat=diffrax.SaveAt(ts=times), max_steps=200_000, throw=False,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol * case.alpha),
        ).ys  # fmt: skip
        return u**p - v**p

    return lambda rtol: np.asarray(solve(rtol))


def measure(case: FlowCase, name: str, rtol: float, run: Callable[[], Array]) -> Point | None:
    """The least of a few timings."""
    psi, best = run(), math.inf
    start = time.perf_counter()
    for _ in range(5):
        again = time.perf_counter()
        psi = run()
        best = min(best, time.perf_counter() - again)
        if time.perf_counter() - start > 2.0:
            break
    if psi.shape != case.exact.shape:
        return None
    return Point(name, rtol, case.error(psi), best)


def curve(case: FlowCase, name: str, run: Callable[[float], Array]) -> list[Point]:
    """One method over the tolerances."""
    points = []
    for rtol in TOLERANCES:
        point = measure(case, name, rtol, lambda rtol=rtol: run(rtol))  # type: ignore[misc]
        if point is None:
            continue
        points.append(point)
        print(
            f"{name:<16}{rtol:<8.0e}{point.error:<10.1e}{1e3 * point.seconds:10.2f} ms", flush=True
        )
        if point.seconds > _MOST / 10:
            break
    return points


def at_error(points: list[Point], error: float) -> float:
    """Seconds at an achieved error, by the line between logarithms; NaN where out of reach."""
    usable = sorted(point for point in points if point.error > 0.0)
    if not usable:
        return math.nan
    x = np.log([point.error for point in usable])
    z = np.log([point.seconds for point in usable])
    order = np.argsort(x)
    if not x[order[0]] <= math.log(error):
        return math.nan
    return float(np.exp(np.interp(math.log(error), x[order], z[order])))


def compare(m: int, N: int, p: float, slow: bool) -> dict[str, list[Point]]:
    """All methods on one case, and the ratios."""
    import fastdln as fd

    print(f"\n{m} x {N}, p = {p:g}")
    case = make_case(m, N, p)
    problem = fd.Problem(case.A, case.y)
    curves: dict[str, list[Point]] = {}
    for name in OURS:
        curves[name] = curve(case, name, lambda rtol, name=name: fd.gradient_flow(  # type: ignore[misc]
            problem, p, case.alpha, case.t, method=name, rtol=rtol).psi)  # fmt: skip
    for name in WEIGHTS if slow else ("LSODA", "DOP853"):
        label = f"{name} weights"
        curves[label] = curve(case, label, lambda rtol, name=name: scipy_weights(case, name, rtol))  # type: ignore[misc]
    for name in DIFFRAX if slow else ("Tsit5",):
        solver = diffrax_weights(case, name)
        if solver is None:
            print("diffrax is not installed: left out")
            break
        curves[f"{name} weights"] = curve(case, f"{name} weights", solver)
    curves["LSODA dual"] = curve(case, "LSODA dual", lambda rtol: scipy_dual(case, rtol))
    for error in (1e-4, 1e-6, 1e-8):
        ours = np.nanmin([at_error(curves[name], error) for name in OURS])
        theirs = [at_error(points, error) for name, points in curves.items() if "weights" in name]
        weights = np.nanmin(theirs) if not np.all(np.isnan(theirs)) else math.nan
        dual = at_error(curves["LSODA dual"], error)
        print(
            f"at error {error:.0e}: {1e3 * ours:.2f} ms; best on the weights {weights / ours:.1f} "
            f"x, LSODA on the dual {dual / ours:.1f} x"
        )
    return curves


def draw(curves: dict[str, list[Point]], file: Path) -> None:
    """Work against error."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6.0, 4.5), layout="constrained")
    axes = picture.subplots()
    for name, points in curves.items():
        style = "o-" if name in OURS else "s--"
        axes.loglog([q.error for q in points], [q.seconds for q in points], style, label=name)
    axes.set_xlabel("largest relative error above eps")
    axes.set_ylabel("seconds")
    axes.legend()
    picture.savefig(file, dpi=150)


def main() -> None:
    """The cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", type=float, nargs="*", default=[20, 100, 2, 20, 100, 3],
                        help="triples m N p")  # fmt: skip
    parser.add_argument("--slow", action="store_true", help="Radau, BDF and Kvaerno5 as well")
    parser.add_argument("--out", type=Path, help="folder for the drawings")
    arguments: Any = parser.parse_args()
    for m, N, p in np.reshape(arguments.case, (-1, 3)).tolist():
        curves = compare(int(m), int(N), p, arguments.slow)
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            draw(curves, arguments.out / f"flow_{int(m)}x{int(N)}_p{p:g}.png")


if __name__ == "__main__":
    main()
