"""Sweeps: one call for a grid of configurations, and a data set that survives anything."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdln._check import check_count
from fastdln._table import Table
from fastdln._threads import thread_count
from fastdln.sweep_config import make_config
from fastdln.sweep_executors import Results, dask_client, in_threads, on_dask
from fastdln.sweep_grid import Config, package_version
from fastdln.sweep_plan import Layout, blank, chunk_bytes, cut, grid_bytes, make_layout
from fastdln.sweep_problems import check_travels
from fastdln.sweep_quantities import MISSING, QUANTITIES, STATUSES
from fastdln.sweep_store import Store, open_store
from fastdln.sweep_work import PieceResult, fill_rows

if TYPE_CHECKING:
    import xarray

__all__ = ["computed_since", "default_config", "now", "summary", "sweep"]

_RESERVE = 1.05  # of disk, for metadata
# usual pieces in a task, at the most and at the least: see `cut`
_GRAIN = 1.0, 0.125
_DASK_GRAIN = 64.0, 2.0  # a task costs client and scheduler ten milliseconds of a core
_CHUNKS_AT_ONCE = 8  # in memory, at the very most


def sweep(
    problems: Any,
    p: ArrayLike | dict[str, Any],
    alpha: ArrayLike | dict[str, Any] | None = None,
    *,
    log_alpha: ArrayLike | dict[str, Any] | None = None,
    eps: ArrayLike | dict[str, Any] | None = None,
    seed: ArrayLike | None = None,
    quantity: str | list[str] = "limit",
    t: ArrayLike | dict[str, Any] | None = None,
    step_size: ArrayLike | dict[str, Any] | None = None,
    n_steps: int | None = None,
    save_steps: ArrayLike | None = None,
    keep_psi: bool = True,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    chunk: int | None = None,
    workers: int | None = None,
    client: Any = None,
    scheduler: str | None = None,
    progress: bool | None = None,
) -> xarray.Dataset:
    """Compute quantities on a grid of problems, depths, initialisations and seeds.

    The grid is problem x seed x p x alpha x step_size; each quantity uses those axes that it
    depends on. Every finished chunk is on disk before it counts: after a kill, a full disk
    or a power cut the same call completes the store without computing anything twice. The
    numbers are the same, bit for bit, whatever the executor and the number of workers.

    Parameters
    ----------
    problems : Problem, str, dict, or a list of these
        Problems themselves; names of data sets ("line", "plane", "random"); or tables:
        ``{"dataset": "kink", "delta": 0.1}``,
        ``{"dataset": "gaussian", "m": 20, "N": 100, "sparsity": 5}`` (with ``"rng"``, or one for
        each `seed`), ``{"file": "data.npz"}`` with arrays A and y, ``{"file": "A.mtx", "y":
        "y.csv"}`` (.npy, .csv, .mtx, .npz). A table may have a ``"name"``.
    p : array_like or dict
        Depths, at least 2. This and the other grids may be given as a table
        ``{"linspace": [first, last, count]}`` or ``{"logspace": [first, last, count]}`` too.
    alpha : array_like or dict, optional
        Initialisations.
    log_alpha : array_like or dict, optional
        Their natural logarithms instead.
    eps : array_like or dict, optional
        Output scales ``eps = alpha**p`` instead, the same for all depths.
    seed : array_like of int, optional
        Seeds of the random problems, as ``rng`` of `datasets.gaussian`.
    quantity : str or list of str, optional
        Some of "limit", "minimizer", "rate", "flow", "descent".
    t : array_like or dict, optional
        Times at which a flow is kept, increasing.
    step_size : array_like or dict, optional
        Step sizes of descents.
    n_steps : int, optional
        Steps of a descent.
    save_steps : array_like of int, optional
        Numbers of steps after which a descent is kept, increasing (default: ten a decade).
    keep_psi : bool, optional
        Whether to keep psi itself; its norms and distances are kept anyway.
    store : path, optional
        Zarr folder to make or to complete. Without one the result is in memory alone.
    overwrite : bool, optional
        Start anew where `store` is a sweep's store already.
    chunk : int, optional
        Configurations written at a time (default: about a second's work).
    workers : int, optional
        Threads (default: one for each core). They play no part with Dask.
    client : dask.distributed.Client, optional
        Have a Dask cluster do the work.
    scheduler : str, optional
        Address of a Dask scheduler to connect to instead.
    progress : bool, optional
        Show progress (default: on a terminal).

    Returns
    -------
    xarray.Dataset
        Variables ``<quantity>_<name>``, lazily loaded from the store; the config, versions,
        machine and wall time in the attributes. Configurations that failed have the status
        that says why.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, if nothing uses it, if the grid is larger than disk or memory,
        or if the store was made by another sweep.
    FileExistsError
        If `store` exists and is not a store of a sweep.
    BlockingIOError
        If another process is writing to it.
    ConnectionError
        If no scheduler answers at the address.

    Notes
    -----
    A limit on a path through up to 64 initialisations is the same for every way to cut the
    work, but not the same, to the last bit, as on a path through others (`flow_limit`).

    Examples
    --------
    >>> import fastdln as fd
    >>> data = fd.sweep(["line", "random"], p=[2, 3], eps={"logspace": [0, -9, 10]})
    >>> data.limit_psi.sel(problem="line", p=3, eps=1e-9).values[:3].round(6)
    array([0.658077, 1.316154, 1.025768])
    >>> dict(data.limit_log_distance.sizes)
    {'problem': 2, 'p': 2, 'eps': 10}
    """
    config = make_config(
        problems=problems, p=p, alpha=alpha, log_alpha=log_alpha, eps=eps, seed=seed,
        quantity=quantity, t=t, step_size=step_size, n_steps=n_steps, save_steps=save_steps,
        keep_psi=keep_psi,
    )  # fmt: skip
    return _run(
        config, store, overwrite, _checked(chunk, "chunk"), _checked(workers, "workers"),
        client, scheduler, progress,
    )  # fmt: skip


def _checked(count: Any, name: str) -> int | None:
    return None if count is None else check_count(name, count, 1)


def _run(
    config: Config, store: str | os.PathLike[str] | None, overwrite: bool, chunk: int | None,
    workers: int | None, client: Any, scheduler: str | None, progress: bool | None,
) -> xarray.Dataset:  # fmt: skip
    """The sweep of a config, in its store or in one that goes away."""
    if client is not None and scheduler is not None:
        raise ValueError("only one of client and scheduler can be given, got both")
    if client is not None or scheduler is not None:
        check_travels(config.problems)
    layouts = {name: make_layout(QUANTITIES[name], config, chunk) for name in config.quantities}
    with dask_client(client, scheduler) as cluster:
        how = _Executor(config, workers or thread_count(), cluster)
        if store is not None:
            return _in_store(Path(store), config, layouts, overwrite, how, progress)
        with tempfile.TemporaryDirectory(prefix="fastdln-") as folder:
            path = Path(folder) / "sweep.zarr"
            return _in_store(path, config, layouts, False, how, progress).load()


def default_config() -> Path:
    """The config file of the sweep of figure 1."""
    return Path(str(resources.files("fastdln") / "data" / "figure1.toml"))


def summary(data: xarray.Dataset) -> Table:
    """How many configurations of each quantity ended how, and the time they took."""
    rows = []
    for name in json.loads(data.attrs["sweep_config"])["quantity"]:
        codes, counts = np.unique(data[f"{name}_status"].values, return_counts=True)
        meanings = ("not_computed", *STATUSES, "error")
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            work = float(data[f"{name}_seconds"].sum())
            rows.append((name, meanings[code - MISSING], count, f"{work:.2f} s"))
    return Table(("quantity", "status", "configurations", "work in all"), rows)


def now() -> str:
    """Universal time, as in the attributes."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")


def computed_since(began: str, data: xarray.Dataset) -> int:
    """Configurations computed by runs that started at `began` or later."""
    runs = json.loads(data.attrs["runs"])
    return sum(run["configurations"] for run in runs if run["started"] >= began)


class _Executor:
    """Threads or a cluster, once the pieces are known."""

    def __init__(self, config: Config, workers: int, cluster: Any) -> None:
        self.config, self.workers, self.cluster = config, workers, cluster
        self.grain = _GRAIN if cluster is None else _DASK_GRAIN

    def run(
        self, layouts: dict[str, Layout], todo: list[tuple[Layout, tuple[int, ...]]]
    ) -> Results:
        threads = self.workers
        if self.cluster is not None:
            threads = max(1, sum(self.cluster.nthreads().values()))
        pieces = cut(todo, *self.grain, threads)
        if self.cluster is not None:
            return on_dask(self.config, layouts, pieces, self.cluster)
        return in_threads(self.config, layouts, pieces, self.workers)

    def __str__(self) -> str:
        if self.cluster is not None:
            return f"Dask, {sum(self.cluster.nthreads().values())} threads"
        return f"{self.workers} threads"


def _in_store(
    path: Path, config: Config, layouts: dict[str, Layout], overwrite: bool, how: _Executor,
    progress: bool | None,
) -> xarray.Dataset:  # fmt: skip
    import xarray

    _check_room(path, config, layouts, how.workers)
    with open_store(path, config, layouts, overwrite) as store:
        if not store.complete:
            _complete(store, how, progress)
    # without Dask: workers elsewhere may not see this folder
    return xarray.open_zarr(path, chunks=None)


def _check_room(path: Path, config: Config, layouts: dict[str, Layout], workers: int) -> None:
    """Refuse at once what disk or memory could not hold at the end."""
    needed = sum(grid_bytes(layout, config) for layout in layouts.values()) * _RESERVE
    folder = path.absolute()
    written = 0 if not folder.is_dir() else sum(_disk_use(folder))
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free + written
    if needed > free:
        raise ValueError(
            f"the sweep needs about {_bytes(needed)} on disk, {_bytes(free)} are free for "
            f"{str(path)!r}: fewer values, keep_psi=False or another disk"
        )
    largest = max(chunk_bytes(layout, config) for layout in layouts.values())
    memory = _memory()
    largest += 0 if config.sizes is None else config.p.size * config.sizes.size  # log10_eps
    if largest * (_CHUNKS_AT_ONCE + workers) > memory:
        raise ValueError(
            f"one chunk of the sweep takes {_bytes(largest)} of {_bytes(memory)} of memory, "
            "and several are at work: take a smaller chunk"
        )


def _disk_use(folder: Path) -> Iterator[int]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _disk_use(Path(entry.path))
        else:
            yield entry.stat(follow_symlinks=False).st_size


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # not on every system
        return float("inf")


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000.0 or unit == "TB":
            break
        count /= 1000.0
    return f"{count:.3g} {unit}"


def _complete(store: Store, how: _Executor, progress: bool | None) -> None:
    """Compute the chunks that are missing, and say in the attributes who did it."""
    start, began = time.perf_counter(), now()
    done = [0]

    def provenance() -> dict[str, Any]:
        run = {
            "started": began,
            "seconds": round(time.perf_counter() - start, 3),
            "configurations": sum(done),
            "executor": str(how),
            **_machine(),
        }
        runs = [*json.loads(store.attributes.get("runs", "[]")), run]
        return {
            "runs": json.dumps(runs),
            "wall_seconds": round(sum(one["seconds"] for one in runs), 3),
            "versions": json.dumps(_versions()),
            "machine": json.dumps(_machine()),
        }

    try:
        for count in _chunks(store, how, progress):
            done[0] += count
    except BaseException:
        with contextlib.suppress(OSError):  # what stopped the run is what must be told
            store.update(**provenance())
        raise
    store.finish(**provenance())


def _chunks(store: Store, how: _Executor, progress: bool | None) -> Iterator[int]:
    """Write chunk after chunk; yields the number of configurations in each piece that ends."""
    from tqdm import tqdm

    todo = [
        (layout, chunk)
        for layout in store.layouts.values()
        for chunk in layout.chunks()
        if not store.has(layout, chunk)
    ]
    total = sum(_configurations(layout) for layout in store.layouts.values())
    missing = sum(_configurations(layout, chunk) for layout, chunk in todo)
    disable = None if progress is None else not progress
    results = how.run(store.layouts, todo)
    open_chunks: dict[tuple[str, tuple[int, ...]], _Chunk] = {}
    with tqdm(
        total=total, initial=total - missing, disable=disable, unit=" configurations",
        desc="sweep", smoothing=0.1, dynamic_ncols=True,
    ) as bar:  # fmt: skip
        try:
            for piece, result in results:
                key = piece.quantity, piece.chunk
                if key not in open_chunks:
                    open_chunks[key] = _Chunk(store, store.layouts[piece.quantity], piece.chunk)
                if open_chunks[key].add(result):
                    del open_chunks[key]
                bar.update(result.count)
                yield result.count
        finally:
            results.close()  # type: ignore[attr-defined]


def _configurations(layout: Layout, chunk: tuple[int, ...] | None = None) -> int:
    lengths = layout.shape if chunk is None else [len(part) for part in layout.ranges(chunk)]
    return int(np.prod(lengths, dtype=np.int64))


class _Chunk:
    """A chunk that is filled piece by piece, and written when it is full."""

    def __init__(self, store: Store, layout: Layout, chunk: tuple[int, ...]) -> None:
        self.store, self.layout, self.chunk = store, layout, chunk
        self.lengths = tuple(len(part) for part in layout.ranges(chunk))
        self.missing = math.prod(self.lengths)
        self.values = blank(layout, store.config, (self.missing,))
        self.failures: list[dict[str, Any]] = []

    def add(self, result: PieceResult) -> bool:
        """Take in a piece; True when that was the last."""
        fill_rows(self.values, result.first, result.values)
        origin = [part.start for part in self.layout.ranges(self.chunk)]
        for failure in result.failures:
            index = {
                axis: int(k) + first
                for (axis, k), first in zip(failure["index"].items(), origin, strict=True)
            }
            self.failures.append({**failure, "index": index})
        self.missing -= result.count
        if self.missing > 0:
            return False
        self.store.write(self.layout, self.chunk, self._whole(), self.failures)
        return True

    def _whole(self) -> dict[str, NDArray[Any]]:
        """The chunk as it is kept: blank where it reaches beyond the grid."""
        full = self.layout.chunk
        grids = {n: rows.reshape(*self.lengths, *rows.shape[1:]) for n, rows in self.values.items()}
        if self.lengths == full:
            return grids
        out = blank(self.layout, self.store.config, full)
        for name, grid in grids.items():
            out[name][tuple(slice(0, n) for n in self.lengths)] = grid
        return out


@functools.cache
def _versions() -> dict[str, str]:
    found = {"fastdln": package_version(), "python": platform.python_version()}
    for package in ("numpy", "scipy", "numba", "llvmlite", "xarray", "zarr"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


@functools.cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
