"""Exponents from measured points, and what follows from them for machines not at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Power(NamedTuple):
    """``value = factor * size**exponent`` with the standard error of the exponent."""

    exponent: float
    error: float
    factor: float

    def at(self, size: float) -> float:
        """The value at a size."""
        return float(self.factor * size**self.exponent)


def power(sizes: Sequence[float], values: Sequence[float], last: int = 3) -> Power:
    """Least squares between logarithms, over the `last` sizes: small ones are overhead."""
    x, z = (np.log(np.array(column[-last:], float)) for column in (sizes, values))
    away = x - x.mean()
    exponent = float(away @ z / (away @ away))
    rest = z - z.mean() - exponent * away
    freedom = len(x) - 2
    error = math.sqrt(float(rest @ rest) / freedom / float(away @ away)) if freedom > 0 else 0.0
    return Power(exponent, error, math.exp(float(z.mean() - exponent * x.mean())))


def serial_fraction(one: float, two: float) -> float:
    """What Amdahl's law leaves on one thread, from the times on one and two: 2 T2 / T1 - 1."""
    return min(1.0, max(0.0, 2 * two / one - 1))


def amdahl(fraction: float, cores: int) -> float:
    """Speed-up on so many cores: 1 / (f + (1 - f) / cores)."""
    return 1.0 / (fraction + (1.0 - fraction) / cores)


class Cluster(NamedTuple):
    """A sweep on Dask: one scheduler, many workers of one thread each."""

    workers: int
    chunk_overhead: float  # seconds of the scheduler for each chunk
    start: float  # seconds before the first chunk and after the last

    def seconds(self, configurations: int, each: float, in_chunk: int) -> float:
        """``start + max(chunks * overhead, ceil(chunks / workers) * in_chunk * each)``."""
        chunks = math.ceil(configurations / in_chunk)
        rounds = math.ceil(chunks / self.workers)
        return self.start + max(chunks * self.chunk_overhead, rounds * in_chunk * each)

    def best(self, configurations: int, each: float) -> tuple[int, float, float]:
        """Chunk length of least time, that time, and efficiency: work / (workers * time)."""
        lengths = sorted({int(2 ** (k / 4)) for k in range(4 * 20)})
        lengths = [n for n in lengths if n <= configurations]
        length = min(lengths, key=lambda n: self.seconds(configurations, each, n))
        took = self.seconds(configurations, each, length)
        return length, took, configurations * each / (self.workers * took)
