"""Inexact data: digits that are decided, and digits that no algorithm can decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import datasets
from fastdln._table import Table
from fastdln.experiments import Experiment
from fastdln.hardness import Answer, HardnessMap, certify_digits, hardness_map

__all__ = ["hardness"]

Array = NDArray[np.float64]

TIES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
_AT = 2.0  # digits for the table
_TRANSITION = 0.3  # digits at which the jump of the kink family shows


class _Panel(NamedTuple):
    name: str
    phases: HardnessMap


class _Transition(NamedTuple):
    tie: float
    decided: float  # largest input error found to be decided
    undecidable: float  # smallest found not to be


def hardness(points: int = 57, ties: Sequence[float] = TIES) -> Experiment:
    """Phase diagrams over the input error, and the transition of the kink family beside theory."""
    errors = np.logspace(-14.0, 0.0, points)
    problems = [
        ("kink, tie 0.001", datasets.kink(1e-3)),
        ("random", datasets.random()),
        ("line (a face)", datasets.line()),
        ("gaussian 10 x 30, 3 nonzeros", datasets.gaussian(10, 30, 3).problem),
    ]
    panels = [_Panel(name, hardness_map(problem, errors)) for name, problem in problems]
    transitions = [_transition(tie) for tie in ties]
    columns = ("problem", "input_error", "bound", "spread", "margin")
    rows = [(panel.name, *row) for panel in panels for row in _points(panel.phases)]
    summary: list[tuple[Any, ...]] = [_row(panel) for panel in panels]
    summary += [(f"kink, tie {t.tie:g}", t.decided, t.undecidable, t.tie / 2) for t in transitions]
    note = (
        f"Input errors between which the answer changes: at {_AT:g} digits for the first four, "
        f"located on the grid; at {_TRANSITION:g} digits by bisection for the kink family, where "
        "half the tie is the exact threshold."
    )
    names = ("problem", "decided up to", "undecidable from", "theory")
    return Experiment(
        "hardness",
        Table(columns, rows),
        Table(names, summary),
        note,
        lambda: _draw(panels, transitions),
    )


def _points(phases: HardnessMap) -> Any:
    arrays = (phases.input_error, phases.bound, phases.spread, phases.margin)
    return zip(*(values.tolist() for values in arrays), strict=True)


def _row(panel: _Panel) -> tuple[Any, ...]:
    phases = panel.phases
    (answers,) = phases.answers(_AT)
    yes = phases.input_error[answers == Answer.YES]
    no = phases.input_error[answers == Answer.NO]
    theory = phases.critical_error
    return (
        panel.name,
        float(yes[-1]) if yes.size else None,
        float(no[0]) if no.size else None,
        None if np.isnan(theory) else theory,
    )


def _transition(tie: float) -> _Transition:
    """Both ends of the gap between yes and no around tie / 2, by bisection in the logarithm."""
    problem = datasets.kink(tie)
    ends = []
    for answer, low, high in ((Answer.YES, tie / 8, tie), (Answer.NO, tie, tie / 8)):
        for _ in range(30):  # `low` has the answer, `high` has not
            middle = float(np.sqrt(low * high))
            if certify_digits(problem, middle, _TRANSITION).answer is answer:
                low = middle
            else:
                high = middle
        ends.append(low)
    return _Transition(tie, *ends)


def _draw(panels: Sequence[_Panel], transitions: Sequence[_Transition]) -> Any:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from fastdln.experiments_drawing import THEORY, canvas

    colours = {Answer.YES: "#cfe8cf", Answer.UNDECIDED: "#f2f2f2", Answer.NO: "#f6cfc4"}
    digits = np.linspace(-1.0, 14.0, 301)
    with canvas(1, 5, 16.0, 4.3) as (picture, (axes,)):
        for ax, panel in zip(axes, panels, strict=False):
            phases = panel.phases
            kinds = {answer: k for k, answer in enumerate(colours)}
            shade = np.vectorize(kinds.get, otypes=[float])(phases.answers(digits))
            x = np.log10(phases.input_error)
            ax.pcolormesh(x, digits, shade, cmap=ListedColormap(list(colours.values())),
                          vmin=0, vmax=2, shading="nearest", rasterized=True)  # fmt: skip
            with np.errstate(divide="ignore"):
                ax.plot(x, -np.log10(phases.bound), color="#2e7d32")
                ax.plot(x, -np.log10(phases.spread), color="#c62828", linestyle=(0, (5, 2)))
            if not np.isnan(phases.critical_error):
                ax.axvline(np.log10(phases.critical_error), **dict(THEORY, linestyle=":"))
            ax.set_xlim(x[0], x[-1])
            ax.set_ylim(digits[0], digits[-1])
            ax.set_title(panel.name)
            ax.set_xlabel(r"$\log_{10}$ of the input error")
        axes[0].set_ylabel("digits of the minimiser")
        _draw_transitions(axes[-1], transitions)
        handles = [Patch(color=colours[a], label=a.name.lower()) for a in colours]
        handles += axes[0].get_lines()[:3]
        names = ["decided", "undecided", "undecidable", "proved bound", "two inputs apart",
                 "theory: support decided up to here"]  # fmt: skip
        picture.legend(handles, names, loc="outside lower center", ncols=6)
    return picture


def _draw_transitions(ax: Any, transitions: Sequence[_Transition]) -> None:
    from fastdln.experiments_drawing import THEORY, measured

    ties = np.array([t.tie for t in transitions])
    ax.loglog(ties, ties / 2, label="theory: tie / 2", **dict(THEORY, linewidth=4.0, alpha=0.6))
    for k, (name, values) in enumerate((
        ("decided up to", [t.decided for t in transitions]),
        ("undecidable from", [t.undecidable for t in transitions]),
    )):  # fmt: skip
        style = dict(measured(k, line=False), markersize=4.0 + 4.0 * k, markerfacecolor="none")
        ax.loglog(ties, values, label=name, **style)
    ax.set_title("kink family")
    ax.set_xlabel("tie")
    ax.set_ylabel("input error")
    ax.legend(loc="upper left")
