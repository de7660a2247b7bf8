"""What a sweep was asked for, by keyword or in a file: checked before any work."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._check import _shown, check_count, check_depth
from fastdln.sweep_grid import SIZES, Config
from fastdln.sweep_problems import check_keys, problem_specs
from fastdln.sweep_quantities import QUANTITIES, Quantity

__all__ = ["KEYS", "make_config", "read_toml"]

Array = NDArray[np.float64]

KEYS = (
    *("problems", "seed", "p", *SIZES, "quantity", "keep_psi"),
    *("t", "step_size", "n_steps", "save_steps"),
)
_MOST = 10**7  # values on one axis: beyond, coordinates alone fill the memory


def read_toml(path: Path) -> dict[str, Any]:
    """The keys of a config file; file names in it are relative to its folder."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as trouble:
        raise ValueError(f"cannot read {str(path)!r}: {trouble.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as mistake:
        raise ValueError(f"{str(path)!r} is not a TOML file: {mistake}") from None
    check_keys(values, (*KEYS, "store", "chunk"))
    for key in ("problems", "p"):
        if key not in values:
            raise ValueError(f"{key!r} is missing in {str(path)!r}")
    if not isinstance(values.get("store", ""), str):
        raise TypeError(f"store must be a text, got {_shown(values['store'])}")
    problems = values["problems"]
    for problem in problems if isinstance(problems, list) else [problems]:
        for key in ("file", "y") if isinstance(problem, dict) else ():
            if isinstance(problem.get(key), str):
                problem[key] = str(path.parent / problem[key])
    return values


def make_config(**values: Any) -> Config:
    """Check all that a sweep was given; see `fastdln.sweep` for the meaning of the names."""
    given = {key: value for key, value in values.items() if value is not None}
    check_keys(given, KEYS)
    quantities = _quantities(given.get("quantity", "limit"))
    size_name = _size_name(given)
    p = _axis("p", given.get("p"))
    for depth in p:
        check_depth(depth)
    seed = _integers("seed", given["seed"]) if "seed" in given else None
    keep_psi = given.get("keep_psi", True)
    if not isinstance(keep_psi, bool):
        raise TypeError(f"keep_psi must be true or false, got {_shown(keep_psi)}")
    config = Config(
        problems=problem_specs(given.get("problems"), seed is not None),
        seed=seed,
        p=p,
        size_name=size_name,
        sizes=None if size_name is None else _sizes(size_name, given[size_name]),
        step_size=_positive("step_size", given.get("step_size")),
        quantities=tuple(quantity.name for quantity in quantities),
        keep_psi=keep_psi,
        t=_positive("t", given.get("t"), zero=True),
        n_steps=_count_of_steps(given.get("n_steps")),
        save_steps=_integers("save_steps", given["save_steps"]) if "save_steps" in given else None,
    )
    _check_use(config, quantities, given)
    return _completed(config)


def _count_of_steps(value: Any) -> int | None:
    if value is None:
        return None
    count = check_count("n_steps", value, 1)
    if count > 2**53:
        raise ValueError(f"n_steps must be at most 2**53, got {count}")
    return count


def _completed(config: Config) -> Config:
    """With the steps of a descent that are kept where nothing was said: ten a decade."""
    if config.n_steps is None or config.save_steps is not None:
        return config
    last = config.n_steps
    decades = [round(10.0 ** (k / 10)) for k in range(int(10 * math.log10(last)) + 1)]
    return replace(config, save_steps=np.unique([0, *decades, last]).astype(np.int64))


def _quantities(value: Any) -> list[Quantity]:
    names = [value] if isinstance(value, str) else list(value)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"quantity must name each of some quantities once, got {_shown(value)}")
    for name in names:
        if name not in QUANTITIES:
            near = difflib.get_close_matches(str(name), QUANTITIES, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"quantity must be one of {', '.join(QUANTITIES)}, got {_shown(name)}{hint}"
            )
    return [QUANTITIES[name] for name in names]


def _size_name(given: Mapping[str, Any]) -> str | None:
    names = [name for name in SIZES if name in given]
    if len(names) > 1:
        raise ValueError(f"only one of {', '.join(SIZES)} can be given, got {' and '.join(names)}")
    return names[0] if names else None


def _check_use(config: Config, quantities: list[Quantity], given: Mapping[str, Any]) -> None:
    """Whether the quantities have all they need, and nothing is given that none of them uses."""
    for quantity in quantities:
        for key in quantity.needs:
            if key == "size" and config.sizes is None:
                needed = "one of alpha, log_alpha and eps"
                raise ValueError(f"{needed} must be given for quantity {quantity.name!r}")
            if key != "size" and key not in given:
                raise ValueError(f"{key} must be given for quantity {quantity.name!r}")
    used = {key for quantity in quantities for key in (*quantity.needs, *quantity.takes)}
    optional = {"t", "step_size", "n_steps", "save_steps", *SIZES}
    for key in given:
        if key in optional and ("size" if key in SIZES else key) not in used:
            raise ValueError(f"{key} plays no part in quantity {', '.join(config.quantities)}")
    if config.save_steps is not None and config.n_steps is not None:
        steps = config.save_steps
        if steps.max() > config.n_steps:
            raise ValueError(
                f"save_steps must be at most n_steps = {config.n_steps}, got {steps.max()}"
            )
    for name, values in (("t", config.t), ("save_steps", config.save_steps)):
        if values is not None and np.any(np.diff(values) <= 0):
            raise ValueError(f"{name} must increase, got {_shown(values.tolist())}")


def _axis(name: str, value: Any) -> Array:
    """A grid: a number, numbers, or a table {linspace | logspace = [first, last, count]}."""
    if value is None:
        raise ValueError(f"{name} must be given")
    if isinstance(value, Mapping):
        value = _spaced(name, value)
    elif isinstance(value, range) and len(value) > _MOST:
        raise ValueError(f"{name} has {len(value)} values, more than memory can hold")
    array = np.atleast_1d(np.asarray(value))
    if array.size == 0:
        raise ValueError(f"{name} must not be empty")
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise TypeError(f"{name} must be a number or a list of numbers, got {_shown(value)}")
    array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite, got {_shown(value)}")
    unique, count = np.unique(array, return_counts=True)
    if unique.size < array.size:
        raise ValueError(f"{name} must not repeat a value, got {unique[count > 1][0]:g} twice")
    return array


def _spaced(name: str, table: Mapping[str, Any]) -> Array:
    check_keys(table, ("linspace", "logspace"))
    if len(table) != 1:
        raise ValueError(f"{name} must have one of linspace and logspace, got {_shown(table)}")
    ((kind, numbers),) = table.items()
    wanted = f"{name}.{kind} must be [first, last, count]"
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 3:
        raise TypeError(f"{wanted}, got {_shown(numbers)}")
    first, last, count = numbers
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
        raise TypeError(f"{wanted}, got {_shown(numbers)}")
    if not isinstance(count, int) or not 1 <= count <= _MOST:
        raise ValueError(f"{wanted} with a count from 1 to {_MOST}, got {_shown(numbers)}")
    values: Array = np.linspace(float(first), float(last), count)
    if kind == "linspace":
        return values
    # whole decades as their decimals read, not as a power rounds
    return np.array([float(f"1e{v:.0f}") if v == round(v) else 10.0**v for v in values.tolist()])


def _positive(name: str, value: Any, zero: bool = False) -> Array | None:
    if value is None:
        return None
    values = _axis(name, value)
    if np.any(values < 0.0) or (not zero and np.any(values == 0.0)):
        kind = "not be negative" if zero else "be positive"
        raise ValueError(f"{name} must {kind}, got {values.min():g}")
    return values


def _sizes(name: str, value: Any) -> Array:
    if name == "log_alpha":
        return _axis(name, value)
    values = _positive(name, value)
    assert values is not None
    return values


def _integers(name: str, value: Any) -> NDArray[np.int64]:
    values = _axis(name, value)
    if np.any(values != np.round(values)) or np.any(np.abs(values) > 2.0**53):
        raise TypeError(f"{name} must hold integers, got {_shown(value)}")
    whole = values.astype(np.int64)
    if np.any(whole < 0):
        raise ValueError(f"{name} must not be negative, got {whole.min()}")
    return whole
