"""What the pictures of the experiments share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fastdln.plotting import RC, STYLES

__all__ = ["THEORY", "canvas", "legend_below", "measured"]

THEORY: dict[str, Any] = {"color": "#9e9e9e", "linewidth": 1.1, "zorder": 1}


@contextmanager
def canvas(rows: int, columns: int, width: float, height: float, **options: Any) -> Iterator[Any]:
    """A figure and its axes, (rows, columns), in the package's style while in the block."""
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(width, height), layout="constrained")
        yield picture, np.asarray(picture.subplots(rows, columns, squeeze=False, **options))


def measured(k: int, line: bool = True) -> dict[str, Any]:
    """The look of curve k: hollow markers, with a line or without."""
    style = dict(STYLES[k % len(STYLES)], markerfacecolor="white")
    return style if line else dict(style, linestyle="none")


def legend_below(picture: Figure, panels: Iterable[Any], columns: int) -> None:
    """One legend below all panels, so that it covers no data: measurements, then theory."""
    named: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    order = sorted(named, key=lambda label: label.startswith("theory"))
    handles = [named[label] for label in order]
    picture.legend(handles, order, loc="outside lower center", ncols=columns)
