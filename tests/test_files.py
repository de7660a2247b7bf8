"""A and y from files of every kind, and results as JSON."""

import json
import math

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import fastdln as fd
from fastdln._files import FileProblem, read_arrays
from fastdln.cli import main

A = np.array([[1.0, 0.0, 3.0], [0.5, 2.0, 0.0]])
Y = np.array([1.0, -2.0])


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "A.npy", A)
    np.save(tmp_path / "y.npy", Y)
    np.savetxt(tmp_path / "A.csv", A, delimiter=",", fmt="%.17g")
    (tmp_path / "y.csv").write_text("y\n1.0\n-2.0\n")
    scipy.io.mmwrite(tmp_path / "A.mtx", sp.coo_array(A))
    scipy.io.mmwrite(tmp_path / "y.mtx", Y[:, np.newaxis])
    np.savez(tmp_path / "A.npz", A=A, y=Y)
    np.savez(tmp_path / "y.npz", y=Y)
    sp.save_npz(tmp_path / "sparse.npz", sp.csr_array(A))
    return tmp_path


@pytest.mark.parametrize("y_name", ["y.npy", "y.csv", "y.mtx", "y.npz", "A.npz"])
@pytest.mark.parametrize("name", ["A.npy", "A.csv", "A.mtx", "A.npz", "sparse.npz"])
def test_every_kind_gives_the_same_numbers(files, name, y_name):
    found, y = read_arrays(files / name, files / y_name)
    found = found.toarray() if sp.issparse(found) else np.asarray(found)
    np.testing.assert_array_equal(found, A)
    np.testing.assert_array_equal(y, Y)


def test_an_array_in_a_file_of_its_own_is_mapped(files):
    assert isinstance(read_arrays(files / "A.npy", files / "y.npy")[0], np.memmap)


def test_names_and_remarks_in_a_table(tmp_path):
    (tmp_path / "A.csv").write_text("a, b, c\n# of the first day\n1, 0, 3\n0.5, 2, 0\n")
    (tmp_path / "y.csv").write_text("1.0, -2.0\n")
    found, y = read_arrays(tmp_path / "A.csv", tmp_path / "y.csv")
    np.testing.assert_array_equal(found, A)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize(
    ("name", "content", "needed"),
    [
        ("A.csv", "", "a table of numbers with commas between them needed"),
        ("A.csv", "1,2\n3\n", "a table of numbers with commas between them needed"),
        ("A.csv", "1,2\n3,x\n", "a table of numbers with commas between them needed"),
        ("A.mtx", "", "a MatrixMarket file needed"),
        (
            "A.mtx",
            "%%MatrixMarket matrix array real general\n2 2\n1\n",
            "a MatrixMarket file needed",
        ),
        ("A.npy", "text", "a NumPy .npy file with numbers needed"),
        ("A.npz", "text", "an array named A, or a sparse matrix needed"),
        ("A.txt", "1 2", "a file in .npz, .npy, .csv, .mtx needed"),
    ],
)
def test_files_that_hold_something_else(tmp_path, name, content, needed):
    (tmp_path / name).write_text(content)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(FileProblem) as told:
        read_arrays(tmp_path / name, tmp_path / "y.npy")
    assert str(told.value) == f"{str(tmp_path / name)!r} given, {needed}" or needed in str(
        told.value
    )


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_commands_take_them(capsys, files):
    expected = run(capsys, "minimizer", files / "A.npz")[1]
    for name in ("A.npy", "A.csv", "A.mtx", "sparse.npz"):
        assert run(capsys, "minimizer", files / name, "--y", files / "y.csv")[1] == expected
    code, _, error = run(capsys, "minimizer", files / "A.mtx")
    assert code == 2
    assert "argument FILE" in error
    assert "or another file for y needed"[:22] in error
    assert "(--y FILE)" in error
    error = run(capsys, "minimizer", files / "A.mtx", "--y", files / "no.csv")[2]
    assert error.startswith("fastdln: error: argument --y: cannot read")
    assert error.count("\n") == 1


def test_results_as_json(capsys, files):
    problem, file = fd.Problem(A, Y), files / "A.npz"

    def told(*arguments):
        code, out, _ = run(capsys, *arguments, "--json")
        assert code == 0
        assert out.count("\n") == 1
        return json.loads(out)

    limit = told("limit", file, "--p", 3, "--alpha", "0.1", "1e-3")
    exact = fd.flow_limit(problem, 3, [0.1, 1e-3])
    assert limit["psi"] == exact.psi.tolist()
    assert limit["status"] == ["converged"] * 2
    assert limit["log_distance"] == exact.log_deviation_norm.tolist()
    minimizer = told("minimizer", file)
    assert minimizer["psi"] == fd.l1_minimizer(problem, 2).psi.tolist()
    assert (minimizer["unique"], minimizer["status"]) == (True, "proved")
    rate = told("rate", file, "--p", 3, "--alpha", "0.1")
    exact_rate = fd.convergence_rate(problem, 3)
    assert (rate["exponent"], rate["rho"]) == (exact_rate.exponent, exact_rate.rho)
    assert rate["log_predicted"] == [exact_rate.log_predict(alpha=[0.1])[0]]
    flow = told("flow", file, "--alpha", "0.1", "--t", "0", "1", "--level", "0.5")
    assert flow["t"] == [0.0, 1.0]
    assert flow["psi"][0] == [0.0] * 3
    assert all(set(event) == {"t", "coordinate", "rising"} for event in flow["events"])
    steps = told("descend", file, "--alpha", "0.1", "--step-size", "0.01", "--steps", "10")
    assert steps["steps"][-1] == 10
    assert steps["status"] == "all_steps"
    out = files / "out.npz"
    assert told("minimizer", file, "--out", out)["psi"] == minimizer["psi"]
    assert np.load(out)["psi"].tolist() == minimizer["psi"]


def test_numbers_that_json_does_not_know(capsys, files):
    np.savez(files / "zero.npz", A=A, y=[0.0, 0.0])
    code, out, _ = run(capsys, "limit", files / "zero.npz", "--alpha", "0.1", "--json")
    assert code == 0
    limit = json.loads(out)
    assert limit["log_distance"] == ["-inf"]
    assert float(limit["log_distance"][0]) == -math.inf


def test_sweeps_take_them(files):
    pytest.importorskip("xarray")
    tables = [
        {"file": str(files / "A.mtx"), "y": str(files / "y.npy"), "name": "one"},
        {"file": str(files / "A.npz"), "name": "two"},
    ]
    data = fd.sweep(tables, p=3, alpha=[0.1, 0.01], progress=False)
    one, two = (data.limit_psi.sel(problem=name).values for name in ("one", "two"))
    np.testing.assert_allclose(one, two, rtol=1e-14)
    with pytest.raises(ValueError, match=r"problems\[0\]: .*A.mtx' given, .* \(problems\[0\].y\)"):
        fd.sweep({"file": str(files / "A.mtx")}, p=3, alpha=0.1)
    with pytest.raises(TypeError, match=r"problems\[0\].y must be a text, got 3"):
        fd.sweep({"file": str(files / "A.mtx"), "y": 3}, p=3, alpha=0.1)
