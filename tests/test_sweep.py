"""Sweeps: the grid, the numbers, and the data set that comes out."""

import json

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import fastdln as fd

xarray = pytest.importorskip("xarray")
pytest.importorskip("zarr")

GRID = {"p": [2, 3], "eps": {"logspace": [0, -9, 10]}}


def codes(data, quantity):
    return np.unique(data[f"{quantity}_status"].values).tolist()


@pytest.fixture(scope="module")
def figure(tmp_path_factory):
    store = tmp_path_factory.mktemp("sweep") / "figure.zarr"
    problems = ["line", fd.datasets.plane(), "random"]
    quantity = ["limit", "minimizer", "rate"]
    fd.sweep(problems, **GRID, quantity=quantity, store=store)
    return xarray.open_zarr(store)


def test_the_numbers_are_the_library_s(figure):
    assert codes(figure, "limit") == [0]
    for name in ("line", "plane", "random"):
        problem = getattr(fd.datasets, name)()
        for p in (2.0, 3.0):
            eps = figure.eps.values
            limit = fd.flow_limit(problem, p, log_alpha=np.log(eps) / p)
            here = figure.sel(problem=name, p=p)
            np.testing.assert_array_equal(here.limit_psi.values[:, : problem.N], limit.psi)
            assert np.all(np.isnan(here.limit_psi.values[:, problem.N :]))
            np.testing.assert_array_equal(here.limit_log_distance, limit.log_deviation_norm)
            np.testing.assert_array_equal(here.limit_error_bound, limit.error_bound)
            minimizer = fd.l1_minimizer(problem, p)
            np.testing.assert_array_equal(here.minimizer_psi[: problem.N], minimizer.psi)
            assert here.minimizer_face_dimension == minimizer.face_dimension
            rate = fd.convergence_rate(problem, p)
            assert float(here.rate_exponent) == rate.exponent
            predicted = rate.log_predict(log_alpha=np.log(eps) / p)
            np.testing.assert_array_equal(here.rate_log_predicted, predicted)


def test_published_distances(figure):
    distance = np.exp(figure.limit_log_distance.sel(eps=1e-9).values)
    published = [[2.0422e-19, 8.2888e-12], [2.8464e-5, 8.564e-9], [2.4429e-7, 2.3068e-9]]
    np.testing.assert_allclose(distance, published, rtol=5e-5)


def test_the_data_set_says_what_it_is(figure):
    assert dict(figure.sizes) == {"problem": 3, "p": 2, "eps": 10, "coordinate": 5}
    assert figure.eps.values.tolist() == [10.0**-k for k in range(10)]
    np.testing.assert_allclose(figure.log10_eps.values, np.tile(np.arange(0.0, -10, -1), (2, 1)))
    assert figure.n_unknowns.values.tolist() == [3, 4, 5]
    for name, variable in figure.variables.items():
        assert variable.attrs["long_name"], name
    for name, variable in figure.data_vars.items():
        assert "units" in variable.attrs or "flag_meanings" in variable.attrs, name
    assert figure.attrs["complete"] == 1
    config = json.loads(figure.attrs["sweep_config"])
    assert config["p"] == [2.0, 3.0]
    assert [problem["name"] for problem in config["problems"]] == ["line", "plane", "random"]
    assert json.loads(figure.attrs["versions"])["fastdln"] == fd.__version__
    assert json.loads(figure.attrs["machine"])["cores"] >= 1
    (run,) = json.loads(figure.attrs["runs"])
    assert run["configurations"] == 60 + 6 + 6
    assert figure.attrs["wall_seconds"] == pytest.approx(run["seconds"])
    meanings = figure.limit_status.attrs["flag_meanings"].split()
    values = figure.limit_status.attrs["flag_values"]
    assert meanings[values.index(0)] == "converged"
    assert figure.limit_seconds.values.min() > 0.0


def test_seeds_and_each_way_to_give_an_initialisation():
    table = {"dataset": "gaussian", "m": 4, "N": 10, "sparsity": 2}
    alpha = [1e-1, 1e-3, 1e-2]
    data = fd.sweep(table, p=[2, 2.5], alpha=alpha, seed=range(3))
    assert dict(data.limit_psi.sizes) == {
        **{"problem": 1, "seed": 3, "p": 2, "alpha": 3, "coordinate": 10}
    }
    problem = fd.datasets.gaussian(4, 10, 2, rng=2).problem
    limit = fd.flow_limit(problem, 2.5, alpha=alpha)
    np.testing.assert_array_equal(data.limit_psi.values[0, 2, 1], limit.psi)
    np.testing.assert_allclose(data.log10_eps[1], 2.5 * np.log10(alpha))
    deep = fd.sweep({**table, "rng": 2}, p=2, log_alpha=-4000.0)
    limit = fd.flow_limit(problem, 2, log_alpha=[-4000.0])
    np.testing.assert_array_equal(deep.limit_log_distance.values.ravel(), limit.log_deviation_norm)


def test_tables_and_files_of_problems(tmp_path):
    problem = fd.datasets.random()
    np.savez(tmp_path / "mine.npz", A=problem.A, y=problem.y)
    problems = [
        fd.datasets.gaussian(3, 6, 1, rng=1),
        {"file": str(tmp_path / "mine.npz")},
        {"dataset": "kink", "delta": 0.25, "name": "tie"},
        fd.Problem([[1.0, 0.5]], [1.0]),
    ]
    data = fd.sweep(problems, p=3, alpha=1e-3)
    assert data.problem.values.tolist() == ["gaussian 3 x 6", "mine", "tie", "problem 3"]
    expected = fd.flow_limit(problem, 3, alpha=[1e-3]).psi[0]
    np.testing.assert_array_equal(data.limit_psi.values[1, 0, 0, :5], expected)
    limit = fd.flow_limit(fd.datasets.kink(0.25), 3, alpha=1e-3)
    np.testing.assert_array_equal(data.limit_psi.values[2, 0, 0, :2], limit.psi)


def test_without_psi_the_rest_is_there():
    data = fd.sweep("line", **GRID, keep_psi=False, quantity=["limit", "minimizer"])
    assert "limit_psi" not in data
    assert "coordinate" not in data.dims
    assert np.all(np.isfinite(data.limit_log_distance))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("chunk", [1, 70])
def test_the_same_bits_however_the_work_is_cut(workers, chunk):
    table = {"dataset": "gaussian", "m": 4, "N": 10, "sparsity": 2}
    grid = {"p": [2, 3], "alpha": {"logspace": [0, -6, 150]}, "seed": [0, 1]}
    quantity = ["limit", "rate"]
    whole = fd.sweep(table, **grid, quantity=quantity, workers=2)
    cut = fd.sweep(table, **grid, quantity=quantity, workers=workers, chunk=chunk)
    for name in whole.data_vars:
        if not name.endswith("_seconds"):
            assert whole[name].values.tobytes() == cut[name].values.tobytes(), name


def test_one_bad_configuration_does_not_stop_the_rest(tmp_path, monkeypatch):
    from fastdln import sweep_quantities

    original = sweep_quantities.flow_limit

    def fails_at_one(problem, p, *, alpha):
        if p == 3.0 and np.any(alpha == 0.5):
            raise ArithmeticError("as it happens")
        return original(problem, p, alpha=alpha)

    monkeypatch.setattr(sweep_quantities, "flow_limit", fails_at_one)
    data = fd.sweep(["line", "plane"], p=[2, 3], alpha=[1.0, 0.5, 0.25], store=tmp_path / "s.zarr")
    error = data.limit_status.attrs["flag_meanings"].split().index("error") - 1
    expected = np.zeros((2, 2, 3))
    expected[:, 1, 1] = error
    np.testing.assert_array_equal(data.limit_status, expected)
    np.testing.assert_array_equal(np.isnan(data.limit_residual), expected == error)
    failures = json.loads(data.attrs["failures"])
    assert [one["index"] for one in failures] == [
        {"problem": 0, "p": 1, "size": 1},
        {"problem": 1, "p": 1, "size": 1},
    ]
    assert failures[0]["message"] == "ArithmeticError: as it happens"


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_what_is_not_of_a_configuration_ends_the_sweep(monkeypatch, error):
    def ends(*given, **more):
        raise error

    monkeypatch.setattr("fastdln.sweep_quantities.flow_limit", ends)
    with pytest.raises(error):
        fd.sweep(["line", "plane"], p=[2, 3], alpha=[1.0, 0.5])


def test_an_error_of_many_together_and_of_none_alone_is_told(monkeypatch):
    from fastdln import sweep_quantities
    from fastdln.sweep_config import make_config
    from fastdln.sweep_plan import Piece, make_layout
    from fastdln.sweep_work import run_piece

    original = sweep_quantities.flow_limit

    def fails_together(problem, p, *, alpha):
        if len(problem) > 1:
            raise ArithmeticError("not\ntogether")
        return original(problem, p, alpha=alpha)

    config = make_config(problems=["line", "plane", "random"], p=2, alpha=[1.0, 0.5])
    layout = make_layout(sweep_quantities.QUANTITIES["limit"], config)
    whole = config, layout, Piece("limit", (0, 0, 0), 0, 3)
    expected = run_piece(*whole)
    monkeypatch.setattr(sweep_quantities, "flow_limit", fails_together)
    with pytest.warns(RuntimeWarning, match="3 batches of 'limit'.*ArithmeticError: not together"):
        found = run_piece(*whole)
    assert found.failures == []
    assert found.values["psi"].tobytes() == expected.values["psi"].tobytes()


def test_a_status_that_is_not_success_is_kept():
    A = np.array([[1.0, 2.0, 1.0], [1.0, 3.0, 1.0 + 2e-14], [1.0, -1.0, 1.0 - 1e-14]])
    problems = [fd.Problem(A, [1.0, 2.0, 4.0]), fd.Problem(np.eye(3), [1.0, 2.0, 4.0])]
    data = fd.sweep(problems, p=3, alpha=0.1)
    meanings = data.limit_status.attrs["flag_meanings"].split()
    found = [meanings[code + 1] for code in data.limit_status.values.ravel()]
    assert found == ["breakdown", "converged"]


def test_progress_is_for_terminals(capsys):
    fd.sweep("line", p=2, alpha=0.1)
    assert capsys.readouterr().err == ""
    fd.sweep("line", p=2, alpha=0.1, progress=True)
    assert "1/1" in capsys.readouterr().err


def test_flows(tmp_path):
    t = [0.0, 0.5, 2.0, 8.0]
    data = fd.sweep(["line", "plane"], p=[2, 3], eps=[1e-2, 1e-4], t=t, quantity="flow")
    assert data.flow_psi.dims == ("problem", "p", "eps", "time", "coordinate")
    for name in ("line", "plane"):
        problem = getattr(fd.datasets, name)()
        for p in (2.0, 3.0):
            path = fd.gradient_flow(problem, p, t=t, log_alpha=np.log(1e-4) / p)
            here = data.sel(problem=name, p=p, eps=1e-4)
            np.testing.assert_array_equal(here.flow_psi.values[:, : problem.N], path.psi)
            np.testing.assert_array_equal(here.flow_loss, path.loss)
            assert here.flow_steps == path.stats.steps
            assert list(fd.Status)[int(here.flow_status)] is path.status


def test_descents_and_one_that_diverges():
    grid = {"alpha": [0.1, 0.2], "step_size": [1e-3, 10.0], "n_steps": 1000}
    data = fd.sweep("line", p=[2, 3], **grid, quantity="descent")
    assert data.descent_psi.dims == ("problem", "p", "alpha", "step_size", "step", "coordinate")
    steps = data.step.values
    assert steps[[0, 1, -1]].tolist() == [0, 1, 1000]
    for p in (2.0, 3.0):
        path = fd.gradient_descent(fd.datasets.line(), p, 0.2, 1e-3, 1000, steps)
        here = data.sel(problem="line", p=p, alpha=0.2, step_size=1e-3)
        np.testing.assert_array_equal(here.descent_psi, path.psi)
        np.testing.assert_array_equal(here.descent_loss, path.loss)
    meanings = data.descent_status.attrs["flag_meanings"].split()
    ends = [[meanings[code + 1] for code in row] for row in data.descent_status.values[0, 0]]
    assert ends == [["all_steps", "diverged"]] * 2
    wild = data.descent_loss.sel(step_size=10.0).values
    assert np.all(np.isfinite(wild[..., 0]))
    assert np.all(np.isnan(wild[..., -1]))


def test_few_steps_kept():
    grid = {"alpha": 0.1, "step_size": 1e-3, "n_steps": 100, "save_steps": [10, 100]}
    data = fd.sweep("line", p=2, **grid, quantity=["descent", "limit"], keep_psi=False)
    assert data.step.values.tolist() == [10, 100]
    assert data.limit_log_distance.dims == ("problem", "p", "alpha")


@pytest.mark.parametrize("form", ["operator", "small operator", "dask"])
def test_products_alone_are_swept_and_resumed(form, tmp_path):
    A = np.random.default_rng(0).standard_normal((6, 40))
    y = A[:, 0] - A[:, 1]

    def problem(A, y=y, name="mine"):
        if form == "dask":
            A = pytest.importorskip("dask.array").from_array(A, chunks=(6, 10))
        else:
            A = aslinearoperator(A)
        return fd.Problem(A, y, name=name, memory_budget=10**6 if "small" in form else 0)

    grid = {"p": [2, 3], "alpha": [0.1, 0.01], "store": tmp_path / "s.zarr"}
    found = fd.sweep(problem(A), **grid)
    assert np.all(np.isfinite(found.limit_residual))
    exact = fd.sweep(fd.Problem(A, y), p=[2, 3], alpha=[0.1, 0.01])
    np.testing.assert_allclose(found.limit_psi, exact.limit_psi, rtol=1e-5, atol=1e-9)
    runs = json.loads(found.attrs["runs"])
    assert json.loads(fd.sweep(problem(A), **grid).attrs["runs"]) == runs  # nothing is computed
    other = A.copy()
    other[5, 39] += 1e-3
    for changed in (problem(other), problem(A, 2 * y), problem(A, name="yours")):
        with pytest.raises(ValueError, match="was made by another sweep"):
            fd.sweep(changed, **grid)
    with pytest.raises(ValueError, match="must have a name in a sweep"):
        fd.sweep(problem(A, name=None), p=2, alpha=1.0)
    if form == "dask":
        with pytest.raises(TypeError, match="'mine' has a dask array as its A"):
            fd.sweep(problem(A), p=2, alpha=1.0, scheduler="tcp://localhost:1")
