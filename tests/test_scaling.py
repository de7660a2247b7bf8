"""The page of the scaling: its fits, its formulas, and that the page is the one recorded."""

import json
import math

import numpy as np
import pytest

from benchmarks.scaling import __main__ as command
from benchmarks.scaling import fits, measure, page, tasks


def test_an_exact_power_is_found():
    sizes = [1.0, 10.0, 100.0, 1000.0]
    fit = fits.power(sizes, [5.0, *(3e-4 * size**1.5 for size in sizes[1:])])
    assert fit.exponent == pytest.approx(1.5, rel=1e-12)
    assert fit.error == pytest.approx(0.0, abs=1e-12)
    assert fit.at(50.0) == pytest.approx(3e-4 * 50**1.5)


def test_the_standard_error_is_that_of_least_squares():
    x, noise = np.array([1.0, 2.0, 4.0]), np.array([0.1, -0.2, 0.1])
    fit = fits.power(x.tolist(), np.exp(2 * np.log(x) + noise).tolist())
    matrix = np.column_stack([np.ones(3), np.log(x)])
    values = 2 * np.log(x) + noise
    solution, rest, *_ = np.linalg.lstsq(matrix, values)
    covariance = np.linalg.inv(matrix.T @ matrix) * rest[0]
    assert fit.exponent == pytest.approx(solution[1])
    assert fit.error == pytest.approx(math.sqrt(covariance[1, 1]))


def test_amdahl_gives_back_what_it_was_taken_from():
    for fraction in (0.0, 0.1, 0.5, 1.0):
        one, two = 1.0, 1.0 / fits.amdahl(fraction, 2)
        assert fits.serial_fraction(one, two) == pytest.approx(fraction, abs=1e-12)
    assert fits.amdahl(0.0, 64) == pytest.approx(64)
    assert fits.amdahl(1.0, 64) == 1.0
    assert fits.serial_fraction(1.0, 0.4) == 0.0  # more than twice as fast: noise, not a fraction


def test_a_cluster_waits_for_its_scheduler_or_for_its_workers():
    cluster = fits.Cluster(workers=10, chunk_overhead=0.01, start=1.0)
    assert cluster.seconds(1000, 0.1, 10) == pytest.approx(1 + 10 * 10 * 0.1)
    assert cluster.seconds(1000, 1e-6, 1) == pytest.approx(1 + 1000 * 0.01)
    length, seconds, efficiency = cluster.best(1000, 0.1)
    assert seconds == min(cluster.seconds(1000, 0.1, n) for n in range(1, 1001))
    assert seconds == cluster.seconds(1000, 0.1, length)
    assert 0 < efficiency <= 1


@pytest.mark.parametrize("axis", tasks.AXES, ids=lambda axis: f"{axis.task}-{axis.axis}")
def test_every_task_runs_at_its_least_size(axis):
    assert axis.make(axis.quick[0])() is not None
    assert list(axis.sizes) == sorted(axis.sizes)


def test_a_point_has_times_for_each_number_of_threads():
    point = measure.point(tasks.AXES[-2], 4)
    assert set(point["seconds"]) == {str(count) for count in measure.thread_counts()}
    assert all(0 < point["least"][count] <= point["seconds"][count] for count in point["seconds"])


def test_memory_of_an_array_is_seen():
    axis = tasks.Axis("", "", "", (), (1,), lambda size: lambda: np.ones(size * 125_000).sum())
    assert 30e6 < measure.point(axis, 40)["memory"] < 60e6


def test_the_page_is_what_was_measured(root):
    """`python -m benchmarks.scaling --write` writes it."""
    kept = root / "benchmarks" / "scaling" / "results" / "scaling.json"
    written = (root / "docs" / "scaling.md").read_text()
    text = page.page(json.loads(kept.read_text()), None)
    assert [line for line in written.splitlines() if line and not line.startswith("![")] == [
        line for line in text.splitlines() if line
    ]
    assert (root / "docs" / "scaling_time.png").is_file()
    assert (root / "docs" / "scaling_memory.png").is_file()
    assert "64 cores" in text
    assert "100 nodes" in text


def test_a_quick_run_must_not_replace_the_page():
    with pytest.raises(SystemExit):
        command.main(["--quick"])
