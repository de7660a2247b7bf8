"""Sweeps killed at random times: ``python -m benchmarks.sweep_kills [KILLS] [SEED]``.

A sweep of 2,000 configurations is begun, killed (SIGKILL) at a random moment, and begun again,
until it ends by itself; then a new one, until there have been KILLS kills (default 100). Every
finished store must be that of an undisturbed sweep, byte for byte, but for times. Then the same
on a disk that is full at random moments: one of a few megabytes in memory where the system
lets us mount it (Linux, as root), else a write that fails.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import fastdln as fd
from fastdln import _durable

GRID = {
    "problems": {"dataset": "gaussian", "m": 10, "N": 40, "sparsity": 3},
    "seed": list(range(50)),
    "p": [2, 2.5, 3, 4],
    "alpha": {"logspace": [0, -4, 10]},
    "chunk": 40,
}
_CHILD = "import json, sys, fastdln as fd; fd.sweep(**json.loads(sys.argv[1]), store=sys.argv[2])"


def contents(store: Path) -> dict[str, bytes | str]:
    """Every byte of a store but those that tell of times."""
    found: dict[str, bytes | str] = {}
    for path in store.rglob("*"):
        name = path.relative_to(store).as_posix()
        if path.is_dir() or (name.partition("/")[0].endswith("_seconds") and "/c." in name):
            continue
        found[name] = path.read_bytes()
    root = json.loads(found["zarr.json"])
    for key in ("runs", "wall_seconds"):
        root["attributes"].pop(key, None)
    found["zarr.json"] = json.dumps(root)
    return found


def kill_at_random(store: Path, kills: int, generator: random.Random, span: float) -> int:
    """Begin and kill one sweep until it ends by itself, or until `kills` kills; their number."""
    done = 0
    while done < kills:
        child = subprocess.Popen([sys.executable, "-c", _CHILD, json.dumps(GRID), str(store)])
        try:
            child.wait(generator.uniform(0.0, span))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            done += 1
        if child.wait() == 0:
            break
    return done


def killed(folder: Path, expected: dict[str, bytes | str], kills: int, seed: int) -> None:
    """Sweeps under fire, in processes of their own."""
    generator, done, stores = random.Random(seed), 0, 0
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(GRID), str(folder / "timed")], check=True
    )
    span = time.perf_counter() - start
    while done < kills:
        store = folder / f"killed{stores}"
        done += kill_at_random(store, min(8, kills - done), generator, span)
        fd.sweep(**GRID, store=store)
        if contents(store) != expected:
            raise SystemExit(f"store {stores} differs from that of an undisturbed sweep")
        shutil.rmtree(store)
        stores += 1
    print(f"{done} kills over {stores} sweeps of 2000 configurations: all stores identical")


def mounted(folder: Path, megabytes: float) -> bool:
    """Whether a small file system could be mounted there."""
    folder.mkdir()
    size = f"size={int(megabytes * 1e6)}"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def filled(folder: Path, expected: dict[str, bytes | str], rounds: int, seed: int) -> None:
    """Sweeps on a disk that is full, and has room again."""
    generator, total = random.Random(seed), sum(map(len, expected.values())) / 1e6
    for number in range(rounds):
        small = folder / f"small{number}"
        real = mounted(small, 40.0)
        store = small / "s.zarr"
        try:
            room = generator.uniform(0.1, 0.9) * total
            _until_full(store, small if real else None, room)
            fd.sweep(**GRID, store=store)
            if contents(store) != expected:
                raise SystemExit("a store on a full disk differs from an undisturbed one")
        finally:
            if real:
                subprocess.run(["umount", str(small)], check=True)
    print(f"{rounds} {'real' if real else 'simulated'} full disks: all stores identical")


def _until_full(store: Path, disk: Path | None, room: float) -> None:
    """Begin a sweep where there is room for so many megabytes."""
    original, left = os.write, [room * 1e6]

    def write(handle: int, content: bytes) -> int:
        left[0] -= len(content)
        if disk is None and left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(handle, content)

    ballast = disk / "ballast" if disk else None
    with mock.patch.object(_durable.os, "write", write):
        if ballast:
            free = shutil.disk_usage(ballast.parent).free
            with ballast.open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, max(1, int(free - room * 1e6)))
        try:
            # the check before the start would notice: here the disk fills up later
            with mock.patch("fastdln.sweeps._check_room"):
                fd.sweep(**GRID, store=store)
        except OSError as trouble:
            if trouble.errno != errno.ENOSPC:
                raise
        else:
            raise SystemExit("the disk was never full")
    if ballast:
        ballast.unlink()


def main() -> None:
    """All of it, in a folder that goes away."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        fd.sweep(**GRID, store=folder / "whole")
        expected = contents(folder / "whole")
        killed(folder, expected, kills, seed)
        filled(folder, expected, 10, seed)


if __name__ == "__main__":
    main()
