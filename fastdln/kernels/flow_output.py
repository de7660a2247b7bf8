"""What a user sees of a flow, from the variables in which it is integrated."""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.flow_blocks import padded
from fastdln.kernels.flow_rhs import combine_rows, coordinates, transposed, weights_of
from fastdln.kernels.linear import copy_to

__all__ = ["observe_dual", "observe_weights", "weights_of_duals", "weights_of_slack"]


@jit_inner
def _loss(flow, psi, work):
    """``||A psi - y||^2 / 2``."""
    combine_rows(flow.columns, psi, work)
    total = 0.0
    for i in range(work.size):
        r = work[i] - flow.y[i]
        total += r * r
    return 0.5 * total


@jit
def observe_dual(flow, X, psi):
    """psi (T, N) from T duals lambda."""
    N, wide = flow.A.shape[1], padded(flow)
    tau, row = np.empty(wide), np.empty(wide)
    for k in range(X.shape[0]):
        transposed(flow, X[k], tau)
        coordinates(flow, tau, row)
        copy_to(row[:N], psi[k])


@jit
def weights_of_duals(flow, X, u, v):
    """u and v, each (T, N), from T duals."""
    N, tau = flow.A.shape[1], np.empty(padded(flow))
    for k in range(X.shape[0]):
        transposed(flow, X[k], tau)
        weights_of(flow.p, flow.log_alpha, tau[:N], u[k], v[k])


@jit
def observe_weights(flow, X, psi, u, v, dual, loss):
    """The same from T states (u, v, lambda) of the weight form."""
    N = psi.shape[1]
    for k in range(X.shape[0]):
        copy_to(X[k, :N], u[k])
        copy_to(X[k, N : 2 * N], v[k])
        copy_to(X[k, 2 * N :], dual[k])
        for j in range(N):
            psi[k, j] = u[k, j] ** flow.p - v[k, j] ** flow.p
        work = dual[k].copy()
        loss[k] = _loss(flow, psi[k], work)


@jit
def weights_of_slack(p, log_alpha, sign, slack, u, v):
    """u and v from slacks: ``L - |tau|`` for p = 2, ``1 - |tau|`` for p > 2."""
    for j in range(slack.size):
        s = slack[j]
        if p == 2.0:
            large, small = math.exp(-0.5 * s), math.exp(2.0 * log_alpha + 0.5 * s)
        else:
            large = math.exp(log_alpha - math.log(s) / (p - 2.0))
            small = math.exp(log_alpha - math.log(2.0 - s) / (p - 2.0))
        u[j] = large if sign[j] >= 0.0 else small
        v[j] = small if sign[j] >= 0.0 else large
