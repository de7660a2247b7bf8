"""Eigenvectors of Radau collocation, against mpmath's."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from fastdln.kernels.collocation_modes import modes
from fastdln.kernels.collocation_tables import ORDERS, tables

pytestmark = pytest.mark.nojit


def inverse_derivative(s):
    """T by integrals of Lagrange's polynomials, from nodes that are roots of P_s - P_(s-1)."""

    def polynomial(t):
        return mpmath.legendre(s, 2 * t - 1) - mpmath.legendre(s - 1, 2 * t - 1)

    grid = np.linspace(0.0, 1.0, 1000)  # its roots are further apart
    signs = np.sign([float(polynomial(t)) for t in grid[:-1]])
    starts = grid[:-2][signs[:-1] != signs[1:]]
    node = [mpmath.findroot(polynomial, (t, t + grid[1]), solver="ridder") for t in starts]
    node.append(mpmath.mpf(1))
    # rows of V^-1 are the coefficients of Lagrange's polynomials, degrees 0 ... s - 1
    V = mpmath.matrix([[t**k for k in range(s)] for t in node])
    integrals = mpmath.matrix([[t ** (k + 1) / (k + 1) for k in range(s)] for t in node])
    return node, integrals * mpmath.inverse(V)


@pytest.mark.parametrize("s", ORDERS)
def test_eigenvectors_are_rounded_once(s):
    with mpmath.workdps(60):
        node, T = inverse_derivative(s)
        found = modes(s)
        assert np.array_equal(tables(s).nodes, np.array([float(t) for t in node]))
        exact = [mu for mu in mpmath.eig(T, left=False, right=False) if mpmath.im(mu) > -1e-30]
        exact.sort(key=lambda mu: float(mpmath.im(mu)))
        real, imaginary = ([float(part(mu)) for mu in exact] for part in (mpmath.re, mpmath.im))
        imaginary[0] = 0.0  # to sixty digits
        order = np.argsort(found.mu[1])
        assert np.array_equal(found.mu[:, order], np.array([real, imaginary]))
        exact_T = np.array(T.tolist(), dtype=float)
        assert np.max(np.abs(found.W @ exact_T - found.WT)) < 1e-15
        for q, mu in enumerate(found.mu[0] + 1j * found.mu[1]):
            w = found.W[0] + 0j if q == 0 else found.W[2 * q - 1] + 1j * found.W[2 * q]
            wT = found.WT[0] + 0j if q == 0 else found.WT[2 * q - 1] + 1j * found.WT[2 * q]
            assert np.max(np.abs(wT - mu * w)) < 1e-16
            assert np.max(np.abs(w)) == pytest.approx(1.0, abs=1e-15)
    size = np.abs(found.V) @ np.abs(found.W)
    assert np.all(np.abs(found.V @ found.W - np.eye(s)) < 1e-15 * s * size)


@pytest.mark.parametrize("s", ORDERS)
def test_coefficients_of_a_derivative(s):
    """Rows of `slopes` make t^k of its values at the nodes."""
    found, nodes = modes(s).slopes, tables(s).nodes
    for k in range(s):
        values = nodes**k
        rounding = 1e-15 * (np.abs(found) @ values)
        assert np.all(np.abs(found @ values - np.eye(s)[k]) < rounding)
