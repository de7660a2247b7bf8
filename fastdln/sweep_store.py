"""A sweep's data set on disk: a Zarr folder that grows chunk by chunk and never loses one."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln import _durable
from fastdln.sweep_format import ROOT, chunk_name, new_store
from fastdln.sweep_grid import Config, differences
from fastdln.sweep_plan import Layout
from fastdln.sweep_quantities import QUANTITIES, Variable

__all__ = ["Store", "open_store"]

_LOCK = ".lock"
_FAILURES = ".failures"


@dataclass
class Store:
    """An open store: what is in it, and how to add a chunk."""

    path: Path
    config: Config
    layouts: dict[str, Layout]
    attributes: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.attributes["complete"])

    def has(self, layout: Layout, chunk: tuple[int, ...]) -> bool:
        """Whether a chunk is on disk, all its arrays whole."""
        return all(
            _size_of(self._file(layout, variable, chunk)) == self._bytes(layout, variable)
            for variable in reversed(QUANTITIES[layout.quantity].all_variables(self.config))
        )

    def write(
        self, layout: Layout, chunk: tuple[int, ...], values: dict[str, NDArray[Any]],
        failures: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        """Put a chunk on disk. Its status is written last: where that is, all is."""
        *others, status = QUANTITIES[layout.quantity].all_variables(self.config)
        files = [
            (
                self._file(layout, v, chunk),
                values[v.name].astype(v.dtype, copy=False).data.cast("B"),
            )
            for v in (*others, status)
        ]
        if failures:
            folder = self.path / _FAILURES
            folder.mkdir(exist_ok=True)
            failures = sorted(failures, key=lambda one: list(one["index"].values()))
            text = json.dumps(failures).encode()
            files.insert(0, (folder / f"{layout.quantity}.{_key(chunk)}", memoryview(text)))
        _durable.write_all(files[:-1])
        _durable.write_all(files[-1:])

    def _file(self, layout: Layout, variable: Variable, chunk: tuple[int, ...]) -> Path:
        name = chunk_name((*chunk, *(0 for _ in variable.inner)))
        return self.path / f"{layout.quantity}_{variable.name}" / name

    def _bytes(self, layout: Layout, variable: Variable) -> int:
        inner = (self.config.inner[name] for name in variable.inner)
        return math.prod((*layout.chunk, *inner)) * int(np.dtype(variable.dtype).itemsize)

    def failures(self) -> list[dict[str, Any]]:
        """What went wrong so far, in the order of the grid."""
        found: list[dict[str, Any]] = []
        folder = self.path / _FAILURES
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if not path.name.endswith(".tmp"):
                found += json.loads(path.read_text())
        order = list(self.layouts)
        found.sort(key=lambda one: (order.index(one["quantity"]), list(one["index"].values())))
        return found

    def update(self, **attributes: Any) -> None:
        """Change attributes of the data set, all at once."""
        self.attributes.update(attributes)
        root = json.loads((self.path / ROOT).read_text())
        root["attributes"] = self.attributes
        _durable.write_all([(self.path / ROOT, json.dumps(root).encode())])

    def finish(self, **attributes: Any) -> None:
        """Declare the store complete."""
        failures = self.failures()
        more = {"failures": json.dumps(failures[:100])} if failures else {}
        self.update(complete=1, **more, **attributes)


def _key(chunk: tuple[int, ...]) -> str:
    return ".".join(str(k) for k in chunk)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


@contextmanager
def open_store(
    path: Path, config: Config, layouts: dict[str, Layout], overwrite: bool
) -> Iterator[Store]:
    """The store of a config: a new one, or one begun before. Others are kept out meanwhile."""
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"store {str(path)!r} exists and is a file, not a store")
    if path.is_dir() and not _is_ours(path):
        raise FileExistsError(f"store {str(path)!r} exists and is not a store of a sweep")
    path.mkdir(parents=True, exist_ok=True)
    with _durable.lock(path / _LOCK) as mine:
        if not mine:
            raise BlockingIOError(f"store {str(path)!r} is being written by another process")
        if overwrite or not (path / ROOT).exists():
            _clear(path)
            _create(path, config, layouts)
        yield _opened(path, config, layouts)


def _is_ours(path: Path) -> bool:
    """Whether a folder is a store, or empty, or one whose creation was cut short."""
    root = path / ROOT
    if root.exists():
        try:
            attributes = json.loads(root.read_text())["attributes"]
        except (ValueError, KeyError, OSError):
            return False
        return isinstance(attributes, dict) and "sweep_config" in attributes
    names = {entry.name for entry in path.iterdir()}
    return not names or _LOCK in names


def _clear(path: Path) -> None:
    root = path / ROOT
    if root.exists():  # first: without it the rest is an unfinished creation
        root.unlink()
        _durable.sync_folder(path)
    for entry in path.iterdir():
        if entry.name != _LOCK:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _opened(path: Path, config: Config, layouts: dict[str, Layout]) -> Store:
    attributes = json.loads((path / ROOT).read_text())["attributes"]
    theirs = json.loads(attributes["sweep_config"])
    # through JSON, so that both are plain in the same way
    unlike = differences(theirs, json.loads(json.dumps(config.identity())))
    if unlike:
        raise ValueError(f"store {str(path)!r} was made by another sweep: {unlike}")
    kept = json.loads(attributes["sweep_layout"])
    layouts = {name: layout.as_kept(kept[name]) for name, layout in layouts.items()}
    return Store(path, config, layouts, attributes)


def _create(path: Path, config: Config, layouts: dict[str, Layout]) -> None:
    """Metadata and coordinates; the root's metadata comes last, and makes it a store."""
    files, root = new_store(config, layouts)
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    _durable.sync_tree(path)
    _durable.write_all([(path / ROOT, root)])
    _durable.sync_folder(path.parent)
