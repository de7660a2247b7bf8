"""The commands on one problem in a file: limit, flow, descend, minimizer, rate."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdln._cli_common import (
    FORMATS,
    ROWS_SHOWN,
    UsageError,
    import_plotting,
    load_problem,
    mistakes_of_the_user,
    print_coordinates,
    print_json,
    save,
    writing,
)

if TYPE_CHECKING:
    from fastdln.rates import ConvergenceRate
    from fastdln.results import Status

__all__ = ["run_descend", "run_flow", "run_limit", "run_minimizer", "run_rate", "tell_doubts"]


def run_limit(arguments: argparse.Namespace) -> None:
    import numpy as np

    from fastdln._table import Table
    from fastdln.limit import flow_limit
    from fastdln.results import Status

    problem = load_problem(arguments)
    with mistakes_of_the_user():
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
    fields = {"psi": limit.psi, "log_abs_psi": limit.log_abs_psi, "log_distance": distance}
    given = {keyword: size, "p": arguments.p}
    if arguments.json:
        told = {"l1_norm": norms, "error_bound": limit.error_bound, "status": names}
        print_json({**given, **told, **fields})
    else:
        rows = [(*row, name) for row, name in zip(numbers, names, strict=True)]
        print(Table(columns, rows).text())
        if len(size) == 1:
            print_coordinates(limit.psi[0])
    save(arguments, {**given, **fields})
    tell_doubts(Counter(s for s in statuses if s is not Status.CONVERGED))


def tell_doubts(doubts: Mapping[Status, int]) -> None:
    """Limits that did not converge are told on standard error: the numbers stand as they are."""
    for status, count in doubts.items():
        print(f"fastdln: warning: {count} limits: {status.value}", file=sys.stderr)


def run_flow(arguments: argparse.Namespace) -> None:
    from fastdln.flow import Activation, gradient_flow
    from fastdln.results import Status

    problem, level = load_problem(arguments), arguments.level
    draw = None if arguments.plot is None else _drawing(arguments.plot, arguments.json)
    with mistakes_of_the_user():
        path = gradient_flow(
            problem, arguments.p, arguments.alpha, arguments.t, log_alpha=arguments.log_alpha,
            method=arguments.method, rtol=arguments.rtol,
            events=() if level is None else (Activation(level),),
        )  # fmt: skip
    fields = {"t": path.t, "psi": path.psi, "loss": path.loss, "u": path.u, "v": path.v}
    fields = {"p": arguments.p, "dual": path.dual, **fields}
    if arguments.json:
        crossings = [(e.t, e.coordinate, bool(e.rising)) for e in path.events]
        names = ("t", "coordinate", "rising")
        events = [dict(zip(names, crossing, strict=True)) for crossing in crossings]
        print_json({**fields, "status": path.status.name.lower(), "events": events})
    else:
        _print_flow(path, level)
    save(arguments, fields)
    if draw is not None:
        draw(path)
    if path.status is not Status.INTEGRATED:
        print(f"fastdln: warning: {path.status.value}", file=sys.stderr)


def _print_flow(path: Any, level: float | None) -> None:
    """Some of the times, crossings of the level, and where the path ends."""
    import numpy as np

    from fastdln._table import Table

    shown = np.unique(np.linspace(0, len(path.t) - 1, min(len(path.t), ROWS_SHOWN)).astype(int))
    norms = np.abs(path.psi).sum(axis=1)
    numbers = np.column_stack([path.t, path.loss, norms])[shown].tolist()
    print(Table(("t", "loss", "l1 norm"), [tuple(row) for row in numbers]).text())
    crossings = [(e.t, e.coordinate, "up" if e.rising else "down") for e in path.events]
    if level is not None:
        print(Table(("t", "i", f"|psi_i| crosses {level:g}"), crossings).text())
    if len(path.t):
        print_coordinates(path.psi[-1])


def _drawing(file: Path, quiet: bool) -> Any:
    """A function that draws a path into the file."""
    if file.suffix[1:] not in FORMATS:
        raise UsageError(
            f"argument --plot: {str(file)!r} given, a name in .png, .svg or .pdf needed"
        )
    plotting = import_plotting()

    def draw(path: Any) -> None:
        with writing(file):
            plotting.save(plotting.draw_flow(path), file)
        print(f"wrote {file}", file=sys.stderr if quiet else sys.stdout)

    return draw


def run_descend(arguments: argparse.Namespace) -> None:
    from fastdln._table import Table
    from fastdln.descent import gradient_descent
    from fastdln.results import Status

    problem = load_problem(arguments)
    with mistakes_of_the_user():
        path = gradient_descent(
            problem,
            arguments.p,
            arguments.alpha,
            arguments.step_size,
            arguments.steps,
            arguments.save,
            method=arguments.method,
        )
    names = ("steps", "psi", "loss", "u", "v")
    fields = {"p": arguments.p, **{name: getattr(path, name) for name in names}}
    assert isinstance(path.status, Status)  # of one configuration
    if arguments.json:
        print_json({**fields, "status": path.status.name.lower(), "method": path.method})
    else:
        rows = list(zip(path.steps.tolist(), path.loss.tolist(), _l1_norms(path.psi), strict=True))
        print(Table(("step", "loss", "l1 norm"), rows).text())
        print_coordinates(path.psi[-1])
        print(path.status)
    save(arguments, fields)
    if path.status is Status.INTERRUPTED:
        raise KeyboardInterrupt


def _l1_norms(psi: Any) -> list[float]:
    import numpy as np

    return [float(norm) for norm in np.abs(psi).sum(axis=1)]


def run_minimizer(arguments: argparse.Namespace) -> None:
    from fastdln.minimizer import l1_minimizer

    problem = load_problem(arguments)
    with mistakes_of_the_user():
        minimizer = l1_minimizer(problem, arguments.p)
    dimension = minimizer.face_dimension
    if arguments.json:
        names = ("l1_norm", "unique", "face_dimension", "margin", "support", "dual", "psi")
        told = {name: getattr(minimizer, name) for name in names}
        told["status"] = minimizer.status.name.lower()
        print_json({"p": arguments.p, **told})
    else:
        face = "unique" if minimizer.unique else f"on a face of dimension {dimension}"
        print(f"l1 norm {float(minimizer.l1_norm)!r}, {face}; {minimizer.status.value}")
        print_coordinates(minimizer.psi)
    save(arguments, {"psi": minimizer.psi, "p": arguments.p})


def run_rate(arguments: argparse.Namespace) -> None:
    from fastdln.null_space import null_space_constants
    from fastdln.rates import convergence_rate

    problem = load_problem(arguments)
    with mistakes_of_the_user():
        rate = convergence_rate(problem, arguments.p)
        predictions = _predictions(rate, arguments)
    constants = null_space_constants(problem)
    fields = {name: getattr(rate, name) for name in ("exponent", "constant", "direction", "rho")}
    if arguments.json:
        told: dict[str, Any] = {"unique": rate.unique, "status": rate.status.name.lower()}
        told |= {name: getattr(constants, name) for name in ("rho", "rho_minus", "rho_tilde")}
        print_json({"p": arguments.p, **fields, **told, **predictions})
    else:
        _print_rate(rate, constants, predictions)
    save(arguments, {"p": arguments.p, **fields})


def _print_rate(rate: ConvergenceRate, constants: Any, predictions: Mapping[str, Any]) -> None:
    """The leading term, what it rests on, and what it says where it was asked."""
    import numpy as np

    from fastdln._table import Table

    face = "unique" if rate.unique else "not unique"
    print(f"distance to W_p ~ {rate.constant!r} * eps^{rate.exponent!r} ({rate.reason})")
    print(f"minimiser {face}; {rate.status.value}")
    for name in ("rho", "rho_minus", "rho_tilde"):
        kind = "exact" if getattr(constants, f"{name}_exact") else "upper bound"
        print(f"{name:<9} {getattr(constants, name)!r} ({kind})")
    if predictions:
        rows = np.column_stack(list(predictions.values())).tolist()
        keyword = next(iter(predictions))
        columns = (keyword, "log distance, leading term", "log distance, upper bound")
        print(Table(columns, [tuple(row) for row in rows]).text())


def _predictions(rate: ConvergenceRate, arguments: argparse.Namespace) -> dict[str, Any]:
    """Leading term and bound for the alphas asked for, as logarithms."""
    keyword = "alpha" if arguments.alpha else "log_alpha"
    sizes = arguments.alpha or arguments.log_alpha
    if not sizes:
        return {}
    given = {keyword: sizes}
    told = {"log_predicted": rate.log_predict(**given), "log_bound": rate.log_bound(**given)}
    return {**given, **told}
