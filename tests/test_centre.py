"""Limits by primal-dual methods, against those that follow the path all the way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from naive_limit import exact_eps

import fastdln as fd
from fastdln import Status, _primal_dual, _solver, _threads

NEVER, ALWAYS = 10**12, 0


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 4.0, 10.0])
@pytest.mark.parametrize("name", ["random", "kink_0.01", "gauss_1", "gauss_3", "sparse_12"])
def test_the_tables_from_the_minimiser(reference, monkeypatch, name, p):
    monkeypatch.setattr(_solver, "_WORTH_A_PURSUIT", ALWAYS)
    case = next(case for case in reference("flow_limits") if case["name"] == name)
    constraints = fd.Problem(np.array(case["A"], float), np.array(case["y"], float))._constraints
    for row in case["rows"]:
        if float(row["p"]) != p:
            continue
        (high,), (low,) = (np.array([v]) for v in exact_eps(row["log10_alpha_p"]))
        curve = _solver.solve_curve(constraints, p, np.array([high]), np.array([low]), 400)
        assert not curve.codes.any()
        for value, text in zip(curve.psi[0], row["psi"], strict=True):
            exact = float(text)
            if abs(exact) > 1e-290:
                assert abs(value - exact) <= 1e-12 * abs(exact)


def _both_ways(monkeypatch, problem, p, log_eps):
    out = []
    for size in (NEVER, ALWAYS):
        monkeypatch.setattr(_solver, "_WORTH_A_PURSUIT", size)
        out.append(fd.flow_limit(problem, p, log_alpha=log_eps / p))
    return out


@pytest.mark.parametrize("data", ["exact", "rounded", "generic"])
@pytest.mark.parametrize("p", [2.0, 2.5, 3.0, 6.0])
def test_both_ways_end_in_the_same_place(monkeypatch, data, p):
    planted = fd.datasets.gaussian(25, 120, 4, rng=3)
    problem = planted.problem
    generator = np.random.default_rng(7)
    if data == "rounded":
        A = generator.standard_normal((25, 120))
        problem = fd.Problem(A, A @ planted.x)
    elif data == "generic":
        problem = fd.Problem(problem.A, generator.standard_normal(25))
    for decades in (3, 9, 40, 200):
        path, warm = _both_ways(monkeypatch, problem, p, -decades * math.log(10.0))
        assert path.status is warm.status is Status.CONVERGED
        largest = path.log_abs_psi.max()
        allowed = path.error_bound + warm.error_bound + 2.0**-50 * np.abs(path.log_abs_psi)
        difference = np.abs(path.log_abs_psi - warm.log_abs_psi)
        near = path.log_abs_psi > largest - 700.0
        assert np.all(difference[near] <= allowed[near])


@pytest.mark.parametrize(("p", "decades", "most"), [
    (2.0, 9, 12), (2.5, 9, 12), (3.0, 9, 12), (4.0, 9, 12), (2.5, 100, 12), (3.0, 100, 12),
    (4.0, 100, 12), (2.0, 60, 18), (2.0, 100, 20), (2.0, 180, 24), (2.0, 280, 26),
])  # fmt: skip
def test_few_factorisations(p, decades, most):
    problem = fd.datasets.gaussian(60, 400, 8).problem
    limit = fd.flow_limit(problem, p, log_alpha=-decades * math.log(10.0) / p)
    assert limit.status is Status.CONVERGED
    assert limit.factorisations <= most


@pytest.mark.parametrize(("p", "decades"), [(2.0, 40), (3.0, 9)])
def test_the_same_bits_on_any_number_of_threads(monkeypatch, p, decades):
    problem = fd.datasets.gaussian(60, 700, 8).problem
    monkeypatch.setattr(_primal_dual, "_PIECE", 3e5)  # of 2.5e6: eight pieces
    limits = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(_threads, "thread_count", lambda threads=threads: threads)
        limits.append(fd.flow_limit(problem, p, log_alpha=-decades * math.log(10.0) / p))
    for other in limits[1:]:
        assert limits[0].psi.tobytes() == other.psi.tobytes()
        assert limits[0].error_bound == other.error_bound


def test_what_the_deep_method_gives_up_is_left_to_the_path(monkeypatch):
    problem = fd.datasets.gaussian(30, 400, 4).problem
    both = [fd.flow_limit(problem, 2.0, log_alpha=-60.0)]
    monkeypatch.setattr(_primal_dual, "_descend", lambda *_: None)
    both.append(fd.flow_limit(problem, 2.0, log_alpha=-60.0))
    assert both[0].status is both[1].status is Status.CONVERGED
    allowed = both[0].error_bound + both[1].error_bound
    assert np.all(np.abs(both[0].psi - both[1].psi) <= allowed * np.abs(both[0].psi))


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_hostile_problems_agree_with_the_path(monkeypatch, p):
    """Few digits, repeated and scaled columns: faces, ties, dependent rows."""
    generator = np.random.default_rng(11)
    for _ in range(25):
        m = int(generator.integers(1, 6))
        A = generator.integers(-2, 3, (m, 12)).astype(float)
        A[:, 3] = A[:, 5]
        A[:, 7] *= 1e-6
        y = generator.integers(-3, 4, m).astype(float)
        path, warm = _both_ways(monkeypatch, fd.Problem(A, y), p, -9 * math.log(10.0))
        assert warm.status is path.status
        if path.status is Status.CONVERGED and path.error_bound < 1e-3:
            size = np.maximum(np.abs(path.psi), 1e-300)
            assert np.all(np.abs(path.psi - warm.psi) <= 2.0 * path.error_bound * size)
