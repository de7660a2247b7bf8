"""The head of the history: what each release gained and lost against the one before it."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import gate

# Prefixes of the benchmarks, and the factor within which two values are the same: for
# times, that by which identical code moved on the machine of the records.
KINDS = {
    "accuracy and work": (("track_",), gate.FACTORS["track_"]),
    "time": (("time_", "timeraw_"), 1.5),
    "peak memory": (("peakmem_",), gate.FACTORS["peakmem_"]),
}

Entry = dict[str, Any]
Values = dict[tuple[str, str], float]


class Change(NamedTuple):
    """Ratios, now over before, of the values that both releases have; keys with threads."""

    same: int
    gained: dict[str, float]
    lost: dict[str, float]
    median: float | None


def section(
    releases: list[tuple[str, list[Entry]]], processors: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Lines of markdown; nothing for a single release.

    `processors`: those of releases that were not recorded on the usual one. Times of two
    processors are not compared.
    """
    if len(releases) < 2:
        return
    processors = processors or {}
    yield "## At a glance\n"
    yield "| release | against | kind | same | better | worse | median ratio |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    losses = []
    for (old, before), (new, after) in itertools.pairwise(releases):
        for kind, (prefixes, factor) in KINDS.items():
            if kind == "time" and processors.get(old) != processors.get(new):
                yield f"| {new} | {old} | time | another processor: not compared | - | - | - |"
                continue
            change = compare(_values(before, prefixes), _values(after, prefixes), factor)
            counts = f"{change.same} | {len(change.gained)} | {len(change.lost)}"
            middle = f"{change.median:.3g}" if change.median else "-"
            yield f"| {new} | {old} | {kind} (factor {factor:g}) | {counts} | {middle} |"
            losses += [f"- {new}: `{key}`, {ratio:.3g} times" for key, ratio in change.lost.items()]
    yield ""
    yield "Worse than in the release before:" if losses else "Nothing got worse.\n"
    if losses:
        yield ""
        yield from losses
        yield ""


def compare(before: Values, after: Values, factor: float) -> Change:
    """Of the values that both have; a ratio of two zeros is 1."""
    ratios = {
        key[0]: _ratio(before[key], after[key]) for key in sorted(before.keys() & after.keys())
    }
    gained = {key: ratio for key, ratio in ratios.items() if ratio * factor < 1.0}
    lost = {key: ratio for key, ratio in ratios.items() if ratio > factor}
    middle = statistics.median(ratios.values()) if ratios else None
    return Change(len(ratios) - len(gained) - len(lost), gained, lost, middle)


def _ratio(before: float, after: float) -> float:
    if before == after:
        return 1.0
    return after / before if before else float("inf")


def _values(entries: list[Entry], prefixes: tuple[str, ...]) -> Values:
    """By key and version: under another version a benchmark measured something else."""
    values = {}
    for entry in entries:
        threads = entry["env_vars"]["NUMBA_NUM_THREADS"]
        for name in entry["results"]:
            if name.rsplit(".", 1)[-1].startswith(prefixes):
                for key, fields in gate.rows_of(entry, name):
                    value = fields.get("result")
                    if isinstance(value, int | float) and math.isfinite(value):
                        values[f"{key}, threads {threads}", fields["version"]] = value
    return values
