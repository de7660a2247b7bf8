"""docs/scaling.md from the measured points: tables, pictures, and what follows on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .fits import Cluster, Power, amdahl, power, serial_fraction

BANDWIDTH_64 = 300e9  # bytes a second: eight channels of DDR5, as 64-core servers have
NODES, CORES = 100, 64
SWEEP, BIG = 1_000_000, (200, 2000)  # the sweep on paper: so many limits of this size

_HEAD = """# How time and memory grow

Written by `python -m benchmarks.scaling` from `benchmarks/scaling/results`; not edited by hand.
Each point in a process of its own that has loaded its compiled code: medians on one thread and on
two; memory is the peak of the first run above what the process held with A and y. p = 3
everywhere. Exponents are least squares between logarithms over the three largest sizes, with
their standard errors: small sizes are overhead. A `-` means that the peak did not grow by
a measurable amount.
"""


def page(record: dict[str, Any], docs: Path | None) -> str:
    """The whole page in markdown; its pictures go into `docs`."""
    lines = [_HEAD, f"- Machine: {record['machine']}."]
    lines.append(f"- All of it took {record['seconds'] / 60:.1f} minutes.\n")
    lines += ["## Exponents\n", *_exponents(record["axes"])]
    if docs is not None and _draw(record["axes"], docs):
        lines += [
            "![Time against size, batch and count](scaling_time.png)\n",
            "![Peak memory against size, batch and count](scaling_memory.png)\n",
        ]
    lines += ["## Two threads\n", *_threads(record)]
    lines += ["## Points\n", *_points(record["axes"])]
    lines += [f"## On paper: {CORES} cores\n", *_server(record)]
    lines += [f"## On paper: {NODES} nodes under Dask\n", *_cluster(record)]
    return "\n".join(lines)


def fitted(axis: dict[str, Any], threads: str = "1") -> tuple[Power, Power | None]:
    """Time, and memory where every one of the points that count is above a megabyte."""
    sizes = [point["size"] for point in axis["points"]]
    memory = [point["memory"] for point in axis["points"]]
    time = power(sizes, [point["seconds"][threads] for point in axis["points"]])
    return time, power(sizes, memory) if min(memory[-3:]) > 1e6 else None


def _exponents(axes: list[dict[str, Any]]) -> Iterator[str]:
    yield _row(["task", "against", "at", "sizes that count", "time", "memory"])
    yield _row(["---"] * 6)
    for axis in axes:
        time, memory = fitted(axis)
        sizes = [point["size"] for point in axis["points"]][-3:]
        yield _row([
            axis["task"], axis["axis"], axis["about"], f"{sizes[0]} to {sizes[-1]}", _fit(time),
            _fit(memory) if memory else "-",
        ])  # fmt: skip
    yield ""


def _fit(fit: Power) -> str:
    return f"{fit.exponent:.2f} ± {fit.error:.2f}"


def _threads(record: dict[str, Any]) -> Iterator[str]:
    """Speed-ups at the largest sizes, and the serial fraction that they amount to."""
    if "2" not in record["bandwidth"]:
        yield "Measured on one core: nothing is known about two.\n"
        return
    read = record["bandwidth"]
    yield (
        f"Summing an array in memory reads {read['1'] / 1e9:.1f} GB/s on one thread and "
        f"{read['2'] / 1e9:.1f} on two: {read['2'] / read['1']:.2f} times. By Amdahl's law a "
        "speed-up S on two threads leaves the part f = 2/S - 1 on one thread; where memory, not "
        "the program, holds two threads up, f is an upper bound. Taken from the least of the "
        "samples, which other work on the machine disturbs least.\n"
    )
    yield _row(["task", "at the largest", "one thread", "two", "speed-up", "f"])
    yield _row(["---"] * 6)
    for axis in record["axes"]:
        last = axis["points"][-1]
        one, two = last["least"]["1"], last["least"]["2"]
        yield _row([
            axis["task"], f"{axis['axis']} = {last['size']}, {axis['about']}", _seconds(one),
            _seconds(two), f"{one / two:.2f}", f"{serial_fraction(one, two):.2f}",
        ])  # fmt: skip
    yield ""


def _points(axes: list[dict[str, Any]]) -> Iterator[str]:
    yield _row(["task", "against", "size", "one thread", "two", "memory"])
    yield _row(["---"] * 6)
    for axis in axes:
        for point in axis["points"]:
            two = point["seconds"].get("2")
            yield _row([
                axis["task"], f"{axis['axis']}, {axis['about']}", str(point["size"]),
                _seconds(point["seconds"]["1"]), _seconds(two) if two else "-",
                f"{point['memory'] / 1e6:.1f} MB",
            ])  # fmt: skip
    yield ""


def _server(record: dict[str, Any]) -> Iterator[str]:
    """Amdahl's law from the measured fractions, and the bound by memory."""
    yield (
        f"S({CORES}) = 1 / (f + (1 - f)/{CORES}) with f from the table above, for one problem; "
        "a batch or a sweep hands whole problems out, and its f is what is measured there. "
        f"What streams A from memory is bound by bandwidth as well: at {BANDWIDTH_64 / 1e9:.0f} "
        "GB/s (eight channels of DDR5: assumed, not measured) no more than "
        f"{BANDWIDTH_64 / 1e9:.0f} / {record['bandwidth']['1'] / 1e9:.1f} = "
        f"{BANDWIDTH_64 / record['bandwidth']['1']:.0f} times what one thread here reads. The "
        "estimate is the smaller of the two. Caches, clocks under load and sockets are left "
        "out: a measurement will fall below.\n"
    )
    yield _row(["task", "at the largest", "f", f"S({CORES})", "bound by", "estimate"])
    yield _row(["---"] * 6)
    for axis in record["axes"]:
        last = axis["points"][-1]
        if "2" not in last["seconds"]:
            continue
        one = last["seconds"]["1"]
        fraction = serial_fraction(last["least"]["1"], last["least"]["2"])
        speed, bound = amdahl(fraction, CORES), "the part f"
        most = BANDWIDTH_64 / record["bandwidth"]["1"]
        if axis["axis"] in ("N", "m") and most < speed:
            speed, bound = most, "memory"
        yield _row([
            axis["task"], f"{axis['axis']} = {last['size']}, {axis['about']}", f"{fraction:.2f}",
            f"{speed:.1f}", bound, _seconds(one / speed),
        ])  # fmt: skip
    yield ""


def each_limit(axes: list[dict[str, Any]], m: int, N: int) -> float:
    """Seconds of a limit at m x N: from the fit against m, carried to N by the one against N."""
    by = {axis["axis"]: fitted(axis)[0] for axis in axes if axis["task"] == "limit"}
    measured_at = 4000  # the N of the fit against m
    return by["m"].at(m) * (N / measured_at) ** by["N"].exponent


def _cluster(record: dict[str, Any]) -> Iterator[str]:
    overhead = record["dask"]
    if overhead is None:
        yield "Dask is not installed: what a chunk costs is not known.\n"
        return
    workers, each = NODES * CORES, each_limit(record["axes"], *BIG)
    yield (
        "A chunk of n configurations of t seconds each goes to one worker, of one thread; one "
        "scheduler hands the chunks out and takes the results in, o seconds for each. With K "
        f"configurations on W = {NODES} x {CORES} = {workers} workers\n"
    )
    yield "    T = start + max(ceil(K/n) o, ceil(K/(n W)) n t)\n"
    yield (
        "so that no more than W = n t / o workers are kept busy: longer chunks feed more of "
        "them, until there are too few chunks to go round. "
        f"Measured: o = {_seconds(overhead['chunk'])} (two sweeps that differ in their number of "
        "chunks alone, on one worker process of this machine: scheduling, moving and storing; a "
        "network adds its own). "
        "The start is taken as 10 s: workers that load compiled code.\n"
    )
    yield _row(["sweep", "t", "best n", "T", "efficiency", "one thread"])
    yield _row(["---"] * 6)
    cluster = Cluster(workers, overhead["chunk"], 10.0)
    small = next(axis for axis in record["axes"] if axis["task"] == "sweep")["points"][-1]
    rows = (("20 x 100", small["seconds"]["1"] / small["size"]), (f"{BIG[0]} x {BIG[1]}", each))
    for name, t in rows:
        n, seconds, efficiency = cluster.best(SWEEP, t)
        yield _row([
            f"{SWEEP:.0e} limits of {name}", _seconds(t), str(n), _seconds(seconds),
            f"{100 * efficiency:.0f} %", _seconds(SWEEP * t),
        ])  # fmt: skip
    yield ""
    least = overhead["chunk"] * workers
    yield (
        f"To keep all {workers} workers busy a chunk has to last n t >= o W = {_seconds(least)}; "
        "the default chunk is about a second's work. Where it is shorter the scheduler is the "
        "limit, and more nodes change nothing: pass a larger `chunk`, or sweep in several runs.\n"
    )


def _seconds(value: float) -> str:
    """Three figures in a unit that suits."""
    for scale, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if value >= scale * (1.0 if scale <= 1 else 2.0):
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _draw(axes: list[dict[str, Any]], docs: Path) -> bool:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        print("no pictures: matplotlib is not installed")
        return False
    for what in ("time", "memory"):
        picture = Figure(figsize=(11.0, 3.8), layout="constrained")
        panels = picture.subplots(1, 3)
        kinds = (("N", "columns N"), ("m", "rows m"), ("batch", "batch or configurations"))
        for panel, (kind, label) in zip(panels, kinds, strict=True):
            _panel(panel, [axis for axis in axes if _kind(axis) == kind], what)
            panel.set_xlabel(label)
        panels[0].set_ylabel("seconds" if what == "time" else "megabytes above A and y")
        picture.savefig(docs / f"scaling_{what}.png", dpi=90)
    return True


def _kind(axis: dict[str, Any]) -> str:
    return "batch" if axis["axis"] == "configurations" else str(axis["axis"])


_COLOURS = {
    "limit": "#0b4f9e", "minimiser": "#c4521b", "flow": "#4d8a2b", "descent": "#8a3ea8",
    "sweep": "#b8860b",
}  # fmt: skip


def _panel(panel: Any, axes: list[dict[str, Any]], what: str) -> None:
    """Measured points; solid for one thread, dotted for two."""
    for axis in axes:
        sizes = [point["size"] for point in axis["points"]]
        colour = _COLOURS[axis["task"]]
        if what == "memory":
            memory = [max(point["memory"], 1e5) / 1e6 for point in axis["points"]]
            panel.loglog(sizes, memory, "o-", color=colour, ms=4, label=axis["task"])
            continue
        exponent = fitted(axis)[0].exponent
        for threads, style in (("1", "o-"), ("2", "s:")):
            if threads in axis["points"][0]["seconds"]:
                values = [point["seconds"][threads] for point in axis["points"]]
                label = f"{axis['task']}, slope {exponent:.2f}" if threads == "1" else None
                panel.loglog(sizes, values, style, color=colour, ms=4, label=label)
    panel.grid(True, alpha=0.3)
    panel.legend(
        fontsize=7.0, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False
    )
