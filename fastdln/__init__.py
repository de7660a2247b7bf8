"""Diagonal linear networks, compiled: where gradient flow ends, and how fast.

>>> import fastdln as fd
>>> problem = fd.Problem([[1.0, 0.9]], [1.0])
>>> limit = fd.flow_limit(problem, p=3, alpha=1e-5)

Names are loaded when they are first used, so that ``import fastdln`` costs
next to nothing: NumPy and numba come with the first name that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.7.0"

_HOME = {  # public name -> the module that defines it
    "Activation": "flow",
    "Answer": "hardness",
    "ConvergenceRate": "rates",
    "DescentPath": "descent_path",
    "DescentStats": "descent_path",
    "DigitsCertificate": "hardness",
    "FlowEvent": "results",
    "FlowInterrupted": "flow",
    "FlowLimit": "results",
    "FlowPath": "results",
    "FlowStats": "results",
    "HardnessMap": "hardness",
    "L1Minimizer": "results",
    "NullSpaceConstants": "null_space",
    "Problem": "problem",
    "ResidualBelow": "flow",
    "Status": "results",
    "Witness": "hardness",
    "certify_digits": "hardness",
    "convergence_rate": "rates",
    "flow_limit": "limit",
    "gradient_descent": "descent",
    "gradient_flow": "flow",
    "gradient_flows": "flow",
    "h": "functions",
    "h_integral": "functions",
    "h_inverse": "functions",
    "h_inverse_slack": "functions",
    "h_of_slack": "functions",
    "h_prime": "functions",
    "hardness_map": "hardness",
    "l1_minimizer": "minimizer",
    "max_stable_step": "step_size",
    "null_space_constants": "null_space",
    "potential_q": "functions",
    "selector_g": "functions",
    "sufficient_step": "step_size",
    "sweep": "sweeps",
}

__all__ = [
    "Activation",
    "Answer",
    "ConvergenceRate",
    "DescentPath",
    "DescentStats",
    "DigitsCertificate",
    "FlowEvent",
    "FlowInterrupted",
    "FlowLimit",
    "FlowPath",
    "FlowStats",
    "HardnessMap",
    "L1Minimizer",
    "NullSpaceConstants",
    "Problem",
    "ResidualBelow",
    "Status",
    "Witness",
    "__version__",
    "certify_digits",
    "convergence_rate",
    "datasets",
    "flow_limit",
    "gradient_descent",
    "gradient_flow",
    "gradient_flows",
    "h",
    "h_integral",
    "h_inverse",
    "h_inverse_slack",
    "h_of_slack",
    "h_prime",
    "hardness_map",
    "l1_minimizer",
    "max_stable_step",
    "null_space_constants",
    "potential_q",
    "selector_g",
    "sufficient_step",
    "sweep",
]

if TYPE_CHECKING:
    from fastdln import datasets
    from fastdln.descent import gradient_descent
    from fastdln.descent_path import DescentPath, DescentStats
    from fastdln.flow import (
        Activation,
        FlowInterrupted,
        ResidualBelow,
        gradient_flow,
        gradient_flows,
    )
    from fastdln.functions import (
        h,
        h_integral,
        h_inverse,
        h_inverse_slack,
        h_of_slack,
        h_prime,
        potential_q,
        selector_g,
    )
    from fastdln.hardness import (
        Answer,
        DigitsCertificate,
        HardnessMap,
        Witness,
        certify_digits,
        hardness_map,
    )
    from fastdln.limit import flow_limit
    from fastdln.minimizer import l1_minimizer
    from fastdln.null_space import NullSpaceConstants, null_space_constants
    from fastdln.problem import Problem
    from fastdln.rates import ConvergenceRate, convergence_rate
    from fastdln.results import FlowEvent, FlowLimit, FlowPath, FlowStats, L1Minimizer, Status
    from fastdln.step_size import max_stable_step, sufficient_step
    from fastdln.sweeps import sweep


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module("fastdln.datasets")
    if name not in _HOME:
        raise AttributeError(f"module 'fastdln' has no attribute {name!r}")
    value = getattr(import_module(f"fastdln.{_HOME[name]}"), name)
    globals()[name] = value  # found at once from now on, without this function
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
