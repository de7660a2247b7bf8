"""Eigenvectors of the matrix of Radau collocation, to the last bit.

T = D^-1 (`collocation_tables`, D the first derivative) takes p' to p for polynomials p of degree
s with p(0) = 0, both given at the nodes. T p' = mu p' says p = mu p' at the nodes, so that
p - mu p' is a multiple of M(t) = (t - c_1) ... (t - c_s), hence p of sum_k mu^k M^(k)(t), where
p(0) = 0 says

    sum_k mu^k M^(k)(0) = 0,

and the eigenvector is p at the nodes. Fifty digits, rounded once: LAPACK's last bits differ from
one processor to another, and with them the steps that a flow takes.
"""

from __future__ import annotations

import functools
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln.kernels.collocation_tables import PRECISION, Exact, digits, inverse

__all__ = ["Modes", "modes"]

Array = NDArray[np.float64]
Pair = tuple[Decimal, Decimal]  # real and imaginary part


class Modes(NamedTuple):
    """T = V diag(mu) W, W = V^-1, complex pairs as two real columns each."""

    mu: Array  # (2, modes): eigenvalues, the real one first
    W: Array  # (s, s): row 0 real; rows 1 and 2 real and imaginary part of the first pair, ...
    V: Array  # (s, s): inverse of W
    WT: Array  # (s, s): W T
    slopes: Array  # (s, s): coefficients of d', lowest first, from its values at the nodes


def _times(a: Exact, b: Exact) -> Exact:
    columns = list(zip(*b, strict=True))
    return [[sum(map(Decimal.__mul__, row, col), Decimal(0)) for col in columns] for row in a]


def _horner(coefficients: list[Decimal], z: Pair) -> Pair:
    """The value at z; coefficients lowest first."""
    x, y = Decimal(0), Decimal(0)
    for c in reversed(coefficients):
        x, y = x * z[0] - y * z[1] + c, x * z[1] + y * z[0]
    return x, y


def _root(coefficients: list[Decimal], guess: complex) -> Pair:
    """By Newton's method."""
    slope = [k * c for k, c in enumerate(coefficients)][1:]
    z = Decimal(guess.real), Decimal(guess.imag)
    for _ in range(8):
        (a, b), (c, d) = _horner(coefficients, z), _horner(slope, z)
        square = c * c + d * d
        z = z[0] - (a * c + b * d) / square, z[1] - (b * c - a * d) / square
    return z


def _derivatives(nodes: list[Decimal], t: Decimal) -> list[Decimal]:
    """M, M', ..., M^(s) at t: the coefficients of M(t + x), times factorials."""
    coefficients, factor = [Decimal(1)], 1
    for c in nodes:  # times (x + t - c)
        low, high = [(t - c) * a for a in coefficients], coefficients
        coefficients = [*map(Decimal.__add__, [*low, Decimal(0)], [Decimal(0), *high])]
    for k in range(1, len(coefficients)):
        factor *= k
        coefficients[k] *= factor
    return coefficients


def _eigenvalues(nodes: list[Decimal]) -> list[Pair]:
    """The real one, and one of each pair."""
    polynomial = _derivatives(nodes, Decimal(0))
    guesses = np.roots([float(c) for c in reversed(polynomial)])
    upper = sorted(guesses[guesses.imag > 1e-6 * np.abs(guesses)], key=lambda z: float(z.imag))
    real = guesses[np.argmin(np.abs(guesses.imag))].real
    return [_root(polynomial, complex(z)) for z in (real, *upper)]


def _rows(nodes: list[Decimal], mu: list[Pair]) -> Exact:
    """W, each pair of rows scaled to a largest entry of 1 in size."""
    columns: Exact = []
    at_nodes = [_derivatives(nodes, c) for c in nodes]
    for z in mu:
        values = [_horner(coefficients, z) for coefficients in at_nodes]
        columns += [list(part) for part in zip(*values, strict=True)]
    del columns[1]  # of a real eigenvector
    found = inverse([list(row) for row in zip(*columns, strict=True)])
    largest = max(map(abs, found[0]))
    W = [[x / largest for x in found[0]]]
    for a, b in zip(found[1::2], found[2::2], strict=True):  # a - i b is the row of the pair, twice
        largest = max((x * x + y * y).sqrt() for x, y in zip(a, b, strict=True))
        W += [[x / largest for x in a], [-y / largest for y in b]]
    return W


@functools.cache
def modes(s: int) -> Modes:
    """Of s stages; only Newton's corrections go through them."""
    exact = digits(s)
    with localcontext(prec=PRECISION):
        mu = _eigenvalues(exact.nodes)
        W, T = _rows(exact.nodes, mu), inverse(exact.D[0])
        slopes = [[(k + 1) * x for x in row] for k, row in enumerate(_times(exact.basis, T))]
        tables = [list(zip(*mu, strict=True)), W, inverse(W), _times(W, T), slopes]
    return Modes(*(np.array(one, dtype=float) for one in tables))
