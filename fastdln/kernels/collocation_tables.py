"""Nodes and matrices of Radau collocation, to the last bit.

With nodes 0 < c_1 < ... < c_s = 1 a polynomial of degree s that vanishes at 0 is given by its
values d_1 ... d_s at the nodes. Row i of ``D[q]`` gives the (q+1)-th derivative over
(q+1)! at c_i, ``D0[q]`` the same at 0, and ``basis[j]`` the coefficients of t^1 ... t^s.
So d'(c_i) = (D[0] d)_i, and d(c_i + z) - d(c_i) = sum_q z^(q+1) (D[q] d)_i.

Computed with fifty digits: Vandermonde matrices lose ten on the way.
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ORDERS",
    "PRECISION",
    "Digits",
    "Exact",
    "Tables",
    "all_tables",
    "digits",
    "inverse",
    "tables",
]

Array = NDArray[np.float64]
Exact = list[list[Decimal]]

PRECISION = 50
ORDERS = (3, 5, 7, 9)  # numbers of stages
_SIZE = ORDERS[-1]
# 1 / the real eigenvalue of the derivative matrix: the shift of the error estimate
_SHIFT = {
    3: 0.2748888295956774,
    5: 0.1590658444274700,
    7: 0.1118964653000515,
    9: 0.0863010024286966,
}


class Tables(NamedTuple):
    """What the kernels need for s stages."""

    nodes: Array  # (s,)
    D: Array  # (s, s, s)
    D0: Array  # (s, s)
    basis: Array  # (s, s)
    shift: float


def _legendre(n: int) -> list[Decimal]:
    """Coefficients of P_n(2t - 1), lowest first."""
    return [Decimal((-1) ** (n + k) * math.comb(n, k) * math.comb(n + k, k)) for k in range(n + 1)]


def _value(coefficients: list[Decimal], t: Decimal) -> Decimal:
    total = Decimal(0)
    for c in reversed(coefficients):
        total = total * t + c
    return total


def _radau_nodes(s: int) -> list[Decimal]:
    """Roots of P_s - P_(s-1) on [0, 1]; the last is 1."""
    a, b = _legendre(s), [*_legendre(s - 1), Decimal(0)]
    polynomial = [x - y for x, y in zip(a, b, strict=True)]
    slope = [k * c for k, c in enumerate(polynomial)][1:]
    guesses = np.sort(np.roots([float(c) for c in reversed(polynomial)]).real)
    nodes = []
    for guess in guesses:
        t = Decimal(float(guess))
        for _ in range(8):
            t -= _value(polynomial, t) / _value(slope, t)
        nodes.append(t)
    nodes[-1] = Decimal(1)
    return nodes


def inverse(matrix: Exact) -> Exact:
    """By Gauss and Jordan."""
    n = len(matrix)
    rows = [[*row, *(Decimal(int(i == j)) for j in range(n))] for i, row in enumerate(matrix)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        lead = rows[k][k]
        rows[k] = [x / lead for x in rows[k]]
        for i in range(n):
            if i != k:
                factor = rows[i][k]
                rows[i] = [x - factor * z for x, z in zip(rows[i], rows[k], strict=True)]
    return [row[n:] for row in rows]


class Digits(NamedTuple):
    """Nodes, basis and D of `Tables` with fifty digits."""

    nodes: list[Decimal]
    basis: Exact
    D: list[Exact]


@functools.cache
def digits(s: int) -> Digits:
    """Of s stages."""
    with localcontext(prec=PRECISION):
        c = _radau_nodes(s)
        # values at the nodes = V coefficients, powers 1 ... s; coefficients = basis values
        basis = inverse([[t ** (k + 1) for k in range(s)] for t in c])
        D = [[_derivative(basis, t, q) for t in c] for q in range(1, s + 1)]
        return Digits(c, basis, D)


def _derivative(basis: Exact, t: Decimal, q: int) -> list[Decimal]:
    """The q-th derivative at t over q!, from the values at the nodes."""
    s, one = len(basis), Decimal(1)
    powers = [
        math.comb(k + 1, q) * (t ** (k + 1 - q) if k + 1 > q else one) if k + 1 >= q else Decimal(0)
        for k in range(s)
    ]
    return [sum((powers[k] * basis[k][j] for k in range(s)), Decimal(0)) for j in range(s)]


@functools.cache
def tables(s: int) -> Tables:
    """Nodes and matrices for s stages."""
    exact = digits(s)
    with localcontext(prec=PRECISION):
        D0 = [_derivative(exact.basis, Decimal(0), q) for q in range(1, s + 1)]
    return Tables(
        np.array(exact.nodes, dtype=float),
        np.array(exact.D, dtype=float),
        np.array(D0, dtype=float),
        np.array(exact.basis, dtype=float),
        _SHIFT[s],
    )


@functools.cache
def all_tables() -> tuple[Array, Array, Array, Array, Array]:
    """Every order in one set of arrays, padded with zeros: nodes, D, D0, basis, shift."""
    n = len(ORDERS)
    nodes, basis = np.zeros((n, _SIZE)), np.zeros((n, _SIZE, _SIZE))
    D, D0 = np.zeros((n, _SIZE, _SIZE, _SIZE)), np.zeros((n, _SIZE, _SIZE))
    shift = np.zeros(n)
    for k, s in enumerate(ORDERS):
        one = tables(s)
        nodes[k, :s], basis[k, :s, :s], shift[k] = one.nodes, one.basis, one.shift
        D[k, :s, :s, :s], D0[k, :s, :s] = one.D, one.D0
    return nodes, D, D0, basis, shift
