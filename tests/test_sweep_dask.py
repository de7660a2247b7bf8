"""A cluster does the work of a sweep: the same bits, and no worker is missed."""

import os
import signal

import numpy as np
import pytest

import fastdln as fd
from fastdln import sweeps
from fastdln.sweep_executors import dask_client

distributed = pytest.importorskip("distributed")
pytest.importorskip("xarray")

pytestmark = [
    pytest.mark.slow,
    # of distributed's own making when workers come and go
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
GRID = {
    "problems": {"dataset": "gaussian", "m": 10, "N": 40, "sparsity": 3},
    "seed": list(range(30)),
    "p": [2, 3],
    "alpha": {"logspace": [0, -4, 30]},
    "quantity": ["limit", "minimizer"],
    "chunk": 60,
}


@pytest.fixture(scope="module")
def cluster():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def in_threads():
    return fd.sweep(**GRID)


def assert_same(a, b):
    assert set(a.data_vars) == set(b.data_vars)
    for name in a.data_vars:
        if not name.endswith("_seconds"):
            assert a[name].values.tobytes() == b[name].values.tobytes(), name


def test_a_cluster_gives_the_same_bits(cluster, in_threads):
    assert_same(fd.sweep(**GRID, client=cluster), in_threads)


def test_threads_sweep_a_matrix_that_lies_with_the_workers(cluster):
    A = np.random.default_rng(1).standard_normal((6, 60))
    spread = pytest.importorskip("dask.array").from_array(A, chunks=(6, 20))
    problem = fd.Problem(spread, A[:, 0], name="spread", memory_budget=0)
    assert problem._matrix.client is cluster
    grid = {"p": [2, 3], "alpha": [0.1, 0.01]}
    found, exact = fd.sweep(problem, **grid), fd.sweep(fd.Problem(A, A[:, 0]), **grid)
    np.testing.assert_allclose(found.limit_psi, exact.limit_psi, rtol=1e-9)


def test_a_lost_worker_costs_nothing_but_time(cluster, in_threads, tmp_path, monkeypatch):
    from fastdln.sweep_store import Store

    workers = [info["name"] for info in cluster.scheduler_info()["workers"].values()]
    pids = list(cluster.run(os.getpid).values())
    written, original = [], Store.write

    def kill_one(self, *arguments):
        original(self, *arguments)
        written.append(1)
        if len(written) == 5:
            os.kill(pids[0], signal.SIGKILL)

    monkeypatch.setattr(Store, "write", kill_one)
    data = fd.sweep(**GRID, scheduler=cluster.scheduler.address, store=tmp_path / "s.zarr")
    assert len(workers) == 2
    assert len(written) > 20
    assert data.attrs["complete"] == 1
    assert_same(data, in_threads)


def test_a_scheduler_that_does_not_answer_is_named():
    address = "tcp://127.0.0.1:1"
    with (
        pytest.raises(ConnectionError, match=f"answers at '{address}' within 0.5 s"),
        dask_client(None, address, 0.5),
    ):
        pass


def test_the_command_tells_it_in_one_line(capsys, tmp_path, monkeypatch):
    from fastdln import cli

    monkeypatch.chdir(tmp_path)

    def impatient(client, scheduler):
        return dask_client(client, scheduler, 0.5)

    monkeypatch.setattr(sweeps, "dask_client", impatient)
    assert cli.main(["sweep", "--scheduler", "tcp://127.0.0.1:1"]) == 2
    captured = capsys.readouterr()
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:1' within 0.5 s" in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
