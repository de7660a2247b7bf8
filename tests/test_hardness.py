"""Which digits inexact data decide: proofs against samples, witnesses against rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from naive_limit import l1_vertices

import fastdln as fd
from fastdln import Answer, hardness
from fastdln._enclosure import enclose
from fastdln._rivals import _moved


def small_problem(generator, sparse):
    m = int(generator.integers(1, 4))
    N = int(generator.integers(m + 1, 7))
    A = np.round(generator.standard_normal((m, N)) * 64) / 64
    if not sparse:
        return fd.Problem(A, np.round(generator.standard_normal(m) * 64) / 64)
    x = np.zeros(N)
    x[int(generator.integers(N))] = 1.5
    return fd.Problem(A, A @ x)


def exact_distance(A, y, psi):
    """Largest l2 distance of an exact minimiser to psi, from rational arithmetic."""
    _, vertices = l1_vertices(A, y)
    return max(
        math.sqrt(sum((v - Fraction(float(x))) ** 2 for v, x in zip(vertex, psi, strict=True)))
        for vertex in vertices
    )


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("delta", [0.0, 1e-9, 1e-3, 0.02])
def test_no_admissible_input_has_a_minimiser_beyond_the_bound(sparse, delta):
    """Corners of the admissible box, where extremes are, and exact vertices of each."""
    generator = np.random.default_rng(5)
    finite = 0
    for _ in range(25):
        problem = small_problem(generator, sparse)
        certificate = fd.certify_digits(problem, delta, 3)
        if certificate.bound == math.inf:
            continue
        finite += 1
        assert certificate.spread <= certificate.bound
        for _ in range(6):
            A = _moved(problem.A, generator.choice([-1.0, 1.0], problem.A.shape), delta)
            y = _moved(problem.y, generator.choice([-1.0, 1.0], problem.y.shape), delta)
            assert exact_distance(A, y, certificate.psi) <= certificate.bound
    assert finite > 15


def test_witnesses_are_admissible_and_their_minimisers_exact():
    generator = np.random.default_rng(6)
    seen = set()
    for k in range(30):
        problem = small_problem(generator, k % 2 == 0)
        delta = 10.0 ** -generator.integers(1, 5)
        certificate = fd.certify_digits(problem, delta, 2)
        seen.add(certificate.answer)
        assert (certificate.answer is Answer.NO) == (certificate.spread > 1e-2)
        assert (certificate.answer is Answer.YES) == (certificate.bound <= 1e-2)
        exact = Fraction(float(delta))
        for witness in certificate.witnesses:
            for given, moved in ((problem.A, witness.A), (problem.y, witness.y)):
                for a, b in zip(given.flat, moved.flat, strict=True):
                    assert abs(Fraction(float(a)) - Fraction(float(b))) <= exact
            assert exact_distance(witness.A, witness.y, witness.psi) <= witness.radius
        if certificate.witnesses:
            one, other = certificate.witnesses
            assert np.linalg.norm(one.psi - other.psi) >= 2 * certificate.spread
    assert seen == {Answer.YES, Answer.NO} or seen == set(Answer)


@pytest.mark.parametrize("tie", [0.3, 0.01, 1e-5])
def test_on_the_kink_family_the_transition_is_where_theory_says(tie):
    """The columns 1 and 1 - tie can be made equal from input_error = tie / 2 on."""
    problem = fd.datasets.kink(tie)
    below = fd.certify_digits(problem, 0.4999 * tie, 0)
    above = fd.certify_digits(problem, 0.5001 * tie, 0.2)
    assert (below.answer, above.answer) == (Answer.YES, Answer.NO)
    assert below.margin > 0.0 > above.margin
    assert above.spread == pytest.approx(math.sqrt(0.5), rel=0.3)
    phases = fd.hardness_map(problem, [0.4999 * tie, 0.5001 * tie])
    assert phases.critical_error == pytest.approx(tie / 2, rel=1e-9)
    assert phases.bound[0] == below.bound
    assert phases.spread[1] == above.spread


def test_small_errors_are_decided_to_their_size():
    """|x' - x| <= ||A_S^-1|| (1 + ||x||_1) delta to first order: bound and spread meet."""
    certificate = fd.certify_digits(fd.datasets.random(), 1e-8, 6)
    assert certificate.answer is Answer.YES
    assert 1.0 <= certificate.bound / certificate.spread < 1.2


def test_rounding_alone():
    certificate = fd.certify_digits(fd.datasets.random(), 0.0, 13)
    assert certificate.answer is Answer.YES
    assert (certificate.spread, certificate.witnesses) == (0.0, ())


def test_a_face_is_undecided_by_any_error():
    problem = fd.datasets.line()
    assert fd.certify_digits(problem, 0.0, 1).answer is Answer.UNDECIDED
    certificate = fd.certify_digits(problem, 1e-13, 0)
    assert certificate.answer is Answer.NO
    assert certificate.bound == math.inf


def test_less_than_m_nonzeros_and_none():
    problem, _ = fd.datasets.gaussian(10, 30, 2, rng=1)
    certificate = fd.certify_digits(problem, 1e-10, 6)
    assert certificate.answer is Answer.YES
    assert certificate.spread > 0.0
    zero = fd.Problem([[1.0, 0.5]], [0.0])
    assert fd.certify_digits(zero, 1e-3, 2).answer is Answer.YES
    assert fd.certify_digits(zero, 0.1, 2).answer is Answer.NO


def test_dependent_rows_are_undecided():
    problem = fd.Problem([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]], [1.0, 1.0])
    certificate = fd.certify_digits(problem, 1e-6, 1)
    assert certificate.answer is Answer.UNDECIDED
    assert (certificate.bound, certificate.spread) == (math.inf, 0.0)


def test_an_enclosure_needs_a_support_that_can_be_inverted():
    A = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    found = enclose(A, np.ones(2), np.array([0.5, 0.5, 0.0]), [], 0.0)
    assert (found.radius, found.margin) == (math.inf, -math.inf)


@pytest.mark.parametrize("p", [2.5, 3.0, 5.0])
def test_kink_profile_is_the_limit_of_small_ties(p):
    tie = 1e-7
    ratio = np.array([1e-3, 0.1, 0.5, 1.0, 30.0])
    log_eps = np.log(ratio) + p / (p - 2) * math.log(tie)
    limit = fd.flow_limit(fd.datasets.kink(tie), p, log_alpha=log_eps / p)
    np.testing.assert_allclose(np.sort(limit.deviation_norm), hardness.kink_profile(ratio, p),
                               rtol=1e-5)  # fmt: skip
    assert hardness.kink_profile(1e-30, p) == pytest.approx(math.sqrt(2) * 1e-30, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1e-3, 2), "input_error must lie between 0 and 1e.300, got -0.001"),
        ((math.nan, 2), "input_error must lie between"),
        ((1e-3, 400), "digits must lie between -300 and 300, got 400"),
        ((1e-3, 2, 1.5), "p must be a finite real number of at least 2"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fd.certify_digits(fd.datasets.line(), *arguments)
    with pytest.raises(TypeError, match="digits must be a real number, got 'two'"):
        fd.certify_digits(fd.datasets.line(), 0.1, "two")
    with pytest.raises(ValueError, match="input_error must lie between"):
        fd.hardness_map(fd.datasets.line(), [0.1, -1.0])
