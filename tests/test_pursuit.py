"""The minimiser by homotopy: what it proves is right, and what it cannot prove it leaves."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from naive_limit import l1_vertices, solve_rational

import fastdln as fd
from fastdln import Status, minimizer
from fastdln._pursuit import pursue


def check(A, y, vertex):
    """Dual and primal, in double precision."""
    products = A.T @ vertex.dual
    np.testing.assert_allclose(products[vertex.support], np.sign(vertex.values), atol=1e-12)
    off = np.delete(products, vertex.support)
    assert np.max(np.abs(off), initial=0.0) <= 1.0 - vertex.margin + 1e-12
    np.testing.assert_allclose(A[:, vertex.support] @ vertex.values, y, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_against_rational_enumeration(seed):
    """Where it answers on small problems with ties and faces, the answer is the only minimiser."""
    generator = np.random.default_rng(seed)
    answered, left = 0, 0
    for k in range(60):
        m = int(generator.integers(1, 4))
        N = int(generator.integers(m + 1, 9))
        A = generator.integers(-3, 4, (m, N)).astype(float)
        y = generator.integers(-3, 4, m).astype(float)
        if k % 2:
            x = np.zeros(N)
            x[generator.integers(N)] = 2.0
            y = A @ x
        if np.linalg.matrix_rank(A) < m or not y.any():
            continue
        vertex = pursue(A, y)
        _, vertices = l1_vertices(A, y)
        if vertex is None:
            left += 1
            continue
        answered += 1
        (exact,) = vertices
        psi = np.zeros(N)
        psi[vertex.support] = vertex.values
        np.testing.assert_allclose(psi, [float(v) for v in exact], rtol=1e-15)
        np.testing.assert_array_equal(vertex.support, np.flatnonzero([v != 0 for v in exact]))
        check(A, y, vertex)
    assert answered > 10
    assert left > 5


@pytest.mark.parametrize(("m", "N", "k"), [(30, 150, 4), (60, 500, 8), (60, 500, 30), (40, 40, 9)])
def test_planted_signals_are_found_exactly(m, N, k):
    problem, x = fd.datasets.gaussian(m, N, k, rng=m)
    vertex = pursue(problem.A, problem.y)
    check(problem.A, problem.y, vertex)
    if k < m / 4:
        np.testing.assert_array_equal(vertex.support, np.flatnonzero(x))
        np.testing.assert_array_equal(vertex.values, x[vertex.support])


def test_rounded_data_are_exact_numbers():
    """y = fl(A x): the minimiser has m nonzeros, most of them of size 1e-17, all right."""
    generator = np.random.default_rng(3)
    A = generator.standard_normal((20, 90))
    x = np.zeros(90)
    x[:4] = [1.0, -2.0, 0.5, 3.0]
    y = A @ x
    vertex = pursue(A, y)
    assert vertex.support.size == 20
    assert np.sort(np.abs(vertex.values))[15] < 1e-14
    rows = [[Fraction(float(v)) for v in row] for row in A[:, vertex.support]]
    exact = solve_rational(rows, [Fraction(float(v)) for v in y])
    np.testing.assert_allclose(vertex.values, [float(v) for v in exact], rtol=1e-12)


def test_it_agrees_with_the_path_of_limits(monkeypatch):
    generator = np.random.default_rng(5)
    A = generator.standard_normal((40, 200))
    for y in (generator.standard_normal(40), A[:, 3] * 0.1 + A[:, 7]):
        problem = fd.Problem(A, y)
        found = fd.l1_minimizer(problem, 2)
        with monkeypatch.context() as patch:
            patch.setattr(minimizer, "pursue", lambda A, y: None)
            other = fd.l1_minimizer(problem, 2)
        assert found.status is other.status is Status.PROVED
        np.testing.assert_array_equal(found.support, other.support)
        np.testing.assert_allclose(found.psi, other.psi, rtol=1e-11)
        assert {f.name for f in dataclasses.fields(found)} == set(vars(other))


def test_what_has_no_only_minimiser_is_left_to_others():
    generator = np.random.default_rng(8)
    A = np.repeat(np.round(generator.standard_normal((30, 80)) * 64) / 64, 2, axis=1)
    y = A[:, 0] + A[:, 10]
    assert pursue(A, y) is None  # every column twice
    assert not fd.l1_minimizer(fd.Problem(A, y), 3).unique
    assert pursue(A, np.zeros(30)) is None
    B = np.vstack((A[:, ::2], A[:1, ::2]))
    assert pursue(B, np.append(y, y[0] + 1.0)) is None  # y outside the range
    same = pursue(B, np.append(y, y[0]))  # dependent rows do no harm
    np.testing.assert_array_equal(same.support, [0, 5])
    np.testing.assert_array_equal(same.values, [1.0, 1.0])


@pytest.mark.parametrize("scale", [2.0**-830, 2.0**-300, 2.0**300, 2.0**830])
def test_scales(scale):
    problem, x = fd.datasets.gaussian(40, 120, 5, rng=2)
    found = fd.l1_minimizer(fd.Problem(problem.A, problem.y * scale), 3)
    assert found.status is Status.PROVED
    np.testing.assert_allclose(found.psi, x * scale, rtol=1e-14)
