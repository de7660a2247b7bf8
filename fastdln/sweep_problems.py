"""The problems of a sweep: published, random by seed, from files, or given as objects."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastdln import datasets
from fastdln._check import _shown, check_count
from fastdln._files import FileProblem, read_arrays
from fastdln.problem import Problem

__all__ = ["ProblemSpec", "check_keys", "check_travels", "problem_specs"]

_PUBLISHED: dict[str, Callable[[], Problem]] = {
    "line": datasets.line,
    "plane": datasets.plane,
    "random": datasets.random,
}
_BYTES = 1 << 24  # of A looked at together
_KEYS = {
    "kink": {"delta"},
    "gaussian": {"m", "N", "sparsity", "rng"},
    **{name: set() for name in _PUBLISHED},
}


@dataclass(frozen=True)
class ProblemSpec:
    """How a problem is made; small, unless it is one that was given as data."""

    name: str
    m: int
    N: int
    recipe: tuple[tuple[str, Any], ...]  # what it is made of, or the digest of its data
    data: Problem | None = None

    def identity(self) -> dict[str, Any]:
        """Plain values that tell this problem from others."""
        return {"name": self.name, **dict(self.recipe)}

    def build(self, seed: int | None) -> Problem:
        """The problem itself, for a seed where there are seeds."""
        if self.data is not None:
            return self.data
        values = dict(self.recipe)
        kind = values.pop("dataset")
        if kind == "kink":
            return datasets.kink(values["delta"])
        if kind == "gaussian":
            rng = values.get("rng", 0) if seed is None else seed
            return datasets.gaussian(values["m"], values["N"], values["sparsity"], rng=rng).problem
        return _PUBLISHED[kind]()


def check_keys(values: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a key that is not known, and name the nearest that is."""
    names = list(known)
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise ValueError(f"unknown key {key!r}: {hint}")


def problem_specs(problems: Any, seeded: bool) -> tuple[ProblemSpec, ...]:
    """Specs of what a sweep was given: one problem or several, in any of the forms."""
    if problems is None:
        raise ValueError("problems must be given")
    if isinstance(problems, (Problem, str, Mapping, datasets.Planted)):
        problems = [problems]
    if not isinstance(problems, Sequence):
        raise TypeError(f"problems must be a list of problems, got {_shown(problems)}")
    if not problems:
        raise ValueError("problems must not be empty")
    specs = tuple(_spec(value, k, seeded) for k, value in enumerate(problems))
    names: set[str] = set()
    for spec in specs:
        if spec.name in names:
            raise ValueError(
                f"problems must have names of their own, got {spec.name!r} twice: "
                "give one another name"
            )
        names.add(spec.name)
    return specs


def _spec(value: Any, k: int, seeded: bool) -> ProblemSpec:
    where = f"problems[{k}]"
    if isinstance(value, datasets.Planted):
        value = value.problem
    if isinstance(value, Problem):
        spec = _from_data(value, value.name or f"problem {k}")
    elif isinstance(value, str):
        spec = _from_table({"dataset": value}, where)
    elif isinstance(value, Mapping):
        spec = _from_table(value, where)
    else:
        raise TypeError(
            f"{where} must be a Problem, the name of a data set or a table, got {_shown(value)}"
        )
    random = ("dataset", "gaussian") in spec.recipe and "rng" not in dict(spec.recipe)
    if seeded and not random:
        raise ValueError(f"seed is given, but {where} ({spec.name}) does not depend on a seed")
    return spec


def _from_data(problem: Problem, name: str) -> ProblemSpec:
    recipe: list[tuple[str, Any]] = [("m", problem.m), ("N", problem.N)]
    A = _entries(problem)
    if A is None:
        recipe += [("products", _products(problem)), ("sha256", _digest([problem.y]))]
    else:
        recipe += [("sha256", _digest([*A, problem.y]))]
    return ProblemSpec(name, problem.m, problem.N, tuple(recipe), problem)


def _entries(problem: Problem) -> list[Any] | None:
    """What holds the entries of A, without a copy of a large one; None where there are none."""
    A = problem.A
    if hasattr(A, "tocsc"):
        columns = A.tocsc()
        return [columns.indptr, columns.indices, columns.data]
    if not isinstance(A, np.ndarray):
        return None
    step = max(1, _BYTES // (8 * problem.N))
    return [A[k : k + step] for k in range(0, problem.m, step)]


def _digest(parts: list[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part))
    return digest.hexdigest()


def _products(problem: Problem) -> list[str]:
    """Lengths of A x and A^T l for some fixed x and l, to digits that rounding does not change."""
    if problem.name is None:
        raise ValueError(
            "a problem whose A is known by its products alone must have a name in a sweep, which "
            "tells its store from others: Problem(A, y, name=...)"
        )
    assert problem._matrix is not None
    found = []
    for k in (1.0, math.sqrt(2.0)):  # the same on every machine, near enough
        x, dual = (np.cos(k * np.arange(1, size + 1)) for size in (problem.N, problem.m))
        found += [problem._matrix.matvec(x), problem._matrix.rmatvec(dual)]
    return [f"{float(np.linalg.norm(values)):.9g}" for values in found]


def check_travels(specs: Iterable[ProblemSpec]) -> None:
    """Refuse what workers elsewhere could not work on."""
    for spec in specs:
        if spec.data is not None and hasattr(spec.data.A, "dask"):
            raise TypeError(
                f"problem {spec.name!r} has a dask array as its A, which a task of Dask should not "
                "wait for: give an array, or leave client and scheduler out"
            )


def _from_table(table: Mapping[str, Any], where: str) -> ProblemSpec:
    check_keys(table, ("dataset", "file", "y", "name", *sorted(set().union(*_KEYS.values()))))
    if ("file" in table) == ("dataset" in table):
        raise ValueError(f"{where} must have one of the keys dataset and file")
    name = table.get("name")
    if name is not None and (not isinstance(name, str) or not name):
        raise TypeError(f"{where}.name must be a text, got {_shown(name)}")
    if "file" in table:
        check_keys(table, ("file", "y", "name"))
        return _from_file(table, name, where)
    kind = table["dataset"]
    if kind not in _KEYS:
        near = difflib.get_close_matches(str(kind), _KEYS, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{where}: data sets are {', '.join(_KEYS)}, got {_shown(kind)}{hint}")
    check_keys(table, ("dataset", "name", *sorted(_KEYS[kind])))
    for key in sorted(_KEYS[kind] - {"rng"}):
        if key not in table:
            raise ValueError(f"{where}: {key!r} is missing for the data set {kind!r}")
    if kind == "gaussian":
        return _gaussian(table, name)
    if kind == "kink" and (
        isinstance(table["delta"], bool) or not isinstance(table["delta"], (int, float))
    ):
        raise TypeError(f"{where}.delta must be a number, got {_shown(table['delta'])}")
    problem = datasets.kink(float(table["delta"])) if kind == "kink" else _PUBLISHED[kind]()
    recipe = [("dataset", kind)] + ([("delta", float(table["delta"]))] if kind == "kink" else [])
    return ProblemSpec(name or str(problem.name), problem.m, problem.N, tuple(recipe))


def _gaussian(table: Mapping[str, Any], name: str | None) -> ProblemSpec:
    m, N = check_count("m", table["m"], 1), check_count("N", table["N"], 1)
    sparsity = check_count("sparsity", table["sparsity"], 1)
    if sparsity > N:
        raise ValueError(f"sparsity must be at most N = {N}, got {sparsity}")
    recipe: list[tuple[str, Any]] = [
        *(("dataset", "gaussian"), ("m", m), ("N", N), ("sparsity", sparsity))
    ]
    shown = f"gaussian {m} x {N}, {sparsity}-sparse"
    if "rng" in table:
        recipe.append(("rng", check_count("rng", table["rng"], 0)))
        shown += f", rng {table['rng']}"
    return ProblemSpec(name or shown, m, N, tuple(recipe))


def _from_file(table: Mapping[str, Any], name: str | None, where: str) -> ProblemSpec:
    """The problem in an archive with A and y, or in a file for each."""
    for key in ("file", "y"):
        if not isinstance(table.get(key, ""), str):
            raise TypeError(f"{where}.{key} must be a text, got {_shown(table[key])}")
    path, y_path = Path(table["file"]), Path(table["y"]) if "y" in table else None
    try:
        A, y = read_arrays(path, y_path)
    except FileProblem as mistake:
        hint = f" ({where}.y)" if "another file for y" in str(mistake) else ""
        raise ValueError(f"{where}: {mistake}{hint}") from None
    return _from_data(Problem(A, y), name or path.stem)
