"""What a sweep refuses, and how it says so."""

import numpy as np
import pytest

import fastdln as fd
from fastdln import cli, sweeps
from fastdln.sweep_config import make_config

pytest.importorskip("xarray")

GOOD = {"problems": "line", "p": 2, "alpha": 0.1}
DESCENT = {"quantity": "descent", "step_size": 0.1, "n_steps": 3}
GAUSSIAN = {"dataset": "gaussian", "m": 2, "N": 4, "sparsity": 1}


@pytest.mark.parametrize(
    ("change", "error", "needed"),
    [
        ({"problems": []}, ValueError, "problems must not be empty"),
        ({"problems": 3}, TypeError, "problems must be a list of problems, got 3"),
        ({"problems": "lines"}, ValueError, "data sets are kink, gaussian, line"),
        ({"problems": [7]}, TypeError, r"problems\[0\] must be a Problem, the name"),
        ({"problems": {"dataset": "kink", "deltas": 1}}, ValueError, "did you mean 'delta'"),
        ({"problems": {"dataset": "kink"}}, ValueError, "'delta' is missing"),
        ({"problems": {"dataset": "kink", "delta": "a"}}, TypeError, "delta must be a number"),
        ({"problems": {"m": 3}}, ValueError, "one of the keys dataset and file"),
        ({"problems": {"file": "no.npz"}}, ValueError, "cannot read 'no.npz': No such file"),
        ({"problems": {"fil": "no.npz"}}, ValueError, "unknown key 'fil': did you mean 'file'?"),
        ({"problems": "lin"}, ValueError, "got 'lin'; did you mean 'line'?"),
        ({"problems": ["line", "line"]}, ValueError, "got 'line' twice: give one another name"),
        ({"problems": {**GAUSSIAN, "m": 2.5}}, TypeError, "m must be an integer, got 2.5"),
        ({"problems": {**GAUSSIAN, "sparsity": 9}}, ValueError, "at most N = 4, got 9"),
        ({"problems": {**GAUSSIAN, "name": 3}}, TypeError, "name must be a text, got 3"),
        ({"seed": [0, 1]}, ValueError, r"problems\[0\] \(line\) does not depend on a seed"),
        ({"problems": GAUSSIAN, "seed": [0.5]}, TypeError, "seed must hold integers"),
        ({"problems": GAUSSIAN, "seed": [-1]}, ValueError, "seed must not be negative"),
        ({"p": None}, ValueError, "p must be given"),
        ({"p": []}, ValueError, "p must not be empty"),
        ({"p": [2, 1.5]}, ValueError, "p must be a finite real number of at least 2, got"),
        ({"p": "three"}, TypeError, "p must be a number or a list of numbers, got 'three'"),
        ({"p": [True]}, TypeError, "p must be a number or a list of numbers"),
        ({"p": [2, 3, 2]}, ValueError, "p must not repeat a value, got 2 twice"),
        ({"p": [2, np.nan]}, ValueError, "p must be finite"),
        ({"alpha": [1.0, 0.0]}, ValueError, "alpha must be positive, got 0"),
        ({"alpha": {"logspce": [0, 1, 2]}}, ValueError, "did you mean 'logspace'"),
        ({"alpha": {"logspace": [0, 1]}}, TypeError, r"must be \[first, last, count\]"),
        ({"alpha": {"logspace": [0, 1, 0]}}, ValueError, "a count from 1 to"),
        ({"alpha": {"logspace": [0, "1", 2]}}, TypeError, r"must be \[first, last, count\]"),
        ({"alpha": range(10**9)}, ValueError, "more than memory can hold"),
        ({"alpha": None}, ValueError, "one of alpha, log_alpha and eps must be given"),
        ({"eps": 0.1}, ValueError, "only one of alpha, log_alpha, eps can be given"),
        ({"quantity": "limits"}, ValueError, "did you mean 'limit'"),
        ({"quantity": []}, ValueError, "quantity must name each of some quantities once"),
        ({"quantity": ["rate", "rate"]}, ValueError, "each of some quantities once"),
        ({"quantity": "minimizer"}, ValueError, "alpha plays no part in quantity minimizer"),
        ({"n_steps": 3}, ValueError, "n_steps plays no part in quantity limit"),
        ({"quantity": "flow"}, ValueError, "t must be given for quantity 'flow'"),
        ({"quantity": "flow", "t": [1, 0]}, ValueError, "t must increase, got"),
        ({"quantity": "flow", "t": [-1, 0]}, ValueError, "t must not be negative, got -1"),
        ({"quantity": "descent", "n_steps": 3}, ValueError, "step_size must be given for"),
        ({**DESCENT, "n_steps": 2.5}, TypeError, "n_steps must be an integer, got 2.5"),
        ({**DESCENT, "n_steps": 2**60}, ValueError, "n_steps must be at most 2"),
        ({**DESCENT, "save_steps": [4]}, ValueError, "at most n_steps = 3, got 4"),
        ({**DESCENT, "save_steps": [3, 1]}, ValueError, "save_steps must increase"),
        ({**DESCENT, "step_size": 0}, ValueError, "step_size must be positive, got 0"),
        ({"keep_psi": "no"}, TypeError, "keep_psi must be true or false"),
        ({"alphas": 3}, ValueError, "unknown key 'alphas': did you mean 'alpha'"),
    ],
)
def test_refusals(tmp_path, monkeypatch, change, error, needed):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=needed):
        make_config(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("change", "error", "needed"),
    [
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"chunk": 1.5}, TypeError, "chunk must be an integer, got 1.5"),
        ({"client": 1, "scheduler": "tcp://h:1"}, ValueError, "only one of client and scheduler"),
        ({"alpha": {"logspace": [0, -9, 10**6]}, "p": {"linspace": [2, 3, 10**6]}},
         ValueError, "the sweep needs about .* TB on disk, .* are free"),
    ],
)  # fmt: skip
def test_refusals_before_anything_is_written(tmp_path, change, error, needed):
    with pytest.raises(error, match=needed):
        fd.sweep(**{**GOOD, **change}, store=tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def test_a_chunk_larger_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "_memory", lambda: 2000.0)
    with pytest.raises(ValueError, match=r"one chunk of the sweep takes .* of 2 kB of memory"):
        fd.sweep("line", p=2, alpha=[0.1, 0.2, 0.3], store=tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def run(capsys, *arguments):
    code = cli.main(["sweep", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_s_default_is_figure_1(capsys, tmp_path, monkeypatch):
    import xarray

    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()[1:4]] == [
        *(["limit", "converged", "444"], ["minimizer", "proved", "12"], ["rate", "proved", "12"])
    ]
    assert "wrote figure1.zarr; computed 468 now" in out
    data = xarray.open_zarr("figure1.zarr")
    distance = float(np.exp(data.limit_log_distance.sel(problem="plane", p=2.5, eps=1e-9)))
    assert distance == pytest.approx(3.2594e-8, rel=5e-5)
    code, out, _ = run(capsys, "--resume")
    assert code == 0
    assert "computed 0 now" in out


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("problems = 'line'\np = 2\nalhpa = 1", "unknown key 'alhpa': did you mean 'alpha'?"),
        ("problems = 'line'\nalpha = 1", "'p' is missing in "),
        ("p = [", "is not a TOML file"),
        ("problems = 'line'\np = 2\nalpha = []", "alpha must not be empty"),
        ("problems = 'line'\np = 2\nalpha = 'x'", "alpha must be a number or a list of numbers"),
        ("problems = {file = 'no.npz'}\np = 2\nalpha = 1", "no.npz': No such file"),
        ("problems = 'line'\np = 2\nalpha = 1\nstore = 3", "store must be a text, got 3"),
    ],
)
def test_refusals_of_the_command(capsys, tmp_path, monkeypatch, text, needed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(text)
    code, out, err = run(capsys, "c.toml")
    assert (code, out) == (2, "")
    assert needed in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


def test_more_refusals_of_the_command(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "No such file or directory" in run(capsys, "no.toml")[2]
    assert "there is no store 'no.zarr'" in run(capsys, "--resume", "--store", "no.zarr")[2]
    (tmp_path / "file").write_text("")
    assert "exists and is a file, not a store" in run(capsys, "--store", "file")[2]
    assert not list(tmp_path.glob("*.zarr"))


def test_files_in_a_config_are_relative_to_it(capsys, tmp_path, monkeypatch):
    import xarray

    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    problem = fd.datasets.random()
    np.savez(tmp_path / "data" / "mine.npz", A=problem.A, y=problem.y)
    text = "problems = [{file = 'mine.npz'}, 'line']\np = 3\nalpha = [0.1, 0.01]\nchunk = 1\n"
    (tmp_path / "data" / "c.toml").write_text(text)
    code, out, err = run(capsys, "data/c.toml", "--store", "out.zarr", "--workers", "2")
    assert (code, err) == (0, "")
    assert "computed 4 now" in out
    assert xarray.open_zarr("out.zarr").problem.values.tolist() == ["mine", "line"]
