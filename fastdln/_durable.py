"""Files that are whole or not there, whatever happens to the process or the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["lock", "sync_folder", "sync_tree", "write_all"]

_WAITING = 16  # threads


def write_all(files: Iterable[tuple[Path, bytes | memoryview]]) -> None:
    """Write files so that each is on disk, under its name, when this returns.

    All are written aside first and synced together, for one commit of the file system's
    journal serves many.
    """
    pairs = [(path.with_name(path.name + ".tmp"), path, content) for path, content in files]
    handles: list[int] = []
    try:
        for aside, _, content in pairs:
            handles.append(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
            _write(handles[-1], content)
        for handle in handles:
            os.fsync(handle)
    except BaseException:
        for aside, _, _ in pairs:
            with contextlib.suppress(OSError):
                aside.unlink()
        raise
    finally:
        for handle in handles:
            os.close(handle)
    for aside, path, _ in pairs:
        os.replace(aside, path)
    for folder in dict.fromkeys(path.parent for _, path, _ in pairs):
        sync_folder(folder)


def _write(handle: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


def sync_folder(folder: Path) -> None:
    """Names in a folder on disk; where folders cannot be opened they need no sync."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(root: Path) -> None:
    """All files and folders below `root` on disk.

    Many wait at a time, so that one commit of the journal serves them.
    """
    paths: list[Path] = []
    for folder, _, names in os.walk(root):
        paths += [Path(folder), *(Path(folder, name) for name in names)]
    with ThreadPoolExecutor(_WAITING) as pool:
        list(pool.map(_sync, paths))


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Hold a lock file; False where another process does. A killed process holds none."""
    try:
        import fcntl
    except ImportError:  # not on every system
        path.touch()
        yield True
        return
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
