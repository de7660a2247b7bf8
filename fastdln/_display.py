"""How results show themselves: one line for each attribute, however large the arrays."""

from __future__ import annotations

import collections
import dataclasses
from enum import Enum
from typing import Any, ClassVar

import numpy as np

__all__ = ["Displayed"]

_SHORT = 8  # entries of an array that are shown one by one


class Displayed:
    """A dataclass (``repr=False``) that prints its attributes below each other."""

    _computed: ClassVar[tuple[str, ...]] = ()  # properties to print as well

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        names = [field.name for field in fields if field.repr] + list(self._computed)
        width = max(map(len, names))
        rows = [f"  {name:>{width}}: {_brief(getattr(self, name))}" for name in names]
        return "\n".join([type(self).__name__, *rows])


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return _brief_array(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Displayed):
        return f"<{type(value).__name__}>"
    if isinstance(value, tuple) and all(map(dataclasses.is_dataclass, value)):
        return f"{len(value)} x {type(value[0]).__name__}" if value else "none"
    return repr(value)


def _brief_array(array: np.ndarray) -> str:
    shape = " x ".join(map(str, array.shape))
    if array.size == 0:
        return "none"
    if array.dtype == object:
        counts = collections.Counter(map(_brief, array.flat))
        return ", ".join(f"{count} x {name}" for name, count in counts.items())
    if array.dtype == bool:
        return f"{np.count_nonzero(array)} of {shape} are True"
    if array.ndim == 1 and array.size <= _SHORT:
        return np.array2string(array, precision=6, max_line_width=10_000)
    known = array[~np.isnan(array)]
    span = f"{known.min():.6g} to {known.max():.6g}" if known.size else "all NaN"
    unknown = array.size - known.size
    return f"{shape}, {span}" + (f", {unknown} NaN" if unknown and known.size else "")
