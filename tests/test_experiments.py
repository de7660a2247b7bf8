"""The experiments, in small: theory and measurement agree, pictures are drawn."""

from __future__ import annotations

import csv
from importlib import import_module

import numpy as np
import pytest

from fastdln import cli, experiments
from fastdln.experiments_conditioning import conditioning
from fastdln.experiments_depth import depth
from fastdln.experiments_hardness import hardness
from fastdln.experiments_kink import kink
from fastdln.experiments_rates import rates
from fastdln.experiments_selection import selection
from fastdln.plotting import save


def column(table, name, which=0):
    """A column by name; the second of that name where `which` is 1."""
    index = [k for k, title in enumerate(table.columns) if title == name][which]
    return [row[index] for row in table.rows]


def check_picture(result, tmp_path):
    """It is drawn, every panel has labels, and a legend names what is measured and theory."""
    picture = result.draw()
    save(picture, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert all(axes.get_title() or axes.get_xlabel() for axes in picture.axes)
    (legend,) = picture.legends
    assert any(text.get_text().startswith("theory") for text in legend.get_texts())
    result.data.write_csv(tmp_path / "data.csv")
    with (tmp_path / "data.csv").open() as stream:
        assert len(list(csv.reader(stream))) == len(result.data.rows) + 1


def test_rates(tmp_path):
    result = rates(depths=(2.0, 3.0), decades=28)
    check_picture(result, tmp_path)
    slope, predicted = (np.array(column(result.summary, n)) for n in ("slope", "predicted"))
    np.testing.assert_allclose(slope, predicted, atol=3e-3)
    constants = column(result.summary, "constant"), column(result.summary, "predicted", 1)
    np.testing.assert_allclose(constants[0][:6], constants[1][:6], rtol=1e-4)


def test_selection(tmp_path):
    result = selection(depths=(2.0, 3.0, 6.0), fine=5)
    check_picture(result, tmp_path)
    assert max(column(result.summary, "|limit - W|")) < 1e-12
    assert max(column(result.summary, "slope")) < 1e-14
    assert sorted(set(column(result.summary, "face"))) == [1, 2, 3]


def test_conditioning(tmp_path):
    result = conditioning(depths=(2.0, 3.0), points=4)
    check_picture(result, tmp_path)
    assert max(column(result.summary, "worst")) <= 1.0
    first, last = (column(result.summary, f"distance, {end}") for end in ("first", "last"))
    rows = [k for k, name in enumerate(column(result.summary, "sweep")) if name == "rows"]
    for k in rows:  # the same kernel, the same limit
        assert last[k] == pytest.approx(first[k], rel=1e-9)
    rho = np.array(column(result.data, "rho"))
    support = np.array(column(result.data, "sweep")) == "support"
    np.testing.assert_allclose(rho[support], 0.3, rtol=1e-12)


def test_kink(tmp_path):
    result = kink(depths=(3.0, 4.0), ties=(0.1, 0.001), points=37)
    check_picture(result, tmp_path)
    place, constant = column(result.summary, "ratio"), column(result.summary, "ratio", 1)
    np.testing.assert_allclose(constant, 1.0, atol=3e-4)
    np.testing.assert_allclose(place[1::2], 1.0, atol=3e-3)  # delta = 0.001


def test_hardness(tmp_path):
    result = hardness(points=8, ties=(0.1, 1e-4))
    check_picture(result, tmp_path)
    for row in result.summary.rows[-2:]:
        decided, undecidable, theory = row[1:]
        assert decided == pytest.approx(theory, rel=1e-6)
        assert undecidable == pytest.approx(theory, rel=1e-6)
        assert decided <= undecidable * (1 + 1e-9)
    bound, spread = (np.array(column(result.data, name)) for name in ("bound", "spread"))
    assert np.all(spread <= bound)


def test_depth(tmp_path):
    result = depth(depths=(2.0, 3.0), noise=(0.0, 0.1), seeds=2, decades=4)
    check_picture(result, tmp_path)
    errors = column(result.summary, "last")
    assert errors[0] > 5 * errors[1]  # without noise depth 3 is well ahead
    assert column(result.summary, "predicted slope")[1] == pytest.approx(1.0)
    assert column(result.summary, "measured")[1] == pytest.approx(1.0, abs=0.15)
    assert column(result.summary, "W")[:2] == [0.0, 0.0]


def test_every_name_has_its_function():
    for name, (module, function) in experiments.EXPERIMENTS.items():
        assert function == name
        assert callable(getattr(import_module(module), name))


def test_the_command_writes_a_picture_and_a_table(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert cli.main(["experiment", "selection", "--out", str(out), "--format", "svg,png"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "selection.csv",
        "selection.png",
        "selection.svg",
    ]
    printed = capsys.readouterr().out
    assert printed.startswith("face  p")
    assert "wrote" in printed


def test_mistakes_are_told_in_one_line(tmp_path, capsys):
    assert cli.main(["experiment", "nothing"]) == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert cli.main(["experiment", "rates", "--out", str(taken)]) == 2
    assert "argument --out: cannot write" in capsys.readouterr().err
