"""Pictures of the papers' three figures, for print in black and white as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fastdln.figures import (
    KINK_DELTAS,
    KINK_DEPTHS,
    PUBLISHED_DECADES,
    ConvergenceFigure,
    Curve,
    FunctionsFigure,
    kink_constant,
    kink_epsilon,
)
from fastdln.results import FlowPath

__all__ = [
    "RC",
    "SHADE",
    "STYLES",
    "draw_convergence",
    "draw_flow",
    "draw_functions",
    "draw_kinks",
    "save",
]

RC = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.handlelength": 3.4,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "savefig.dpi": 200,
    "svg.hashsalt": "fastdln",  # the same picture gives the same file
    "pdf.fonttype": 42,
}

# Dark to light, so that the order survives a photocopier; styles and markers differ too.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": "-", "marker": "o"},
    {"color": "#7b1fa2", "linestyle": (0, (6, 2)), "marker": "s"},
    {"color": "#0277bd", "linestyle": (0, (1.2, 1.4)), "marker": "^"},
    {"color": "#e08214", "linestyle": (0, (6, 2, 1.2, 2)), "marker": "D"},
)
SHADE = "#eceff1"
_DISTANCE = r"$\Vert\psi_\alpha(\infty) - W_p(A, y)\Vert_2$"
_EPSILON = r"$\varepsilon = \alpha^p$"


def draw_convergence(figure: ConvergenceFigure) -> Figure:
    """Figure 1: a column per problem, a curve per depth; the papers' range, then all of it."""
    names = list(dict.fromkeys(curve.problem for curve in figure.curves))
    n_rows = 2 if len(figure.curves[0].log10_epsilon) > PUBLISHED_DECADES + 1 else 1
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(11.0, 0.4 + 3.5 * n_rows), layout="constrained")
        grid = picture.subplots(n_rows, len(names), squeeze=False)
        for name, column in zip(names, grid.T, strict=True):
            curves = [curve for curve in figure.curves if curve.problem == name]
            labels = [f"$p = {curve.p:g}$" for curve in curves]
            for axes, stop in zip(column, (PUBLISHED_DECADES + 1, None), strict=False):
                _log_log(axes, curves, labels, stop)
                axes.set_xlabel(_EPSILON)
            _shade_beyond(axes)
            if n_rows == 2:
                _name_slopes(axes, curves[0], curves[-1])
            column[0].set_title(name)
            column[0].legend(loc="lower right")
        for axes in grid[:, 0]:
            axes.set_ylabel(_DISTANCE)
    return picture


def draw_kinks(figure: ConvergenceFigure, window: float = -15.0) -> Figure:
    """Figure 2: one panel per depth, one curve per delta, down to log10 eps = `window`."""
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(11.0, 3.9), layout="constrained")
        panels = picture.subplots(1, len(KINK_DEPTHS), sharey=True)
        for axes, p in zip(panels, KINK_DEPTHS, strict=True):
            curves = [curve for curve in figure.curves if curve.p == p]
            stop = int(np.sum(curves[0].log10_epsilon >= window))
            _log_log(axes, curves, [rf"$\delta = {delta:g}$" for delta in KINK_DELTAS], stop)
            for delta, curve, style in zip(KINK_DELTAS, curves, STYLES, strict=True):
                _draw_prediction(axes, delta, p, curve, style["color"])
            axes.set_xlim(float(curves[0].log10_epsilon[stop - 1]) - 0.3, 0.3)
            axes.set_ylim(window, 1.0)
            _shade_beyond(axes)
            axes.set_title(f"$p = {p:g}$")
            axes.set_xlabel(_EPSILON)
            axes.legend(loc="lower right")
        panels[0].set_ylabel(_DISTANCE)
    return picture


def draw_functions(figure: FunctionsFigure) -> Figure:
    """Figure 3: q_p, g_p and h_p side by side."""
    limits = {"q": (0.0, 3.0), "g": (-1.2, 3.0), "h": (-20.0, 20.0)}
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(11.0, 3.7), layout="constrained")
        for axes, (name, bounds) in zip(picture.subplots(1, 3), limits.items(), strict=True):
            curves = [curve for curve in figure.curves if curve.function == name]
            for curve, style in zip(curves, STYLES, strict=True):
                line = {key: style[key] for key in ("color", "linestyle")}
                axes.plot(curve.x, curve.value, label=f"$p = {curve.p:g}$", **line)
            axes.set_xlim(float(curves[0].x[0]), float(curves[0].x[-1]))
            axes.set_ylim(*bounds)
            axes.set_xlabel("$t$" if name == "h" else "$x$")
            axes.set_ylabel(f"${name}_p({'t' if name == 'h' else 'x'})$")
            axes.legend(loc="upper left" if name == "h" else "upper center")
    return picture


def draw_flow(path: FlowPath, shown: int = 8) -> Figure:
    """psi, the weights and the loss over log t; activation times as vertical lines.

    The `shown` coordinates that grow largest are drawn in colour, the others in grey.
    """
    inside = (path.t > 0.0) & np.isfinite(path.t)
    t = path.t[inside]
    largest = np.argsort(-np.max(np.abs(path.psi), axis=0), kind="stable")
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(11.0, 3.9), layout="constrained")
        panels = picture.subplots(1, 3)
        for axes, values, name in zip(
            panels, (path.psi, path.u, path.loss[:, np.newaxis]),
            (r"$\psi_i$", "$u_i$ (and $v_i$, thin)", "loss"), strict=True,
        ):  # fmt: skip
            for rank, i in enumerate([0] if values.shape[1] == 1 else largest):
                style = {key: STYLES[rank % 4][key] for key in ("color", "linestyle")}
                if rank >= shown:
                    style = {"color": "#b0bec5", "linestyle": "-", "zorder": 0}
                axes.plot(t, values[inside, i], **style)
                if values is path.u:
                    axes.plot(t, path.v[inside, i], linewidth=0.6, **style)
            for event in path.events:
                if event.coordinate >= 0 and event.t > 0.0:
                    axes.axvline(event.t, color="#90a4ae", linewidth=0.6, zorder=0)
            if t.size > 1 and t[-1] > 20.0 * t[0]:
                axes.set_xscale("log")
            axes.set_xlabel("$t$")
            axes.set_ylabel(name)
        if np.all(path.loss[inside] > 0.0):
            panels[2].set_yscale("log")
    return picture


def save(picture: Figure, path: Path) -> None:
    """Write the picture in the format of the path's ending, the same bytes each time."""
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context(RC):
        picture.savefig(path, metadata=undated[path.suffix[1:]])


def _log_log(
    axes: Any, curves: Sequence[Curve], labels: Sequence[str], stop: int | None = None
) -> None:
    """Draw log10 values on linear axes: a log axis would lose distances below 1e-308."""
    for k, (curve, label, style) in enumerate(zip(curves, labels, STYLES, strict=True)):
        x, y = curve.log10_epsilon[:stop], curve.log10_distance[:stop]
        every = 1 if len(x) < 14 else len(x) // 6
        marks = slice(k * every // len(STYLES), None, every)  # no two curves at one place
        axes.plot(x, y, label=label, markevery=marks, markerfacecolor="white", **style)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 3, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{value:.0f}}}$"))


def _shade_beyond(axes: Any) -> None:
    """Shade what lies below the papers' last eps."""
    low, high = axes.get_xlim()
    if low < -PUBLISHED_DECADES - 1:
        axes.axvspan(low, -PUBLISHED_DECADES, color=SHADE, zorder=0, linewidth=0)
        axes.set_xlim(low, high)
        axes.annotate(
            f"below $10^{{-{PUBLISHED_DECADES}}}$",
            (0.0, 1.0),
            xycoords="axes fraction",
            xytext=(7, -7),
            textcoords="offset points",
            verticalalignment="top",
            fontsize=9,
        )


def _name_slopes(axes: Any, *curves: Curve) -> None:
    """Write the fitted slopes beside two curves, above the upper and below the lower one."""
    middle = len(curves[0].log10_epsilon) * 2 // 3
    lower, upper = sorted(curves, key=lambda curve: float(curve.log10_distance[middle]))
    for curve, shift, place in ((upper, (-6, 5), "right"), (lower, (6, -13), "left")):
        axes.annotate(
            f"slope {curve.slope:.4g}",
            (curve.log10_epsilon[middle], curve.log10_distance[middle]),
            xytext=shift,
            textcoords="offset points",
            horizontalalignment=place,
        )


def _draw_prediction(axes: Any, delta: float, p: float, curve: Curve, color: str) -> None:
    """The straight line constant * eps below the kink, and a cross at the kink."""
    kink = np.log10(kink_epsilon(delta, p))
    x = np.array([curve.log10_epsilon[-1], kink])
    y = x + np.log10(kink_constant(delta, p))
    label = "predicted, kink" if delta == KINK_DELTAS[-1] else None
    line = {"color": color, "linewidth": 0.6, "marker": "x", "markersize": 7, "markevery": [1]}
    axes.plot(x, y, label=label, zorder=1, **line)
