"""The commands that compute many flows: figure, experiment, sweep, report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastdln._cli_common import UsageError, import_plotting, mistakes_of_the_user, writing
from fastdln._cli_problem import tell_doubts

__all__ = ["EPS_MIN", "run_experiment", "run_figure", "run_report", "run_sweep"]

EPS_MIN = 1e-300


def run_figure(arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    number, out = arguments.number, arguments.out
    if number == 3 and arguments.eps_min is not None:
        raise UsageError("argument --eps-min: figure 3 has no eps")
    plotting = import_plotting()
    draw = (plotting.draw_convergence, plotting.draw_kinks, plotting.draw_functions)[number - 1]
    figure = _computed_figure(number, EPS_MIN if arguments.eps_min is None else arguments.eps_min)
    pictures = [out / f"figure{number}.{ending}" for ending in arguments.format]
    table = out / f"figure{number}.csv"
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        figure.data().write_csv(table)
        picture = draw(figure)
        for path in pictures:
            plotting.save(picture, path)
    print(figure.summary.text())
    print(figure.timing)
    tell_doubts(getattr(figure, "doubts", {}))
    names = ", ".join(str(path) for path in (*pictures, table))
    print(f"wrote {names}; {time.perf_counter() - start:.2f} s in all")


def _computed_figure(number: int, eps_min: float) -> Any:
    from fastdln import figures

    if number == 3:
        return figures.functions_figure()
    with mistakes_of_the_user():
        return figures.convergence_figure(eps_min) if number == 1 else figures.kink_figure(eps_min)


def run_experiment(arguments: argparse.Namespace) -> None:
    from fastdln.experiments import run

    start = time.perf_counter()
    plotting, name, out = import_plotting(), arguments.name, arguments.out
    with writing(out):  # before the work, which can take long
        out.mkdir(parents=True, exist_ok=True)
    result = run(name)
    pictures, table = [out / f"{name}.{ending}" for ending in arguments.format], out / f"{name}.csv"
    with writing(out):
        result.data.write_csv(table)
        picture = result.draw()
        for path in pictures:
            plotting.save(picture, path)
    print(result.summary.text())
    print(result.note)
    names = ", ".join(str(path) for path in (*pictures, table))
    print(f"wrote {names}; {time.perf_counter() - start:.2f} s in all")


def run_sweep(arguments: argparse.Namespace) -> None:
    from fastdln.sweep_config import read_toml
    from fastdln.sweeps import computed_since, default_config, now, summary, sweep

    with mistakes_of_the_user(), _sweep_extra():
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


def run_report(arguments: argparse.Namespace) -> None:
    from fastdln.report import write_report

    out = arguments.out or arguments.store.with_suffix(".html")
    with mistakes_of_the_user(), _sweep_extra():
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
