"""The commands: what they print and write, and how they refuse."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

import fastdln
from fastdln import cli

A = np.array([[2.0, -1.0, 0.0, 1.0], [0.0, 3.0, 2.0, 0.0]])
Y = np.array([0.0, 6.0])
LOUD = {**os.environ, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def plane(tmp_path):
    path = tmp_path / "plane.npz"
    np.savez(path, A=A, y=Y)
    return str(path)


def refusal(capsys, *arguments):
    """The one line of a refused command."""
    assert cli.main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("fastdln: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_help_needs_neither_numpy_nor_numba(run_python):
    process = run_python("-X", "importtime", "-m", "fastdln.cli", "--help")
    assert process.returncode == 0
    for command in ("figure", "limit", "minimizer", "rate", "info", "warmup"):
        assert command in process.stdout
    loaded = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "fastdln" in loaded
    assert not loaded & {"numpy", "numba", "scipy"}


def test_version(capsys):
    with pytest.raises(SystemExit) as ending:
        cli.main(["--version"])
    assert ending.value.code == 0
    assert capsys.readouterr().out == f"fastdln {fastdln.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ([], "COMMAND"),
        (["figures"], "invalid choice: 'figures'"),
        (["figure", "4"], "argument number: invalid choice: 4"),
        (["figure", "1", "--eps-min", "tiny"], "argument --eps-min: invalid float value: 'tiny'"),
        (["figure", "1", "--eps-min", "0"], "a number from 1e-300 to 1e-09 needed"),
        (["figure", "2", "--eps-min", "nan"], "a number from 1e-300 to 1e-09 needed"),
        (["figure", "3", "--eps-min", "1e-9"], "figure 3 has no eps"),
        (["figure", "1", "--format", "png,bmp"], "'bmp' given, some of png, svg, pdf needed"),
        (["figure", "1", "--format", ""], "'' given, some of png, svg, pdf needed"),
        (["limit", "nowhere.npz", "--alpha", "1"], "'nowhere.npz': No such file or directory"),
        (["limit", "nowhere.npz"], "one of the arguments --alpha --log-alpha is required"),
        (["limit", "x.npz", "--alpha", "1", "--log-alpha", "0"], "not allowed with argument"),
        (["minimizer", "nowhere.npz"], "'nowhere.npz': No such file or directory"),
        (["rate", "nowhere.npz"], "'nowhere.npz': No such file or directory"),
        (["rate", "x.npz", "--alpha", "1", "--log-alpha", "0"], "not allowed with argument"),
    ],
)
def test_refusals(capsys, monkeypatch, tmp_path, arguments, needed):
    monkeypatch.chdir(tmp_path)
    assert needed in refusal(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (b"", "numeric arrays named A and y needed"),
        (b"not an archive", "numeric arrays named A and y needed"),
        (b"PK\x03\x04 cut off", "numeric arrays named A and y needed"),
    ],
)
def test_files_that_are_no_archives(capsys, tmp_path, content, needed):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    assert needed in refusal(capsys, "limit", str(path), "--alpha", "1")


@pytest.mark.parametrize(
    "arrays",
    [
        {"A": A},
        {"a": A, "y": Y},
        {"A": np.array([[1, "x"]], dtype=object), "y": Y},
        {"A": A, "y": Y[:1]},
        {"A": A[0], "y": Y},
        {"A": A * np.nan, "y": Y},
        {"A": A, "y": np.array([np.inf, 0.0])},
        {"A": A * 1j, "y": Y},
        {"A": A[:, :0], "y": Y},
    ],
)
def test_archives_that_hold_no_problem(capsys, tmp_path, arrays):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    error = refusal(capsys, "minimizer", str(path))
    assert "A" in error or "y" in error


def test_a_single_array_is_no_problem(capsys, tmp_path):
    np.save(tmp_path / "A.npy", A)
    assert "named A and y needed" in refusal(capsys, "minimizer", str(tmp_path / "A.npy"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--p", "1.5", "--alpha", "1"], "p"),
        (["--p", "nan", "--alpha", "1"], "p"),
        (["--alpha", "0"], "alpha"),
        (["--alpha", "-1"], "alpha"),
        (["--alpha", "nan"], "alpha"),
        (["--log-alpha", "nan"], "log_alpha"),
    ],
)
def test_bad_depths_and_initialisations(capsys, plane, options, name):
    assert refusal(capsys, "limit", plane, *options).startswith(f"fastdln: error: {name}")


def test_limit_prints_and_saves_what_flow_limit_returns(capsys, plane, tmp_path):
    out = tmp_path / "limit.npz"
    options = ["--p", "3", "--alpha", "0.1", "1e-3", "--out", str(out)]
    assert cli.main(["limit", plane, *options]) == 0
    printed = capsys.readouterr().out
    limit = fastdln.flow_limit(fastdln.Problem(A, Y), 3.0, np.array([0.1, 1e-3]))
    with np.load(out) as saved:
        np.testing.assert_array_equal(saved["psi"], limit.psi)
        np.testing.assert_array_equal(saved["alpha"], [0.1, 1e-3])
    assert [line.split()[0] for line in printed.splitlines()[1:3]] == ["0.1", "0.001"]


def test_limit_of_one_alpha_prints_every_digit(capsys, plane):
    assert cli.main(["limit", plane, "--p", "2", "--log-alpha=-400"]) == 0
    printed = capsys.readouterr().out.split()
    limit = fastdln.flow_limit(fastdln.Problem(A, Y), 2.0, log_alpha=-400.0)
    assert {repr(float(value)) for value in limit.psi} <= set(printed)


def test_minimizer_prints_the_face(capsys, plane, tmp_path):
    out = tmp_path / "minimizer.npz"
    assert cli.main(["minimizer", plane, "--p", "3", "--out", str(out)]) == 0
    assert "on a face of dimension 1" in capsys.readouterr().out
    with np.load(out) as saved:
        np.testing.assert_allclose(A @ saved["psi"], Y, rtol=1e-14, atol=1e-14)


def test_rate_prints_the_leading_term(capsys, plane, tmp_path):
    out = tmp_path / "rate.npz"
    options = ["--log-alpha", "-10", "-20", "--out", str(out)]
    assert cli.main(["rate", plane, "--p", "3", *options]) == 0
    printed = capsys.readouterr().out
    rate = fastdln.convergence_rate(fastdln.Problem(A, Y), 3.0)
    assert f"distance to W_p ~ {rate.constant!r} * eps^1.0 (linear in eps)" in printed
    assert "minimiser not unique; Proved" in printed
    assert "rho       0.5 (exact)" in printed
    assert "rho_tilde inf (exact)" in printed
    with np.load(out) as saved:
        np.testing.assert_array_equal(saved["direction"], rate.direction)


def test_rate_without_alpha_prints_no_table(capsys, plane):
    assert cli.main(["rate", plane]) == 0
    printed = capsys.readouterr().out
    assert "eps^0.5 (1 - rho, rho = 0.500000)" in printed
    assert "upper bound" not in printed


def test_long_results_are_cut_and_say_so(capsys, tmp_path):
    path = tmp_path / "wide.npz"
    np.savez(path, A=np.linspace(0.1, 1.0, 50)[None, :], y=np.array([1.0]))
    assert cli.main(["minimizer", str(path)]) == 0
    assert "and 30 smaller ones" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["limit", "minimizer", "rate"])
def test_a_result_that_cannot_be_written(capsys, plane, tmp_path, command):
    target = str(tmp_path / "nowhere" / "out.npz")
    options = ["--alpha", "1"] if command == "limit" else []
    error = refusal(capsys, command, plane, *options, "--out", target)
    assert "argument --out: cannot write" in error


def test_figure_writes_and_prints(capsys, tmp_path):
    out = tmp_path / "new" / "folder"
    options = ["--eps-min", "1e-12", "--out", str(out), "--format", "png,svg,pdf"]
    assert cli.main(["figure", "1", *options]) == 0
    printed = capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        f"figure1.{ending}" for ending in ("png", "svg", "pdf", "csv")
    }
    with (out / "figure1.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 12 * 11
    assert "120 published limits in" in printed
    assert "fitted slope  predicted" in printed
    assert "s in all" in printed


@pytest.mark.parametrize("number", ["2", "3"])
def test_the_other_figures(capsys, tmp_path, number):
    assert cli.main(["figure", number, "--out", str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {f"figure{number}.png", f"figure{number}.csv"}


def test_a_folder_that_is_a_file(capsys, tmp_path):
    (tmp_path / "file").touch()
    error = refusal(capsys, "figure", "3", "--out", str(tmp_path / "file"))
    assert "argument --out: cannot write" in error


def test_figure_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "fastdln.plotting", raising=False)
    monkeypatch.delattr(fastdln, "plotting", raising=False)
    assert "pip install 'fastdln[plot]'" in refusal(capsys, "figure", "3")


def test_info(capsys):
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    for name in ("fastdln", "numpy", "numba", "threading layer", "threads", "cache", "FMA unit"):
        assert f"\n{name} " in "\n" + printed


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_warmup(capsys, jobs):
    assert cli.main(["warmup", "--jobs", jobs]) == 0
    assert "every kernel is compiled" in capsys.readouterr().out
    assert "jobs must be at least 1, got 0" in refusal(capsys, "warmup", "--jobs", "0")


def test_an_interrupt_is_quiet(capsys, monkeypatch):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_info", interrupt)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr() == ("", "")


def test_the_package_is_the_command():
    command = [sys.executable, "-m", "fastdln", "limit", "nowhere.npz", "--alpha", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.npz" in done.stderr


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "fastdln.cli", "info"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=LOUD)
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_refusal_as_seen_from_a_shell(run_python):
    process = run_python("-m", "fastdln.cli", "minimizer", "nowhere.npz")
    assert process.returncode == 2
    assert process.stderr.startswith("fastdln: error: argument FILE: cannot read 'nowhere.npz'")
    assert "Traceback" not in process.stderr
