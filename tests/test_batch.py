"""Many problems at once: the same bits as one by one."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import fastdln as fd
from fastdln import _threads
from fastdln._many import curves_of
from fastdln._threads import in_order
from fastdln.kernels.many import solve_many


def assert_same(first, second):
    for field in dataclasses.fields(first):
        if not field.name.startswith("_"):
            one, other = getattr(first, field.name), getattr(second, field.name)
            assert np.array_equal(one, other, equal_nan=field.name != "status"), field.name


@pytest.mark.parametrize("alpha", [1e-4, [1e-2, 1.0, 1e-30]])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_batch_is_its_problems_one_by_one(monkeypatch, threads, alpha):
    monkeypatch.setattr(_threads, "thread_count", lambda: threads)
    monkeypatch.setattr("fastdln.limit.thread_count", lambda: threads)
    generator = np.random.default_rng(0)
    problems = [fd.datasets.line(), fd.datasets.random(), fd.Problem([[1.0, 2.0]], [0.0])]
    for _ in range(37):
        m = int(generator.integers(1, 6))
        A = generator.standard_normal((m, m + int(generator.integers(0, 9))))
        problems.append(fd.Problem(A, generator.standard_normal(m)))
    batch = fd.flow_limit(problems, 3, alpha)
    assert isinstance(batch, list)
    assert len(batch) == len(problems)
    for limit, problem in zip(batch, problems, strict=True):
        alone = fd.flow_limit(fd.Problem(problem.A, problem.y), 3, alpha)
        assert_same(limit, alone)
        assert np.array_equal(limit.deviation, alone.deviation, equal_nan=True)


def test_many_right_hand_sides_share_what_is_known_of_A(monkeypatch):
    A = np.random.default_rng(1).standard_normal((4, 12))
    first = fd.Problem(A, np.ones(4), name="first")
    assert first.rank == 4
    assert first.consistent
    fd.flow_limit(first, 2, 1e-3)
    monkeypatch.setattr(np.linalg, "eigvalsh", None)  # what the rank was found by
    Y = np.random.default_rng(2).standard_normal((6, 4))
    batch = fd.flow_limit(tuple(first.with_y(y, name=f"{k}") for k, y in enumerate(Y)), 2, 1e-3)
    monkeypatch.undo()
    for limit, y in zip(batch, Y, strict=True):
        assert_same(limit, fd.flow_limit(fd.Problem(A, y), 2, 1e-3))
    other = first.with_y(Y[0])
    assert other.A is first.A
    assert (other.name, first.name) == (None, "first")
    np.testing.assert_array_equal(first.y, np.ones(4))


def test_with_y_looks_at_consistency_again():
    A = np.array([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5]])
    good = fd.Problem(A, [1.0, 1.0])
    assert good.consistent
    fd.flow_limit(good, 3, 1e-3)
    bad = good.with_y([1.0, 3.0])
    assert not bad.consistent
    assert_same(fd.flow_limit(bad, 3, 1e-3), fd.flow_limit(fd.Problem(A, [1.0, 3.0]), 3, 1e-3))
    with pytest.raises(ValueError, match="y must have one entry for each row of A, got 3 for 2"):
        good.with_y([1.0, 2.0, 3.0])


def test_an_empty_batch_and_a_stranger_in_one():
    assert fd.flow_limit([], 3, 1e-3) == []
    with pytest.raises(TypeError, match=r"problem must be a fastdln.Problem\(A, y\), got an obj"):
        fd.flow_limit([fd.datasets.line(), np.eye(2)], 3, 1e-3)
    with pytest.raises(ValueError, match="p must be a finite real number of at least 2"):
        fd.flow_limit([fd.datasets.line()], 1, 1e-3)


def test_results_come_in_order_and_an_error_ends_the_rest(monkeypatch):
    monkeypatch.setattr(_threads, "thread_count", lambda: 3)
    gate = threading.Event()

    def late_first(k):
        if k == 0:
            gate.wait(10.0)
        elif k == 2:
            gate.set()
        return k * k

    assert list(in_order(late_first, range(50))) == [k * k for k in range(50)]
    begun = []

    def fails(k):
        begun.append(k)
        if k == 3:
            raise ArithmeticError("three")
        return k

    with pytest.raises(ArithmeticError, match="three"):
        list(in_order(fails, range(1000)))
    assert max(begun) < 20


def test_large_problems_in_a_batch_do_not_wait_for_each_other(monkeypatch):
    """Each would use the pool by itself; inside it, they keep to their own thread."""
    monkeypatch.setattr(_threads, "thread_count", lambda: 2)
    monkeypatch.setattr(_threads, "PARALLEL_FROM", 8)
    A = np.random.default_rng(3).standard_normal((6, 60))
    sparse, operator = csr_array(A), aslinearoperator(A)
    problems = [
        fd.Problem(form, y, memory_budget=0)
        for form in (sparse, operator)
        for y in np.random.default_rng(4).standard_normal((4, 6))
    ]
    for limit, problem in zip(fd.flow_limit(problems, 3, 1e-2), problems, strict=True):
        assert_same(limit, fd.flow_limit(problem, 3, 1e-2))


@pytest.mark.parametrize("p", [2.0, 2.5, 4.0])
@pytest.mark.parametrize("shared", [False, True])
def test_problems_of_one_shape_are_solved_in_one_call_to_the_same_bits(monkeypatch, p, shared):
    """Among them some that need a closer look: y = 0, deficient, badly scaled rows."""
    calls = []

    def counted(problems, *rest):
        calls.append(len(problems))
        return curves_of(problems, *rest)

    monkeypatch.setattr("fastdln.limit.curves_of", counted)
    generator = np.random.default_rng(7)
    A = generator.standard_normal((40, 3, 6))
    Y = generator.standard_normal((40, 3))
    Y[4], A[9, 2], A[10, 0], Y[11] = 0.0, A[9, 1], A[10, 0] * 2.0**-70, Y[11] * 2.0**80
    problems = [fd.Problem(one, y) for one, y in zip(A, Y, strict=True)]
    if shared:
        problems = [problems[0].with_y(y) for y in Y]
    log_alpha = np.array([-9.0, 12.0, -200.0])
    limits = fd.flow_limit(problems, p, log_alpha=log_alpha)
    assert sum(calls) == 40
    assert max(calls) > 1
    curves = [fd.flow_limit([problem], p, log_alpha=log_alpha)[0] for problem in problems]
    assert sum(calls) == 40 + 40  # one call serves several alphas
    for limit, curve, problem in zip(limits, curves, problems, strict=True):
        alone = fd.flow_limit(fd.Problem(problem.A, problem.y), p, log_alpha=log_alpha)
        assert_same(limit, alone)
        assert_same(curve, alone)
        assert np.array_equal(limit.deviation, alone.deviation)
        assert np.array_equal(limit.minimizer.psi, alone.minimizer.psi)


def test_limits_beyond_the_smallest_double_go_one_by_one(monkeypatch):
    monkeypatch.setattr("fastdln.limit.curves_of", None)
    problems = [fd.datasets.random()] * 9
    for p, log_alpha in ((2.0, -1e4), (2.01, -400.0)):
        for limit in fd.flow_limit(problems, p, log_alpha=log_alpha):
            assert_same(limit, fd.flow_limit(fd.datasets.random(), p, log_alpha=log_alpha))


@pytest.mark.parametrize("p", [2.0, 2.5, 3.0])
def test_deviations_of_a_batch_are_found_in_one_call(monkeypatch, p):
    """Those of well-behaved problems, without a look at the face of each."""
    problems = [fd.datasets.gaussian(5, 20, 2, rng=k).problem for k in range(12)]
    calls = []

    def counted(*arguments):
        calls.append(arguments[-1].known.size)
        return solve_many(*arguments)

    monkeypatch.setattr(_threads, "thread_count", lambda: 1)
    monkeypatch.setattr("fastdln.limit.thread_count", lambda: 1)
    monkeypatch.setattr("fastdln._many.solve_many", counted)
    limits = fd.flow_limit(problems, p, [1e-2, 1e-3])
    assert set(calls) == {0}  # not before they are asked for
    count = len(calls)
    with monkeypatch.context() as patch:
        patch.setattr("fastdln.limit.locate_face", None)
        norms = [limit.log_deviation_norm for limit in limits]
    assert sum(calls) == 12
    assert len(calls) == 2 * count
    for limit, norm, problem in zip(limits, norms, problems, strict=True):
        alone = fd.flow_limit(problem, p, [1e-2, 1e-3])
        assert np.array_equal(norm, alone.log_deviation_norm)
        assert np.array_equal(limit.deviation, alone.deviation)


def test_deviations_of_a_batch_where_they_are_not_plain():
    """A tiny psi has units of its own; at p = 2 a degenerate face is proved at another depth."""
    easy = [fd.datasets.gaussian(2, 4, 1, rng=k).problem for k in range(3)]
    plane = fd.datasets.plane()
    for p, log_alpha in ((2.0, -3.0), (4.0, -300.0)):
        limits = fd.flow_limit([*easy, plane], p, log_alpha=[log_alpha, 0.0])
        for limit, problem in zip(limits, [*easy, plane], strict=True):
            alone = fd.flow_limit(problem, p, log_alpha=[log_alpha, 0.0])
            assert np.array_equal(limit.deviation, alone.deviation)
            assert np.array_equal(limit.log_deviation_norm, alone.log_deviation_norm)
            assert np.all(np.isfinite(limit.log_deviation_norm))
