"""fastdln flow FILE, and its picture."""

import numpy as np
import pytest

import fastdln as fd
from fastdln.cli import main


@pytest.fixture
def file(tmp_path):
    problem = fd.datasets.line()
    np.savez(tmp_path / "line.npz", A=problem.A, y=problem.y)
    return str(tmp_path / "line.npz")


def test_table_events_arrays_and_picture(file, tmp_path, capsys):
    out, picture = tmp_path / "out.npz", tmp_path / "flow.png"
    times = ["--t", "0.1", "1", "10"]
    more = ["--level", "0.1", "--out", str(out), "--plot", str(picture)]
    assert main(["flow", file, "--alpha", "1e-4", *times, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["0.1", "1", "10"]
    assert sum(line.endswith("up") for line in lines) == 3
    path = fd.gradient_flow(fd.datasets.line(), 2, 1e-4, [0.1, 1.0, 10.0])
    np.testing.assert_array_equal(np.load(out)["psi"], path.psi)
    assert picture.stat().st_size > 10_000


def test_until_converged(file, tmp_path, capsys):
    arguments = ["flow", file, "--p", "3", "--log-alpha", "-40", "--plot", str(tmp_path / "a.svg")]
    assert main(arguments) == 0
    assert "inf" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "euler"], "method must be one of"),
        (["--t", "2", "1"], "t must be increasing"),
        (["--plot", "flow.txt"], "argument --plot"),
    ],
)
def test_mistakes_are_told_in_one_line(file, arguments, message, capsys):
    assert main(["flow", file, "--alpha", "0.1", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
