"""The experiments on step sizes, in the form of the others: see `experiments_descent`."""

from __future__ import annotations

from fastdln import experiments_descent
from fastdln._table import Table
from fastdln.experiments import Experiment

__all__ = ["discretization", "edge"]


def discretization() -> Experiment:
    """Distance between the limits of descent and of the flow over the step size: slope 1."""
    result = experiments_descent.discretization()
    rows = [(p, result.slope(p), 1.0) for p in dict.fromkeys(result.p.tolist())]
    return Experiment(
        "discretization",
        result.table(),
        Table(("p", "slope", "predicted"), rows),
        "slope of log distance against log step size, over the smaller half of the step sizes.",
        lambda: experiments_descent.draw_discretization(result),
    )


def edge() -> Experiment:
    """What large steps do to the minimiser chosen at p = 2: the exact shift and gain."""
    result = experiments_descent.edge()
    table = result.table()
    return Experiment(
        "edge",
        table,
        Table(table.columns, table.rows[-1:]),
        "the row of the largest step size; gain and shift are zero for the flow.",
        lambda: experiments_descent.draw_edge(result),
    )
