"""psi and D of every coordinate at a state of `polish`, in doubles and as sums of two.

Most coordinates follow from tau; those of the basis and the columns apart that stay while eps
vanishes from their slacks, which are carried to more digits than tau can hold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.extended import dd_add, dd_mul, two_sum
from fastdln.kernels.fine import magnitude_fine_2, magnitude_fine_p
from fastdln.kernels.intrinsics import use_wide_vectors
from fastdln.kernels.magnitude import magnitude_2, magnitude_p

__all__ = ["Root", "Values", "evaluate_all"]

_FINE_SLACK = 1e-8  # one this large is 1 - |tau| to many more digits than a double has


class Values(NamedTuple):
    """N-vectors: psi and D = d psi / d tau, each coordinate in its unit."""

    values: np.ndarray
    low: np.ndarray  # psi is the sum of both, or zero
    rest: np.ndarray  # the same outside B and E, else 0
    rest_low: np.ndarray
    D: np.ndarray


class Root(NamedTuple):
    """psi at the root, N-vectors but for the last."""

    psi: np.ndarray
    log_abs: np.ndarray
    slack: np.ndarray  # 1 - |tau|, p > 2
    dual: np.ndarray  # (m,)
    unresolved: np.ndarray  # (N,) whether psi may be zero, for all that the bound says


@jit_inner
def _fill_all(p_is_2, power, L_hi, L_lo, log_unit, tau_hi, tau_lo, found, root):
    """|psi| / U, D / U and log |psi| of every coordinate from its tau; `power` is b, as a sum."""
    for j in range(tau_hi.size):
        a_hi = abs(tau_hi[j])
        a_lo = tau_lo[j] if tau_hi[j] >= 0.0 else -tau_lo[j]
        hi, lo = dd_add(L_hi if p_is_2 else 1.0, L_lo if p_is_2 else 0.0, -a_hi, -a_lo)
        root.slack[j] = hi
        if p_is_2:
            found.values[j], found.D[j], root.log_abs[j] = magnitude_2(
                a_hi, a_lo, L_hi, L_lo, hi, lo, log_unit
            )  # fmt: skip
        else:
            found.values[j], found.D[j], root.log_abs[j] = magnitude_p(
                power[0], power[1], a_hi, a_lo, hi, lo, L_hi, L_lo, log_unit
            )  # fmt: skip


@jit_inner
def _refine_all_2(L_hi, L_lo, log_unit, tau_hi, tau_lo, values, low):
    """p = 2: |psi| / U as a sum."""
    use_wide_vectors()
    for j in range(tau_hi.size):
        a_hi = abs(tau_hi[j])
        a_lo = tau_lo[j] if tau_hi[j] >= 0.0 else -tau_lo[j]
        hi, lo = dd_add(L_hi, L_lo, -a_hi, -a_lo)
        values[j], low[j] = magnitude_fine_2(a_hi, a_lo, hi, lo, log_unit)


@jit_inner
def _refine_all_p(b, b_lo, L_hi, L_lo, log_unit, tau_hi, tau_lo, values, low):
    """p > 2: |psi| / U as a sum; NaN where |tau| is not below 1."""
    use_wide_vectors()
    for j in range(tau_hi.size):
        a_hi = abs(tau_hi[j])
        a_lo = tau_lo[j] if tau_hi[j] >= 0.0 else -tau_lo[j]
        hi, lo = dd_add(1.0, 0.0, -a_hi, -a_lo)
        v, v_lo = magnitude_fine_p(b, b_lo, a_hi, a_lo, hi, lo, L_hi, L_lo, log_unit)
        values[j], low[j] = v if hi > 0.0 else np.nan, v_lo


@jit_inner
def _set_one(p_is_2, power, top, log_unit, j, a, s, fine, found, root):
    """Coordinate j from the pairs a = |tau|, s its slack and `top`, its L."""
    if p_is_2:
        found.values[j], found.D[j], root.log_abs[j] = magnitude_2(
            a[0], a[1], top[0], top[1], s[0], s[1], log_unit
        )  # fmt: skip
        if fine:
            found.values[j], found.low[j] = magnitude_fine_2(a[0], a[1], s[0], s[1], log_unit)
    else:
        root.slack[j] = s[0]
        found.values[j], found.D[j], root.log_abs[j] = magnitude_p(
            power[0], power[1], a[0], a[1], s[0], s[1], top[0], top[1], log_unit
        )  # fmt: skip
        if fine and s[0] > 0.0:
            found.values[j], found.low[j] = magnitude_fine_p(
                power[0], power[1], a[0], a[1], s[0], s[1], top[0], top[1], log_unit
            )  # fmt: skip


@jit_inner
def _one_less(hi, lo):
    """1 - hi - lo; hi = 1 and a lo of any size are told apart."""
    top, rest = two_sum(1.0, -hi)
    return two_sum(top, rest - lo)


@jit_inner
def _fill_large(p_is_2, power, L, log_unit, j, s, fine, found, root):
    """Coordinate j with slack s, a pair, again, in units of 1: it stays while eps vanishes."""
    if p_is_2:
        if log_unit != 0.0:
            a = dd_add(L[0], L[1], -s[0], -s[1])
            _set_one(True, power, (L[0], L[1]), 0.0, j, a, s, fine, found, root)
    elif s[0] < 0.5 or log_unit != 0.0:
        a = _one_less(s[0], s[1])
        if a[0] < 0.0:  # the sign is not yet that of tau
            a = -a[0], -a[1]
            s = dd_add(2.0, 0.0, -s[0], -s[1])
        top = (L[2], L[3]) if s[0] < 0.5 else (L[0], L[1])
        _set_one(False, power, top, 0.0, j, a, s, fine, found, root)


@jit_inner
def _near_slack(p_is_2, L_hi, L_lo, apart, k, sgn, s, s_lo, tau_hi, tau_lo):
    """Slack of column k apart: from tau, or where that is rounding from those of the basis."""
    hi, lo = abs(tau_hi), tau_lo if tau_hi >= 0.0 else -tau_lo
    if p_is_2:
        return dd_add(L_hi, L_lo, -hi, -lo)
    hi, lo = dd_add(1.0, 0.0, -hi, -lo)
    if hi > _FINE_SLACK:
        return hi, lo
    hi, lo = 0.0, 0.0
    for i in range(s.size if apart.cost[k] != 0.0 else 0):  # the cost again, in double-double
        t = -apart.sign[k] * sgn[i]
        hi, lo = dd_add(hi, lo, t * apart.g_hi[k, i], t * apart.g_lo[k, i])
    if apart.cost[k] != 0.0:
        hi, lo = dd_add(1.0, 0.0, hi, lo)
    for i in range(s.size):
        t = apart.sign[k] * sgn[i]
        g_hi, g_lo = dd_mul(t * apart.g_hi[k, i], t * apart.g_lo[k, i], s[i], s_lo[i])
        hi, lo = dd_add(hi, lo, g_hi, g_lo)
    return hi, lo


@jit_inner
def _fill_apart(p_is_2, power, L, log_unit, places, state, s_lo, tau, fine, found, root):
    """The columns apart again; tau is a pair, as in double-double."""
    _, apart, far, _ = places
    sgn, s = state
    for k in range(apart.columns.size):
        j = apart.columns[k]
        slack = _near_slack(p_is_2, L[0], L[1], apart, k, sgn, s, s_lo, tau[0][j], tau[1][j])
        if far[k]:
            a, top = _one_less(slack[0], slack[1]), (L[0], L[1])
            _set_one(False, power, top, log_unit, j, a, slack, fine, found, root)
        else:
            _fill_large(p_is_2, power, L, log_unit, j, slack, fine, found, root)
        if not p_is_2:
            tau[0][j] = apart.sign[k] * (1.0 - slack[0])


@jit_inner
def evaluate_all(p_is_2, power, L, log_unit, places, state, s_lo, tau, marked, fine, found, root):
    """psi / U and D / U of every coordinate, those that do not vanish in units of 1.

    `power` is b as a sum, `L` (hi, lo, and those for small slacks), `places` (basis, apart, far,
    zero), `state` (sgn, s), tau (hi, lo).
    """
    basis, _, _, zero = places
    s = state[1]
    _fill_all(p_is_2, power, L[0], L[1], log_unit, tau[0], tau[1], found, root)
    if fine and p_is_2:
        _refine_all_2(L[0], L[1], log_unit, tau[0], tau[1], found.values, found.low)
    elif fine:
        _refine_all_p(
            power[0], power[1], L[0], L[1], log_unit, tau[0], tau[1], found.values, found.low
        )  # fmt: skip
    for i in range(s.size):
        if not zero[i]:
            j = basis.columns[i]
            _fill_large(p_is_2, power, L, log_unit, j, (s[i], s_lo[i]), fine, found, root)
    _fill_apart(p_is_2, power, L, log_unit, places, state, s_lo, tau, fine, found, root)
    for j in range(marked.size):
        if tau[0][j] < 0.0:
            found.values[j], found.low[j] = -found.values[j], -found.low[j]
        found.rest[j] = 0.0 if marked[j] else found.values[j]
        found.rest_low[j] = 0.0 if marked[j] else found.low[j]
