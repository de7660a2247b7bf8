"""How a grid is cut: into chunks on disk, pieces of work, and batches solved together.

The cuts follow from the config alone, so that every executor gives the same bits: a path
through a batch of initialisations depends on which they are, but on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln.sweep_grid import Config
from fastdln.sweep_quantities import MISSING, QUANTITIES, Quantity, Variable

__all__ = ["Layout", "Piece", "blank", "chunk_bytes", "cut", "grid_bytes", "make_layout"]

_TOGETHER = 64  # initialisations on one path, at most
_BATCH_SECONDS = 20.0
_CHUNK_SECONDS = 1.0  # about what a kill may cost
_PIECE_SECONDS = 0.03
_LAST = 2  # pieces that each worker still gets when they begin to shrink
_CHUNK_BYTES = 1 << 24
_MOST = 4096  # configurations in a chunk


@dataclass(frozen=True)
class Layout:
    """The index grid of one quantity and its chunks."""

    quantity: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    batch: int  # initialisations solved together
    piece: int  # batches sent out together

    def chunks(self) -> Iterator[tuple[int, ...]]:
        """Chunk indices, in the order of the grid."""
        counts = (math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True))
        return product(*(range(count) for count in counts))

    def ranges(self, chunk: tuple[int, ...]) -> list[range]:
        """What of each axis is in the chunk."""
        return [
            range(k * c, min((k + 1) * c, n))
            for k, c, n in zip(chunk, self.chunk, self.shape, strict=True)
        ]

    def batch_counts(self, chunk: tuple[int, ...]) -> list[int]:
        """Number of batches along each axis of a chunk."""
        lengths = (len(part) for part in self.ranges(chunk))
        return [
            math.ceil(length / self.batch) if axis == "size" else length
            for axis, length in zip(self.axes, lengths, strict=True)
        ]

    def batches(self, chunk: tuple[int, ...], piece: Piece) -> Iterator[dict[str, Any]]:
        """Place in a chunk of each batch: an index for each axis, a slice of initialisations."""
        counts = self.batch_counts(chunk)
        ends = dict(zip(self.axes, (len(part) for part in self.ranges(chunk)), strict=True))
        for first in range(piece.start, piece.stop):
            number = first
            place: dict[str, Any] = {}
            for axis, count in zip(self.axes[::-1], counts[::-1], strict=True):
                number, k = divmod(number, count)
                start = k * self.batch
                place[axis] = (
                    slice(start, min(start + self.batch, ends[axis])) if axis == "size" else k
                )
            yield {axis: place[axis] for axis in self.axes}

    def number(self, where: Mapping[str, Any]) -> int:
        """Number of a batch's first configuration in a grid that is one chunk."""
        number = 0
        for axis, length in zip(self.axes, self.shape, strict=True):
            k = where[axis]
            number = number * length + (k.start if isinstance(k, slice) else k)
        return number

    @staticmethod
    def count(where: Mapping[str, Any]) -> int:
        """Number of configurations in a batch."""
        block = where.get("size")
        return 1 if block is None else block.stop - block.start

    def part(self, config: Config, chunk: tuple[int, ...]) -> tuple[Config, Layout]:
        """One chunk as a grid of its own."""
        ranges = dict(zip(self.axes, self.ranges(chunk), strict=True))
        shape = tuple(len(part) for part in ranges.values())
        return config.part(ranges), replace(self, shape=shape, chunk=shape)

    def plain(self) -> dict[str, Any]:
        """As it is kept in the store."""
        return {"chunk": list(self.chunk), "batch": self.batch, "piece": self.piece}

    def as_kept(self, kept: Mapping[str, Any]) -> Layout:
        """The same grid with the cuts that a store was made with."""
        return replace(self, chunk=tuple(kept["chunk"]), batch=kept["batch"], piece=kept["piece"])


@dataclass(frozen=True)
class Piece:
    """Batches `start` to `stop` of one chunk."""

    quantity: str
    chunk: tuple[int, ...]
    start: int
    stop: int


def cut(
    todo: Iterable[tuple[Layout, tuple[int, ...]]], grain: float, least: float, workers: int
) -> Iterator[Piece]:
    """The work on some chunks, in pieces of `grain` times the usual size, or less: equal ones.

    They get smaller towards the end, down to `least`, so that no worker waits long for the last.
    """
    counted = [(layout, chunk, math.prod(layout.batch_counts(chunk))) for layout, chunk in todo]
    left = sum(count / layout.piece for layout, _, count in counted)  # usual pieces
    for layout, chunk, count in counted:
        first = 0
        while first < count:
            size = min(grain, max(left / (_LAST * workers), least))
            parts = math.ceil((count - first) / max(1, int(size * layout.piece)))
            stop = first + math.ceil((count - first) / parts)
            yield Piece(layout.quantity, chunk, first, stop)
            left -= (stop - first) / layout.piece
            first = stop


def make_layout(quantity: Quantity, config: Config, wanted: int | None = None) -> Layout:
    """Chunks of about a second's work, or of about `wanted` configurations."""
    lengths = config.axes
    axes = tuple(axis for axis in lengths if axis in ("problem", "seed") or axis in quantity.axes)
    shape = tuple(lengths[axis] for axis in axes)
    together = 1
    if quantity.together and "size" in axes:
        each = max(quantity.seconds(spec.m, spec.N, _TOGETHER) for spec in config.problems)
        together = min(_TOGETHER, max(1, int(_BATCH_SECONDS / each)), lengths["size"])
    each = max(quantity.seconds(spec.m, spec.N, together) for spec in config.problems)
    if wanted is None:
        bytes_each = sum(_size(variable, config) for variable in quantity.all_variables(config))
        wanted = min(int(_CHUNK_SECONDS / each), _CHUNK_BYTES // bytes_each, _MOST)
    wanted = max(wanted, 1)
    chunk, room = [], wanted
    for axis, length in zip(axes[::-1], shape[::-1], strict=True):
        unit = together if axis == "size" else 1
        part = min(length, max(unit, room // unit * unit))
        chunk.append(part)
        room = max(1, room // part)
    piece = max(1, int(_PIECE_SECONDS / (each * together)))
    return Layout(quantity.name, axes, shape, tuple(chunk[::-1]), together, piece)


def _size(variable: Variable, config: Config) -> int:
    """Bytes for one configuration."""
    inner = math.prod(config.inner[name] for name in variable.inner)
    return int(np.dtype(variable.dtype).itemsize) * inner


def grid_bytes(layout: Layout, config: Config) -> int:
    """Bytes of all arrays of a quantity."""
    each = sum(_size(v, config) for v in QUANTITIES[layout.quantity].all_variables(config))
    return math.prod(layout.shape) * each


def chunk_bytes(layout: Layout, config: Config) -> int:
    """Bytes of one chunk of all arrays of a quantity."""
    each = sum(_size(v, config) for v in QUANTITIES[layout.quantity].all_variables(config))
    return math.prod(layout.chunk) * each


def blank(layout: Layout, config: Config, rows: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Arrays of `rows` configurations, filled with what stands for no value."""
    quantity = QUANTITIES[layout.quantity]
    return {
        variable.name: np.full(
            (*rows, *(config.inner[name] for name in variable.inner)),
            np.nan if variable.dtype == "<f8" else MISSING,
            dtype=variable.dtype,
        )
        for variable in quantity.all_variables(config)
    }
