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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fastdln import __version__
from fastdln._cli_common import FORMATS, UsageError, mistakes_of_the_user
from fastdln._cli_problem import run_descend, run_flow, run_limit, run_minimizer, run_rate
from fastdln._cli_studies import EPS_MIN, run_experiment, run_figure, run_report, run_sweep

__all__ = ["main"]


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
    warmup.add_argument("--jobs", type=_count, help="processes (default: one for each core)")
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
        help=f"figures 1 and 2: last eps = alpha**p (default: {EPS_MIN:g})",
    )
    figure.add_argument(
        "--format",
        type=_formats,
        default=("png",),
        metavar="FORMATS",
        help="comma-separated, of png, svg, pdf (default: png)",
    )
    figure.set_defaults(run=run_figure)


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
    experiment.set_defaults(run=run_experiment)


def _add_limit(commands: Any) -> None:
    limit = commands.add_parser(
        "limit",
        help="where gradient flow ends, for A and y from a file",
        description="Limit of gradient flow for the problem in a file.",
    )
    _add_problem(limit)
    size = limit.add_mutually_exclusive_group(required=True)
    size.add_argument("--alpha", type=float, nargs="+", help="initialisations")
    size.add_argument("--log-alpha", type=float, nargs="+", help="their natural logarithms")
    limit.set_defaults(run=run_limit)


def _add_flow(commands: Any) -> None:
    flow = commands.add_parser(
        "flow",
        help="gradient flow in time, for A and y from a file",
        description="Trajectory of gradient flow for the problem in a file.",
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
    flow.set_defaults(run=run_flow)


def _add_descend(commands: Any) -> None:
    descend = commands.add_parser(
        "descend",
        help="gradient descent, for A and y from a file",
        description="Gradient descent for the problem in a file.",
    )
    _add_problem(descend)
    descend.add_argument("--alpha", type=float, required=True, help="initialisation")
    descend.add_argument("--step-size", type=float, required=True, help="step size")
    descend.add_argument("--steps", type=_count, required=True, help="number of steps, as 1e6")
    descend.add_argument("--save", type=_count, nargs="+", help="steps to save (default: a grid)")
    descend.add_argument("--method", default="auto", help="plain, compensated or auto (default)")
    descend.set_defaults(run=run_descend)


def _add_minimizer(commands: Any) -> None:
    minimizer = commands.add_parser(
        "minimizer",
        help="the l1 minimiser that these limits tend to",
        description="The l1 minimiser W_p for the problem in a file.",
    )
    _add_problem(minimizer)
    minimizer.set_defaults(run=run_minimizer)


def _add_rate(commands: Any) -> None:
    rate = commands.add_parser(
        "rate",
        help="how fast the limits tend to the l1 minimiser",
        description="Leading term of the distance to W_p for the problem in a file.",
    )
    _add_problem(rate)
    size = rate.add_mutually_exclusive_group()
    size.add_argument("--alpha", type=float, nargs="+", help="predict and bound it for these")
    size.add_argument("--log-alpha", type=float, nargs="+", help="or for their logarithms")
    rate.set_defaults(run=run_rate)


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
    sweep.set_defaults(run=run_sweep)
    report = commands.add_parser(
        "report",
        help="a sweep's store as one HTML file",
        description="Writes plots, tables and config into one file that needs no network.",
    )
    report.add_argument("store", type=Path, metavar="STORE", help="folder of the store")
    report.add_argument("--out", type=Path, help="file (default: STORE with the ending .html)")
    report.set_defaults(run=run_report)


def _add_problem(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE",
        help=".npz file with arrays A and y; with --y a .npy, .csv, .mtx or .npz file with A",
    )  # fmt: skip
    parser.add_argument("--y", type=Path, metavar="FILE", help="file with y, of the same kinds")
    parser.add_argument(
        "--json", action="store_true", help="print all results as one JSON object, not as tables"
    )
    parser.add_argument("--p", type=float, default=2.0, help="depth, at least 2 (default: 2)")
    parser.add_argument("--out", type=Path, help="also write the result to this .npz file")


def _formats(text: str) -> tuple[str, ...]:
    """The picture formats named in `text`; argparse turns the error into the command's own."""
    formats = tuple(text.split(","))
    for name in formats:
        if name not in FORMATS:
            needed = ", ".join(FORMATS)
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
    from fastdln._check import check_count
    from fastdln._threads import thread_count
    from fastdln._warmup import compile_all

    with mistakes_of_the_user():
        jobs = thread_count() if arguments.jobs is None else check_count("jobs", arguments.jobs, 1)
    start = time.perf_counter()
    compile_all(jobs)
    print(f"every kernel is compiled; {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
