"""The page of the peers: who is skipped, who wins, and that the page is the one recorded."""

import json
import math

import numpy as np
import pytest

from benchmarks.peers import contest, page


def case_of(contenders, most=3.0):
    return contest.Case("a case", "", contenders, contest.distance(np.ones(3)), "l2", most=most)


def answering(value, log=None, name=""):
    def run():
        if log is not None:
            log.append(name)
        return np.full(3, value)

    return lambda: run


def test_a_peer_that_is_not_installed_is_named_and_skipped(capsys):
    def absent():
        import a_solver_nobody_has  # noqa: F401

    contenders = [
        contest.Contender("fastdln", answering(1.0), ours=True),
        contest.Contender("a peer", absent, "tolerance 1"),
        contest.Contender("a peer", absent, "tolerance 2"),
    ]
    kept, missing = contest.hold(case_of(contenders), contest.Limits(1, 1.0))
    assert missing == ["a peer"]
    assert [row["name"] for row in kept["rows"]] == ["fastdln"]
    assert "a_solver_nobody_has is not installed" in capsys.readouterr().out


def test_a_solver_that_fails_fails_the_run():
    def broken():
        raise ArithmeticError("no")

    contenders = [contest.Contender("a peer", lambda: broken)]
    with pytest.raises(ArithmeticError, match="no"):
        contest.hold(case_of(contenders), contest.Limits(1, 1.0))


def test_rounds_take_turns_forwards_and_backwards(monkeypatch):
    monkeypatch.setattr(contest, "LEAST", 0.0)
    log = []
    names = ("a", "b", "c")
    contenders = [contest.Contender(name, answering(1.0, log, name)) for name in names]
    monkeypatch.setattr(contest.math, "ceil", lambda _: 1)
    contest.hold(case_of(contenders), contest.Limits(2, 1.0))
    assert "".join(log).endswith("abc" + "cba")


def test_tighter_settings_of_what_takes_too_long_are_not_run():
    contenders = [
        contest.Contender("slow", answering(2.0), "loose"),
        contest.Contender("slow", answering(1.0), "tight"),
    ]
    kept, _ = contest.hold(case_of(contenders, most=0.0), contest.Limits(3, 1.0))
    loose, tight = kept["rows"]
    assert len(loose["seconds"]) == 1
    assert loose["error"] == pytest.approx(1.0)
    assert tight["seconds"] == []
    assert tight["note"].startswith("not run")


def row(name, seconds, error, ours=False, note=""):
    values = {"name": name, "setting": "", "ours": ours, "note": note}
    return {**values, "seconds": [seconds] * 3 if seconds else [], "error": error}


def record(rows, **more):
    case = {
        "name": "a problem", "about": "", "error": "relative", "floor": 1e-13, "per": 1.0,
        "unit": "call", "drawn": False, "rows": rows, "threads": 1, **more,
    }  # fmt: skip
    return {
        "question": "limits", "quick": False, "machine": "one",
        "versions": {"numpy": "9"}, "absent": ["skglm"], "seconds": 60.0, "cases": [case],
    }  # fmt: skip


def test_a_ratio_is_taken_at_the_same_accuracy():
    fast, exact = row("fast", 1.0, 1e-3, True), row("exact", 4.0, 1e-9, True)
    peers = [row("rough", 2.0, 1e-2), row("good", 2.0, 1e-8), row("best", 2.0, 1e-12)]
    (case,) = record([fast, exact, *peers])["cases"]
    assert [page.ratio_of(case, peer) for peer in peers] == [2.0, 0.5, None]
    rounding = row("rounding", 2.0, 1e-16)
    case["rows"][1]["error"] = 9e-14  # below the floor: as good as none
    assert page.ratio_of(case, rounding) == 0.5
    assert page.ratio_of(case, row("overflows", 3.0, None)) == 3.0


def test_the_page_says_who_wins_and_who_is_missing():
    rows = [
        row("fastdln", 4.0, 1e-9, True),
        row("good", 2.0, 1e-8),
        row("best", 2.0, 1e-12),
        row("late", None, None, note="not run: the setting before took 9.0 s"),
        row("lost", 8.0, None),
        row("fled", 0.1, None, note="gave up"),
    ]
    text = page.page([record(rows)], None)
    assert "Not installed, and skipped: skglm." in text
    assert "Peers that win: good, 0.5 of our time; best, more accurate than ours." in text
    assert "| late |  | not run: the setting before took 9.0 s |  |  |" in text
    assert "| lost |  | 8 s (8 to 8) | 2 | not finite |" in text
    assert "| fled |  | 100 ms (100 to 100) |  | gave up |" in text
    assert "| **fastdln** |  | 4 s (4 to 4) |  | 1.0e-09 |" in text
    assert "| skglm | not installed |" in text


def test_the_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [row("fastdln", 4.0, 0.0, True), row("good", 2.0, 1e-8), row("lost", 8.0, None)]
    text = page.page([record(rows, drawn=True)], tmp_path)
    assert "(peers_limits_1.png)" in text
    assert (tmp_path / "peers_limits_1.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_is_what_was_measured(root):
    """`python -m benchmarks.peers.page --write` writes it."""
    files = [page.HERE / "results" / f"{question}.json" for question in page.QUESTIONS]
    records = [json.loads(file.read_text()) for file in files if file.exists()]
    assert {"limits", "flow"} <= {record["question"] for record in records}
    written = (root / "docs" / "peers.md").read_text()
    assert [line for line in written.splitlines() if line and not line.startswith("![")] == [
        line for line in page.page(records, None).splitlines() if line
    ]
    for name in (line.split("](")[1][:-1] for line in written.splitlines() if line[:2] == "!["):
        assert (root / "docs" / name).is_file()
    assert not any(record["quick"] for record in records)
    ours = [r for record in records for case in record["cases"] for r in case["rows"] if r["ours"]]
    assert len(ours) >= 40
    assert all(r["error"] is not None and math.isfinite(r["error"]) for r in ours if r["seconds"])


def test_a_quick_run_measures_and_writes(tmp_path, capfd):
    """In a process of its own; peers that are not installed are left out."""
    results, docs = tmp_path / "results", tmp_path / "docs"
    arguments = ["descent", "--quick", "--results", str(results), "--docs", str(docs)]
    assert page.main(arguments) == 0
    kept = json.loads((results / "descent.json").read_text())
    assert kept["quick"]
    assert all(row["seconds"] for case in kept["cases"] for row in case["rows"] if row["ours"])
    assert "## Gradient descent" in (docs / "peers.md").read_text()
    assert "20 x 100" in capfd.readouterr().out


@pytest.mark.parametrize("question", ["flow", "limits"])
def test_our_own_and_scipy_s_answers_are_right(question):
    """The quick cases of the other questions, each solver once."""
    import importlib

    module = importlib.import_module(f"benchmarks.peers.ask_{question}")
    for case in module.cases(True, 1):
        for contender in case.contenders:
            if contender.ours and contender.setting != "eps 1e-09":
                assert case.error_of(contender.make()()) < 1e-4
            if contender.name.startswith(("HiGHS", "SciPy Radau", "lars")):
                run = contest.prepared(contender)
                assert run is None or case.error_of(run()) < 1e-3


def test_a_quick_run_must_not_replace_the_page():
    with pytest.raises(SystemExit):
        page.main(["--quick"])
