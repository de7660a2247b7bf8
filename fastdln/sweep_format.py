"""What a new store consists of: Zarr's documents and the coordinates, as bytes.

Written out by hand (Zarr format 3, no compression): zarr's own calls take some milliseconds for
each array, which a short sweep would notice.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln.sweep_grid import Config
from fastdln.sweep_plan import Layout
from fastdln.sweep_quantities import ERROR, MISSING, QUANTITIES, STATUSES, Variable

__all__ = ["ROOT", "chunk_name", "new_store"]

ROOT = "zarr.json"
_TYPES = {"<f8": "float64", "<i8": "int64", "<i4": "int32", "|i1": "int8"}
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


def new_store(config: Config, layouts: Mapping[str, Layout]) -> tuple[dict[str, bytes], bytes]:
    """Files of a store without any results, by name, and its root document, which comes last."""
    documents: dict[str, dict[str, Any]] = {}
    files: dict[str, bytes] = {}
    auxiliary = _coordinates(documents, files, config)
    for layout in layouts.values():
        for variable in QUANTITIES[layout.quantity].all_variables(config):
            name = f"{layout.quantity}_{variable.name}"
            documents[name] = _variable(config, layout, variable)
    attributes: dict[str, Any] = {
        "title": "fastdln sweep of " + ", ".join(config.quantities),
        "complete": 0,
        "sweep_config": json.dumps(config.identity()),
        "sweep_layout": json.dumps({name: one.plain() for name, one in layouts.items()}),
        "coordinates": " ".join(auxiliary),
    }
    root = {
        "attributes": attributes,
        "zarr_format": 3,
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": {name: documents[name] for name in sorted(documents)},
        },
        "node_type": "group",
    }
    files |= {f"{name}/{ROOT}": _text(document) for name, document in documents.items()}
    return files, _text(root)


def chunk_name(chunk: Sequence[int]) -> str:
    """Name of a chunk's file in the folder of its array."""
    return ".".join(("c", *map(str, chunk)))


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()  # without indent: that is written by slow code


def _array(
    shape: Sequence[int], chunk: Sequence[int], kind: str, fill: Any, codec: dict[str, Any],
    dimensions: Sequence[str], attributes: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The document of one array."""
    return {
        "shape": list(shape),
        "data_type": kind,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": fill,
        "codecs": [codec],
        "attributes": dict(attributes),
        "dimension_names": list(dimensions),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_TEXTS = {"name": "vlen-utf8", "configuration": {}}


def _variable(config: Config, layout: Layout, variable: Variable) -> dict[str, Any]:
    inner = [config.inner[name] for name in variable.inner]
    attributes: dict[str, Any] = {"long_name": variable.long_name, "units": variable.units}
    if variable.name == "status":
        attributes = {
            "long_name": variable.long_name,
            "flag_values": list(range(MISSING, ERROR + 1)),
            "flag_meanings": " ".join(("not_computed", *STATUSES, "error")),
        }
    return _array(
        (*layout.shape, *inner), (*layout.chunk, *inner), _TYPES[variable.dtype],
        "NaN" if variable.dtype == "<f8" else MISSING, _BYTES,
        [config.dimension(name) for name in (*layout.axes, *variable.inner)], attributes,
    )  # fmt: skip


def _coordinates(
    documents: dict[str, dict[str, Any]], files: dict[str, bytes], config: Config
) -> list[str]:
    """Coordinates of all dimensions; returns the names of those that are not dimensions."""

    def add(name: str, values: NDArray[Any], dimensions: list[str], long_name: str) -> None:
        whole = np.ascontiguousarray(values, "<f8" if values.dtype.kind == "f" else "<i8")
        documents[name] = _array(
            values.shape, values.shape, _TYPES[whole.dtype.str], 0, _BYTES, dimensions,
            {"long_name": long_name, "units": "1"},
        )  # fmt: skip
        files[f"{name}/{chunk_name((0,) * values.ndim)}"] = whole.tobytes()

    names = [spec.name for spec in config.problems]
    documents["problem"] = _array(
        [len(names)], [len(names)], "string", "", _TEXTS, ["problem"],
        {"long_name": _LONG_NAMES["problem"]},
    )  # fmt: skip
    files[f"problem/{chunk_name((0,))}"] = _texts(names)
    values: dict[str, NDArray[Any] | None] = {
        "seed": config.seed,
        "p": config.p,
        config.dimension("size"): config.sizes,
        "step_size": config.step_size,
        "time": config.t,
        "step": config.save_steps,
    }
    if config.keep_psi:
        values["coordinate"] = np.arange(config.inner["coordinate"])
    for name, array in values.items():
        if array is not None:
            add(name, array, [name], _LONG_NAMES[name])
    auxiliary = ["n_equations", "n_unknowns"]
    add(auxiliary[0], np.array([q.m for q in config.problems]), ["problem"],
        "number of equations m")  # fmt: skip
    add(auxiliary[1], np.array([q.N for q in config.problems]), ["problem"],
        "number of unknowns N")  # fmt: skip
    if config.sizes is not None:
        auxiliary.append("log10_eps")
        add("log10_eps", _log10_eps(config), ["p", config.dimension("size")],
            "decimal logarithm of eps = alpha^p")  # fmt: skip
    return auxiliary


def _log10_eps(config: Config) -> NDArray[np.float64]:
    assert config.sizes is not None
    if config.size_name == "eps":
        return np.tile(np.log10(config.sizes), (config.p.size, 1))
    return np.array([p * config.log_alpha(p) for p in config.p.tolist()]) / math.log(10.0)


def _texts(texts: Sequence[str]) -> bytes:
    """Texts as the codec vlen-utf8 keeps them: their number, then length and letters of each."""
    parts = [struct.pack("<I", len(texts))]
    for text in texts:
        letters = text.encode()
        parts += [struct.pack("<I", len(letters)), letters]
    return b"".join(parts)
