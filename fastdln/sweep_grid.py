"""The grid of a sweep: what decides its numbers, comparable, small enough to send around."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._check import _shown
from fastdln.sweep_problems import ProblemSpec

__all__ = ["SIZES", "Config", "differences", "package_version"]

Array = NDArray[np.float64]

SIZES = ("alpha", "log_alpha", "eps")


def package_version() -> str:
    """The version, by name: an import would tie this layer to all that the package exports."""
    return str(import_module("fastdln").__version__)


@dataclass(frozen=True)
class Config:
    """A grid of configurations and the quantities to compute on it.

    All configurations are problem x (seed) x p x (alpha) x (step_size); each quantity uses
    some of these axes. Initialisations are given as one of alpha, log_alpha and eps = alpha^p,
    whose name is `size_name`.
    """

    problems: tuple[ProblemSpec, ...]
    seed: NDArray[np.int64] | None
    p: Array
    size_name: str | None
    sizes: Array | None
    step_size: Array | None
    quantities: tuple[str, ...]
    keep_psi: bool
    t: Array | None = None
    n_steps: int | None = None
    save_steps: NDArray[np.int64] | None = None

    @property
    def axes(self) -> dict[str, int]:
        """Length of each axis, in order; "size" stands for that of the initialisations."""
        axes = {"problem": len(self.problems), "seed": _length(self.seed), "p": self.p.size}
        axes |= {"size": _length(self.sizes), "step_size": _length(self.step_size)}
        return {name: length for name, length in axes.items() if length}

    @property
    def inner(self) -> dict[str, int]:
        """Length of each axis that one configuration fills."""
        widest = max(spec.N for spec in self.problems)
        lengths = {"coordinate": widest, "time": _length(self.t), "step": _length(self.save_steps)}
        lengths["size"] = _length(self.sizes)
        return {name: length for name, length in lengths.items() if length}

    def dimension(self, axis: str) -> str:
        """Name of an axis in the data set."""
        return (self.size_name or axis) if axis == "size" else axis

    def initialisation(self, p: float, block: slice) -> dict[str, Array]:
        """The argument alpha or log_alpha of the library for a block of initialisations."""
        assert self.sizes is not None
        values = self.sizes[block]
        if self.size_name == "eps":
            return {"log_alpha": np.log(values) / p}
        return {str(self.size_name): values}

    def log_alpha(self, p: float, block: slice = slice(None)) -> Array:
        """Natural logarithms of a block of initialisations."""
        given = self.initialisation(p, block)
        return given["log_alpha"] if "log_alpha" in given else np.log(given["alpha"])

    def part(self, ranges: Mapping[str, range]) -> Config:
        """The same on a part of some axes: all that a worker needs to know."""

        def cut(axis: str, values: Any) -> Any:
            return values if axis not in ranges else values[ranges[axis].start : ranges[axis].stop]

        return replace(
            self,
            problems=cut("problem", self.problems),
            seed=cut("seed", self.seed),
            p=cut("p", self.p),
            sizes=cut("size", self.sizes),
            step_size=cut("step_size", self.step_size),
        )

    def identity(self) -> dict[str, Any]:
        """What decides the numbers, as plain values: two equal ones give the same store."""
        values: dict[str, Any] = {
            "quantity": list(self.quantities),
            "problems": [spec.identity() for spec in self.problems],
            "seed": _plain(self.seed),
            "p": _plain(self.p),
            **{name: _plain(self.sizes) for name in SIZES if name == self.size_name},
            "t": _plain(self.t),
            "step_size": _plain(self.step_size),
            "n_steps": self.n_steps,
            "save_steps": _plain(self.save_steps),
            "keep_psi": self.keep_psi,
            "fastdln": package_version(),
        }
        return {key: value for key, value in values.items() if value is not None}


def _length(values: NDArray[Any] | None) -> int:
    return 0 if values is None else values.size


def _plain(values: NDArray[Any] | None) -> Any:
    """A list, or a digest and the ends where that would fill the attributes."""
    if values is None:
        return None
    if values.size <= 10_000:
        return values.tolist()
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return {"first": values[0].item(), "last": values[-1].item(), "count": values.size,
            "sha256": digest}  # fmt: skip


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Where two identities differ, in one line; empty if nowhere."""
    keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    return "; ".join(_difference(key, theirs.get(key), ours.get(key)) for key in keys)


def _difference(key: str, theirs: Any, ours: Any) -> str:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        parts = [
            f"{name} {_brief(theirs.get(name))} there, {_brief(ours.get(name))} here"
            for name in {**theirs, **ours}
            if theirs.get(name) != ours.get(name)
        ]
        return f"{key}: " + ", ".join(parts)
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) == len(ours) and all(isinstance(one, dict) for one in (*theirs, *ours)):
            pairs = enumerate(zip(theirs, ours, strict=True))
            return "; ".join(
                _difference(f"{key}[{k}]", *two) for k, two in pairs if two[0] != two[1]
            )
        missing = [value for value in theirs if value not in ours]
        added = [value for value in ours if value not in theirs]
        parts = [
            f"{label} {_brief(values)}"
            for label, values in (("only there", missing), ("only here", added))
            if values
        ]
        return f"{key}: " + (", ".join(parts) if parts else "another order")
    return f"{key}: {_brief(theirs)} there, {_brief(ours)} here"


def _brief(value: Any) -> str:
    text = "nothing" if value is None else _shown(value)
    return text[1:-1] if isinstance(value, list) and text.endswith("]") else text
