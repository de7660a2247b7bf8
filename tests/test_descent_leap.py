"""Leaps: iterates of the discrete method, at any distance."""

import math
import signal
import threading
import time

import numpy as np
import pytest
from test_descent import gaussian, relative, table_case

import fastdln as fd
from fastdln import Status
from fastdln.kernels import collocation as engine
from fastdln.kernels.collocation_tables import ORDERS, tables


@pytest.mark.parametrize("rtol", [1e-6, 1e-9, 1e-11])
def test_reference_table(reference, rtol):
    for case in reference("gradient_descent"):
        problem, p, alpha, eta, steps, exact = table_case(case)
        path = fd.gradient_descent(
            problem, p, alpha, eta, steps[-1], steps, method="leap", rtol=rtol
        )
        assert path.status is Status.ALL_STEPS
        assert np.all(relative(path.psi, exact, p, alpha) <= rtol)
        stats = path.stats
        assert stats.single_steps + stats.leapt_steps == steps[-1]
        if steps[-1] >= 10**6:
            assert stats.single_steps < 3000
            assert stats.leaps < 400


@pytest.mark.parametrize("p", [2, 2.5, 3.3])
def test_against_brute_force(p):
    problem = gaussian(8, 40)
    steps = [3, 500, 20_000, 100_000]
    args = (problem, p, 0.01, 2e-3, steps[-1], steps)
    slow = fd.gradient_descent(*args, method="compensated")
    leap = fd.gradient_descent(*args, method="leap", rtol=1e-9)
    assert np.all(relative(leap.psi, slow.psi, p, 0.01) < 1e-9)
    np.testing.assert_allclose(leap.u, slow.u, rtol=1e-8)
    np.testing.assert_allclose(leap.v, slow.v, rtol=1e-8)
    assert leap.stats.single_steps < 20_000


@pytest.mark.parametrize("p", [2, 3, 4])
def test_the_limit_of_the_iterates_is_not_that_of_the_flow(p):
    problem, alpha = fd.datasets.random(), 0.1
    slow = fd.gradient_descent(problem, p, alpha, 5e-2, 400_000, [400_000], method="compensated")
    path = fd.gradient_descent(problem, p, alpha, 5e-2, math.inf)
    assert path.status is Status.CONVERGED
    assert path.steps[-1] == math.inf
    assert relative(path.psi[-1], slow.psi[-1], p, alpha) <= path.error_bound < 1e-8
    flow = fd.flow_limit(problem, p, alpha).psi
    assert relative(path.psi[-1], flow, p, alpha) > 1e-4


@pytest.mark.parametrize("p", [2, 3, 4])
def test_beyond_brute_force_the_distance_to_the_flow_is_of_order_eta(p):
    problem, alpha = fd.datasets.random(), 1e-2
    flow = fd.flow_limit(problem, p, alpha).psi
    errors = []
    for eta in (4e-4, 2e-4, 1e-4):
        path = fd.gradient_descent(problem, p, alpha, eta, 2**63, [2**63], rtol=1e-11)
        assert path.steps[-1] == 2**63
        assert path.stats.single_steps + path.stats.leapt_steps == 2**63
        errors.append(np.max(np.abs(path.psi[-1] / flow - 1.0)))
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 2.0, rtol=5e-3)


def test_the_work_does_not_grow_with_the_steps():
    problem = fd.datasets.random()
    leaps = []
    for n in (10**14, 10**15, 10**16):
        path = fd.gradient_descent(problem, 3, 1e-12, 5e-3, n, [n], method="leap")
        assert path.status is Status.ALL_STEPS
        leaps.append(path.stats.leaps + path.stats.rejected)
    assert leaps[-1] < 1000
    # three activations by 1e15 steps; nothing but long leaps after them
    assert leaps[2] < 1.3 * leaps[1]


def test_continued_bit_for_bit():
    problem = fd.datasets.random()
    args = (problem, 3, 1e-4, 5e-3)
    whole = fd.gradient_descent(*args, 10**7, [10**5, 10**6, 10**7], method="leap")
    part = fd.gradient_descent(*args, 10**6, [10**5, 10**6], method="leap")
    rest = fd.gradient_descent(*args, 10**7, [10**7], method="leap", start=part)
    np.testing.assert_array_equal(part.psi[-1], whole.psi[1])
    np.testing.assert_array_equal(rest.psi[-1], whole.psi[-1])
    np.testing.assert_array_equal(rest.v[-1], whole.v[-1])


def test_odd_numbers_beyond_2_to_the_53_are_exact():
    n = 2**60 + 1
    path = fd.gradient_descent(fd.datasets.line(), 2, 0.1, 1e-3, n, [n - 1, n], method="leap")
    assert [int(step) for step in path.steps] == [n - 1, n]
    assert path.stats.single_steps + path.stats.leapt_steps == n


def test_a_step_too_large_for_leaps_is_named():
    path = fd.gradient_descent(fd.datasets.line(), 2, 0.5, 5.0, 10**6, method="leap")
    assert path.status is Status.NO_LEAP
    assert np.all(np.isfinite(path.psi))


def test_ctrl_c_returns_the_state_so_far():
    problem = gaussian(40, 3000)
    fd.gradient_descent(problem, 3, 1e-4, 1e-3, 10, method="leap")
    timer = threading.Timer(0.4, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    started = time.perf_counter()
    path = fd.gradient_descent(problem, 3, 1e-4, 1e-3, 10**15, method="leap", rtol=1e-11)
    assert path.status is Status.INTERRUPTED
    assert time.perf_counter() - started < 1.4
    assert path.steps[-1] == path.stats.single_steps + path.stats.leapt_steps > 0


@pytest.mark.parametrize("s", ORDERS)
def test_tables_are_exact_for_polynomials(s):
    table = tables(s)
    c, z = table.nodes, 0.0625
    for k in range(1, s + 1):
        values = c**k
        np.testing.assert_allclose(table.D[0] @ values, k * c ** (k - 1), rtol=1e-12, atol=1e-13)
        difference = sum(z ** (q + 1) * (table.D[q] @ values) for q in range(s))
        np.testing.assert_allclose(difference, (c + z) ** k - c**k, rtol=1e-12, atol=1e-15)
        start = sum(z ** (q + 1) * (table.D0[q] @ values) for q in range(s))
        np.testing.assert_allclose(start, z**k, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(table.basis @ values, np.eye(s)[k - 1], atol=1e-10)


def test_the_real_eigenvalue_is_the_shift():
    for s in ORDERS:
        values = np.linalg.eigvals(tables(s).D[0])
        real = values[np.abs(values.imag) < 1e-6].real
        np.testing.assert_allclose(tables(s).shift, 1.0 / real, rtol=1e-9)


def test_flow_mode_obeys_the_closed_form(reference):
    """The same engine with the derivative: psi at times t against the table of the flow."""
    from fastdln._leaping import engine_parameters, engine_tolerance
    from fastdln.kernels.collocation_tables import all_tables
    from fastdln.kernels.collocation_weights import FLOW

    for case in reference("gradient_flow"):
        A, y = np.array(case["A"], float), np.array(case["y"], float)
        p, alpha = float(case["p"]), float(case["alpha"])
        N = A.shape[1]
        par = engine_parameters(p, alpha, 1.0, FLOW)
        base, delta = np.zeros((4, N)), np.zeros((2, 9, N))
        base[0::2] = 0.0 if p == 2.0 else 1.0
        meta, counts, now = np.zeros(10), np.zeros(5, dtype=np.int64), 0.0
        meta[engine.STRIDE], meta[engine.ORDER] = 1e-6, 2
        psi, u, v = np.empty((3, N))
        for row in case["rows"]:
            t = float(row["t"])
            meta[engine.REST] = t - now
            now, tol = t, engine_tolerance(p, 1e-9)
            flag = engine.MORE
            while flag == engine.MORE:
                flag = engine.advance(A, y, par, all_tables(), base, delta, meta, counts, tol, 1000)
            assert flag == engine.DONE
            engine.weights_at(par, np.log(alpha), base, np.zeros((2, N)), psi, u, v)
            assert relative(psi, row["psi"], p, alpha) < 1e-9
