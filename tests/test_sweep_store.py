"""A store survives kills and full disks, and ends as if nothing had happened."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastdln as fd
from fastdln import _durable, sweep_work

pytest.importorskip("xarray")
pytest.importorskip("zarr")

GRID = {
    "problems": {"dataset": "gaussian", "m": 4, "N": 10, "sparsity": 2},
    "seed": list(range(20)),
    "p": [2, 3],
    "alpha": [1.0, 1e-2, 1e-4],
    "quantity": ["limit", "minimizer"],
    "chunk": 6,
}
PROVENANCE = {"runs", "wall_seconds"}


def contents(store):
    """Every byte of a store but those that tell of times: file -> content."""
    found = {}
    for path in sorted(store.rglob("*")):
        name = path.relative_to(store).as_posix()
        if path.is_dir() or (name.partition("/")[0].endswith("_seconds") and "/c." in name):
            continue
        found[name] = path.read_bytes()
    root = json.loads(found["zarr.json"])
    for key in PROVENANCE:
        root["attributes"].pop(key, None)
    found["zarr.json"] = json.dumps(root)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("whole") / "s.zarr"
    fd.sweep(**GRID, store=store)
    return contents(store)


@pytest.fixture
def solved(monkeypatch):
    """How many batches were solved since the last look."""
    batches = []
    original = sweep_work._solve

    def count(*arguments):
        batches.extend(arguments[2])
        return original(*arguments)

    monkeypatch.setattr(sweep_work, "_solve", count)

    def look():
        number = len(batches)
        batches.clear()
        return number

    return look


def test_two_runs_leave_the_same_bytes(undisturbed, tmp_path):
    fd.sweep(**GRID, store=tmp_path / "s.zarr", workers=1)
    assert contents(tmp_path / "s.zarr") == undisturbed


def test_only_what_is_missing_is_computed(undisturbed, tmp_path, solved):
    store = tmp_path / "s.zarr"
    fd.sweep(**GRID, store=store)
    assert solved() == 80
    fd.sweep(**GRID, store=store)
    assert solved() == 0
    # as left by a kill: one chunk without its last file, one torn, and the end not declared
    (store / "limit_status" / "c.0.3.0.0").unlink()
    torn = store / "minimizer_psi" / "c.0.2.0.0"
    torn.write_bytes(torn.read_bytes()[:-1])
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["complete"] = 0
    (store / "zarr.json").write_text(json.dumps(root))
    fd.sweep(**GRID, store=store)
    assert solved() == 2 + 6
    assert contents(store) == undisturbed


CHILD = """
import json, sys
import fastdln as fd
fd.sweep(**json.loads(sys.argv[1]), store=sys.argv[2])
"""


@pytest.mark.slow
def test_kills_at_random_times(undisturbed, tmp_path):
    """Killed at every stage, from before the store is made to its last chunk."""
    generator = np.random.default_rng(5)
    store = tmp_path / "s.zarr"
    command = [sys.executable, "-c", CHILD, json.dumps(GRID), str(store)]
    for _ in range(4):
        child = subprocess.Popen(command)
        end = time.monotonic() + 60.0
        goal = int(generator.integers(0, 20))  # chunks that may be there when it dies
        while len(list(store.glob("*_status/c.*"))) < goal and time.monotonic() < end:
            time.sleep(0.001)
            if child.poll() is not None:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
    fd.sweep(**GRID, store=store)
    assert contents(store) == undisturbed


@pytest.mark.parametrize("n_writes", [0, 3, 25, 101])
def test_a_full_disk_loses_nothing(undisturbed, tmp_path, monkeypatch, n_writes, solved):
    store, written = tmp_path / "s.zarr", [0]
    original = os.write

    def until_full(handle, content):
        written[0] += 1
        if written[0] == n_writes + 1:
            return original(handle, memoryview(content)[:3])
        if written[0] > n_writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(handle, content)

    with monkeypatch.context() as patch:
        patch.setattr(_durable.os, "write", until_full)
        with pytest.raises(OSError, match="No space left on device"):
            fd.sweep(**GRID, store=store, workers=1)
    assert not list(store.rglob("*.tmp"))
    solved()
    fd.sweep(**GRID, store=store)
    done = max(0, n_writes - 1) // 9 if n_writes < 101 else 11
    assert solved() == 80 - 2 * done
    assert contents(store) == undisturbed


def test_a_creation_cut_short_is_made_anew(undisturbed, tmp_path):
    store = tmp_path / "s.zarr"
    (store / ".staging" / "p").mkdir(parents=True)
    (store / "p").mkdir()
    (store / "p" / "zarr.json").write_text("{")
    (store / ".lock").write_text("")
    fd.sweep(**GRID, store=store)
    assert contents(store) == undisturbed


def test_another_config_is_refused_with_the_difference(undisturbed, tmp_path):
    store = tmp_path / "s.zarr"
    fd.sweep(**GRID, store=store)
    before = contents(store)
    other = {**GRID, "p": [2, 4], "seed": list(range(19))}
    with pytest.raises(ValueError, match="was made by another sweep: ") as refusal:
        fd.sweep(**other, store=store)
    assert "p: only there 3.0, only here 4.0" in str(refusal.value)
    assert "seed: only there 19" in str(refusal.value)
    assert "alpha" not in str(refusal.value)
    problems = {**GRID["problems"], "sparsity": 1, "name": "other"}
    with pytest.raises(ValueError, match=r"problems\[0\]: name .* sparsity 2 there, 1 here"):
        fd.sweep(**{**GRID, "problems": problems}, store=store)
    assert contents(store) == before
    fd.sweep(**other, store=store, overwrite=True)
    assert fd.sweep(**other, store=store).sizes["seed"] == 19


def test_data_of_the_same_name_are_told_apart(tmp_path):
    a = fd.Problem([[1.0, 0.5]], [1.0], name="mine")
    b = fd.Problem([[1.0, 0.25]], [1.0], name="mine")
    fd.sweep(a, p=2, alpha=0.1, store=tmp_path / "s.zarr")
    with pytest.raises(ValueError, match=r"problems\[0\]: sha256 "):
        fd.sweep(b, p=2, alpha=0.1, store=tmp_path / "s.zarr")


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    (tmp_path / "other.zarr").mkdir()
    (tmp_path / "other.zarr" / "zarr.json").write_text('{"attributes": {}}')
    for name in ("file", "folder", "other.zarr"):
        for overwrite in (False, True):
            with pytest.raises(FileExistsError, match=f"{name}' exists and is"):
                fd.sweep("line", p=2, alpha=0.1, store=tmp_path / name, overwrite=overwrite)
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "mine"
    assert len(list(tmp_path.rglob("*"))) == 5


def test_two_processes_do_not_write_at_once(tmp_path):
    store = tmp_path / "s.zarr"
    fd.sweep("line", p=2, alpha=0.1, store=store)
    with _durable.lock(store / ".lock") as mine:
        assert mine
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            fd.sweep("line", p=2, alpha=0.1, store=store)


def test_an_interrupt_keeps_what_is_done(undisturbed, tmp_path, monkeypatch):
    from fastdln.sweep_store import Store

    store, original, chunks = tmp_path / "s.zarr", Store.write, []

    def interrupted(self, *arguments):
        original(self, *arguments)
        chunks.append(1)
        if len(chunks) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fd.sweep(**GRID, store=store)
    (run,) = json.loads(json.loads((store / "zarr.json").read_text())["attributes"]["runs"])
    assert 24 <= run["configurations"] <= 30
    data = fd.sweep(**GRID, store=store)
    assert len(json.loads(data.attrs["runs"])) == 2
    assert contents(store) == undisturbed
