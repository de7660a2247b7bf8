"""The page of the history: a table for each benchmark, a column for each release."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import gate, glance

KINDS = {
    "Accuracy and work": ("track_",),
    "Time": ("time_", "timeraw_"),
    "Peak memory": ("peakmem_",),
}

_HEAD = """# The history of fastdln, release by release

Written by `python -m benchmarks.release` from `benchmarks/results`; not edited by hand.
Lower is better everywhere. Accuracy and work are the same on every run, and
`python -m benchmarks.gate` fails on a loss. Times are medians with their quartiles, on
one shared machine of two cores where the same code moved by a factor of up to 1.5: a
difference within that is none. A dash: the release does not have it, or it was not
measured then.
"""

Entry = dict[str, Any]


def page(folder: Path | None = None) -> str:
    """The whole page, in markdown."""
    releases = [
        (release["version"], entries)
        for release in gate.releases()
        if (entries := gate.results_of(release["commit"], folder))
    ]
    known = gate.releases()
    processors = {r["version"]: r["processor"] for r in known if "processor" in r}
    parts = [_HEAD, *_environment(releases, processors), *glance.section(releases, processors)]
    everything = [entry for _, entries in releases for entry in entries]
    names = sorted({name for entry in everything for name in entry["results"]})
    for title, prefixes in KINDS.items():
        chosen = [name for name in names if _kind(name) in prefixes]
        if chosen:
            parts.append(f"## {title}\n")
            parts += [_section(name, releases) for name in chosen]
    return "\n".join(parts)


def _kind(name: str) -> str:
    return name.rsplit(".", 1)[-1].partition("_")[0] + "_"


def _environment(
    releases: list[tuple[str, list[Entry]]], processors: dict[str, str]
) -> Iterator[str]:
    for version, entries in releases:
        pinned = sorted(entries[0]["requirements"].items())
        versions = ", ".join(f"{package} {number}" for package, number in pinned)
        where = f"; on {processors[version]}" if version in processors else ""
        yield f"- {version}: commit `{entries[0]['commit_hash'][:8]}`, {versions}{where}"
    yield ""


def _section(name: str, releases: list[tuple[str, list[Entry]]]) -> str:
    """Heading, what it measures, and the table."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for version, entries in releases:
        for entry in entries:
            if name in entry["results"]:
                for _, fields in gate.rows_of(entry, name):
                    row = rows.setdefault(_label(name, entry, fields["choice"]), {})
                    row[version] = _cell(_kind(name), fields)
    versions = [version for version, _ in releases]
    head = [*_parameters(name, releases), *versions]
    lines = [f"### `{name}`\n", _about(name), _line(head), _line(["---"] * len(head))]
    lines += [
        _line([*label, *(row.get(version, "-") for version in versions)])
        for label, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _label(name: str, entry: Entry, choice: list[str]) -> tuple[str, ...]:
    """Parameters; and the number of threads, on which neither work nor accuracy depends."""
    values = tuple(value.strip("'") for value in choice)
    if _kind(name) == "track_":
        return values or ("all",)
    return (*values, entry["env_vars"]["NUMBA_NUM_THREADS"])


def _parameters(name: str, releases: list[tuple[str, list[Entry]]]) -> list[str]:
    """Names of the parameters, as the suite has them now."""
    group, _ = _find(name)
    found = [e["results"][name] for _, entries in releases for e in entries if name in e["results"]]
    count = len(found[0][1] if len(found[0]) > 1 and found[0][1] else [])
    names = list(getattr(group, "param_names", ()))
    names = names if len(names) == count else [f"parameter {i + 1}" for i in range(count)]
    if _kind(name) == "track_":
        return names or ["over"]
    return [*names, "threads"]


def _find(name: str) -> tuple[type | None, Any]:
    """Class and method of a recorded benchmark, where they still are."""
    module, group_name, method = name.split(".")
    try:
        group = getattr(importlib.import_module(f"benchmarks.{module}"), group_name)
        return group, getattr(group, method)
    except (ImportError, AttributeError):
        return None, None


def _about(name: str) -> str:
    """First paragraphs of the docstrings and the unit; or why it is no more."""
    group, method = _find(name)
    if method is None:
        return f"No more in the suite: {gate.RETIRED.get(name, 'see the later releases')}.\n"
    texts = [(inspect.getdoc(part) or "").split("\n\n")[0] for part in (group, method)]
    unit = getattr(method, "unit", "")
    text = re.sub(r"\s+", " ", " ".join(texts)).strip()
    return f"{text} Unit: {unit}.\n" if unit else f"{text}\n"


def _cell(kind: str, fields: dict[str, Any]) -> str:
    """A value, with its quartiles where it has them."""
    value = fields.get("result")
    if value is None or not math.isfinite(value):
        return "-"
    if kind == "track_":
        return f"{value:.5g}"
    if kind == "peakmem_":
        return f"{value / 1e6:.0f} MB"
    scale, unit = next(((s, u) for s, u in ((1, "s"), (1e3, "ms")) if value * s >= 1), (1e6, "µs"))
    low, high = fields.get("stats_q_25"), fields.get("stats_q_75")
    text = f"{_short(value * scale)} {unit}"
    if low is None or high is None or low == high or not (fields.get("stats_repeat") or 0) > 1:
        return text
    return f"{text} ({_short(low * scale)} to {_short(high * scale)})"


def _short(value: float) -> str:
    """Three figures, never as a power of ten."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
