"""The command line: ``fastdln figure | experiment | limit | flow | descend | sweep | ...``.

Nothing heavy is imported before a command needs it: ``fastdln --help`` loads
neither NumPy nor numba. A mistake of the user ends in exit code 2 and one line
on standard error; an interrupt in exit code 130 and silence.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from fastdln import __version__

if TYPE_CHECKING:
    from fastdln._table import Table
    from fastdln.problem import Problem
    from fastdln.rates import ConvergenceRate
    from fastdln.results import Status

__all__ = ["main"]

_FORMATS = ("png", "svg", "pdf")
_EPS_MIN = 1e-300
_ROWS_SHOWN = 20


class UsageError(Exception):
    """A mistake of the user, told in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        arguments = _parser().parse_args(argv)
        arguments.run(arguments)
        sys.stdout.flush()
    except UsageError as mistake:
        print("fastdln: error:", " ".join(str(mistake).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has left, as in `fastdln ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastdln",
        description="Diagonal linear networks: where gradient flow ends, and how fast.",
    )
    parser.add_argument("--version", action="version", version=f"fastdln {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    _add_figure(commands)
    _add_experiment(commands)
    _add_limit(commands)
    _add_flow(commands)
    _add_descend(commands)
    _add_minimizer(commands)
    _add_rate(commands)
    _add_sweep(commands)
    info = commands.add_parser("info", help="versions, threads, cache, processor")
    info.set_defaults(run=_info)
    warmup = commands.add_parser("warmup", help="compile every kernel into the cache")
    warmup.set_defaults(run=_warmup)
    return parser


def _add_figure(commands: Any) -> None:
    figure = commands.add_parser(
        "figure",
        help="compute and draw one of the papers' figures",
        description="Writes the picture and a CSV file of its data, and prints a table.",
    )
    figure.add_argument("number", type=int, choices=(1, 2, 3), help="which figure")
    figure.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    figure.add_argument(
        "--eps-min",
        type=float,
        default=None,
        metavar="EPS",
        help=f"figures 1 and 2: last eps = alpha**p (default: {_EPS_MIN:g})",
    )
    figure.add_argument(
        "--format",
        type=_formats,
        default=("png",),
        metavar="FORMATS",
        help="comma-separated, of png, svg, pdf (default: png)",
    )
    figure.set_defaults(run=_figure)


def _add_experiment(commands: Any) -> None:
    from fastdln.experiments import EXPERIMENTS

    experiment = commands.add_parser(
        "experiment",
        help="run an experiment: measurement beside theory",
        description="Writes the picture and a CSV file of its data, and prints a table.",
    )
    experiment.add_argument("name", choices=tuple(EXPERIMENTS), metavar="NAME",
                            help=", ".join(EXPERIMENTS))  # fmt: skip
    experiment.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    experiment.add_argument(
        "--format",
        type=_formats,
        default=("png",),
        metavar="FORMATS",
        help="comma-separated, of png, svg, pdf (default: png)",
    )
    experiment.set_defaults(run=_experiment)


def _add_limit(commands: Any) -> None:
    limit = commands.add_parser(
        "limit",
        help="where gradient flow ends, for A and y from a file",
        description="Limit of gradient flow for the problem in a NumPy .npz file.",
    )
    _add_problem(limit)
    size = limit.add_mutually_exclusive_group(required=True)
    size.add_argument("--alpha", type=float, nargs="+", help="initialisations")
    size.add_argument("--log-alpha", type=float, nargs="+", help="their natural logarithms")
    limit.set_defaults(run=_limit)


def _add_flow(commands: Any) -> None:
    flow = commands.add_parser(
        "flow",
        help="gradient flow in time, for A and y from a file",
        description="Trajectory of gradient flow for the problem in a NumPy .npz file.",
    )
    _add_problem(flow)
    size = flow.add_mutually_exclusive_group(required=True)
    size.add_argument("--alpha", type=float, help="initialisation")
    size.add_argument("--log-alpha", type=float, help="its natural logarithm")
    flow.add_argument("--t", type=float, nargs="+", help="times (default: until converged)")
    flow.add_argument("--rtol", type=float, default=1e-8, help="tolerance (default: 1e-8)")
    flow.add_argument("--method", default="auto", help="method of integration (default: auto)")
    flow.add_argument("--level", type=float, help="report when some |psi_i| crosses this level")
    flow.add_argument("--plot", type=Path, metavar="PICTURE", help="draw into this file")
    flow.set_defaults(run=_flow)


def _add_descend(commands: Any) -> None:
    descend = commands.add_parser(
        "descend",
        help="gradient descent, for A and y from a file",
        description="Gradient descent for the problem in a NumPy .npz file.",
    )
    _add_problem(descend)
    descend.add_argument("--alpha", type=float, required=True, help="initialisation")
    descend.add_argument("--step-size", type=float, required=True, help="step size")
    descend.add_argument("--steps", type=_count, required=True, help="number of steps, as 1e6")
    descend.add_argument("--save", type=_count, nargs="+", help="steps to save (default: a grid)")
    descend.add_argument("--method", default="auto", help="plain, compensated or auto (default)")
    descend.set_defaults(run=_descend)


def _add_minimizer(commands: Any) -> None:
    minimizer = commands.add_parser(
        "minimizer",
        help="the l1 minimiser that these limits tend to",
        description="The l1 minimiser W_p for the problem in a NumPy .npz file.",
    )
    _add_problem(minimizer)
    minimizer.set_defaults(run=_minimizer)


def _add_rate(commands: Any) -> None:
    rate = commands.add_parser(
        "rate",
        help="how fast the limits tend to the l1 minimiser",
        description="Leading term of the distance to W_p for the problem in a NumPy .npz file.",
    )
    _add_problem(rate)
    size = rate.add_mutually_exclusive_group()
    size.add_argument("--alpha", type=float, nargs="+", help="predict and bound it for these")
    size.add_argument("--log-alpha", type=float, nargs="+", help="or for their logarithms")
    rate.set_defaults(run=_rate)


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="compute a grid of configurations into a Zarr store",
        description=(
            "Computes what a TOML file asks for, and completes a store that was begun before. "
            "Without a file: the sweep of figure 1."
        ),
    )
    sweep.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="TOML file")
    sweep.add_argument("--store", type=Path, help="folder of the store, instead of the file's")
    begun = sweep.add_mutually_exclusive_group()
    begun.add_argument("--resume", action="store_true", help="refuse to begin a new store")
    begun.add_argument("--overwrite", action="store_true", help="begin anew")
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, help="threads (default: one for each core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="have a Dask cluster do the work")
    sweep.add_argument("--quiet", action="store_true", help="no progress bar")
    sweep.set_defaults(run=_sweep)
    report = commands.add_parser(
        "report",
        help="a sweep's store as one HTML file",
        description="Writes plots, tables and config into one file that needs no network.",
    )
    report.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    report.add_argument("--out", type=Path, help="file (default: STORE with the ending .html)")
    report.set_defaults(run=_report)


def _add_problem(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=".npz file with arrays A and y")
    parser.add_argument("--p", type=float, default=2.0, help="depth, at least 2 (default: 2)")
    parser.add_argument("--out", type=Path, help="also write the result to this .npz file")


def _formats(text: str) -> tuple[str, ...]:
    """The picture formats named in `text`; argparse turns the error into the command's own."""
    formats = tuple(text.split(","))
    for name in formats:
        if name not in _FORMATS:
            needed = ", ".join(_FORMATS)
            raise argparse.ArgumentTypeError(f"{name!r} given, some of {needed} needed")
    return formats


def _count(text: str) -> int:
    """A whole number, written 1000000 or 1e6."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
        count = int(number)
    except (ValueError, OverflowError):
        count, number = 0, 0.5
    if count != number:
        raise argparse.ArgumentTypeError(f"{text!r} given, a whole number needed")
    return count


@contextmanager
def _mistakes_of_the_user() -> Iterator[None]:
    """Around library calls on the user's input: what they reject is told in one line."""
    try:
        yield
    except (ValueError, TypeError) as mistake:
        raise UsageError(mistake) from mistake


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise UsageError(f"argument --out: cannot write {str(path)!r}: {reason}") from problem


def _figure(arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    number, out = arguments.number, arguments.out
    if number == 3 and arguments.eps_min is not None:
        raise UsageError("argument --eps-min: figure 3 has no eps")
    plotting = _plotting()
    draw = (plotting.draw_convergence, plotting.draw_kinks, plotting.draw_functions)[number - 1]
    figure = _computed_figure(number, _EPS_MIN if arguments.eps_min is None else arguments.eps_min)
    pictures = [out / f"figure{number}.{ending}" for ending in arguments.format]
    table = out / f"figure{number}.csv"
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        figure.data().write_csv(table)
        picture = draw(figure)
        for path in pictures:
            plotting.save(picture, path)
    print(figure.summary.text())
    print(figure.timing)
    _tell_doubts(getattr(figure, "doubts", {}))
    names = ", ".join(str(path) for path in (*pictures, table))
    print(f"wrote {names}; {time.perf_counter() - start:.2f} s in all")


def _plotting() -> Any:
    try:
        from fastdln import plotting
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        raise UsageError("matplotlib is needed to draw: pip install 'fastdln[plot]'") from missing
    return plotting


def _experiment(arguments: argparse.Namespace) -> None:
    from fastdln.experiments import run

    start = time.perf_counter()
    plotting, name, out = _plotting(), arguments.name, arguments.out
    with _writing(out):  # before the work, which can take long
        out.mkdir(parents=True, exist_ok=True)
    result = run(name)
    pictures, table = [out / f"{name}.{ending}" for ending in arguments.format], out / f"{name}.csv"
    with _writing(out):
        result.data.write_csv(table)
        picture = result.draw()
        for path in pictures:
            plotting.save(picture, path)
    print(result.summary.text())
    print(result.note)
    names = ", ".join(str(path) for path in (*pictures, table))
    print(f"wrote {names}; {time.perf_counter() - start:.2f} s in all")


def _computed_figure(number: int, eps_min: float) -> Any:
    from fastdln import figures

    if number == 3:
        return figures.functions_figure()
    with _mistakes_of_the_user():
        return figures.convergence_figure(eps_min) if number == 1 else figures.kink_figure(eps_min)


def _tell_doubts(doubts: Mapping[Status, int]) -> None:
    """Limits that did not converge are told on standard error: the numbers stand as they are."""
    for status, count in doubts.items():
        print(f"fastdln: warning: {count} limits: {status.value}", file=sys.stderr)


def _limit(arguments: argparse.Namespace) -> None:
    import numpy as np

    from fastdln._table import Table
    from fastdln.limit import flow_limit
    from fastdln.results import Status

    problem = _load(arguments.file)
    with _mistakes_of_the_user():
        limit = flow_limit(
            problem, arguments.p, alpha=arguments.alpha, log_alpha=arguments.log_alpha
        )
    keyword = "alpha" if arguments.alpha else "log_alpha"
    size = np.array(arguments.alpha or arguments.log_alpha)
    statuses, distance = np.atleast_1d(np.asarray(limit.status)), limit.log_deviation_norm
    columns = (keyword, "l1 norm", "log distance to W_p", "error bound", "status")
    norms = np.abs(limit.psi).sum(axis=1)
    numbers = np.column_stack([size, norms, distance, limit.error_bound]).tolist()
    names = [status.name.lower() for status in statuses]
    rows = [(*row, name) for row, name in zip(numbers, names, strict=True)]
    print(Table(columns, rows).text())
    if len(size) == 1:
        _print_coordinates(limit.psi[0])
    fields = {"psi": limit.psi, "log_abs_psi": limit.log_abs_psi, "log_distance": distance}
    _save(arguments.out, {keyword: size, "p": arguments.p, **fields})
    _tell_doubts(Counter(s for s in statuses if s is not Status.CONVERGED))


def _flow(arguments: argparse.Namespace) -> None:
    import numpy as np

    from fastdln._table import Table
    from fastdln.flow import Activation, gradient_flow
    from fastdln.results import Status

    problem, level = _load(arguments.file), arguments.level
    draw = None if arguments.plot is None else _drawing(arguments.plot)
    with _mistakes_of_the_user():
        path = gradient_flow(
            problem, arguments.p, arguments.alpha, arguments.t, log_alpha=arguments.log_alpha,
            method=arguments.method, rtol=arguments.rtol,
            events=() if level is None else (Activation(level),),
        )  # fmt: skip
    shown = np.unique(np.linspace(0, len(path.t) - 1, min(len(path.t), _ROWS_SHOWN)).astype(int))
    norms = np.abs(path.psi).sum(axis=1)
    numbers = np.column_stack([path.t, path.loss, norms])[shown].tolist()
    print(Table(("t", "loss", "l1 norm"), [tuple(row) for row in numbers]).text())
    crossings = [(e.t, e.coordinate, "up" if e.rising else "down") for e in path.events]
    if level is not None:
        print(Table(("t", "i", f"|psi_i| crosses {level:g}"), crossings).text())
    if len(path.t):
        _print_coordinates(path.psi[-1])
    fields = {"t": path.t, "psi": path.psi, "loss": path.loss, "u": path.u, "v": path.v}
    _save(arguments.out, {"p": arguments.p, "dual": path.dual, **fields})
    if draw is not None:
        draw(path)
    if path.status is not Status.INTEGRATED:
        print(f"fastdln: warning: {path.status.value}", file=sys.stderr)


def _drawing(file: Path) -> Any:
    """A function that draws a path into the file."""
    if file.suffix[1:] not in _FORMATS:
        raise UsageError(
            f"argument --plot: {str(file)!r} given, a name in .png, .svg or .pdf needed"
        )
    try:
        from fastdln import plotting
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        raise UsageError("matplotlib is needed to draw: pip install 'fastdln[plot]'") from missing

    def draw(path: Any) -> None:
        with _writing(file):
            plotting.save(plotting.draw_flow(path), file)
        print(f"wrote {file}")

    return draw


def _descend(arguments: argparse.Namespace) -> None:
    from fastdln._table import Table
    from fastdln.descent import gradient_descent
    from fastdln.results import Status

    problem = _load(arguments.file)
    with _mistakes_of_the_user():
        path = gradient_descent(
            problem,
            arguments.p,
            arguments.alpha,
            arguments.step_size,
            arguments.steps,
            arguments.save,
            method=arguments.method,
        )
    rows = list(zip(path.steps.tolist(), path.loss.tolist(), _l1_norms(path.psi), strict=True))
    print(Table(("step", "loss", "l1 norm"), rows).text())
    _print_coordinates(path.psi[-1])
    print(path.status)
    fields = {name: getattr(path, name) for name in ("steps", "psi", "loss", "u", "v")}
    _save(arguments.out, {"p": arguments.p, **fields})
    if path.status is Status.INTERRUPTED:
        raise KeyboardInterrupt


def _l1_norms(psi: Any) -> list[float]:
    import numpy as np

    return [float(norm) for norm in np.abs(psi).sum(axis=1)]


def _minimizer(arguments: argparse.Namespace) -> None:
    from fastdln.minimizer import l1_minimizer

    problem = _load(arguments.file)
    with _mistakes_of_the_user():
        minimizer = l1_minimizer(problem, arguments.p)
    face = "unique" if minimizer.unique else f"on a face of dimension {minimizer.face_dimension}"
    print(f"l1 norm {float(minimizer.l1_norm)!r}, {face}; {minimizer.status.value}")
    _print_coordinates(minimizer.psi)
    _save(arguments.out, {"psi": minimizer.psi, "p": arguments.p})


def _rate(arguments: argparse.Namespace) -> None:
    from fastdln.null_space import null_space_constants
    from fastdln.rates import convergence_rate

    problem = _load(arguments.file)
    with _mistakes_of_the_user():
        rate = convergence_rate(problem, arguments.p)
        predictions = _predictions(rate, arguments)
    constants = null_space_constants(problem)
    face = "unique" if rate.unique else "not unique"
    print(f"distance to W_p ~ {rate.constant!r} * eps^{rate.exponent!r} ({rate.reason})")
    print(f"minimiser {face}; {rate.status.value}")
    for name in ("rho", "rho_minus", "rho_tilde"):
        kind = "exact" if getattr(constants, f"{name}_exact") else "upper bound"
        print(f"{name:<9} {getattr(constants, name)!r} ({kind})")
    if predictions is not None:
        print(predictions.text())
    fields = {name: getattr(rate, name) for name in ("exponent", "constant", "direction", "rho")}
    _save(arguments.out, {"p": arguments.p, **fields})


def _predictions(rate: ConvergenceRate, arguments: argparse.Namespace) -> Table | None:
    """Leading term and bound for the alphas asked for, as logarithms."""
    import numpy as np

    from fastdln._table import Table

    keyword = "alpha" if arguments.alpha else "log_alpha"
    sizes = arguments.alpha or arguments.log_alpha
    if not sizes:
        return None
    given = {keyword: sizes}
    numbers = np.column_stack([sizes, rate.log_predict(**given), rate.log_bound(**given)])
    columns = (keyword, "log distance, leading term", "log distance, upper bound")
    return Table(columns, [tuple(row) for row in numbers.tolist()])


def _sweep(arguments: argparse.Namespace) -> None:
    from fastdln.sweep_config import read_toml
    from fastdln.sweeps import computed_since, default_config, now, summary, sweep

    with _mistakes_of_the_user(), _sweep_extra():
        values = read_toml(arguments.config or default_config())
        store = Path(arguments.store or values.pop("store", "run.zarr"))
        values.pop("store", None)
        if arguments.resume and not store.exists():
            raise UsageError(f"argument --resume: there is no store {str(store)!r}")
        start, began = time.perf_counter(), now()
        try:
            data = sweep(
                **values, store=store, overwrite=arguments.overwrite, workers=arguments.workers,
                scheduler=arguments.scheduler, progress=False if arguments.quiet else None,
            )  # fmt: skip
        except OSError as problem:
            raise UsageError(problem.strerror or problem) from problem
    print(summary(data).text())
    seconds = time.perf_counter() - start
    print(f"wrote {store}; computed {computed_since(began, data)} now, {seconds:.2f} s in all")


def _report(arguments: argparse.Namespace) -> None:
    from fastdln.report import write_report

    out = arguments.out or arguments.store.with_suffix(".html")
    with _mistakes_of_the_user(), _sweep_extra():
        try:
            write_report(arguments.store, out)
        except OSError as problem:
            if problem.errno is None:  # of the store, told in words already
                raise UsageError(problem) from problem
            reason = problem.strerror or str(problem)
            raise UsageError(f"argument --out: cannot write {str(out)!r}: {reason}") from problem
    print(f"wrote {out}")


@contextmanager
def _sweep_extra() -> Iterator[None]:
    """Around what needs the libraries of the extra `sweep`."""
    try:
        yield
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name not in ("xarray", "zarr", "dask", "distributed", "tqdm", "threadpoolctl"):
            raise
        raise UsageError(f"{name} is needed: pip install 'fastdln[sweep]'") from missing


def _load(path: Path) -> Problem:
    """The problem in a .npz file with arrays A and y."""
    import pickle
    import zipfile
    import zlib

    import numpy as np

    from fastdln.problem import Problem

    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            A, y = arrays["A"], arrays["y"]
    except OSError as problem:
        reason = problem.strerror or "not a file that NumPy can read"
        raise UsageError(f"argument FILE: cannot read {str(path)!r}: {reason}") from problem
    except (
        *(ValueError, KeyError, EOFError, TypeError, IndexError, AttributeError),
        *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError),
    ) as problem:
        raise UsageError(
            f"argument FILE: {str(path)!r} given, a NumPy .npz file with numeric arrays "
            "named A and y needed"
        ) from problem
    with _mistakes_of_the_user():
        return Problem(A, y)


def _print_coordinates(psi: Any) -> None:
    """The largest coordinates, in the order of their index."""
    import numpy as np

    from fastdln._table import Table

    shown = np.sort(np.argsort(-np.abs(psi), kind="stable")[:_ROWS_SHOWN])
    print(Table(("i", "psi"), [(int(i), repr(float(psi[i]))) for i in shown]).text())
    if len(psi) > len(shown):
        print(f"and {len(psi) - len(shown)} smaller ones (--out FILE.npz keeps all)")


def _save(path: Path | None, arrays: dict[str, Any]) -> None:
    if path is None:
        return
    import numpy as np

    with _writing(path), path.open("wb") as stream:
        np.savez(stream, **arrays)
    print(f"wrote {path}")


def _info(arguments: argparse.Namespace) -> None:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import numba

    from fastdln._threads import thread_count
    from fastdln.kernels.intrinsics import HAS_FMA

    print(f"fastdln          {__version__}")
    print(f"python           {platform.python_version()} on {platform.platform()}")
    for package in ("numpy", "scipy", "numba", "llvmlite", "matplotlib"):
        try:
            print(f"{package:<16} {version(package)}")
        except PackageNotFoundError:
            print(f"{package:<16} not installed")
    numba.get_num_threads()  # this starts numba's layer, so that it has a name
    print(f"threading layer  a pool of fastdln's own (numba's is {numba.threading_layer()})")
    print(f"threads          {thread_count()}")
    print(f"cache            {_cache_place()}")
    print(f"FMA unit         {'yes' if HAS_FMA else 'no: fma is built from products and sums'}")


def _cache_place() -> str:
    from fastdln import _jit
    from fastdln.kernels.extended import two_product

    if _jit.JIT_DISABLED:
        return "none: compilation is off (NUMBA_DISABLE_JIT)"
    path = two_product.stats.cache_path
    return str(path) if path else "none: code is compiled anew in every process"


def _warmup(arguments: argparse.Namespace) -> None:
    from fastdln._warmup import compile_all

    start = time.perf_counter()
    compile_all()
    print(f"every kernel is compiled; {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
