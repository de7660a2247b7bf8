"""Dense output of Radau collocation: psi anywhere within a step, from lambda's polynomial.

The shifts A^T d of a step's nodes are formed once; between the nodes Lagrange's polynomial through
them is added to the slacks at its start (`flow_coordinates`).

That polynomial, of degree s, is far less accurate inside a step than at its end. It fulfils the
equation with a right-hand side that is off by a multiple of M(t) = prod_i (t - c_i), and its
defect g at the start tells the multiple: to leading order it errs by g N(t), where
N(t) = int_0^t M / M(0), and N(0) = N(1) = 0. This is added; g is the defect as Newton's matrix
sees it (`flow_stages.error_of`), for where the equation is stiff less of it is left.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.flow_coordinates import psi_of, weights_at
from fastdln.kernels.intrinsics import arrays_are_disjoint, fma, stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES, dots

__all__ = ["between", "losses", "new_between", "observe_collocation", "open_step"]


class Between(NamedTuple):
    """One step, open for output."""

    weight: np.ndarray  # (8,): Lagrange's, of the nodes, then that of the defect
    scale: np.ndarray  # (8,): what does not change in them
    bend: np.ndarray  # (8,): that of the defect is t (1 - t)^2 sum_k bend_k (1 - t)^k
    last: np.ndarray  # (8, m): increments of lambda, a row a node, then the defect
    shift: np.ndarray  # (8, N): A^T of them
    wide: np.ndarray  # (N, 8): the same, as it comes
    tau: np.ndarray  # (N,): the shift between the nodes
    slope: np.ndarray  # (N,)


@jit_inner
def new_between(nodes, m, N):
    """Space, no step in it."""
    scale, bend = np.zeros(LANES), np.zeros(LANES)
    _scales_of(nodes, scale)
    _bend_of(nodes, bend)
    return Between(
        np.zeros(LANES), scale, bend, np.empty((LANES, m)), np.empty((LANES, N)),
        np.empty((N, LANES)), np.empty(N), np.empty(N),
    )  # fmt: skip


@jit_inner
def _across(source, target):
    """``target = source.T``, eight columns."""
    arrays_are_disjoint()
    for q in range(LANES):
        row = target[q]
        for j in range(row.size):
            row[j] = source[j, q]


@jit_inner
def open_step(flow, last, inside):
    """Fill `inside` from the increments (m, 8), the defect after them."""
    stay_apart()
    N, m = flow.columns.shape
    dots(flow.columns, N, last, m, inside.wide)
    _across(inside.wide, inside.shift)
    _across(last, inside.last)


@jit_inner
def _scales_of(nodes, out):
    """1 over the products of the distances of each node from the others and 0."""
    for j in range(nodes.size):
        product = nodes[j]
        for q in range(nodes.size):
            if q != j:
                product *= nodes[j] - nodes[q]
        out[j] = 1.0 / product


@jit_inner
def _bend_of(nodes, out):
    """int_0^t M / M(0) over t (1 - t)^2, in powers of x = 1 - t: M has the factor x."""
    M, at_start = np.zeros(LANES + 1), 1.0
    M[0] = 1.0
    for i in range(nodes.size):
        at_start *= -nodes[i]
        for k in range(i + 1, 0, -1):
            M[k] = (1.0 - nodes[i]) * M[k] - M[k - 1]
        M[0] *= 1.0 - nodes[i]
    total = 0.0
    for k in range(1, nodes.size):  # sums divide by 1 - x
        total -= M[k] / (k + 1) / at_start
        out[k - 1] = total


@jit_inner
def _weights(nodes, inside, theta):
    """Lagrange's weights at theta, for powers would lose five digits, and that of the defect."""
    scale, bend, out, x = inside.scale, inside.bend, inside.weight, 1.0 - theta
    for j in range(nodes.size):
        weight = theta * scale[j]
        for q in range(nodes.size):
            if q != j:
                weight *= theta - nodes[q]
        out[j] = weight
    weight = 0.0
    for k in range(nodes.size - 2, -1, -1):
        weight = weight * x + bend[k]
    out[nodes.size] = theta * (x * x) * weight


@jit_inner
def _sum(weight, rows, out):
    """``out = sum_q weight_q rows_q``, eight of them."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    a0, a1, a2, a3, a4, a5, a6, a7 = (
        rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7],
    )  # fmt: skip
    w0, w1, w2, w3 = weight[0], weight[1], weight[2], weight[3]
    w4, w5, w6, w7 = weight[4], weight[5], weight[6], weight[7]
    for j in range(out.size):
        s = fma(w0, a0[j], fma(w1, a1[j], fma(w2, a2[j], w3 * a3[j])))
        t = fma(w4, a4[j], fma(w5, a5[j], fma(w6, a6[j], w7 * a7[j])))
        out[j] = s + t


@jit_inner
def between(par, eps, nodes, base, start, theta, inside, psi, dual):
    """psi and lambda at the part theta of the step that is open; its shift stays in tau."""
    stay_apart()
    _weights(nodes, inside, min(max(theta, 0.0), 1.0))
    _sum(inside.weight, inside.shift, inside.tau)
    _sum(inside.weight, inside.last, dual)
    for i in range(dual.size):
        dual[i] += start[i]
    if not psi_of(par, eps, base, inside.tau, psi, inside.slope):
        for j in range(psi.size):
            psi[j] = math.nan


@jit
def observe_collocation(flow, par, nodes, segments, times, psi, dual, u, v):
    """The flow at ascending times inside the segments, rows as times; u and v unless empty."""
    m, N = flow.A.shape
    inside, k, is_open = new_between(nodes, m, N), 0, False
    for row in range(times.size):
        while k < segments.t.shape[0] - 1 and times[row] > segments.t[k, 1]:
            k, is_open = k + 1, False
        if not is_open:
            open_step(flow, segments.last[k], inside)
            is_open = True
        start, end, base = segments.t[k, 0], segments.t[k, 1], segments.base[k]
        theta = (times[row] - start) / (end - start) if end > start else 0.0
        between(
            par, flow.eps, nodes, base, segments.dual[k], theta, inside, psi[row], dual[row]
        )  # fmt: skip
        if u.shape[0] > 0:
            weights_at(flow.p, flow.log_alpha, base, inside.tau, u[row], v[row])


@jit
def losses(A, y, psi, loss):
    """``||A psi - y||^2 / 2`` for rows psi, eight at once; NaN where that is not finite."""
    m, N = A.shape
    z, r = np.zeros((N, LANES)), np.empty((m, LANES))
    for first in range(0, psi.shape[0], LANES):
        count = min(LANES, psi.shape[0] - first)
        for q in range(count):
            row = psi[first + q]
            for j in range(N):
                z[j, q] = row[j]
        dots(A, m, z, N, r)
        for q in range(count):
            total = 0.0
            for i in range(m):
                total += (r[i, q] - y[i]) * (r[i, q] - y[i])
            loss[first + q] = 0.5 * total if math.isfinite(total) else math.nan
