"""One case: contenders on one problem, timed in turns, kept as plain values for JSON."""

from __future__ import annotations

import gc
import importlib.metadata
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Run = Callable[[], Array]

LEAST = 0.005  # seconds a sample lasts at least: quick calls are repeated within it


class Contender(NamedTuple):
    """A solver at one setting. `make` imports it, prepares, and returns what is timed."""

    name: str
    make: Callable[[], Run]
    setting: str = ""
    ours: bool = False
    compiles: bool = False  # on its first call, which is then never counted; ours always may


class Case(NamedTuple):
    """One problem, the contenders, and how far from the truth an answer is."""

    name: str
    about: str
    contenders: list[Contender]
    error_of: Callable[[Array], float]
    error_name: str
    floor: float = 0.0  # errors below it are as good as none
    per: float = 1.0  # seconds are told divided by this,
    unit: str = "call"  # and this is what they are then seconds of
    drawn: bool = False  # as time against error
    most: float = 3.0  # seconds: what takes longer runs once, and no tighter setting of it is run


class Limits(NamedTuple):
    """How long to measure."""

    rounds: int
    seconds: float  # for the rounds of a case

    @classmethod
    def of(cls, quick: bool) -> Limits:
        """Seven rounds, or three where they take long; one in the tests."""
        return cls(1, 1.0) if quick else cls(7, 8.0)


def timed(run: Run, count: int = 1) -> tuple[float, Array]:
    """Seconds a call, and the last answer."""
    start = time.perf_counter()
    for _ in range(count):
        answer = run()
    return (time.perf_counter() - start) / count, answer


def hold(case: Case, limits: Limits) -> tuple[dict[str, Any], list[str]]:
    """Measure a case: what is kept of it, and the peers that are not installed.

    Each contender runs once uncounted, which compiles, loads and measures it; then all of
    them take turns, forwards and backwards, so that a disturbance hits none alone.
    """
    absent: list[str] = []
    rows: list[dict[str, Any]] = []
    live: list[tuple[dict[str, Any], Run, int]] = []
    stopped: dict[str, str] = {}
    for contender in case.contenders:
        row = {"name": contender.name, "setting": contender.setting, "ours": contender.ours}
        if contender.name in absent:
            continue
        if contender.name in stopped:
            rows.append({**row, "seconds": [], "error": None, "note": stopped[contender.name]})
            continue
        run = prepared(contender)
        if run is None:
            absent.append(contender.name)
            continue
        first, answer = timed(run)
        if contender.compiles or contender.ours:
            first, answer = timed(run)
        error = float(case.error_of(answer))
        row |= {"seconds": [], "error": error if math.isfinite(error) else None}
        row["note"] = "gave up" if math.isnan(error) else ""
        rows.append(row)
        if first > case.most:
            row |= {"seconds": [first], "note": row["note"] or "once"}
            stopped[contender.name] = f"not run: the setting before took {first:.1f} s"
        else:
            again = timed(run)[0] if first < 10 * LEAST else first
            live.append((row, run, max(1, math.ceil(LEAST / again))))
    _rounds(live, limits)
    return {
        "name": case.name, "about": case.about, "error": case.error_name, "floor": case.floor,
        "per": case.per, "unit": case.unit, "drawn": case.drawn, "rows": rows,
    }, absent  # fmt: skip


def prepared(contender: Contender) -> Run | None:
    """What is timed; None, and a word, where the peer is not installed."""
    try:
        return contender.make()
    except ModuleNotFoundError as missing:
        print(f"    {contender.name} is skipped: {missing.name} is not installed", flush=True)
        return None


def _rounds(live: list[tuple[dict[str, Any], Run, int]], limits: Limits) -> None:
    start = time.perf_counter()
    gc.collect()
    for turn in range(limits.rounds):
        for row, run, count in live if turn % 2 == 0 else reversed(live):
            row["seconds"].append(timed(run, count)[0])
        used = time.perf_counter() - start
        if turn >= 2 and used * (turn + 2) / (turn + 1) > limits.seconds:
            break


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of each package that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def relative(exact: Array, floor: float = 0.0) -> Callable[[Array], float]:
    """Largest |answer - exact| / (|exact| + floor); NaN where an answer has not its shape."""

    def error(answer: Array) -> float:
        if np.shape(answer) != exact.shape:
            return math.nan
        with np.errstate(all="ignore"):
            return float(np.max(np.abs(answer - exact) / (np.abs(exact) + floor)))

    return error


def distance(exact: Array) -> Callable[[Array], float]:
    """||answer - exact|| / ||exact||, both in l2."""
    return lambda answer: float(np.linalg.norm(answer - exact) / np.linalg.norm(exact))
