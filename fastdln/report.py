"""A sweep's store as one HTML file: plots, tables and config, nothing loaded from elsewhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdln import _durable
from fastdln.sweep_quantities import MISSING, STATUSES

if TYPE_CHECKING:
    import xarray

__all__ = ["open_sweep", "report_data", "write_report"]

_GROUPS = 200  # problem and seed pairs that are drawn
_ROWS = 2000  # of the table
_COORDINATES = 60
_MEANINGS = ("not computed", *STATUSES, "error")
_LN10 = math.log(10.0)

Group = dict[str, Any]


def write_report(store: Path, path: Path) -> None:
    """Write the report of the store to `path`."""
    data = json.dumps(report_data(open_sweep(store), store.name), allow_nan=False)
    template = (resources.files("fastdln") / "data" / "report.html").read_text(encoding="utf-8")
    page = template.replace("/*DATA*/", data.replace("<", "\\u003c"))
    _durable.write_all([(path, page.encode())])


def open_sweep(store: Path) -> xarray.Dataset:
    """The data set of a sweep's store, complete or not."""
    import xarray

    if not store.exists():
        raise FileNotFoundError(f"there is no store {str(store)!r}")
    try:
        data = xarray.open_zarr(store, chunks=None)
    except (OSError, ValueError, KeyError):
        data = xarray.Dataset()
    if "sweep_config" not in data.attrs:
        raise ValueError(f"{str(store)!r} is not a store of a sweep")
    return data


def report_data(data: xarray.Dataset, name: str) -> dict[str, Any]:
    """All that the page shows, as plain values."""
    config = json.loads(data.attrs["sweep_config"])
    runs = json.loads(data.attrs.get("runs", "[]"))
    groups = list(_groups(data))
    drawn = {(group["problem"], group["seed"]) for group in groups[:_GROUPS]}
    seeds = dict.fromkeys(seed for _, seed in sorted(drawn, key=str) if seed is not None)
    minimizers, label = _minimizers(data, groups[:_GROUPS])
    return {
        "title": f"{name}: {data.attrs['title'].removeprefix('fastdln ')}",
        "facts": _facts(data, config, runs),
        "problems": list(dict.fromkeys(group["problem"] for group in groups[:_GROUPS])),
        "seeds": sorted(seeds) or None,
        "p": data.p.values.tolist(),
        "curves": list(_curves(data, groups[:_GROUPS])),
        "minimizers": minimizers,
        "minimizers_label": label,
        "minimizers_remark": _remark(data),
        "losses": list(_losses(data, groups[:_GROUPS])),
        "timings": list(_timings(data, config)),
        "summary": _summary(data, config),
        "failures": [_failure(data, one) for one in json.loads(data.attrs.get("failures", "[]"))],
        "table": _table(data, config),
        "config": _config(config),
        "runs": _runs(runs),
        "versions": _versions(data),
    }


def _plain(values: Any, digits: int = 12) -> list[Any]:
    """Numbers for JSON: rounded, None for what is not finite."""
    return [
        float(f"{v:.{digits}g}") if math.isfinite(v) else None
        for v in np.asarray(values, float).ravel().tolist()
    ]


def _one(value: Any) -> float | None:
    result: float | None = _plain([float(value)])[0]
    return result


def _groups(data: xarray.Dataset) -> Iterator[Group]:
    """Each problem and seed, with its part of the data set."""
    for k, problem in enumerate(data.problem.values.tolist()):
        part = data.isel(problem=k)
        if "seed" not in data.dims:
            yield {"problem": problem, "seed": None, "data": part}
            continue
        for i, seed in enumerate(data.seed.values.tolist()):
            yield {"problem": problem, "seed": seed, "data": part.isel(seed=i)}


def _size(data: xarray.Dataset) -> str | None:
    return next((str(name) for name in ("alpha", "log_alpha", "eps") if name in data.dims), None)


def _curves(data: xarray.Dataset, groups: list[Group]) -> Iterator[dict[str, Any]]:
    """log10 of distance against log10 of eps, with slopes."""
    if "limit_log_distance" not in data:
        return
    for group in groups:
        part = group["data"].load()
        for k, p in enumerate(data.p.values.tolist()):
            x = np.asarray(data.log10_eps.values[k], float)
            order = np.argsort(-x)
            y = np.asarray(part.limit_log_distance.values[k], float)[order] / _LN10
            rate = "rate_exponent" in data
            line = part.rate_log_predicted.values[k][order] / _LN10 if rate else None
            yield {
                **{"problem": group["problem"], "seed": group["seed"], "p": p},
                "x": _plain(x[order]),
                "y": _plain(y),
                "slope": _one(_slope(x[order], y)),
                "predicted": _one(part.rate_exponent.values[k]) if rate else None,
                "line": None if line is None else _plain(line),
            }


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Least-squares slope over the last third of the decades."""
    last = (x <= x.min() + (x.max() - x.min()) / 3.0) & np.isfinite(y)
    if last.sum() < 2:
        return math.nan
    return float(np.polyfit(x[last] - x[last].mean(), y[last], 1)[0])


def _minimizers(data: xarray.Dataset, groups: list[Group]) -> tuple[list[dict[str, Any]], str]:
    """The largest coordinates of W_p; of the limit at the least eps where there is no W_p."""
    label = "minimiser" if "minimizer_psi" in data else "limit at the least eps"
    found = []
    if "minimizer_psi" not in data and "limit_psi" not in data:
        return [], label
    for group in groups:
        part, rows = group["data"], []
        for k in range(data.sizes["p"]):
            if "minimizer_psi" in data:
                rows.append(part.minimizer_psi.values[k])
            else:
                rows.append(part.limit_psi.values[k, int(np.argmin(data.log10_eps.values[k]))])
        largest = np.max(np.nan_to_num(np.abs(rows)), axis=0)[: int(part.n_unknowns)]
        index = np.sort(np.argsort(-largest, kind="stable")[:_COORDINATES])
        index = index[largest[index] > 0.0]
        for p, row in zip(data.p.values.tolist(), rows, strict=True):
            found.append(
                {
                    **{"problem": group["problem"], "seed": group["seed"], "p": p},
                    "index": index.tolist(),
                    "value": _plain(np.asarray(row)[index]),
                }
            )
    return found, label


def _remark(data: xarray.Dataset) -> str:
    many = "coordinate" in data.dims and data.sizes["coordinate"] > _COORDINATES
    return f"The {_COORDINATES} largest coordinates." if many else ""


def _losses(data: xarray.Dataset, groups: list[Group]) -> Iterator[dict[str, Any]]:
    """Loss along flows and descents at the smallest initialisation and the first step size."""
    for kind, axis in (("flow", "time"), ("descent", "step")):
        if f"{kind}_loss" not in data or data.sizes[axis] < 2:
            continue
        for group in groups:
            loss = group["data"][f"{kind}_loss"]
            if "step_size" in loss.dims:
                loss = loss.isel(step_size=0)
            for k, p in enumerate(data.p.values.tolist()):
                smallest = int(np.argmin(data.log10_eps.values[k]))
                row = loss.isel({"p": k, str(_size(data)): smallest}).values
                with np.errstate(divide="ignore"):
                    x, y = np.log10(np.asarray(data[axis].values, float)), np.log10(row)
                keep = np.isfinite(x)
                yield {
                    **{"kind": kind, "problem": group["problem"], "seed": group["seed"], "p": p},
                    "x": _plain(x[keep]),
                    "y": _plain(y[keep]),
                }


def _timings(data: xarray.Dataset, config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for quantity in config["quantity"]:
        seconds = data[f"{quantity}_seconds"].transpose("p", ...).values
        rows = seconds.reshape(seconds.shape[0], -1)
        if not np.any(np.isfinite(rows)):
            continue
        kept = [row[np.isfinite(row)] for row in rows]
        median = [float(np.median(row)) if row.size else math.nan for row in kept]
        largest = [float(np.max(row)) if row.size else math.nan for row in kept]
        yield {
            "quantity": quantity,
            "x": data.p.values.tolist(),
            "y": _plain(np.log10(median), 6),
            "largest": _plain(np.log10(largest), 6),
            "total": _one(np.nansum(rows)),
        }


def _summary(data: xarray.Dataset, config: dict[str, Any]) -> dict[str, Any]:
    rows = []
    for quantity in config["quantity"]:
        codes, counts = np.unique(data[f"{quantity}_status"].values, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            rows.append([quantity, _MEANINGS[code - MISSING].replace("_", " "), count])
    return {"columns": _columns("quantity:text", "status:text", "configurations"), "rows": rows}


def _columns(*names: str) -> list[dict[str, str]]:
    pairs = (name.partition(":") for name in names)
    return [{"name": name, "kind": kind or "number"} for name, _, kind in pairs]


def _table(data: xarray.Dataset, config: dict[str, Any]) -> dict[str, Any]:
    """The configurations of the first quantity, one row each, up to a limit."""
    quantity = config["quantity"][0]
    status = data[f"{quantity}_status"]
    names = [
        str(name)
        for name in data.data_vars
        if str(name).startswith(f"{quantity}_") and data[name].dims == status.dims
    ]
    names.sort(key=lambda name: _place(name.removeprefix(f"{quantity}_")))
    count = math.prod(status.shape)
    kept = min(count, _ROWS)
    index = np.unravel_index(np.arange(kept), status.shape)
    columns, cells = [], []
    for dimension, k in zip(status.dims, index, strict=True):
        values = data[dimension].values
        text = dimension == "problem"
        columns.append({"name": str(dimension), "kind": "text" if text else "number"})
        cells.append([str(v) for v in values[k]] if text else _plain(values[k]))
    for name in names:
        values = np.asarray(data[name].values)[index]
        short = name.removeprefix(f"{quantity}_")
        if short == "status":
            columns.append({"name": short, "kind": "text"})
            cells.append([_MEANINGS[v - MISSING].replace("_", " ") for v in values.tolist()])
        elif short.startswith("log_"):
            columns.append({"name": short.removeprefix("log_"), "kind": "power"})
            cells.append(_plain(values / _LN10))
        else:
            columns.append({"name": short.replace("_", " "), "kind": "number"})
            cells.append(_plain(values))
    rows = [list(row) for row in zip(*cells, strict=True)]
    return {"columns": columns, "rows": rows, "left_out": count - kept}


def _place(name: str) -> tuple[int, str]:
    """What is asked for most first, the rest by name, and how it went last."""
    first, last = ("exponent", "constant", "log_distance", "l1_norm"), ("seconds", "status")
    if name in first:
        return first.index(name), name
    return len(first) + (last.index(name) + 1 if name in last else 0), name


def _config(config: dict[str, Any]) -> str:
    """A line for each key, and for each problem."""
    lines = []
    for key, value in config.items():
        if key == "problems":
            lines.append("problems:")
            lines += ["  " + ", ".join(f"{k} {v}" for k, v in one.items()) for one in value[:100]]
            if len(value) > 100:
                lines.append(f"  and {len(value) - 100} more")
        elif isinstance(value, list):
            shown = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in value[:200]]
            lines.append(f"{key}: {', '.join(shown)}" + (", ..." if len(value) > 200 else ""))
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


def _failure(data: xarray.Dataset, failure: dict[str, Any]) -> str:
    places = []
    for axis, k in failure["index"].items():
        name = _size(data) if axis == "size" else axis
        places.append(f"{name} {data[name].values[k]}")
    return f"{failure['quantity']}, {', '.join(places)}: {failure['message']}"


def _facts(data: xarray.Dataset, config: dict[str, Any], runs: list[Any]) -> list[str]:
    count = sum(math.prod(data[f"{name}_status"].shape) for name in config["quantity"])
    dims = {str(d): data.sizes[d] for d in data[f"{config['quantity'][0]}_status"].dims}
    plural = {"problem": "problems", "seed": "seeds", "step_size": "step sizes"}
    axes = " × ".join(f"{n} {d if n == 1 else plural.get(d, d)}" for d, n in dims.items())
    facts = [f"{count} configurations ({axes})", f"fastdln {config['fastdln']}"]
    if runs:
        wall = data.attrs["wall_seconds"]
        facts.append(f"{wall:.3g} s on {runs[-1]['processor']}, {runs[-1]['executor']}")
        facts.append(f"{runs[-1]['started'][:16].replace('T', ' ')} UTC")
    if not data.attrs["complete"]:
        facts.append("not complete yet")
    return facts


def _runs(runs: list[Any]) -> dict[str, Any]:
    columns = _columns("started:text", "executor:text", "configurations", "seconds")
    names = ("started", "executor", "configurations", "seconds")
    rows = [[run[name] for name in names] for run in runs]
    for row in rows:
        row[0] = row[0][:19].replace("T", " ")
    return {"columns": columns, "rows": rows}


def _versions(data: xarray.Dataset) -> str:
    versions = json.loads(data.attrs.get("versions", "{}"))
    return ", ".join(f"{name} {number}" for name, number in versions.items())
