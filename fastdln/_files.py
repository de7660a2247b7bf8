"""A and y from files: .npz, .npy, .csv and MatrixMarket (.mtx)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["KINDS", "FileProblem", "read_arrays"]

KINDS = (".npz", ".npy", ".csv", ".mtx")


class FileProblem(Exception):
    """Why a file does not serve, in one line."""


def read_arrays(path: Path, y_path: Path | None = None) -> tuple[Any, Any]:
    """A and y: both from one .npz archive, or each from a file of its own.

    A .npy file is mapped, not read: it may be larger than memory. MatrixMarket and
    `scipy.sparse.save_npz` give sparse matrices.
    """
    if y_path is None:
        if path.suffix in (".npy", ".csv", ".mtx"):
            raise FileProblem(
                f"{str(path)!r} given, a NumPy .npz file with numeric arrays named A and y needed, "
                "or another file for y"
            )
        return _archive(path)
    return _matrix(path), _vector(y_path)


def _archive(path: Path) -> tuple[Any, Any]:
    needed = "a NumPy .npz file with numeric arrays named A and y"
    with _told(path, needed), path.open("rb") as stream, _opened(stream) as arrays:
        return arrays["A"], arrays["y"]


def _opened(stream: Any) -> Any:
    return np.load(stream, allow_pickle=False)


def _matrix(path: Path) -> Any:
    """The matrix in a file of any kind."""
    if path.suffix == ".npz":
        needed = "a NumPy .npz file with an array named A, or a sparse matrix"
        with _told(path, needed), path.open("rb") as stream, _opened(stream) as arrays:
            if "A" in arrays:
                return arrays["A"]
            from scipy.sparse import load_npz

            return load_npz(path)
    return _one(path)


def _vector(path: Path) -> Any:
    """The vector in a file of any kind; one row or one column will do."""
    if path.suffix == ".npz":
        needed = "a NumPy .npz file with an array named y"
        with _told(path, needed), path.open("rb") as stream, _opened(stream) as arrays:
            return arrays["y"]
    values = _one(path)
    if hasattr(values, "toarray"):
        values = values.toarray()
    values = np.asarray(values)
    return values.ravel() if values.ndim == 2 and 1 in values.shape else values


def _one(path: Path) -> Any:
    """The only array of a file."""
    if path.suffix == ".npy":
        with _told(path, "a NumPy .npy file with numbers"):
            return np.load(path, mmap_mode="r", allow_pickle=False)
    if path.suffix == ".csv":
        with _told(path, "a table of numbers with commas between them"):
            return _table(path)
    if path.suffix == ".mtx":
        with _told(path, "a MatrixMarket file"):
            from scipy.io import mmread

            with path.open("rb") as stream:
                return mmread(stream)
    raise FileProblem(f"{str(path)!r} given, a file in {', '.join(KINDS)} needed")


def _table(path: Path) -> Any:
    """Numbers in lines, after a line of names if there is one."""
    lines = path.read_text(encoding="utf-8").splitlines()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an empty file
        if lines and not _numbers(lines[0]):
            lines = lines[1:]
        return np.loadtxt(lines, delimiter=",", ndmin=2)


def _numbers(line: str) -> bool:
    try:
        [float(word) for word in line.partition("#")[0].split(",") if word.strip()]
    except ValueError:
        return False
    return True


class _told:
    """Around the reading of a file: what goes wrong is told with what was needed."""

    def __init__(self, path: Path, needed: str) -> None:
        self._path, self._needed = path, needed

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        import pickle
        import zipfile
        import zlib

        name = repr(str(self._path))
        if isinstance(error, OSError):
            reason = error.strerror or "not a file that NumPy can read"
            raise FileProblem(f"cannot read {name}: {reason}") from error
        mistakes = (
            *(ValueError, KeyError, EOFError, TypeError, IndexError, AttributeError, UserWarning),
            *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, OverflowError),
        )
        if isinstance(error, mistakes):
            raise FileProblem(f"{name} given, {self._needed} needed") from error
