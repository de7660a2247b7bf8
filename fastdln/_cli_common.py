"""What the commands share: files in and out, and the mistakes of the user."""

from __future__ import annotations

from collections.abc import Iterator
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


def load_problem(path: Path) -> Problem:
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
    with mistakes_of_the_user():
        return Problem(A, y)


def print_coordinates(psi: Any) -> None:
    """The largest coordinates, in the order of their index."""
    import numpy as np

    from fastdln._table import Table

    shown = np.sort(np.argsort(-np.abs(psi), kind="stable")[:ROWS_SHOWN])
    print(Table(("i", "psi"), [(int(i), repr(float(psi[i]))) for i in shown]).text())
    if len(psi) > len(shown):
        print(f"and {len(psi) - len(shown)} smaller ones (--out FILE.npz keeps all)")


def save(path: Path | None, arrays: dict[str, Any]) -> None:
    if path is None:
        return
    import numpy as np

    with writing(path), path.open("wb") as stream:
        np.savez(stream, **arrays)
    print(f"wrote {path}")
