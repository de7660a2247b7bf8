"""The largest error of every coordinate function, in units in the last place.

``python benchmarks/functions/accuracy.py [--points N] [--only NAME] [--p P ...]`` prints the
table; with ``--save FILE`` the worst points of every case, and as many others, are kept with
their references: `sample.json` beside this file, which the benchmark suite tracks, is that.
The reference is MPFR (gmpy2) at 170 bits, in forms without cancellation; in every case
those forms are themselves compared with mpmath on the plain definitions, at up to 1400
digits, in 200 of the points. Half of the points are random, half adversarial: near the
edges of the domain and near the places where the algorithms change.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import time
from pathlib import Path
from typing import Any, NamedTuple

import gmpy2
import mpmath
import numpy as np
from gmpy2 import mpfr

import fastdln.functions as functions

CLOSED = [2.0, 2.5, 3.0, 4.0, 6.0]
OTHER = [2.01, 2.05, 2.2, 2.7, 3.5, 5.0, 10.0, 31.7, 100.0]
EXTREME = [2.0 + 1e-9, 1000.0]
POWER = OTHER + EXTREME + CLOSED[1:]
CASES: list[tuple[str, list[float], float]] = [
    ("h", CLOSED, 1.0),
    ("h", OTHER + EXTREME, 2.0),
    ("h_of_slack", POWER, 1.5),
    ("h_prime", CLOSED + OTHER + EXTREME, 2.0),
    ("h_integral", CLOSED + OTHER + EXTREME, 3.0),
    ("h_inverse", CLOSED + OTHER + EXTREME, 2.0),
    ("h_inverse_slack", POWER, 2.0),
    ("potential_q", CLOSED + OTHER + EXTREME, 3.0),
    ("selector_g", CLOSED + OTHER + EXTREME, 2.0),
]
Real = Any  # mpfr or mpf

MPFR: dict[str, Any] = {
    name: getattr(gmpy2, name)
    for name in ("exp", "expm1", "log", "log1p", "sinh", "cosh", "asinh", "sqrt")
}


def log_pair(t: float | None, s: float | None) -> tuple[Real, Real]:
    """log(1 - t), log(1 + t) from t, or from the slack s."""
    if s is not None:
        return gmpy2.log(mpfr(s)), gmpy2.log(2 - mpfr(s))
    return gmpy2.log1p(-mpfr(t)), gmpy2.log1p(mpfr(t))


def ratio_b(p: float) -> Real:
    """``p / (p - 2)``."""
    return mpfr(p) / (mpfr(p) - 2)


def exact_h(t: float | None, p: float, s: float | None = None) -> Real:
    """Value without cancellation, t >= 0."""
    if p == 2.0:
        return 2 * gmpy2.sinh(mpfr(t))
    n, d = log_pair(t, s)
    b = ratio_b(p)
    return -gmpy2.exp(-b * n) * gmpy2.expm1(b * (n - d))


def exact_h_prime(t: float | None, p: float, s: float | None = None) -> Real:
    """The derivative of h."""
    if p == 2.0:
        return 2 * gmpy2.cosh(mpfr(t))
    n, d = log_pair(t, s)
    b = ratio_b(p)
    return b * (gmpy2.exp(-(b + 1) * n) + gmpy2.exp(-(b + 1) * d))


def exact_h_integral(t: float | None, p: float, s: float | None = None) -> Real:
    """The integral of h without cancellation, t >= 0."""
    if p == 2.0:
        return 4 * gmpy2.sinh(mpfr(t) / 2) ** 2
    n, d = log_pair(t, s)
    beta = ratio_b(p) - 1
    square = gmpy2.log1p(-(mpfr(t) ** 2)) if s is None else n + d
    a = -beta * square / 2
    half = beta * (d - n) / 4
    return (2 * gmpy2.expm1(a) + 4 * gmpy2.exp(a) * gmpy2.sinh(half) ** 2) / beta


def exact_pair(x: float, p: float) -> tuple[Real, Real, bool]:
    """h^-1(x), its slack, and whether the first is small: Newton in MPFR from the result."""
    t0 = abs(float(functions.h_inverse(x, p)))
    if p == 2.0:
        t = gmpy2.asinh(mpfr(x) / 2)
        return t, 1 - t, True
    if t0 < 0.5:
        t = mpfr(t0)
        for _ in range(2):
            t -= (exact_h(t, p) - x) / exact_h_prime(t, p)
        return t, 1 - t, True
    n = mpfr(float(functions.h_inverse_slack(x, p)))
    for _ in range(2):
        h = exact_h(None, p, n)
        n *= gmpy2.exp(gmpy2.log(h / x) * h / (n * exact_h_prime(None, p, n)))
    return 1 - n, n, False


def exact(name: str, v: float, p: float) -> Real:
    """The reference value of one function at one point, v >= 0."""
    if name == "h":
        return exact_h(v, p)
    if name == "h_of_slack":
        return exact_h(None, p, v) if v < 0.5 else exact_h(1.0 - v, p)
    if name == "h_prime":
        return exact_h_prime(v, p)
    if name == "h_integral":
        return exact_h_integral(v, p)
    if name == "selector_g":
        x = mpfr(v)
        z = gmpy2.log(x) - 1
        if p > 2.0:
            z = -gmpy2.expm1(gmpy2.log(mpfr(p) / 2) - gmpy2.log(x) / ratio_b(p))
        return x * z if abs(z) > 1e-40 else mpfr(0)  # an exact zero, as of p = 3 at 27/8
    t, n, small = exact_pair(v, p)
    if name == "h_inverse":
        return t
    if name == "h_inverse_slack":
        return n
    return v * t - (exact_h_integral(t, p) if small else exact_h_integral(t, p, n))


def plain(name: str, v: float, p: float) -> mpmath.mpf:
    """The definition itself, in mpmath, at digits enough for any cancellation."""
    with mpmath.workdps(1400):
        x, q = mpmath.mpf(v), mpmath.mpf(p)
        if name == "h_of_slack":
            return plain_h(1 - x, q)
        if name == "h":
            return plain_h(x, q)
        if name == "h_prime":
            return plain_h_prime(x, q)
        if name == "h_integral":
            return plain_h_integral(x, q)
        if name == "selector_g":
            return x * mpmath.log(x / mpmath.e) if p == 2 else x - q / 2 * x ** (2 / q)
        t, n, small = exact_pair(v, p)
        t = mpmath.mpf(str(t)) if small else 1 - mpmath.mpf(str(n))
        t = t if p > 2 else mpmath.asinh(x / 2)
        for _ in range(6 if p > 2 else 0):
            t -= (plain_h(t, q) - x) / plain_h_prime(t, q)
        if name == "potential_q":
            return x * t - plain_h_integral(t, q)
        return t if name == "h_inverse" else 1 - t


def plain_h(t: mpmath.mpf, p: mpmath.mpf) -> mpmath.mpf:
    """The value as defined."""
    b = p / (p - 2) if p > 2 else 0
    return (1 - t) ** -b - (1 + t) ** -b if p > 2 else mpmath.exp(t) - mpmath.exp(-t)


def plain_h_prime(t: mpmath.mpf, p: mpmath.mpf) -> mpmath.mpf:
    """The derivative as defined."""
    if p == 2:
        return mpmath.exp(t) + mpmath.exp(-t)
    b = p / (p - 2)
    return b * ((1 - t) ** (-b - 1) + (1 + t) ** (-b - 1))


def plain_h_integral(t: mpmath.mpf, p: mpmath.mpf) -> mpmath.mpf:
    """The integral as defined."""
    if p == 2:
        return mpmath.exp(t) + mpmath.exp(-t) - 2
    b = p / (p - 2)
    return (p - 2) / 2 * ((1 - t) ** (1 - b) + (1 + t) ** (1 - b) - 2)


def points(name: str, p: float, count: int, seed: int) -> np.ndarray:
    """Positive arguments: half random, half adversarial."""
    rng = np.random.default_rng([seed, int(p * 1e6) % 2**32, len(name)])
    m = count // 8
    if name in ("h", "h_prime", "h_integral"):
        v = _points_t(rng, p, m)
    elif name == "h_of_slack":
        v = _points_slack(rng, m)
    else:
        v = _points_x(rng, p, m)
    return np.concatenate(v)


def _nudge(rng: np.random.Generator, v: np.ndarray) -> np.ndarray:
    """Move by a few units in the last place."""
    bits = np.abs(v).view(np.int64) + rng.integers(-4, 5, v.size)
    return bits.view(np.float64)


def _points_t(rng: np.random.Generator, p: float, m: int) -> list[np.ndarray]:
    below = 1.0 - 2.0**-53
    if p == 2.0:
        k = rng.integers(0, 1024, 2 * m)
        return [
            rng.uniform(0, 1, 2 * m),
            rng.uniform(0, 709.78, m),
            10 ** rng.uniform(-307, 2.85, m),
            10 ** rng.uniform(-3, 2.85, 2 * m),
            np.minimum(_nudge(rng, (k + 0.5) * np.log(2)), 709.78),
        ]
    edge = _nudge(rng, 1.0 - np.sqrt(0.5) * 2.0 ** -rng.integers(0, 40, m))
    b = p / (p - 2)
    reach = min(1.0, 700.0 / b)
    turn = -np.expm1(-(rng.integers(0, 1000, m) + 0.5) * np.log(2) / b)
    v = [
        rng.uniform(0, reach, 3 * m),
        10 ** rng.uniform(-307, 0, m),
        1.0 - 2.0 ** rng.uniform(-53, 0, 2 * m),
        np.clip(edge, 0.0, below),
        np.clip(_nudge(rng, turn), 1e-300, below),
    ]
    return [np.clip(u, 5e-324, below) for u in v]


def _points_slack(rng: np.random.Generator, m: int) -> list[np.ndarray]:
    return [
        rng.uniform(0, 1, 2 * m),
        2.0 ** rng.uniform(-1074, 0, 2 * m),
        2.0 ** rng.uniform(-40, 0, 2 * m),
        np.minimum(_nudge(rng, np.sqrt(0.5) * 2.0 ** -rng.integers(0, 300, m)), 1.0),
        1.0 - 10 ** rng.uniform(-16, 0, m),
    ]


def _points_x(rng: np.random.Generator, p: float, m: int) -> list[np.ndarray]:
    b = p / (p - 2) if p > 2 else np.inf
    zero = (p / 2) ** b if p > 2 else np.e
    half = 2.0**b if b < 100 else 1.0
    return [
        rng.uniform(0, 10, 2 * m),
        10 ** rng.uniform(-323, 308.2, 2 * m),
        10 ** rng.uniform(-6, 12, 2 * m),
        _nudge(rng, zero * (1 + rng.choice([-1, 1], m) * 2.0 ** rng.uniform(-53, -1, m))),
        half * 10 ** rng.uniform(-1, 1, m),
    ]


class Row(NamedTuple):
    """What one case gave: the table's columns, and points worth keeping."""

    name: str
    p: float
    size: int
    error: float
    where: float
    gap: float  # how far the reference and mpmath disagree
    kept: list[tuple[float, float, float]]  # argument, reference as a sum of two


KEPT = 8  # worst points of a case, and as many others, that `--save` keeps


def measure(task: tuple[str, float, int, int]) -> Row:
    """Largest error of one case, and where."""
    name, p, count, seed = task
    gmpy2.get_context().precision = 170
    gmpy2.get_context().emax = 10**9
    gmpy2.get_context().emin = -(10**9)
    v = points(name, p, count, seed)
    with np.errstate(all="ignore"):
        got = getattr(functions, name)(v, p)
    errors = np.array(
        [_error(exact(name, x, p), y) for x, y in zip(v.tolist(), got.tolist(), strict=True)]
    )
    worst = int(np.argmax(errors))
    order = heapq.nlargest(KEPT, range(v.size), key=errors.__getitem__)
    order += list(range(0, v.size, max(1, v.size // KEPT)))[:KEPT]
    kept = [(x, *_pair(exact(name, x, p))) for x in v[order].tolist()]
    kept = [row for row in kept if np.isfinite(row[1])]
    gap = _disagreement(name, p, v)
    return Row(name, p, v.size, float(errors[worst]), float(v[worst]), gap, kept)


def _error(ref: Real, y: float) -> float:
    """Units in the last place between y and the reference; an overflow must be one."""
    big = mpfr(np.finfo(float).max)
    if abs(ref) > big:
        return 1e99 if abs(y) != np.inf and abs(ref) > 1.0000001 * big else 0.0
    error = abs(float((y - ref) / mpfr(_ulp(float(ref)))))
    return error if error == error else 1e99


def _pair(ref: Real) -> tuple[float, float]:
    high = float(ref)
    return high, float(ref - high) if abs(high) < np.inf else 0.0


def _ulp(y: float) -> float:
    return float(np.spacing(abs(y))) if abs(y) < np.inf else 2.0**971


def _disagreement(name: str, p: float, v: np.ndarray) -> float:
    """Largest relative difference of the reference and mpmath's plain definition."""
    largest = 0.0
    for x in v[:: max(1, v.size // 200)].tolist():
        a = exact(name, x, p)
        if not abs(a) < mpfr("1e400"):
            continue  # far beyond float64: both give inf
        b = plain(name, x, p)
        with mpmath.workdps(60):
            ref = mpmath.mpf(str(a))
            if b:
                largest = max(largest, float(abs(ref - b) / abs(b)))
    return largest


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="of each case")
    parser.add_argument("--only", default="", help="one function")
    parser.add_argument("--p", type=float, nargs="*", default=[], help="these depths only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a JSON file to add the worst points to")
    args = parser.parse_args()
    tasks = [
        (name, p, args.points, args.seed)
        for name, depths, _ in CASES
        for p in depths
        if args.only in ("", name) and (not args.p or p in args.p)
    ]
    limit = {(name, p): bound for name, depths, bound in CASES for p in depths}
    start = time.perf_counter()
    print("function          p            points   max ulp  asked  at                     mpmath")
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for row in pool.imap(measure, tasks):
            bound = limit[row.name, row.p]
            flag = "" if row.error <= bound else "  ABOVE"
            print(
                f"{row.name:16s}  {row.p:<11.10g}{row.size:9d}  {row.error:8.4f}  {bound:5.1f}"
                f"  {row.where!r:23s}{row.gap:8.1e}{flag}",
                flush=True,
            )
            if args.save:
                save(args.save, row)
    total = sum(count // 8 * 8 for _, _, count, _ in tasks)
    print(f"{total} points, {time.perf_counter() - start:.0f} s")


def save(path: Path, row: Row) -> None:
    """Put the kept points of a case into the file: [p, argument, high, low] by function."""
    table = json.loads(path.read_text()) if path.exists() else {}
    others = [line for line in table.get(row.name, []) if line[0] != row.p]
    table[row.name] = sorted([*others, *([row.p, *point] for point in row.kept)])
    lines = [
        f'"{name}": [\n' + ",\n".join(json.dumps(line) for line in table[name]) + "\n]"
        for name in sorted(table)
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
