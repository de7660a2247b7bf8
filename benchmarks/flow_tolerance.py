"""Whether every method keeps to its tolerance: ``python -m benchmarks.flow_tolerance [count]``.

Random problems of 3 x 6 and 5 x 12, p = 2, 2.5, 3, 4, alpha = 1e-1 ... 1e-3, times from the
plateau to convergence. The reference is Radau at rtol 1e-13, believed where DOP853 at 1e-12 agrees
with it to 1e-11. Prints the worst error / rtol of each method, 5 being allowed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .common import FlowCase

Array = NDArray[np.float64]

SIZES = ((3, 6), (5, 12))
DEPTHS = (2.0, 2.5, 3.0, 4.0)
TOLERANCES = (1e-4, 1e-8)
RUNS = (
    ("auto", "dual"), ("radau", "dual"), ("tsit5", "dual"), ("dop853", "dual"),
    ("tsit5", "weights"), ("dop853", "weights"),
)  # fmt: skip
_AGREE = 1e-11
_MOST_STIFF = 3e-3  # alpha^(p-2) below which explicit methods take too long, and are left out


def random_case(seed: int) -> FlowCase | None:
    """Seeded problem; None where the two references differ."""
    import fastdln as fd

    rng = np.random.default_rng(seed)
    m, N = SIZES[seed % 2]
    p, alpha = DEPTHS[(seed // 2) % 4], float(10.0 ** -rng.uniform(1.0, 3.0))
    A = rng.standard_normal((m, N))
    y = A @ np.where(rng.random(N) < 0.4, rng.standard_normal(N), 0.0) + 0.1 * rng.standard_normal(
        m
    )
    c = 4.0 if p == 2.0 else p * (p - 2.0) * alpha ** (p - 2.0)
    scale = -2.0 * np.log(alpha) if p == 2.0 else 1.0
    t = np.array([0.2, 0.7, 1.1, 2.0, 5.0, 20.0]) * scale / (c * np.max(np.abs(A.T @ y)))
    problem = fd.Problem(A, y)
    exact = fd.gradient_flow(problem, p, alpha, t, method="radau", rtol=1e-13).psi
    case = FlowCase(A, y, p, alpha, t, exact)
    if stiff(case):
        return case
    other = fd.gradient_flow(problem, p, alpha, t, method="dop853", rtol=1e-12)
    return case if case.error(other.psi) <= _AGREE else None


def stiff(case: FlowCase) -> bool:
    """Whether explicit methods are left out."""
    return case.alpha ** (case.p - 2.0) < _MOST_STIFF


def ratios(case: FlowCase) -> Iterator[tuple[str, str, float, float]]:
    """Method, form, rtol and error / rtol."""
    import fastdln as fd

    problem = fd.Problem(case.A, case.y)
    for method, form in RUNS:
        if stiff(case) and method in ("tsit5", "dop853"):
            continue
        for rtol in TOLERANCES:
            path = fd.gradient_flow(
                problem, case.p, case.alpha, case.t, method=method, form=form, rtol=rtol
            )
            yield method, form, rtol, case.error(path.psi) / rtol


def main() -> int:
    """Table of the worst ratios; exit code 1 if any is above 5."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200, help="how many problems")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    arguments = parser.parse_args()
    worst: dict[tuple[str, str, float], tuple[float, int]] = {}
    disputed = []
    for seed in range(arguments.first, arguments.first + arguments.count):
        case = random_case(seed)
        if case is None:
            disputed.append(seed)
            continue
        for method, form, rtol, ratio in ratios(case):
            key = (method, form, rtol)
            worst[key] = max(worst.get(key, (0.0, seed)), (ratio, seed))
    for (method, form, rtol), (ratio, seed) in worst.items():
        print(f"{method:<8}{form:<9}{rtol:<7.0e} worst error / rtol {ratio:7.3f}  (seed {seed})")
    top = max(worst.values())[0] if worst else 0.0
    print(
        f"worst of all {top:.3f}; {len(disputed)} of {arguments.count} without reference {disputed}"
    )
    return int(not top <= 5.0)


if __name__ == "__main__":
    sys.exit(main())
