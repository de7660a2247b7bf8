"""Does the gate catch what it is there for?

    python -m benchmarks.plant_losses

The working tree stands for the release. Identical code is compared with it ten times and
has to pass; then each planted loss has to fail: one unit in the last place of h, one
more factorisation, step or leap, a value that is not finite, an error past its absolute
limit, 31 % more memory. Exits 1 where the gate was wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from . import gate

RUNS = 10

Values = Mapping[gate.Case, float | str]


def one_ulp(h: Callable[..., Any]) -> Callable[..., Any]:
    """Every value of h one unit farther from zero."""

    def planted(*arguments: Any, **keywords: Any) -> Any:
        values = h(*arguments, **keywords)
        return np.nextafter(values, np.copysign(np.inf, values))

    return planted


def not_finite(h: Callable[..., Any]) -> Callable[..., Any]:
    """One value of h is NaN."""

    def planted(*arguments: Any, **keywords: Any) -> Any:
        values = h(*arguments, **keywords)
        values[0] = np.nan
        return values

    return planted


def off_by(relative: float) -> Callable[[Any], Any]:
    """Every limit off by a relative error."""

    def planter(flow_limit: Callable[..., Any]) -> Callable[..., Any]:
        def planted(*arguments: Any, **keywords: Any) -> Any:
            limit = flow_limit(*arguments, **keywords)
            return dataclasses.replace(limit, psi=limit.psi * (1 + relative))

        return planted

    return planter


def one_more_factorisation(flow_limit: Callable[..., Any]) -> Callable[..., Any]:
    """One Newton step, and with it one factorisation, more along a path."""

    def planted(*arguments: Any, **keywords: Any) -> Any:
        limit = flow_limit(*arguments, **keywords)
        work = np.array(limit.factorisations)
        work.flat[0] += 1
        return dataclasses.replace(limit, factorisations=work if work.ndim else int(work))

    return planted


def one_more(count: str) -> Callable[[Any], Any]:
    """One more in the named count of a flow or a descent."""

    def planter(function: Callable[..., Any]) -> Callable[..., Any]:
        def planted(*arguments: Any, **keywords: Any) -> Any:
            result = function(*arguments, **keywords)
            more = dataclasses.replace(result.stats, **{count: getattr(result.stats, count) + 1})
            return dataclasses.replace(result, stats=more)

        return planted

    return planter


# What is planted: a public function, how, and the benchmarks that must all be lost by it.
PLANTS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "one ulp in h": ("h", one_ulp, "bench_functions.Accuracy.track_largest_ulp('h')"),
    "a NaN in h": ("h", not_finite, "bench_functions.Accuracy.track_largest_ulp('h')"),
    "1e-13 in every limit": ("flow_limit", off_by(1e-13), "bench_limits.Accuracy.track_psi"),
    "1e-10 in every limit": ("flow_limit", off_by(1e-10), "bench_limits.Accuracy.track_psi"),
    "one more factorisation along a path": (
        "flow_limit",
        one_more_factorisation,
        "bench_limits.Gaussian.track_factorisations",
    ),
    "one more factorisation for one target": (
        "flow_limit",
        one_more_factorisation,
        "bench_limits.SingleTarget.track_factorisations",
    ),
    "one more step of a flow": (
        "gradient_flow",
        one_more("steps"),
        "bench_flow.Gaussian.track_steps(20,",  # of 300; the gate lets 4 more of 4116 pass
    ),
    "one more leap of a descent": (
        "gradient_descent",
        one_more("leaps"),
        "bench_descent.Leaps.track_attempts",
    ),
}


@contextlib.contextmanager
def planted(name: str, planter: Callable[[Any], Any]) -> Iterator[None]:
    """A public function of the package is replaced meanwhile."""
    import fastdln

    original = getattr(fastdln, name)
    setattr(fastdln, name, planter(original))
    try:
        yield
    finally:
        setattr(fastdln, name, original)


def lost(release: Values, now: Values, prefix: str) -> list[str]:
    """What the gate would fail on, were the release the code that gave `release`."""
    before = {
        case.key: gate.Recorded(value, case.version)
        for case, value in release.items()
        if isinstance(value, float)
    }
    rows = gate.compare(before, now, gate.FACTORS[prefix], retired={})
    return [row.key for row in rows if row.lost]


def of(values: Values, keys: str) -> dict[gate.Case, float | str]:
    """The values whose key starts so."""
    return {case: value for case, value in values.items() if case.key.startswith(keys)}


def catches(release: Values, name: str, planter: Callable[[Any], Any], keys: str) -> bool:
    """Whether each of the benchmarks named is lost when the function is altered."""
    with planted(name, planter):
        now = of(gate.measure_tracks(keys.partition("(")[0]), keys)
    return bool(now) and len(lost(of(release, keys), now, "track_")) == len(now)


def memory_plant(size: float) -> str:
    """Source of 31 % more: bytes that are written to, and kept."""
    return f"import numpy; ballast = numpy.ones({int(0.31 * size)}, dtype=numpy.uint8)"


def main() -> int:
    """Ten times the same, then every plant."""
    start = time.perf_counter()
    wrong = 0

    def say(good: bool, what: str) -> None:
        nonlocal wrong
        wrong += not good
        print(f"{'as it should' if good else 'WRONG':12}  {what}", flush=True)

    release = gate.measure_tracks()
    for run in range(1, RUNS + 1):
        now = gate.measure_tracks()
        failed = lost(release, now, "track_")
        say(not failed and now == release, f"identical code, run {run}: passes, bit for bit")
    for what, (name, planter, keys) in PLANTS.items():
        say(catches(release, name, planter, keys), f"{what}: caught")

    memory = gate.measure_memory()
    say(not lost(memory, gate.measure_memory(), "peakmem_"), "memory of identical code: passes")
    for case, size in memory.items():
        assert isinstance(size, float), size
        more = {case: gate.peak_of(case, memory_plant(size), runs=1)}
        say(lost({case: size}, more, "peakmem_") == [case.key], f"31 % more in {case.key}: caught")
    print(f"{wrong} wrong, in {time.perf_counter() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
