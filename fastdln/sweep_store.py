"""A sweep's data set on disk: a Zarr folder that grows chunk by chunk and never loses one."""

from __future__ import annotations

import json
import math
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln import _durable
from fastdln.sweep_grid import Config, differences
from fastdln.sweep_plan import Layout
from fastdln.sweep_quantities import ERROR, MISSING, QUANTITIES, STATUSES, Variable

__all__ = ["Store", "open_store"]

_LOCK = ".lock"
_STAGING = ".staging"
_FAILURES = ".failures"
_ROOT = "zarr.json"
_LONG_NAMES = {
    "problem": "problem",
    "seed": "seed of the random problems",
    "p": "depth",
    "alpha": "initialisation",
    "log_alpha": "natural logarithm of the initialisation",
    "eps": "output scale alpha^p",
    "step_size": "step size",
    "coordinate": "index of the coordinate",
    "time": "time",
    "step": "number of steps taken",
}


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
        key = _key((*chunk, *(0 for _ in variable.inner)))
        return self.path / f"{layout.quantity}_{variable.name}" / f"c.{key}"

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
        root = json.loads((self.path / _ROOT).read_text())
        root["attributes"] = self.attributes
        _durable.write_all([(self.path / _ROOT, json.dumps(root, indent=2).encode())])

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
        if overwrite or not (path / _ROOT).exists():
            _clear(path)
            _create(path, config, layouts)
        yield _opened(path, config, layouts)


def _is_ours(path: Path) -> bool:
    """Whether a folder is a store, or empty, or one whose creation was cut short."""
    root = path / _ROOT
    if root.exists():
        try:
            attributes = json.loads(root.read_text())["attributes"]
        except (ValueError, KeyError, OSError):
            return False
        return isinstance(attributes, dict) and "sweep_config" in attributes
    names = {entry.name for entry in path.iterdir()}
    return not names or _LOCK in names


def _clear(path: Path) -> None:
    root = path / _ROOT
    if root.exists():  # first: without it the rest is an unfinished creation
        root.unlink()
        _durable.sync_folder(path)
    for entry in path.iterdir():
        if entry.name != _LOCK:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _opened(path: Path, config: Config, layouts: dict[str, Layout]) -> Store:
    attributes = json.loads((path / _ROOT).read_text())["attributes"]
    theirs = json.loads(attributes["sweep_config"])
    # through JSON, so that both are plain in the same way
    unlike = differences(theirs, json.loads(json.dumps(config.identity())))
    if unlike:
        raise ValueError(f"store {str(path)!r} was made by another sweep: {unlike}")
    kept = json.loads(attributes["sweep_layout"])
    layouts = {name: layout.as_kept(kept[name]) for name, layout in layouts.items()}
    return Store(path, config, layouts, attributes)


def _create(path: Path, config: Config, layouts: dict[str, Layout]) -> None:
    """Metadata and coordinates, made aside; the root's metadata comes last."""
    import zarr

    staging = path / _STAGING
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's, on consolidated metadata
        group = zarr.open_group(staging, mode="w", zarr_format=3)
        auxiliary = _write_coordinates(group, config)
        for layout in layouts.values():
            for variable in QUANTITIES[layout.quantity].all_variables(config):
                _create_array(group, config, layout, variable)
        attributes: dict[str, Any] = {
            "title": "fastdln sweep of " + ", ".join(config.quantities),
            "complete": 0,
            "sweep_config": json.dumps(config.identity()),
            "sweep_layout": json.dumps({name: one.plain() for name, one in layouts.items()}),
        }
        if auxiliary:
            attributes["coordinates"] = " ".join(auxiliary)
        group.attrs.update(attributes)
        zarr.consolidate_metadata(staging)
    _durable.sync_tree(staging)
    for entry in staging.iterdir():
        if entry.name != _ROOT:
            os.replace(entry, path / entry.name)
    _durable.sync_folder(path)
    os.replace(staging / _ROOT, path / _ROOT)
    _durable.sync_folder(path)
    _durable.sync_folder(path.parent)
    staging.rmdir()


def _create_array(group: Any, config: Config, layout: Layout, variable: Variable) -> None:
    inner = [config.inner[name] for name in variable.inner]
    attributes: dict[str, Any] = {"long_name": variable.long_name, "units": variable.units}
    if variable.name == "status":
        codes = range(MISSING, ERROR + 1)
        attributes = {
            "long_name": variable.long_name,
            "flag_values": list(codes),
            "flag_meanings": " ".join(("not_computed", *STATUSES, "error")),
        }
    group.create_array(
        f"{layout.quantity}_{variable.name}",
        shape=(*layout.shape, *inner),
        chunks=(*layout.chunk, *inner),
        dtype=variable.dtype,
        fill_value=np.nan if variable.dtype == "<f8" else MISSING,
        compressors=None,
        filters=None,
        chunk_key_encoding={"name": "default", "separator": "."},
        dimension_names=[config.dimension(name) for name in (*layout.axes, *variable.inner)],
        attributes=attributes,
    )


def _write_coordinates(group: Any, config: Config) -> list[str]:
    """Coordinates of all dimensions; returns the names of those that are not dimensions."""
    steps = config.save_steps
    values: dict[str, NDArray[Any] | None] = {
        "problem": np.array([s.name for s in config.problems], np.dtypes.StringDType()),
        "seed": config.seed,
        "p": config.p,
        config.dimension("size"): config.sizes,
        "step_size": config.step_size,
        "time": config.t,
        "step": steps,
    }
    if config.keep_psi:
        values["coordinate"] = np.arange(config.inner["coordinate"])
    for name, array in values.items():
        if array is not None:
            _coordinate(group, name, array, [name], _LONG_NAMES[name])
    sizes = {
        "n_equations": ([spec.m for spec in config.problems], "number of equations m"),
        "n_unknowns": ([spec.N for spec in config.problems], "number of unknowns N"),
    }
    for name, (numbers, long_name) in sizes.items():
        _coordinate(group, name, np.array(numbers), ["problem"], long_name)
    if config.sizes is None:
        return list(sizes)
    log10_eps = np.array([p * config.log_alpha(p) for p in config.p.tolist()]) / math.log(10.0)
    if config.size_name == "eps":
        log10_eps = np.tile(np.log10(config.sizes), (config.p.size, 1))
    dimensions = ["p", config.dimension("size")]
    _coordinate(group, "log10_eps", log10_eps, dimensions, "decimal logarithm of eps = alpha^p")
    return [*sizes, "log10_eps"]


def _coordinate(
    group: Any, name: str, values: NDArray[Any], dimensions: list[str], long_name: str
) -> None:
    attributes = {"long_name": long_name}
    if values.dtype.kind in "if":
        attributes["units"] = "1"
    group.create_array(name, data=values, dimension_names=dimensions, attributes=attributes)
