"""What a result prints: a line for each attribute, whatever their size."""

import dataclasses

import numpy as np
import pytest

import fastdln as fd


@pytest.fixture(scope="module")
def limit():
    return fd.flow_limit(fd.datasets.random(), 3, [1e-3, 1e-5])


def lines_of(result):
    head, *rows = repr(result).splitlines()
    assert head == type(result).__name__
    return dict(row.strip().split(": ", 1) for row in rows)


def test_each_attribute_has_its_line(limit):
    lines = lines_of(limit)
    assert lines["psi"] == f"2 x 5, {limit.psi.min():.6g} to {limit.psi.max():.6g}"
    assert lines["status"] == "2 x CONVERGED"
    assert lines["undetermined"] == "0 of 2 x 5 are True"
    assert np.array(lines["log_eps"].strip("[]").split(), float) == pytest.approx(limit.log_eps)
    assert not any(name.startswith("_") for name in lines)


def test_short_vectors_are_shown_whole(limit):
    minimizer = limit.minimizer
    lines = lines_of(minimizer)
    assert lines["support"] == "[2 3 4]"
    assert lines["status"] == "PROVED"
    assert float(lines["l1_norm"]) == minimizer.l1_norm


def test_no_array_makes_it_long():
    problem = fd.datasets.gaussian(20, 3000, 4).problem
    limit = fd.flow_limit(problem, 3, 1e-9)
    lines = repr(limit).splitlines()
    assert len(lines) == 1 + sum(field.repr for field in dataclasses.fields(limit))
    assert max(map(len, lines)) < 80


def test_nested_results_nan_and_nothing():
    path = fd.gradient_flow(fd.datasets.random(), 3, 0.1, [1.0, 10.0])
    assert lines_of(path)["events"] == "none"
    rate = fd.convergence_rate(fd.datasets.random(), 3)
    assert lines_of(rate)["minimizer"] == "<L1Minimizer>"
    unknown = np.array([[np.nan, 1.0], [2.0, 3.0]])
    witness = fd.Witness(A=unknown, y=np.full((2, 2), np.nan), psi=unknown[0], radius=0.0)
    assert lines_of(witness)["A"] == "2 x 2, 1 to 3, 1 NaN"
    assert lines_of(witness)["y"] == "2 x 2, all NaN"


@pytest.mark.parametrize("p", ["3", b"3", 10**400])
def test_text_is_no_number(p):
    with pytest.raises(TypeError, match="p must be a real number of at least 2"):
        fd.flow_limit(fd.datasets.random(), p, 0.1)


def test_a_planted_problem_shows_no_coordinates():
    planted = fd.datasets.gaussian(4, 10, 2, rng=0)
    assert repr(planted) == "Planted(Problem('gaussian 4 x 10', m=4, N=10), x with 2 nonzeros)"
