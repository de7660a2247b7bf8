"""The report of a sweep: what it says, and how it behaves in a browser."""

import json
import re

import browser
import numpy as np
import pytest

import fastdln as fd
from fastdln import cli

pytest.importorskip("xarray")

GRID = {"p": [2, 3, 4], "eps": {"logspace": [0, -9, 10]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    quantity = ["limit", "minimizer", "rate"]
    fd.sweep(["line", "random"], **GRID, quantity=quantity, store=folder / "s.zarr")
    assert cli.main(["report", str(folder / "s.zarr"), "--out", str(folder / "s.html")]) == 0
    return folder


@pytest.fixture(scope="module")
def data(folder):
    page = (folder / "s.html").read_text(encoding="utf-8")
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    return json.loads(text)


def test_curves_and_slopes(data):
    assert [(c["problem"], c["p"]) for c in data["curves"]] == [
        (problem, p) for problem in ("line", "random") for p in (2.0, 3.0, 4.0)
    ]
    for curve in data["curves"]:
        problem = getattr(fd.datasets, curve["problem"])()
        x = np.array(curve["x"])
        np.testing.assert_allclose(x, -np.arange(10.0), atol=1e-12)
        limit = fd.flow_limit(problem, curve["p"], log_alpha=x * np.log(10) / curve["p"])
        expected = np.asarray(limit.log_deviation_norm) / np.log(10)
        np.testing.assert_allclose(curve["y"], expected, rtol=1e-10)
        rate = fd.convergence_rate(problem, curve["p"])
        assert curve["predicted"] == pytest.approx(rate.exponent, rel=1e-10)
        assert curve["slope"] == pytest.approx(rate.exponent, rel=2e-2)
        line = np.asarray(rate.log_predict(log_alpha=x * np.log(10) / curve["p"])) / np.log(10)
        np.testing.assert_allclose(curve["line"], line, rtol=1e-10)


def test_minimisers_and_summary(data):
    for one in data["minimizers"]:
        W = fd.l1_minimizer(getattr(fd.datasets, one["problem"])(), one["p"]).psi
        np.testing.assert_allclose(one["value"], W[one["index"]], rtol=1e-10)
        assert set(np.flatnonzero(W)) == set(one["index"])
    assert data["summary"]["rows"] == [
        *(["limit", "converged", 60], ["minimizer", "proved", 6], ["rate", "proved", 6])
    ]
    assert len(data["table"]["rows"]) == 60
    assert "p: 2, 3, 4" in data["config"]


def test_seeds_errors_and_unfinished_stores(tmp_path, monkeypatch):
    from fastdln import sweep_quantities
    from fastdln.report import open_sweep, report_data

    original = sweep_quantities.flow_limit

    def fails(problem, p, *, alpha):
        if p == 3.0:
            raise ArithmeticError("</script><b>")
        return original(problem, p, alpha=alpha)

    monkeypatch.setattr(sweep_quantities, "flow_limit", fails)
    table = {"dataset": "gaussian", "m": 3, "N": 80, "sparsity": 2}
    fd.sweep(table, p=[2, 3], alpha=[0.1, 0.01], seed=[4, 7], store=tmp_path / "s.zarr")
    root = tmp_path / "s.zarr" / "zarr.json"
    root.write_text(root.read_text().replace('"complete": 1', '"complete": 0'))
    found = report_data(open_sweep(tmp_path / "s.zarr"), "s.zarr")
    assert found["seeds"] == [4, 7]
    assert "not complete yet" in found["facts"]
    assert found["curves"][1]["y"] == [None, None]
    assert found["minimizers_label"] == "limit at the least eps"
    assert len(found["minimizers"][0]["index"]) == 60
    assert len(found["failures"]) == 4
    assert found["failures"][0].startswith("limit, problem gaussian 3 x 80, 2-sparse, seed 4, p 3")
    assert cli.main(["report", str(tmp_path / "s.zarr")]) == 0
    assert "</script><b>" not in (tmp_path / "s.html").read_text()


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    grid = {"p": [2, 3], "alpha": [0.1, 0.3], "t": [0.1, 0.3, 0.5]}
    steps = {"step_size": [1e-3, 1e-2], "n_steps": 1000}
    fd.sweep("line", **grid, **steps, quantity=["flow", "descent"], store=folder / "s.zarr")
    assert cli.main(["report", str(folder / "s.zarr"), "--out", str(folder / "s.html")]) == 0
    return folder


def test_losses_of_flows_and_descents(losses):
    from fastdln.report import open_sweep, report_data

    found = report_data(open_sweep(losses / "s.zarr"), "s.zarr")["losses"]
    assert [(one["kind"], one["p"]) for one in found] == [
        *(("flow", 2.0), ("flow", 3.0), ("descent", 2.0), ("descent", 3.0))
    ]
    path = fd.gradient_flow(fd.datasets.line(), 3, 0.1, [0.1, 0.3, 0.5])
    np.testing.assert_allclose(found[1]["x"], np.log10(path.t))
    np.testing.assert_allclose(found[1]["y"], np.log10(path.loss), rtol=1e-10)
    assert found[2]["x"][-1] == 3.0


@pytest.mark.parametrize(
    ("name", "needed"),
    [("no.zarr", "there is no store"), ("folder", "is not a store of a sweep")],
)
def test_refusals(capsys, tmp_path, name, needed):
    (tmp_path / "folder").mkdir()
    assert cli.main(["report", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert needed in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


def test_an_out_that_cannot_be_written(capsys, folder):
    out = folder / "nowhere" / "s.html"
    assert cli.main(["report", str(folder / "s.zarr"), "--out", str(out)]) == 2
    assert "argument --out: cannot write" in capsys.readouterr().err


@pytest.fixture(scope="module")
def page(folder):
    if reason := browser.missing():
        pytest.skip(reason)
    page = browser.Browser()
    yield page
    page.close()


def count(page, selector):
    return page.eval(f"document.querySelectorAll({selector!r}).length")


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_and_asks_for_nothing(page, folder, width, dark):
    page.open(folder / "s.html", width, dark)
    assert page.problems() == []
    assert page.eval("document.documentElement.scrollWidth") == width
    for name in ("errors", "minimizers", "timings"):
        assert page.eval(f"document.querySelector('#{name} svg').clientWidth") > 300
    # words and their ground differ enough in both schemes
    assert page.eval(CONTRAST) >= 4.5
    columns = page.eval("getComputedStyle(document.getElementById('grid')).gridTemplateColumns")
    assert len(columns.split()) == (1 if width == 400 else 2)
    # no label of a plot is outside of it
    assert page.eval(OUTSIDE) == []


CONTRAST = """(() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => {
    const [r, g, b] = c.match(/\\d+/g).map(Number).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ground = light(getComputedStyle(document.querySelector("section")).backgroundColor);
  const inks = [...document.querySelectorAll("h2, td, .soft, .plot text, .measured")].map((e) => {
    const style = getComputedStyle(e);
    if (e.matches(".measured")) return light(style.stroke);
    return light(e.matches("text") ? style.fill : style.color);
  });
  return Math.min(...inks.map((ink) => ratio(ink, ground)));
})()"""
OUTSIDE = """[...document.querySelectorAll(".plot text")].filter((e) => {
  const a = e.getBoundingClientRect(), b = e.closest("svg").getBoundingClientRect();
  return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1
    || a.top < b.top - 1;
}).map((e) => e.textContent)"""


@pytest.mark.slow
def test_losses_are_drawn(page, losses):
    page.open(losses / "s.html", 1400)
    assert page.problems() == []
    for kind in ("flow", "descent"):
        assert count(page, f"#{kind} path.measured") == 2
    assert count(page, "#errors") == 0
    assert count(page, "#table tbody tr") == 4


@pytest.mark.slow
def test_it_answers_to_clicks(page, folder):
    page.open(folder / "s.html", 1400)
    curves = "#errors path.measured"
    assert count(page, curves) == 3
    page.click("#errors .legend button", 1)
    assert count(page, curves) == 2
    assert (
        page.eval("document.querySelectorAll('#errors .legend button')[1].ariaPressed") == "false"
    )
    page.click("#errors .legend button", 1)
    assert count(page, curves) == 3

    before = page.eval(f"document.querySelector({curves!r}).getAttribute('d')")
    page.select("#problem", 1)
    assert page.eval(f"document.querySelector({curves!r}).getAttribute('d')") != before
    assert "predicted 0.7449" in page.eval("document.querySelector('#errors .legend').textContent")

    assert page.eval("document.querySelector('#errors .tip').hidden")
    page.hover("#errors svg polygon", 2)
    tip = page.eval("document.querySelector('#errors .tip').textContent")
    assert re.search(r"p = \d.*eps .*distance ", tip), tip

    headers = "[...document.querySelectorAll('#table th')].map((e) => e.textContent)"
    column = page.eval(headers).index("distance")
    values = (
        "[...document.querySelectorAll('#table tbody tr')]"
        f".map((row) => Number(row.children[{column}].textContent))"
    )
    page.click("#table th button", column)
    up = page.eval(values)
    assert up == sorted(up)
    assert len(set(up)) > 30
    page.click("#table th button", column)
    assert page.eval(values) == sorted(up, reverse=True)
    assert page.problems() == []


@pytest.mark.slow
def test_axes_of_a_few_decades_have_labels(page, folder):
    page.open(folder / "s.html", 1400)
    for low, high in ((-9.2, 0.3), (-3.1, -1.2), (-2.4, -1.3), (-0.05, 0.2), (-300.2, -299.9)):
        found = page.eval(f"decades({low}, {high}, 7)")
        assert 2 <= len(found) <= 8
        for place, label in found:
            assert low <= place <= high
            if not label.startswith("10") or label == "10":
                mantissa, _, power = label.partition("e")
                exponent = np.log10(float(mantissa)) + float(power or 0.0)
                assert exponent == pytest.approx(place, abs=1e-3)
    assert page.eval("decades(-0.05, 0.2, 7).map((one) => one[1])")[:3] == ["0.9", "1", "1.1"]
    # of sixteen depths no two look alike
    looks = page.eval("[...Array(16).keys()].map((k) => color(k) + form(k))")
    assert len(set(looks)) == 16
