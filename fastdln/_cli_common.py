"""What the commands share: files in and out, and the mistakes of the user."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdln.problem import Problem

__all__ = [
    "FORMATS",
    "ROWS_SHOWN",
    "UsageError",
    "import_plotting",
    "load_problem",
    "mistakes_of_the_user",
    "print_coordinates",
    "print_json",
    "save",
    "writing",
]

FORMATS = ("png", "svg", "pdf")
ROWS_SHOWN = 20


class UsageError(Exception):
    """A mistake of the user, told in one line."""


@contextmanager
def mistakes_of_the_user() -> Iterator[None]:
    """Around library calls on the user's input: what they reject is told in one line."""
    try:
        yield
    except (ValueError, TypeError) as mistake:
        raise UsageError(mistake) from mistake


@contextmanager
def writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise UsageError(f"argument --out: cannot write {str(path)!r}: {reason}") from problem


def import_plotting() -> Any:
    try:
        from fastdln import plotting
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        raise UsageError("matplotlib is needed to draw: pip install 'fastdln[plot]'") from missing
    return plotting


def load_problem(arguments: argparse.Namespace) -> Problem:
    """The problem in the files that were named."""
    from fastdln._files import FileProblem, read_arrays
    from fastdln.problem import Problem

    try:
        A, y = read_arrays(arguments.file, arguments.y)
    except FileProblem as problem:
        argument = (
            "FILE" if arguments.y is None or repr(str(arguments.y)) not in str(problem) else "--y"
        )
        hint = " (--y FILE)" if "another file for y" in str(problem) else ""
        raise UsageError(f"argument {argument}: {problem}{hint}") from problem
    with mistakes_of_the_user():
        return Problem(A, y)


def print_json(fields: Mapping[str, Any]) -> None:
    """One object on one line. NaN is null, infinities are texts."""
    import json

    print(json.dumps({name: _plain(value) for name, value in fields.items()}, allow_nan=False))


def _plain(value: Any) -> Any:
    """Lists and plain numbers only."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def print_coordinates(psi: Any) -> None:
    """The largest coordinates, in the order of their index."""
    import numpy as np

    from fastdln._table import Table

    shown = np.sort(np.argsort(-np.abs(psi), kind="stable")[:ROWS_SHOWN])
    print(Table(("i", "psi"), [(int(i), repr(float(psi[i]))) for i in shown]).text())
    if len(psi) > len(shown):
        print(f"and {len(psi) - len(shown)} smaller ones (--out FILE.npz keeps all)")


def save(arguments: argparse.Namespace, arrays: dict[str, Any]) -> None:
    """Write what --out asks for."""
    path: Path | None = arguments.out
    if path is None:
        return
    import numpy as np

    with writing(path), path.open("wb") as stream:
        np.savez(stream, **arrays)
    print(f"wrote {path}", file=sys.stderr if arguments.json else sys.stdout)
