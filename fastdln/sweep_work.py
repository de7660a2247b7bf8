"""The work on one piece of a sweep, in whichever thread or process it lands."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln import _threads
from fastdln.problem import Problem
from fastdln.sweep_grid import Config
from fastdln.sweep_plan import Layout, Piece, blank
from fastdln.sweep_quantities import ERROR, QUANTITIES, Point, Quantity

__all__ = ["PieceResult", "fill_rows", "one_thread_each", "run_piece"]

Values = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PieceResult:
    """Values of configurations that follow each other in their chunk, and what went wrong."""

    first: int  # configuration of the chunk, in the order of the grid
    count: int
    values: Values  # of `count` rows each
    failures: list[dict[str, Any]]


def run_piece(config: Config, layout: Layout, piece: Piece) -> PieceResult:
    """Solve some batches of a grid that is one chunk (`Layout.part`), one after the other."""
    quantity = QUANTITIES[piece.quantity]
    problems = _Builder(config)
    failures: list[dict[str, Any]] = []
    batches = list(layout.batches((0,) * len(layout.axes), piece))
    first = layout.number(batches[0])
    ends = [0, *itertools.accumulate(layout.count(where) for where in batches)]
    out = blank(layout, config, (ends[-1],))
    for group in _groups(quantity, batches):
        start = time.perf_counter()
        found = _solve(quantity, config, [batches[k] for k in group], problems, failures)
        for k, values in zip(group, found, strict=True):
            fill_rows(out, ends[k], values)
        elapsed = time.perf_counter() - start
        rows = np.concatenate([np.arange(ends[k], ends[k + 1]) for k in group])
        out["seconds"][rows] = elapsed / rows.size
    return PieceResult(first, ends[-1], out, failures)


def _groups(quantity: Quantity, batches: list[dict[str, Any]]) -> list[list[int]]:
    """Which batches one call solves: those of one depth and the same initialisations."""
    if not quantity.problems_together:
        return [[k] for k in range(len(batches))]
    groups: dict[Any, list[int]] = {}
    for k, where in enumerate(batches):
        block = where.get("size", slice(0, 1))
        groups.setdefault((where["p"], block.start, block.stop), []).append(k)
    return list(groups.values())


def fill_rows(target: Values, first: int, values: Values) -> None:
    """Rows into their place; a shorter psi leaves the rest blank."""
    for name, rows in values.items():
        if name in target:  # psi is not always kept
            place = target[name][first : first + len(rows)]
            if place.shape != rows.shape:
                place = place[tuple(slice(0, n) for n in rows.shape)]
            place[...] = rows


class _Builder:
    """Problems of one piece, each built once: depths and batches share them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._built: dict[Any, Problem] = {}

    def __call__(self, where: dict[str, Any]) -> Problem:
        key = where["problem"], where.get("seed")
        if key not in self._built:
            seeds = self._config.seed
            seed = None if seeds is None else int(seeds[where["seed"]])
            self._built[key] = self._config.problems[where["problem"]].build(seed)
        return self._built[key]


def _solve(
    quantity: Quantity, config: Config, group: list[dict[str, Any]], problems: _Builder,
    failures: list[dict[str, Any]],
) -> list[Values]:  # fmt: skip
    """Values of some batches. An error among them is taken to the one that causes it."""
    together: Exception | None = None
    if len(group) > 1:
        try:
            with np.errstate(all="ignore"):
                return quantity.solve_all([_point(config, where, problems) for where in group])
        except MemoryError:
            raise
        except Exception as error:
            together = error
    known = len(failures)
    found = [_alone(quantity, config, where, problems, failures) for where in group]
    if together is not None and len(failures) == known:  # no configuration's own: told here
        warnings.warn(
            f"{len(group)} batches of {quantity.name!r} were solved one by one: "
            f"together they raised {_told(together)}",
            RuntimeWarning,
            stacklevel=2,
        )
    return found


def _told(error: Exception) -> str:
    """Type and message in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _alone(
    quantity: Quantity, config: Config, where: dict[str, Any], problems: _Builder,
    failures: list[dict[str, Any]],
) -> Values:  # fmt: skip
    """Values of one batch. An error in it is taken to the configuration that causes it."""
    block = where.get("size", slice(0, 1))
    try:
        with np.errstate(all="ignore"):
            return quantity.solve(_point(config, where, problems))
    except MemoryError:
        raise
    except Exception as error:
        if block.stop - block.start == 1:
            place = {axis: k for axis, k in where.items() if axis != "size"}
            place |= {"size": block.start} if "size" in where else {}
            failures.append({"quantity": quantity.name, "index": place, "message": _told(error)})
            return {"status": np.array([ERROR], np.int8)}
    parts = [
        _alone(quantity, config, {**where, "size": slice(k, k + 1)}, problems, failures)
        for k in range(block.start, block.stop)
    ]
    return _joined(parts)


def _joined(parts: list[Values]) -> Values:
    """Rows of single configurations as one batch; NaN or -1 where one has no values."""
    names = max(parts, key=len)
    out: Values = {}
    for name, like in names.items():
        empty = np.full_like(like, np.nan if like.dtype.kind == "f" else -1)
        out[name] = np.concatenate([part.get(name, empty) for part in parts])
    return out


def _point(config: Config, where: dict[str, Any], problems: _Builder) -> Point:
    step = math.nan if config.step_size is None else config.step_size[where.get("step_size", 0)]
    return Point(
        problem=problems(where),
        p=float(config.p[where["p"]]),
        block=where.get("size", slice(0, 1)),
        step_size=float(step),
        config=config,
    )


_lock = threading.Lock()
_inside = 0
_restore: Any = None
_controller: Any = None


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """BLAS at one thread while any piece of this process is at work, and restored after.

    The sweep has a thread for every core already; and sums of BLAS may change with the
    number of its threads.
    """
    global _inside, _restore, _controller
    from threadpoolctl import ThreadpoolController

    with _lock:
        _inside += 1
        if _inside == 1:
            _controller = _controller or ThreadpoolController()
            _restore = _controller.limit(limits=1)
    try:
        with _threads.single():
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore.restore_original_limits()
