"""How large a step of gradient descent may be."""

from __future__ import annotations

import math

import numpy as np

from fastdln._check import check_depth
from fastdln.limit import flow_limit
from fastdln.problem import Problem, check_problem

__all__ = ["max_stable_step", "sufficient_step"]


def max_stable_step(problem: Problem, p: float, alpha: float) -> float:
    """Largest step size for which the limit of the flow is stable under gradient descent.

    At a point with A psi = y the Hessian of the loss is J^T J with
    J = A [diag(p u^(p-1)), -diag(p v^(p-1))]; a small deviation is multiplied by
    I - step_size J^T J, so the largest stable step size is 2 over the largest eigenvalue of
    A diag(p^2 (u^(2p-2) + v^(2p-2))) A^T, at the limit of the flow. On the way there the
    largest eigenvalue may be larger or smaller.

    Parameters
    ----------
    problem : Problem
        A and y.
    p : float
        Depth, at least 2.
    alpha : float
        Initialisation, positive.

    Returns
    -------
    float
        2 / (largest eigenvalue of the Hessian); infinity if it is zero.

    Raises
    ------
    TypeError, ValueError
        As `flow_limit`.

    Examples
    --------
    >>> import fastdln as fd
    >>> fd.max_stable_step(fd.Problem([[1.0]], [1.0]), 2, 1e-8)
    0.5
    """
    problem, p = check_problem(problem), check_depth(p)
    limit = flow_limit(problem, p, alpha)
    if p == 2.0:
        # u^2 - v^2 = psi and u v = alpha^2
        weights = 4.0 * np.hypot(limit.psi, 2.0 * alpha**2)
    else:
        larger = np.maximum(np.minimum(limit.slack, 1.0), np.finfo(float).tiny)
        power, scale = -(2.0 * p - 2.0) / (p - 2.0), (2.0 * p - 2.0) * math.log(alpha)
        both = np.log(np.stack([larger, 2.0 - larger]))
        with np.errstate(under="ignore"):
            weights = p**2 * np.exp(scale + power * both).sum(axis=0)
    sharpness = float(np.linalg.eigvalsh((problem.dense * weights) @ problem.dense.T)[-1])
    return 2.0 / sharpness if sharpness > 0.0 else math.inf


def sufficient_step(problem: Problem, p: float, alpha: float) -> float:
    """Step size that keeps the loss from rising and the weights from changing sign.

    Any step size below this one is small enough, whatever the path: while the loss stays
    below its start, ||r|| <= ||r_0||, and |g_i| <= ||a_i|| ||r_0||. With M an upper bound on the
    weights along the path (that of the limit of the flow, with a margin of 2) the
    gradient is Lipschitz there with the constant

        Lambda = ||A||^2 p^2 2 M^(2p-2) + p (p-1) M^(p-2) max_i |g_i|,

    and 1 / Lambda is the step size of the descent lemma; it also keeps
    step_size p M^(p-2) max |g_i| below 1, so that no factor 1 - x is negative.

    Parameters
    ----------
    problem : Problem
        A and y.
    p : float
        Depth, at least 2.
    alpha : float
        Initialisation, positive.

    Returns
    -------
    float
        1 / Lambda.

    Raises
    ------
    TypeError, ValueError
        As `flow_limit`.

    Examples
    --------
    >>> import fastdln as fd
    >>> problem = fd.datasets.random()
    >>> fd.sufficient_step(problem, 3, 1e-3) < fd.max_stable_step(problem, 3, 1e-3)
    True
    """
    problem, p = check_problem(problem), check_depth(p)
    limit = flow_limit(problem, p, alpha)
    largest = float(np.max(np.abs(limit.psi)))
    M = max(2.0 * largest ** (1.0 / p), 2.0 * alpha)
    norm = float(np.linalg.norm(problem.dense, 2))
    slope = float(np.max(np.linalg.norm(problem.dense, axis=0))) * float(np.linalg.norm(problem.y))
    curvature = norm**2 * p**2 * 2.0 * M ** (2.0 * p - 2.0)
    return 1.0 / (curvature + p * (p - 1.0) * M ** (p - 2.0) * slope)
