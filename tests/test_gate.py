"""The gate fails on a loss, on nothing else, and reads what asv writes."""

import json
import math
import shutil

import pytest

from benchmarks import gate, glance, history, look_at_site, plant_losses, release


class Group:
    """Stands for a benchmark class."""

    version = "1"
    params = ((20, 50), ("h", 2.0))

    def track_sum(self, m, p):
        return f"{m} {p}"


def case(*values, name="bench_x.Group.track_sum"):
    return gate.Case(name, Group, "track_sum", values)


def verdict(before, after, version="1", factor=1.001):
    recorded = {case(20).key: gate.Recorded(before, version)}
    (row,) = gate.compare(recorded, {case(20): after}, factor)
    return row.verdict


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1.0, 1.0, "same"),
        (1.0, 1.0009, "same"),
        (1.0, 1.0011, "LOSS"),
        (1.0, 0.5, "better"),
        (28.0, 29.0, "LOSS"),
        (0.0, 0.0, "same"),
        (0.0, 1e-17, "LOSS"),
        (1.0, math.nan, "LOSS"),
        (1.0, math.inf, "LOSS"),
        (1.0, "AssertionError: too large", "LOSS"),
        (None, 7.0, "new"),
        (None, math.nan, "LOSS"),
    ],
)
def test_verdicts(before, after, expected):
    assert verdict(before, after) == expected


def test_memory_may_grow_by_less_than_three_tenths():
    assert verdict(100.0, 129.0, factor=gate.FACTORS["peakmem_"]) == "same"
    assert verdict(100.0, 131.0, factor=gate.FACTORS["peakmem_"]) == "LOSS"


def test_another_version_measured_something_else():
    assert verdict(1.0, 5.0, version="0") == "new"


def test_what_is_missing_is_lost_unless_it_was_retired():
    recorded = {"a.B.track_c(1)": gate.Recorded(1.0, "1"), "a.B.track_d": gate.Recorded(2.0, "1")}
    rows = gate.compare(recorded, {}, 1.001, retired={"a.B.track_c": "a better one came"})
    assert [row.verdict for row in rows] == ["retired", "LOSS"]
    assert "a better one came" in gate.table(rows)


ENTRY = {
    "result_columns": ["result", "params", "version", "duration"],
    "results": {
        "bench_x.Group.track_sum": [[1.0, 2.0, None, 4.0], [["20", "50"], ["'h'", "2.0"]], "1", 3],
        "bench_x.Group.time_sum": [[9.0], [], "1", 3],
        "bench_x.Other.track_one": [[5], [], "2", 3],
    },
}


def test_recorded_values_are_found_under_the_keys_of_the_suite():
    found = gate.recorded([ENTRY], "track_")
    assert set(found) == {
        *(case(*values).key for values in gate._choices(Group)),
        "bench_x.Other.track_one",
    }
    assert found[case(20, 2.0).key] == gate.Recorded(2.0, "1")
    assert found[case(50, "h").key].value is None
    assert found["bench_x.Other.track_one"] == gate.Recorded(5.0, "2")


def test_largest_over_the_numbers_of_threads():
    second = json.loads(json.dumps(ENTRY))
    second["results"]["bench_x.Group.track_sum"][0] = [0.5, 3.0, 7.0, None]
    found = gate.recorded([ENTRY, second], "track_")
    values = [found[case(*choice).key].value for choice in gate._choices(Group)]
    assert values == [1.0, 3.0, 7.0, 4.0]


def test_every_recorded_benchmark_is_in_the_suite_or_retired():
    for prefix in gate.FACTORS:
        present = {item.name for item in gate.cases(prefix)}
        for entry in gate.releases():
            for key in gate.recorded(gate.results_of(entry["commit"]), prefix):
                name = key.partition("(")[0]
                assert name in present or name in gate.RETIRED, key


def test_suite_has_tracks_and_memory_and_unique_keys():
    for prefix in gate.FACTORS:
        keys = [item.key for item in gate.cases(prefix)]
        assert keys
        assert len(set(keys)) == len(keys)


def run_main(monkeypatch, capsys, recorded, measured):
    monkeypatch.setattr(gate, "recorded", lambda entries, prefix: recorded)
    monkeypatch.setattr(gate, "measure_tracks", lambda: measured)
    status = gate.main([])
    return status, capsys.readouterr().out


def test_exit_status_and_one_line_per_loss(monkeypatch, capsys):
    recorded = {case(m).key: gate.Recorded(10.0, "1") for m in (20, 50)}
    status, text = run_main(monkeypatch, capsys, recorded, {case(20): 10.0, case(50): 10.0})
    assert status == 0
    assert "LOSS" not in text
    status, text = run_main(monkeypatch, capsys, recorded, {case(20): 11.0, case(50): 10.0})
    assert status == 1
    assert [line for line in text.splitlines() if line.startswith("LOSS")] == [
        "LOSS bench_x.Group.track_sum(20): 10 -> 11, 1.1 times, 1.001 is allowed"
    ]


@pytest.mark.parametrize("plant", ["one ulp in h", "one more factorisation along a path"])
def test_planted_losses_are_caught_and_identical_code_is_not(plant):
    name, planter, keys = plant_losses.PLANTS[plant]
    before = gate.measure_tracks(keys.partition("(")[0])
    assert plant_losses.lost(before, gate.measure_tracks(keys.partition("(")[0]), "track_") == []
    assert plant_losses.catches(before, name, planter, keys)
    assert not plant_losses.catches(before, name, lambda function: function, keys)


def test_peak_of_this_process():
    assert gate.peak_bytes() > 10e6


def record_entry(**more):
    """What asv writes for one release and one number of threads."""
    return {
        **ENTRY,
        "commit_hash": "ab" * 20,
        "requirements": {"numpy": "2.0"},
        "env_vars": {"NUMBA_NUM_THREADS": "2"},
        "result_columns": [*ENTRY["result_columns"], *("stats_q_25", "stats_q_75", "stats_repeat")],
        "results": {
            "bench_limits.SingleTarget.track_factorisations": [
                [22, 30, None, 83],
                [["-9", "-100"], ["2.0", "3.0"]],
                "1",
                3,
            ],
            "bench_limits.PublishedFigure.time_all": [[0.0084], [], "1", 3, [0.008], [0.009], [4]],
            "bench_memory.Peak.peakmem_h": [[2.5e8], [], "1", 3],
            "bench_gone.Group.track_it": [[1.5], [], "1", 3],
        },
        **more,
    }


def test_history_has_a_table_for_each_benchmark(monkeypatch, tmp_path):
    monkeypatch.setattr(gate, "releases", lambda: [{"version": "9.8.7", "commit": "ab" * 20}])
    (tmp_path / "abababab-x.json").write_text(json.dumps(record_entry()))
    lines = history.page(tmp_path).splitlines()
    for line in (
        "| log10 of eps | p | 9.8.7 |",
        "| -9 | 2.0 | 22 |",
        "| -100 | 2.0 | - |",
        "| -100 | 3.0 | 83 |",
        "| 2 | 8.4 ms (8 to 9) |",
        "| 2 | 250 MB |",
        "| all | 1.5 |",
    ):
        assert line in lines


def test_a_glance_names_what_got_worse():
    before = {("a", "1"): 1.0, ("b", "1"): 2.0, ("c", "1"): 0.0, ("d", "1"): 4.0, ("e", "1"): 1.0}
    after = {("a", "1"): 1.0, ("b", "1"): 4.0, ("c", "1"): 1.0, ("d", "1"): 1.0, ("e", "2"): 9.0}
    change = glance.compare(before, after, 1.5)
    assert change.same == 1
    assert change.gained == {"d": 0.25}
    assert change.lost == {"b": 2.0, "c": float("inf")}
    assert change.median == 1.5


def test_the_head_of_the_history_compares_each_release_with_the_one_before():
    slower = record_entry()
    slower["results"]["bench_limits.PublishedFigure.time_all"][0] = [0.0168]
    lines = list(glance.section([("9.8.7", [record_entry()]), ("9.8.8", [slower])]))
    assert "| 9.8.8 | 9.8.7 | time (factor 1.5) | 0 | 0 | 1 | 2 |" in lines
    assert "- 9.8.8: `bench_limits.PublishedFigure.time_all, threads 2`, 2 times" in lines
    assert list(glance.section([("9.8.7", [record_entry()])])) == []
    two = [("9.8.7", [record_entry()]), ("9.8.8", [slower])]
    text = "\n".join(glance.section(two, {"9.8.8": "another processor"}))
    assert "| 9.8.8 | 9.8.7 | time | another processor: not compared |" in text
    assert "accuracy and work" in text
    assert "PublishedFigure" not in text


def test_history_has_every_recorded_release(root):
    """`python -m benchmarks.release --page` writes it."""
    text = (root / "docs" / "history.md").read_text()
    for entry in gate.releases():
        if gate.results_of(entry["commit"]):
            assert f"- {entry['version']}: commit `{entry['commit'][:8]}`" in text


def test_links_to_the_web_go_beside_the_page():
    page = (
        '<script src="https://x.org/a/md5.min.js" integrity="sha256-x" onerror="f()"></script>'
        '<link rel="stylesheet" href="https://x.org/new.css" crossorigin="anonymous">'
        '<script src="asv.js"></script>'
    )
    text, left = release.localised(page, set(release.SCRIPTS))
    assert '<script src="beside/md5.min.js"></script>' in text
    assert '<script src="asv.js"></script>' in text
    assert left == ["new.css"]


def test_only_releases_without_results_are_recorded(monkeypatch, tmp_path):
    commands = []
    found = [{"version": "1", "commit": "aa" * 20}, {"version": "2", "commit": "bb" * 20}]
    monkeypatch.setattr(gate, "releases", lambda: found)
    monkeypatch.setattr(gate, "results_of", lambda commit: [1, 2] if commit[0] == "a" else [1])
    monkeypatch.setattr(release, "asv", lambda *words: commands.append(words) or 2)
    assert release._record_and_publish() == [
        "release 2 (bbbbbbbb) was not recorded whole",
        "asv publish failed",
    ]
    assert [words[0] for words in commands] == ["machine", "run", "publish"]


def test_looking_at_the_site_names_what_is_missing(tmp_path):
    """A page that needs a file that is not there, in a browser where there is one."""
    browser = next(filter(None, map(shutil.which, look_at_site.NAMES)), None)
    if browser is None:
        pytest.skip("no Chromium")
    (tmp_path / "index.html").write_text("<script src=gone.js></script>bench_limits bench_descent")
    problems = look_at_site.look(tmp_path, browser, tmp_path / "pictures")
    assert "asked for, and not there: 404 /gone.js" in problems
    assert any("flot-base" in problem for problem in problems)
    assert not any(problem.startswith("grid") for problem in problems)
    assert (tmp_path / "pictures" / "grid.png").read_bytes().startswith(b"\x89PNG")
