"""What comes from outside is looked at here, before any work starts.

Every complaint is one line that names the argument, what was given and what is needed.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._pairs import log_eps_pair

__all__ = [
    "check_choice",
    "check_count",
    "check_depth",
    "check_in_range",
    "check_initialisation",
    "check_scale",
    "check_times",
    "check_tolerance",
    "real_array",
    "whole",
]

Array = NDArray[np.float64]

_MASKED = 1 << 20  # entries looked at at a time


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _all_finite(array: Array) -> bool:
    """Whether no entry is NaN or infinite, without a mask of the size of a large array."""
    if array.size <= _MASKED:
        return bool(np.all(np.isfinite(array)))
    rows = max(1, _MASKED * array.shape[0] // array.size)
    parts = (array[k : k + rows] for k in range(0, array.shape[0], rows))
    return all(bool(np.all(np.isfinite(part))) for part in parts)


def real_array(name: str, value: Any, ndim: int, shape: str) -> Array:
    """`value` as a float64 array: itself if it is one, else a converted copy."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a {shape} array of real numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have shape {shape}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        raise TypeError(f"{name} must convert to float64 exactly, got dtype {array.dtype}")
    array = array.astype(np.float64, copy=False)
    if not _all_finite(array):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        place = f" at index {list(where)}" if where else ""
        raise ValueError(f"{name} must be finite, got {array[where]}{place}")
    return array


def _number(value: Any) -> float:
    """A float; TypeError for text, which float() would take, and for what is too large."""
    if isinstance(value, (str, bytes)):
        raise TypeError("text is no number")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise TypeError(str(error)) from None


def check_depth(p: Any) -> float:
    """The depth p as a float, at least 2."""
    try:
        depth = _number(p)
    except TypeError:
        raise TypeError(f"p must be a real number of at least 2, got {_shown(p)}") from None
    if not 2.0 <= depth < math.inf:
        raise ValueError(f"p must be a finite real number of at least 2, got {_shown(p)}")
    return depth


def check_scale(alpha: Any, log_alpha: Any, p: float) -> tuple[Array, Array]:
    """log eps = p log(alpha) as a double-double pair of arrays, from whichever was given."""
    return log_eps_pair(check_initialisation(alpha, log_alpha), p, alpha is None)


def check_initialisation(alpha: Any, log_alpha: Any) -> Array:
    """Whichever of the two was given, as an array of no or one dimension."""
    if type(alpha) is float and log_alpha is None and 0.0 < alpha < math.inf:
        return np.array(alpha)  # at once: a small flow takes less than a millisecond
    if (alpha is None) == (log_alpha is None):
        given = "neither" if alpha is None else "both"
        raise ValueError(f"exactly one of alpha and log_alpha must be given, got {given}")
    name, value = ("alpha", alpha) if log_alpha is None else ("log_alpha", log_alpha)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.ndim > 1 or array.size == 0:
        raise TypeError(f"{name} must be a real number or a 1-D array of them, got {_shown(value)}")
    array = array.astype(np.float64)
    if name == "alpha" and not np.all((array > 0.0) & (array < np.inf)):
        raise ValueError(f"alpha must be positive and finite, got {_shown(value)}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"log_alpha must be finite, got {_shown(value)}")
    return array


def whole(value: Any) -> int:
    """An integer; also one that is written as a float, as in 1e12. TypeError for others."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return operator.index(value)


def check_count(name: str, value: Any, least: int) -> int:
    """An integer of at least `least`."""
    try:
        count = whole(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {_shown(value)}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    return count


def check_in_range(name: str, value: Any, low: float, high: float) -> float:
    """A real number between `low` and `high`."""
    try:
        number = _number(value)
    except TypeError:
        raise TypeError(f"{name} must be a real number, got {_shown(value)}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, got {_shown(value)}")
    return number


def check_times(t: Any) -> Array:
    """Times of a flow: not negative, strictly increasing; the last may be infinite."""
    try:
        times = np.atleast_1d(np.asarray(t))
    except (TypeError, ValueError) as error:
        raise TypeError(f"t must be a 1-D array of times: {error}") from None
    if times.dtype.kind not in "biuf" or times.ndim != 1 or times.size == 0:
        raise TypeError(f"t must be a time or a 1-D array of times, got {_shown(t)}")
    times = times.astype(np.float64)
    if times[0] >= 0.0 and (times[1:] > times[:-1]).all():  # no NaN passes either
        return times
    if np.any(np.isnan(times)):
        raise ValueError(f"t must not hold NaN, got one at index {int(np.argmax(np.isnan(times)))}")
    if times[0] < 0.0:
        raise ValueError(f"t must not be negative, got {times[0]}")
    falls = np.flatnonzero(times[1:] <= times[:-1])
    if falls.size:
        i = int(falls[0])
        raise ValueError(
            f"t must be increasing, got {times[i]} and then {times[i + 1]} at index {i + 1}"
        )
    return times


def check_tolerance(rtol: Any) -> float:
    """A relative tolerance that float64 can hold."""
    try:
        value = float(rtol)
    except (TypeError, ValueError):
        raise TypeError(f"rtol must be a real number, got {_shown(rtol)}") from None
    if not 1e-14 <= value <= 0.1:
        raise ValueError(f"rtol must lie between 1e-14 and 0.1, got {_shown(rtol)}")
    return value


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of the words that an argument may be."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {_shown(value)}")
    return str(value)
