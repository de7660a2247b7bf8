"""Gradient descent against the loops that users write: ``python -m benchmarks.peers.descent``.

Parts, each chosen by name: ``steps`` (plain and batched against NumPy, PyTorch and JAX loops,
and compensated against plain), ``leaps`` (against plain steps of the same problem),
``growth`` (the work against the number of steps, with a picture), ``table`` (all rows of the
reference table, compensated: minutes). All times are of the
same run; the median of interleaved repeats.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..common import reference

_SIZES = ((50, 500), (200, 10_000), (500, 100_000))
_P, _ALPHA, _ETA = 3.0, 0.1, 1e-4
_SECONDS = 0.6  # for the loops of one repeat
_REST = 0.2  # after a product the threads of OpenBLAS keep the cores busy for a tenth of a second
_LEAST = 20  # steps in a loop: the loss and the copies of a result cost as much as two steps


def gaussian(m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix of independent normal entries, and a y of five of its columns."""
    A = np.random.default_rng(0).standard_normal((m, n)) / np.sqrt(m)
    return A, A[:, :5].sum(axis=1)


def numpy_loop(A: np.ndarray, y: np.ndarray, p: float, n_steps: int) -> None:
    """What one writes without a library."""
    u = v = np.full(A.shape[1], _ALPHA)
    for _ in range(n_steps):
        up, vp = u ** (p - 1), v ** (p - 1)
        g = A.T @ (A @ (up * u - vp * v) - y)
        u, v = u - (_ETA * p) * up * g, v + (_ETA * p) * vp * g


def torch_loop(A: np.ndarray, y: np.ndarray) -> Callable[[int], None] | None:
    """The same by automatic differentiation, or None where PyTorch is not installed."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    At, yt = torch.from_numpy(A), torch.from_numpy(y)

    def run(n_steps: int) -> None:
        u = torch.full((A.shape[1],), _ALPHA, dtype=torch.float64, requires_grad=True)
        v = torch.full((A.shape[1],), _ALPHA, dtype=torch.float64, requires_grad=True)
        descent = torch.optim.SGD([u, v], lr=_ETA)
        for _ in range(n_steps):
            descent.zero_grad()
            (0.5 * ((At @ (u**_P - v**_P) - yt) ** 2).sum()).backward()
            descent.step()

    return run


def jax_loop(A: np.ndarray, y: np.ndarray) -> Callable[[int], None] | None:
    """The same compiled by JAX, or None where it is not installed."""
    try:
        import jax
    except ModuleNotFoundError:
        return None
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    Aj, yj = jnp.asarray(A), jnp.asarray(y)

    def loss(w: tuple) -> object:
        return 0.5 * jnp.sum((Aj @ (w[0] ** _P - w[1] ** _P) - yj) ** 2)

    @jax.jit
    def many(w: tuple, n: int) -> tuple:
        def step(_: int, w: tuple) -> tuple:
            return tuple(x - _ETA * d for x, d in zip(w, jax.grad(loss)(w), strict=True))

        return jax.lax.fori_loop(0, n, step, w)

    def run(n_steps: int) -> None:
        start = jnp.full(A.shape[1], _ALPHA)
        jax.block_until_ready(many((start, start), n_steps))

    return run


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, once the threads of a BLAS that was at work before are asleep."""
    time.sleep(_REST)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def steps() -> None:
    """Time of a step, in each of the forms."""
    import fastdln as fd

    for m, n in _SIZES:
        A, y = gaussian(m, n)
        problem = fd.Problem(A, y)
        etas = np.linspace(0.5, 1.0, 32) * _ETA

        def ours(count: int, method: str, eta: object = _ETA, problem: object = problem) -> object:
            return fd.gradient_descent(problem, _P, _ALPHA, eta, count, [count], method=method)

        loops: dict[str, Callable[[int], object]] = {
            "NumPy": lambda count, A=A, y=y: numpy_loop(A, y, _P, count),
            "plain": lambda count, ours=ours: ours(count, "plain"),
            "compensated": lambda count, ours=ours: ours(count, "compensated"),
            "batch of 32": lambda count, ours=ours, etas=etas: ours(count, "plain", etas),
        }
        for name, make in (("PyTorch", torch_loop), ("JAX", jax_loop)):
            loop = make(A, y)
            if loop is None:
                print(f"{name} is not installed: skipped", file=sys.stderr)
            else:
                loops[name] = loop
        counts = {}
        for name, loop in loops.items():
            loop(1)
            once = max(seconds(lambda loop=loop: loop(2)) / 2, 1e-7)
            counts[name] = max(_LEAST, int(_SECONDS / once / 5))
        runs = [
            {
                name: seconds(lambda loop=loop, n=counts[name]: loop(n)) / counts[name]
                for name, loop in loops.items()
            }
            for _ in range(5 if m * n < 10**7 else 3)
        ]
        medians = {name: statistics.median(run[name] for run in runs) for name in loops}
        medians["batch of 32"] /= 32
        print(f"{m} x {n}, microseconds a step (and configuration):")
        for name, median in medians.items():
            ratio = medians["NumPy"] / median
            print(f"  {name:<12} {1e6 * median:12.2f}   NumPy / this {ratio:6.2f}")
        print(f"  compensated / plain {medians['compensated'] / medians['plain']:.2f}")


def _per_plain_step(problem: object, p: float, alpha: float, eta: float, count: int) -> float:
    import fastdln as fd

    args = (problem, p, alpha, eta, count, [count])
    return (
        min(seconds(lambda: fd.gradient_descent(*args, method="plain")) for _ in range(3)) / count
    )


def leaps() -> None:
    """Time of the long runs, in plain steps of the same problem."""
    import fastdln as fd

    cases = []
    for case in reference("gradient_descent"):
        last = case["rows"][-1]["step"]
        if last >= 10**6:
            problem = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))
            p, alpha, eta = (float(case[name]) for name in ("p", "alpha", "step_size"))
            rows = [row["step"] for row in case["rows"]]
            cases.append((f"{case['name']} p={p:g}", problem, p, alpha, eta, rows, 2e5))
    random = fd.datasets.random()
    cases.append(("3 x 5, 1e15 steps, p=3", random, 3.0, 1e-12, 5e-3, [10**15], 1e6))
    planted = fd.datasets.gaussian(50, 400, 10, rng=0).problem
    for p, alpha in ((2.0, 1e-6), (3.0, 1e-4), (4.0, 1e-2)):
        eta = 0.2 * fd.max_stable_step(planted, p, alpha)
        cases.append((f"50 x 400, 1e12 steps, p={p:g}", planted, p, alpha, eta, [10**12], 1e6))
    for name, problem, p, alpha, eta, rows, allowed in cases:
        args = (problem, p, alpha, eta, rows[-1], rows)
        fd.gradient_descent(*args, method="leap", rtol=1e-9)
        took = min(seconds(lambda a=args: fd.gradient_descent(*a, method="leap")) for _ in range(3))
        count = max(200, int(2e7 / problem.A.size / 10))
        plain = _per_plain_step(problem, p, alpha, eta, count)
        stats = fd.gradient_descent(*args, method="leap").stats
        print(
            f"{name:<28} {1e3 * took:9.2f} ms = {took / plain:11.0f} plain steps "
            f"({allowed:.0e} allowed), {stats.leaps} leaps, {stats.single_steps} single steps"
        )


def growth(folder: Path = Path("out")) -> None:
    """The work against the number of steps, 1e4 to 1e18; picture descent_growth.png."""
    import fastdln as fd

    problem, counts = fd.datasets.random(), [10**k for k in range(4, 19)]
    curves = {}
    for p, alpha in ((2.0, 1e-12), (3.0, 1e-8), (3.0, 1e-12), (4.0, 1e-6)):
        work = []
        for n in counts:
            path = fd.gradient_descent(problem, p, alpha, 5e-3, n, [n], method="leap")
            stats = path.stats
            active = int(np.sum(np.abs(path.psi[-1]) > 1e-3))
            work.append((stats.single_steps, stats.leaps + stats.rejected, active))
            print(f"p={p:g} alpha={alpha:g} n={n:.0e}: singles, leaps, active {work[-1]}")
        curves[f"$p$ = {p:g}, $\\alpha$ = {alpha:g}"] = work
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        print("matplotlib is not installed: no picture", file=sys.stderr)
        return
    picture = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = picture.subplots()
    for label, work in curves.items():
        axes.semilogx(counts, [leaps for _, leaps, _ in work], marker="o", label=label)
    axes.set_xlabel("steps")
    axes.set_ylabel("leaps (with those taken back)")
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    picture.savefig(folder / "descent_growth.png", dpi=150)


def table() -> None:
    """The error of compensated at every row of the reference table, up to 1e7 steps."""
    import fastdln as fd

    for case in reference("gradient_descent"):
        problem = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))
        p, alpha, eta = (float(case[name]) for name in ("p", "alpha", "step_size"))
        steps = [row["step"] for row in case["rows"]]
        exact = np.array([row["psi"] for row in case["rows"]], float)
        path = fd.gradient_descent(problem, p, alpha, eta, steps[-1], steps, method="compensated")
        worst = np.max(np.abs(path.psi - exact) / (np.abs(exact) + alpha**p), axis=1)
        late = max(worst[np.array(steps) >= 10**6], default=float("nan"))
        print(
            f"{case['name']} p={p:g} alpha={alpha:g}: {steps[-1]} steps, "
            f"error {np.max(worst):.1e}, from 1e6 steps on {late:.1e}",
            flush=True,
        )


def main(names: list[str]) -> None:
    """Run the parts named, or all of them but the table."""
    parts = {"steps": steps, "leaps": leaps, "growth": growth, "table": table}
    for name in names or ("steps", "leaps", "growth"):
        parts[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
