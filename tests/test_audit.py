"""The bound of `flow_limit` against a naive twin in 90 digits, on problems drawn to be nasty."""

import math

import mpmath
import numpy as np
import pytest
from naive_limit import flow_limit_of_alpha

import fastdln as fd
from benchmarks.bounds import __main__ as bounds
from fastdln import Status

DEPTHS = [2.0, 2.2, 2.3, 2.5, 3.0, 3.3, 4.0, 6.0, 10.0]


def _integers(generator, m, N):
    return generator.integers(-2, 3, (m, N)).astype(float)


def _nearly_parallel(generator, m, N):
    A = generator.standard_normal((m, N))
    A[:, -1] = A[:, 0] * (1.0 + 1e-12 * generator.standard_normal(m))
    return A


def _scaled_rows(generator, m, N):
    return generator.standard_normal((m, N)) * 10.0 ** generator.integers(-6, 7, (m, 1))


def _scaled_columns(generator, m, N):
    return generator.standard_normal((m, N)) * 10.0 ** generator.integers(-3, 4, (1, N))


def _nearly_tied(generator, m, N):
    A = np.round(generator.standard_normal((m, N)), 1)
    return A * (1.0 + 10.0 ** -generator.integers(2, 14) * generator.standard_normal((1, N)))


def _opposite(generator, m, N):
    A = generator.standard_normal((m, N))
    A[:, -1] = -A[:, 0]
    return A


KINDS = [_integers, _nearly_parallel, _scaled_rows, _scaled_columns, _nearly_tied, _opposite]


def _draw(generator, kind):
    """A problem of full rank with a nonzero y, sparse half of the time, sometimes large."""
    while True:
        m = int(generator.integers(1, 4))
        A = kind(generator, m, int(generator.integers(m, 8)))
        x = generator.integers(-3, 4, A.shape[1]) * (generator.random(A.shape[1]) < 0.5)
        y = A @ x if generator.random() < 0.5 else generator.standard_normal(m)
        if generator.random() < 0.2:
            y = y * 10.0 ** float(generator.integers(-20, 20))
        if np.linalg.matrix_rank(A) == m and y.any():
            return A, y


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_psi_is_right_to_the_bound(kind):
    generator, converged = np.random.default_rng([2, KINDS.index(kind)]), 0
    for _ in range(12):
        A, y = _draw(generator, kind)
        p, log10_eps = float(generator.choice(DEPTHS)), float(generator.choice([-1, -3, -9, -20]))
        log_alpha = log10_eps * math.log(10.0) / p
        limit = fd.flow_limit(fd.Problem(A, y), p, log_alpha=log_alpha)
        if limit.status is not Status.CONVERGED:
            assert limit.error_bound == math.inf
            continue
        converged += 1
        exact = flow_limit_of_alpha(A.tolist(), y.tolist(), p, log_alpha)
        noise = max(map(abs, exact)) * mpmath.mpf(10) ** -70  # of a zero in 90 digits
        for value, true in zip(limit.psi.tolist(), exact, strict=True):
            true = true if abs(true) > noise else 0
            off = abs(mpmath.mpf(value) - true)
            assert off <= mpmath.mpf(limit.absolute_bound)
            assert off <= mpmath.mpf(limit.error_bound) * abs(true) or limit.error_bound == math.inf
    assert converged >= 11


@pytest.mark.parametrize("kind", bounds.KINDS)
@pytest.mark.parametrize(("p", "log10_eps"), [(2.0, -60), (2.05, -9), (3.0, -200)])
def test_the_benchmark_of_bounds_finds_none_too_small(kind, p, log10_eps):
    problem = bounds.random_problem(kind, np.random.default_rng(3), 4, 12)
    log_alpha, digits = log10_eps * math.log(10.0) / p, 80 - 3 * log10_eps
    limit = fd.flow_limit(problem, p, log_alpha=log_alpha)
    exact = bounds.exact_limit(problem, p, log_alpha, limit.psi, limit.slack, digits)
    assert limit.status is Status.CONVERGED
    assert 0.0 < bounds.worst_error(limit, exact, digits) <= limit.error_bound < 1e-10


def test_the_benchmark_of_bounds_counts_its_draws(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bounds", "--draws", "2", "--rows", "3", "--columns", "7"])
    bounds.main()
    *lines, summary, _ = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert summary.startswith("2 draws, 0 bounds below the error")
