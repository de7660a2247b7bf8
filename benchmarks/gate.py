"""Gate: no accuracy and no count of work may be worse than the last release's.

    python -m benchmarks.gate [--memory]

Runs the suite's ``track_`` benchmarks on the working tree, in this environment, and
compares each value with the one recorded for the last release in
``benchmarks/results/reference`` (the last that has results there). They are the same on
every run, so that a worsening by more than a factor of 1.001 fails, as does a recorded
benchmark that is no more.
``--memory`` adds the ``peakmem_`` benchmarks, each in a process of its own, at 1.3; of
that, an environment other than the recorded one makes out up to 50 MB.

Another processor may fuse multiplications and additions otherwise, and move an error by
a part of a unit in the last place: the last lines say what both machines are.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import inspect
import itertools
import json
import math
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
FACTORS = {"track_": 1.001, "peakmem_": 1.3}

# Recorded benchmarks that are no more, and why: `{name: reason}`. A name without its
# parameters stands for all of them.
RETIRED = {
    "bench_functions.Accuracy.track_ulp": "track_largest_ulp took its place, over harder points",
    "bench_flow.Accuracy.track_error": "track_largest_error took its place, over four tolerances: "
    "at one it was 0.006 to 0.017 by the last bits of a processor's LAPACK",
}


class Case(NamedTuple):
    """One benchmark at one choice of its parameters."""

    name: str
    group: type
    method: str
    values: tuple[Any, ...]

    @property
    def key(self) -> str:
        """The name with the parameters as asv writes them."""
        return key_of(self.name, [repr(value) for value in self.values])

    @property
    def version(self) -> str:
        """A value recorded under another version measured something else."""
        return str(getattr(self.group, "version", ""))


class Recorded(NamedTuple):
    """A value of the last release."""

    value: float | None
    version: str


class Row(NamedTuple):
    """One line of the table."""

    key: str
    before: float | None
    after: float | None
    verdict: str
    note: str = ""

    @property
    def lost(self) -> bool:
        """Whether the gate fails on it."""
        return self.verdict == "LOSS"


def key_of(name: str, parameters: list[str]) -> str:
    """``name(a, b)``, or the name alone where there are no parameters."""
    return f"{name}({', '.join(parameters)})" if parameters else name


def cases(prefix: str) -> Iterator[Case]:
    """Every benchmark of the suite whose name starts with `prefix`, parameter by parameter."""
    for path in sorted(HERE.glob("bench_*.py")):
        suite = importlib.import_module(f"benchmarks.{path.stem}")
        for _, group in inspect.getmembers(suite, inspect.isclass):
            if group.__module__ != suite.__name__:
                continue
            for method in sorted(name for name in vars(group) if name.startswith(prefix)):
                name = f"{path.stem}.{group.__name__}.{method}"
                for values in _choices(group):
                    yield Case(name, group, method, values)


def _choices(group: type) -> Iterator[tuple[Any, ...]]:
    columns = getattr(group, "params", ())
    if columns and not isinstance(columns[0], tuple | list):
        columns = (columns,)
    return itertools.product(*columns)


def call(case: Case, caches: dict[type, Any] | None = None) -> Any:
    """Run one as asv does: what `setup_cache` returned, then the parameters."""
    caches = {} if caches is None else caches
    head = []
    if hasattr(case.group, "setup_cache"):
        if case.group not in caches:
            caches[case.group] = case.group().setup_cache()
        head = [caches[case.group]]
    return getattr(case.group(), case.method)(*head, *case.values)


def measure_tracks(prefix: str = "") -> dict[Case, float | str]:
    """The value of each ``track_`` benchmark, or what it raised instead."""
    caches: dict[type, Any] = {}
    values: dict[Case, float | str] = {}
    for case in cases("track_"):
        if case.name.startswith(prefix):
            try:
                values[case] = float(call(case, caches))
            except Exception as error:  # an accuracy past its absolute limit, or a defect
                values[case] = f"{type(error).__name__}: {error}".splitlines()[0]
    return values


# asv's own process holds its runner and every module of the suite; so does this one.
_CHILD = """
import sys
from benchmarks import gate
try:
    from asv_runner.discovery import disc_modules
    list(disc_modules("benchmarks"))
except ImportError:
    pass
{before}
case = next(case for case in gate.cases("peakmem_") if case.key == sys.argv[1])
result = gate.call(case)
print(gate.peak_bytes())
"""


def measure_memory(before: str = "") -> dict[Case, float | str]:
    """Peak of each ``peakmem_`` benchmark in a process of its own that finds its cache."""
    return {case: peak_of(case, before) for case in cases("peakmem_")}


def peak_of(case: Case, before: str = "", runs: int = 2) -> float | str:
    """Bytes; the first of two runs may have to compile."""
    command = [sys.executable, "-c", _CHILD.format(before=before), case.key]
    for _ in range(runs):
        done = subprocess.run(
            command,
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return float(done.stdout.split()[-1])


def _environment() -> dict[str, str]:
    """Two threads, as recorded: each has its own buffers."""
    path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "NUMBA_NUM_THREADS": "2"}


def peak_bytes() -> float:
    """Largest resident size of this process.

    Not `ru_maxrss` where there is a choice: it keeps the size of the process that
    started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return 1024.0 * int(line.split()[1])
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return float(scale * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def releases() -> list[dict[str, str]]:
    """Version and commit of each, oldest first."""
    text = (HERE / "releases.toml").read_text()
    return list(tomllib.loads(text).get("release", []))


def last_recorded() -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The newest release that has results, and these; the newest of all where none has."""
    found = releases()
    for release in reversed(found):
        entries = results_of(release["commit"])
        if entries:
            return release, entries
    return found[-1], []


def results_of(commit: str, folder: Path | None = None) -> list[dict[str, Any]]:
    """What asv recorded for one commit, one entry for each number of threads."""
    folder = folder or HERE / "results" / "reference"
    paths = sorted(folder.glob(f"{commit[:8]}-*.json"))
    found = [json.loads(path.read_text()) for path in paths]
    return [entry for entry in found if entry["commit_hash"] == commit]


def rows_of(entry: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each parameter choice of one recorded benchmark, with its columns by name."""
    columns = dict(zip(entry["result_columns"], entry["results"][name], strict=False))
    choices = [list(choice) for choice in itertools.product(*columns.get("params") or ())]
    for i, choice in enumerate(choices):
        fields = {
            column: values[i]
            for column, values in columns.items()
            if isinstance(values, list) and column != "params" and len(values) == len(choices)
        }
        yield (
            key_of(name, choice),
            {**fields, "choice": choice, "version": str(columns.get("version", ""))},
        )


def recorded(entries: list[dict[str, Any]], prefix: str) -> dict[str, Recorded]:
    """Values of the benchmarks of one kind, the largest over the numbers of threads."""
    values: dict[str, Recorded] = {}
    for entry in entries:
        for name in entry["results"]:
            if name.rsplit(".", 1)[-1].startswith(prefix):
                for key, fields in rows_of(entry, name):
                    value, version = fields.get("result"), fields["version"]
                    known = values.get(key, Recorded(None, version)).value
                    present = [float(v) for v in (value, known) if v is not None]
                    present = [v for v in present if math.isfinite(v)]
                    values[key] = Recorded(max(present, default=None), version)
    return values


def compare(
    before: Mapping[str, Recorded],
    after: Mapping[Case, float | str],
    factor: float,
    retired: Mapping[str, str] = RETIRED,
) -> list[Row]:
    """One row for each value that is measured or recorded; lower is better everywhere."""
    rows = [_judge(case, value, before.get(case.key), factor) for case, value in after.items()]
    present = {case.key for case in after}
    for key in sorted(set(before) - present):
        reason = retired.get(key) or retired.get(key.partition("(")[0])
        verdict = "retired" if reason else "LOSS"
        rows.append(Row(key, before[key].value, None, verdict, reason or "recorded, now missing"))
    return rows


def _judge(case: Case, value: float | str, old: Recorded | None, factor: float) -> Row:
    before = old.value if old is not None and old.version == case.version else None
    if isinstance(value, str):
        return Row(case.key, before, None, "LOSS", value)
    if not math.isfinite(value):
        return Row(case.key, before, value, "LOSS", "not finite")
    if before is None:
        again = old is not None and old.version != case.version
        return Row(case.key, None, value, "new", "a new version" if again else "")
    if value > factor * before:
        ratio = f"{value / before:.4g} times" if before else "from zero"
        return Row(case.key, before, value, "LOSS", f"{ratio}, {factor} is allowed")
    return Row(case.key, before, value, "better" if value < before / factor else "same")


def table(rows: list[Row]) -> str:
    """Key, last release, now, verdict."""
    width = max((len(row.key) for row in rows), default=0)
    lines = [f"{'benchmark':{width}}  {'release':>10}  {'now':>10}  verdict"]
    lines += [
        f"{row.key:{width}}  {_text(row.before):>10}  {_text(row.after):>10}  "
        f"{row.verdict}{': ' + row.note if row.note else ''}"
        for row in rows
    ]
    return "\n".join(lines)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def machine() -> str:
    """Processor and versions, on which the last places may depend."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    flags = next((line for line in lines if line.startswith("flags")), "")
    fused = ", fma" if " fma " in f"{flags} " else ""
    packages = (
        f"{name} {importlib.metadata.version(name)}" for name in ("numba", "numpy", "scipy")
    )
    return f"{model or platform.processor() or platform.machine()}{fused}; {', '.join(packages)}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 on any loss."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--memory", action="store_true", help="peakmem_ benchmarks as well")
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    release, entries = last_recorded()
    rows = compare(recorded(entries, "track_"), measure_tracks(), FACTORS["track_"])
    if chosen.memory:
        rows += compare(recorded(entries, "peakmem_"), measure_memory(), FACTORS["peakmem_"])
    print(table(rows))
    pinned = entries[0]["requirements"] if entries else {}
    machines = {entry["params"].get("machine", "") for entry in entries}
    versions = ", ".join(f"{name} {pinned[name]}" for name in sorted(pinned))
    print(f"\nrelease {release['version']}: machine {', '.join(machines) or '-'}; {versions}")
    print(f"here: {machine()}")
    lost = [row for row in rows if row.lost]
    for row in lost:
        print(f"LOSS {row.key}: {_text(row.before)} -> {_text(row.after)}, {row.note}")
    new = sum(row.verdict == "new" for row in rows)
    seconds = time.perf_counter() - start
    print(f"{len(rows)} values, {new} new, {len(lost)} lost, in {seconds:.0f} s")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
