"""Taylor coefficients of psi along the path alpha -> 0, from those of the dual.

Along the path the two halves of psi = P_minus - P_plus are

    p = 2:  P_-+ = exp(+-tau - L),          L = log(1/eps) -> L + x,
    p > 2:  P_-+ = (sigma / (1 -+ tau))^b,  sigma = eps^(1/b) = alpha^(p-2) -> sigma (1 - x).

Let d log P/dx = sum_k e_k x^(k-1) and q_k = slope tau_k / slack (slope -1 and slack
1 - tau for P_minus, +1 and 1 + tau for P_plus; slack 1 for p = 2). Then

    p = 2:  e_k = -slope k tau_k - [k = 1],
    p > 2:  e_k = -b (1 + M_k),  M_k = k q_k - sum_(0<j<k) M_j q_(k-j)   (log of the slack),
    k P_k = sum_(0<j<=k) e_j P_(k-j).

tau_k enters P_k linearly: P_minus,k - P_plus,k = R_k + D tau_k with the D of the Newton
system, so every order solves with the same factored matrix (DESIGN: path following).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import arrays_are_disjoint

__all__ = ["Halves", "close_order", "new_halves", "open_order"]

# One loop takes both halves, its arrays do not overlap, and its indices have no sign (numba
# checks others for negative ones): without that it would not run in vectors.


class Halves(NamedTuple):
    """Coefficients of the two halves, ((K+1) N,) each: order after order."""

    e_minus: np.ndarray
    M_minus: np.ndarray  # -M_k
    P_minus: np.ndarray
    e_plus: np.ndarray
    M_plus: np.ndarray
    P_plus: np.ndarray
    sums: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # (N,), of the order in work


@jit_inner
def new_halves(size, N):
    """Room for `size` coefficients of N coordinates."""
    n = size * N
    return Halves(
        np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
        (np.empty(N), np.empty(N), np.empty(N), np.empty(N)),
    )  # fmt: skip


@jit_inner
def _add_values(k, e_minus, P_minus, e_plus, P_plus, minus, plus):
    """The sums of e_j P_(k-j) over 0 < j < k."""
    arrays_are_disjoint()
    N = np.uint64(minus.size)
    for i in range(N):
        minus[i], plus[i] = 0.0, 0.0
    for j in range(1, k):
        near, far = np.uint64(j) * N, np.uint64(k - j) * N
        for i in range(N):
            minus[i] += e_minus[near + i] * P_minus[far + i]
            plus[i] += e_plus[near + i] * P_plus[far + i]


@jit_inner
def _add_logs(k, tau, M_minus, M_plus, minus, plus):
    """The sums of -M_j tau_(k-j) over 0 < j < k."""
    arrays_are_disjoint()
    N = np.uint64(minus.size)
    for i in range(N):
        minus[i], plus[i] = 0.0, 0.0
    for j in range(1, k):
        near, far = np.uint64(j) * N, np.uint64(k - j) * N
        for i in range(N):
            t = tau[far + i]
            minus[i] += M_minus[near + i] * t
            plus[i] += M_plus[near + i] * t


@jit_inner
def _note_logs(k, b, N, e_minus, M_minus, e_plus, M_plus):
    """-M_k = 1 + e_k / b."""
    arrays_are_disjoint()
    size, start = np.uint64(N), np.uint64(k * N)
    for i in range(size):
        M_minus[start + i] = 1.0 + e_minus[start + i] / b
        M_plus[start + i] = 1.0 + e_plus[start + i] / b


@jit_inner
def _logs(k, b, slack_minus, slack_plus, minus, plus, e_minus, e_plus):
    """p > 2: e_k from the sums of M."""
    arrays_are_disjoint()
    N, start = np.uint64(slack_minus.size), np.uint64(k * slack_minus.size)
    for i in range(N):
        e_minus[start + i] = -b * (1.0 - minus[i] / slack_minus[i])
        e_plus[start + i] = -b * (1.0 + plus[i] / slack_plus[i])


@jit_inner
def _values(k, minus, plus, e_minus, P_minus, e_plus, P_plus):
    """P_k from its sums and e_k."""
    arrays_are_disjoint()
    N, start = np.uint64(minus.size), np.uint64(k * minus.size)
    for i in range(N):
        P_minus[start + i] = (minus[i] + e_minus[start + i] * P_minus[i]) / k
        P_plus[start + i] = (plus[i] + e_plus[start + i] * P_plus[i]) / k


@jit_inner
def open_order(k, p_is_2, b, slack_minus, slack_plus, tau, halves):
    """Order k of both halves as if tau_k were 0; tau is ((K+1) N,)."""
    e_minus, M_minus, P_minus, e_plus, M_plus, P_plus, sums = halves
    N = slack_minus.size
    if p_is_2:
        for i in range(k * N, (k + 1) * N):
            e_minus[i] = -1.0 if k == 1 else 0.0
            e_plus[i] = e_minus[i]
    else:
        if k > 1:
            _note_logs(k - 1, b, N, e_minus, M_minus, e_plus, M_plus)
        _add_logs(k, tau, M_minus, M_plus, sums[0], sums[1])
        _logs(k, b, slack_minus, slack_plus, sums[0], sums[1], e_minus, e_plus)
    _add_values(k, e_minus, P_minus, e_plus, P_plus, sums[2], sums[3])
    _values(k, sums[2], sums[3], e_minus, P_minus, e_plus, P_plus)


@jit_inner
def _close(k, b, slack_minus, slack_plus, t, e_minus, P_minus, e_plus, P_plus):
    arrays_are_disjoint()
    N, start = np.uint64(t.size), np.uint64(k * t.size)
    for i in range(N):
        q = b * t[i] / slack_minus[i]
        e_minus[start + i] += k * q
        P_minus[start + i] += q * P_minus[i]
        q = b * t[i] / slack_plus[i]
        e_plus[start + i] -= k * q
        P_plus[start + i] -= q * P_plus[i]


@jit_inner
def close_order(k, p_is_2, b, slack_minus, slack_plus, t, halves):
    """Add to order k of both halves what a contribution t to tau_k changes."""
    e_minus, _, P_minus, e_plus, _, P_plus, _ = halves
    factor = 1.0 if p_is_2 else b
    _close(k, factor, slack_minus, slack_plus, t, e_minus, P_minus, e_plus, P_plus)
