"""Experiments by name: each a picture, a table of its data, and theory beside measurement.

A new one is a line in `EXPERIMENTS`; its module is loaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fastdln._table import Table

__all__ = ["EXPERIMENTS", "Experiment", "run"]

EXPERIMENTS: dict[str, tuple[str, str]] = {  # name: its module, the function there
    "rates": ("fastdln.experiments_rates", "rates"),
    "selection": ("fastdln.experiments_selection", "selection"),
    "conditioning": ("fastdln.experiments_conditioning", "conditioning"),
    "kink": ("fastdln.experiments_kink", "kink"),
    "hardness": ("fastdln.experiments_hardness", "hardness"),
    "depth": ("fastdln.experiments_depth", "depth"),
    "discretization": ("fastdln.experiments_step_size", "discretization"),
    "edge": ("fastdln.experiments_step_size", "edge"),
}


@dataclass(frozen=True)
class Experiment:
    """What an experiment found; `draw` makes the picture, a matplotlib figure."""

    name: str
    data: Table
    summary: Table
    note: str
    draw: Callable[[], Any]


def run(name: str) -> Experiment:
    """Run the experiment of that name."""
    module, function = EXPERIMENTS[name]
    result: Experiment = getattr(import_module(module), function)()
    return result
