"""Events along a flow: looked for on accepted steps only, located on the dense output."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._flow_engine import Segments
from fastdln.results import FlowEvent

__all__ = ["Activation", "ResidualBelow", "Watcher", "check_events"]

Array = NDArray[np.float64]

_SAMPLES = 4  # looks within each step: what crosses twice between two looks is missed
_TINY = 1e-320


@dataclass(frozen=True)
class Activation:
    """An event of `gradient_flow`: some |psi_i| crosses a level, up or down.

    Attributes
    ----------
    level : float
        The level, positive.

    Examples
    --------
    >>> import fastdln as fd
    >>> path = fd.gradient_flow(fd.datasets.line(), 2, 1e-4, 3.0, events=[fd.Activation(0.1)])
    >>> [(event.coordinate, round(event.t, 3)) for event in path.events]
    [(0, 0.338), (2, 1.82), (1, 2.006)]
    """

    level: float


@dataclass(frozen=True)
class ResidualBelow:
    """An event of `gradient_flow`: the norm of A psi - y crosses a level.

    Attributes
    ----------
    level : float
        The level, positive.

    Examples
    --------
    >>> import fastdln as fd
    >>> events = [fd.ResidualBelow(1e-3)]
    >>> path = fd.gradient_flow(fd.datasets.line(), 2, 1e-4, 10.0, events=events)
    >>> [round(event.t, 3) for event in path.events]
    [3.702]
    """

    level: float


def check_events(events: Any) -> tuple[Any, ...]:
    """The argument `events` of a flow."""
    if isinstance(events, (Activation, ResidualBelow)) or callable(events):
        events = (events,)
    try:
        events = tuple(events)
    except TypeError:
        raise TypeError(f"events must be a sequence of events, got {events!r}") from None
    for i, event in enumerate(events):
        if isinstance(event, (Activation, ResidualBelow)):
            if not 0.0 < event.level < math.inf:
                raise ValueError(f"events[{i}]: level must be positive, got {event.level!r}")
        elif not callable(event):
            raise TypeError(
                f"events[{i}] must be an Activation, a ResidualBelow or a function of t and psi, "
                f"got {type(event).__name__}"
            )
    return events


class Watcher:
    """Finds the crossings of all events, stretch by stretch."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = events
        self._hits: list[FlowEvent] = []

    def found(self) -> tuple[FlowEvent, ...]:
        """All of them, in the order of time."""
        return tuple(sorted(self._hits, key=lambda hit: (hit.t, hit.event, hit.coordinate)))

    def search(self, segments: Segments) -> None:
        """Look through one stretch."""
        if not self._events:
            return
        ends = segments.times
        steps = np.linspace(0.0, 1.0, _SAMPLES, endpoint=False)
        inner = ends[:-1, np.newaxis] + np.diff(ends)[:, np.newaxis] * steps
        times = np.append(inner.ravel(), ends[-1])
        seen = segments.observe(times)
        for index, event in enumerate(self._events):
            watch = _watch(index, event)
            values = np.array(
                [watch(*row) for row in zip(times.tolist(), seen.psi, seen.losses(), strict=True)]
            )
            rises = (values[:-1] < 0.0) & (values[1:] >= 0.0)
            falls = (values[:-1] >= 0.0) & (values[1:] < 0.0)
            for k, column in np.argwhere(rises | falls).tolist():
                self._locate(segments, index, watch, times[k : k + 2], values[k : k + 2, column],
                             column, bool(rises[k, column]))  # fmt: skip

    def _locate(
        self, segments: Segments, index: int, watch: Callable[..., Array], bracket: Array,
        values: Array, column: int, rising: bool,
    ) -> None:  # fmt: skip
        def value(t: float) -> float:
            seen = segments.observe(np.array([t]))
            return float(watch(t, seen.psi[0], seen.losses()[0])[column])

        t = _root(value, float(bracket[0]), float(bracket[1]), float(values[0]), float(values[1]))
        psi = segments.observe(np.array([t])).psi[0]
        coordinate = column if isinstance(self._events[index], Activation) else -1
        self._hits.append(FlowEvent(t, index, coordinate, rising, psi))


def _watch(index: int, event: Any) -> Callable[[float, Array, float], Array]:
    """The numbers whose sign changes are sought: logarithms, in which exponentials are lines."""
    if isinstance(event, Activation):
        level = math.log(event.level)
        return lambda t, psi, loss: np.log(np.maximum(np.abs(psi), _TINY)) - level
    if isinstance(event, ResidualBelow):
        level = math.log(event.level)
        return lambda t, psi, loss: np.array([0.5 * math.log(max(2.0 * loss, _TINY)) - level])

    def call(t: float, psi: Array, loss: float) -> Array:
        try:
            value = float(event(t, psi))
        except Exception as error:
            raise ValueError(f"events[{index}] failed at t = {t!r}: {error!r}") from error
        if math.isnan(value):
            raise ValueError(f"events[{index}] must return a number, got NaN at t = {t!r}")
        return np.array([value])

    return call


def _root(f: Callable[[float], float], a: float, b: float, fa: float, fb: float) -> float:
    """A sign change of f in [a, b]: regula falsi after Illinois, halved where that is slow."""
    for k in range(200):
        if fb == 0.0 or b - a <= 4e-16 * abs(b):
            break
        t = 0.5 * (a + b)
        if k % 3 and math.isfinite(fa) and math.isfinite(fb):
            t = b - fb * (b - a) / (fb - fa)
            if not a < t < b:
                t = 0.5 * (a + b)
        if not a < t < b:
            break
        value = f(t)
        if (value < 0.0) == (fa < 0.0):
            a, fa, fb = t, value, 0.5 * fb if k % 3 else fb
        else:
            b, fb, fa = t, value, 0.5 * fa if k % 3 else fa
    return b
