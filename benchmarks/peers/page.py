"""What users would pick instead, side by side: measures, and writes docs/peers.md.

    python -m benchmarks.peers.page [--quick] [--write] [functions limits flow descent]

Measures the questions named (all of them without a name), each in a process of its own on
one pinned core, and again on two where threads matter; keeps what was measured as JSON in
``benchmarks/peers/results`` and writes the page and its pictures from there. ``--write`` does the
last alone. A peer that is not installed (``pip install -e '.[peers]'``) is named and
skipped; a solver that raises fails the run. About six minutes; ``--quick`` measures tiny
problems once and keeps them only where ``--results`` and ``--docs`` say.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QUESTIONS = ("functions", "limits", "flow", "descent")

_HEAD = """# Beside what users would pick instead

Written by `python -m benchmarks.peers.page` from `benchmarks/peers/results`; not edited by
hand. Every table: the same problem and the same number of threads for all, pinned to as
many cores; all take turns, and a time is the median with its quartiles. What compiles has
compiled before. **x** is the time over that of the fastest of fastdln's own rows that is at
least as accurate: below 1 the peer wins, and a dash says that no row of ours is as accurate.
A row that says so ran once only, as it takes long.
"""


def measure(question: str, quick: bool, threads: int) -> dict[str, Any]:
    """All cases of one question, in this process."""
    import warnings

    import fastdln as fd

    from . import contest

    warnings.simplefilter("ignore")  # what overflows in a peer shows in its error
    module = importlib.import_module(f"benchmarks.peers.ask_{question}")
    start, cases, absent = time.perf_counter(), [], set()
    for case in module.cases(quick, threads):
        begun = time.perf_counter()
        kept, missing = contest.hold(case, contest.Limits.of(quick))
        cases.append({**kept, "threads": threads})
        absent |= set(missing)
        print(f"  {case.name}: {time.perf_counter() - begun:.0f} s", flush=True)
    versions = {"fastdln": fd.__version__, **contest.versions(module.PEERS)}
    return {
        "question": question, "quick": quick, "machine": _machine(), "versions": versions,
        "absent": sorted(absent), "seconds": round(time.perf_counter() - start, 1),
        "cases": cases,
    }  # fmt: skip


def _machine() -> str:
    from benchmarks import gate

    return f"{gate.machine().split(';')[0]}; Python {platform.python_version()}"


def measure_apart(question: str, quick: bool) -> dict[str, Any]:
    """The same in a process for each number of threads; both in one record."""
    module = importlib.import_module(f"benchmarks.peers.ask_{question}")
    most = len(_cores())
    records = []
    for threads in module.THREADS[:1] if quick else module.THREADS:
        if threads > most:
            print(f"{question}: {threads} threads are not measured on {most} cores", flush=True)
            continue
        print(f"{question}, {threads} thread{'s' if threads > 1 else ''}", flush=True)
        records.append(_child(question, quick, threads))
    whole = records[0]
    for record in records[1:]:
        whole["cases"] += record["cases"]
        whole["seconds"] = round(whole["seconds"] + record["seconds"], 1)
    return whole


def _cores() -> list[int]:
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return list(range(os.cpu_count() or 1))


def _child(question: str, quick: bool, threads: int) -> dict[str, Any]:
    """One process: as many cores as threads, and every pool of threads that small."""
    pools = ("NUMBA", "OMP", "OPENBLAS", "MKL")
    environment = {**os.environ, **{f"{pool}_NUM_THREADS": str(threads) for pool in pools}}
    environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-m", "benchmarks.peers.page", "--child", str(threads), question]

    def pin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, _cores()[:threads])

    last = ""
    with subprocess.Popen(
        [*command, *(["--quick"] if quick else [])], stdout=subprocess.PIPE, text=True,
        cwd=ROOT, env=environment, preexec_fn=pin,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("{"):
                last = line
            else:
                print(line, end="", flush=True)
    if running.returncode != 0 or not last:
        raise SystemExit(f"{question}: failed, see above")
    return dict(json.loads(last))


def keep(record: dict[str, Any], folder: Path) -> None:
    """Times to four figures: more says nothing."""
    for case in record["cases"]:
        for row in case["rows"]:
            row["seconds"] = [float(f"{value:.4g}") for value in row["seconds"]]
            if row["error"] is not None:
                row["error"] = float(f"{row['error']:.3g}")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1)
    (folder / f"{record['question']}.json").write_text(text + "\n")


def page(records: list[dict[str, Any]], docs: Path | None) -> str:
    """The whole page in markdown; its pictures go into `docs`."""
    parts = [_HEAD, *_environment(records)]
    for record in records:
        module = importlib.import_module(f"benchmarks.peers.ask_{record['question']}")
        parts.append(f"## {module.TITLE}\n\n{module.INTRO}\n")
        for number, case in enumerate(record["cases"], 1):
            parts.append(_section(case))
            if case["drawn"] and docs is not None and _draw(record, case, number, docs):
                name = f"peers_{record['question']}_{number}.png"
                parts.append(f"![Time against error: {case['name']}]({name})\n")
    return "\n".join([*parts, *_others(records)])


def _environment(records: list[dict[str, Any]]) -> Iterator[str]:
    versions: dict[str, str] = {}
    for record in records:
        versions |= record["versions"]
    yield f"- Machine: {' / '.join(sorted({record['machine'] for record in records}))}."
    yield f"- Versions: {', '.join(f'{name} {versions[name]}' for name in sorted(versions))}."
    absent = sorted({name for record in records for name in record["absent"]})
    yield f"- Not installed, and skipped: {', '.join(absent) or 'none'}."
    seconds = sum(record["seconds"] for record in records)
    yield f"- All of it took {seconds / 60:.1f} minutes.\n"


def _section(case: dict[str, Any]) -> str:
    """Heading, table, and who wins."""
    threads = f"{case['threads']} thread{'s' if case['threads'] > 1 else ''}"
    head = ["solver", "setting", f"time a {case['unit']}", "x", f"error ({case['error']})"]
    lines = [f"### {case['name']} ({threads})\n"]
    if case["about"]:
        lines.append(f"{case['about']}\n")
    lines += [_line(head), _line(["---"] * len(head))]
    wins = []
    names = list(dict.fromkeys(row["name"] for row in case["rows"]))
    for row in sorted(case["rows"], key=lambda row: names.index(row["name"])):
        name = f"**{row['name']}**" if row["ours"] else row["name"]
        if not row["seconds"]:
            lines.append(_line([name, row["setting"], row["note"], "", ""]))
            continue
        ratio = "" if row["ours"] or row["note"] == "gave up" else text_of_ratio(case, row)
        texts = (text_of_time(case, row), ratio, text_of_error(row))
        lines.append(_line([name, row["setting"], *texts]))
        if row["error"] is not None and ratio and (ratio == "-" or float(ratio) < 1.0):
            setting = f" ({row['setting']})" if row["setting"] else ""
            more = "more accurate than ours" if ratio == "-" else f"{ratio} of our time"
            wins.append(f"{row['name']}{setting}, {more}")
    lines.append(f"\nPeers that win: {'; '.join(wins) or 'none'}.\n")
    return "\n".join(lines)


def ratio_of(case: dict[str, Any], row: dict[str, Any]) -> float | None:
    """Median over that of our fastest row as accurate; None where there is none."""
    enough = float("inf") if row["error"] is None else max(row["error"], case["floor"])
    ours = [
        statistics.median(other["seconds"])
        for other in case["rows"]
        if other["ours"] and other["seconds"] and other["error"] is not None
        and other["error"] <= enough
    ]  # fmt: skip
    return statistics.median(row["seconds"]) / min(ours) if ours else None


def text_of_ratio(case: dict[str, Any], row: dict[str, Any]) -> str:
    """Three figures, or a dash where no row of ours is as accurate."""
    ratio = ratio_of(case, row)
    if ratio is None:
        return "-"
    return f"{ratio:.3g}" if ratio < 999.5 else f"{ratio:.0f}"


def text_of_time(case: dict[str, Any], row: dict[str, Any]) -> str:
    """Median and quartiles in a unit that suits."""
    seconds = sorted(value / case["per"] for value in row["seconds"])
    middle = statistics.median(seconds)
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
    scale, unit = next(((s, u) for s, u in units if middle >= s), units[-1])
    text = f"{middle / scale:.3g} {unit}"
    if len(seconds) < 3:
        return f"{text} (once)" if row["note"] == "once" else text
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return f"{text} ({low / scale:.3g} to {high / scale:.3g})"


def text_of_error(row: dict[str, Any]) -> str:
    """Two figures; what is infinite somewhere, or no whole answer, says so."""
    if row["error"] is None:
        return "gave up" if row["note"] == "gave up" else "not finite"
    return f"{row['error']:.1e}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _draw(record: dict[str, Any], case: dict[str, Any], number: int, docs: Path) -> bool:
    from . import drawing

    try:
        drawing.draw(case, docs / f"peers_{record['question']}_{number}.png")
    except ModuleNotFoundError as missing:
        print(f"no pictures: {missing.name} is not installed")
        return False
    return True


def _others(records: list[dict[str, Any]]) -> Iterator[str]:
    """The other side: what one loses with fastdln."""
    from .others import OTHERS

    versions: dict[str, str] = {}
    for record in records:
        versions |= record["versions"]
    yield "## What each does that fastdln does not\n"
    yield "fastdln solves one family of problems, on CPUs, in float64 (and beyond).\n"
    yield _line(["peer", "version", "what it does that fastdln does not"])
    yield _line(["---"] * 3)
    for name, (package, what) in OTHERS.items():
        yield _line([name, versions.get(package, "not installed"), what])
    yield ""


def main(arguments: list[str] | None = None) -> int:
    """Measure, keep, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("question", nargs="*", choices=[*QUESTIONS, []], default=[])
    parser.add_argument("--quick", action="store_true", help="tiny problems, once")
    parser.add_argument("--write", action="store_true", help="only write the page")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(measure(chosen.question[0], chosen.quick, chosen.child)))
        return 0
    if chosen.quick and chosen.results == HERE / "results":
        parser.error("--quick needs --results and --docs: it must not replace the real page")
    for question in () if chosen.write else chosen.question or QUESTIONS:
        keep(measure_apart(question, chosen.quick), chosen.results)
    files = [chosen.results / f"{question}.json" for question in QUESTIONS]
    records = [json.loads(file.read_text()) for file in files if file.exists()]
    chosen.docs.mkdir(parents=True, exist_ok=True)
    (chosen.docs / "peers.md").write_text(page(records, chosen.docs))
    print(f"written: {chosen.docs.name}/peers.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
