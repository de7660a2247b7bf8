"""psi and D = d psi / d tau of many coordinates from tau, and their last digits."""

from __future__ import annotations

import math

from fastdln._jit import jit
from fastdln.kernels.extended import two_sum
from fastdln.kernels.magnitude import magnitude_2, magnitude_p, power_of

__all__ = ["fill_points", "finish_points", "largest_move"]


@jit
def fill_points(p_is_2, b, level, tau, psi, D):
    """psi and D at tau, to the accuracy of sums over all coordinates.

    `level` is L for p = 2 and sigma for p > 2 (see `state`).
    """
    for j in range(tau.size):
        t = tau[j]
        if p_is_2:
            minus, plus = math.exp(t - level), math.exp(-t - level)
            psi[j], D[j] = minus - plus, minus + plus
        else:
            minus, plus = (level / (1.0 - t)) ** b, (level / (1.0 + t)) ** b
            psi[j] = minus - plus
            D[j] = b * (minus / (1.0 - t) + plus / (1.0 + t))
    return 0


@jit
def largest_move(p_is_2, b, tau, dtau):
    """Size of a change of tau, about that of log psi; infinite if not finite."""
    size = 0.0
    for j in range(tau.size):
        c = abs(dtau[j])
        if not p_is_2:
            c *= max(1.0, b / 3.0) / (1.0 - abs(tau[j]))
        if not c <= size:
            size = c if c >= 0.0 else math.inf
    return size


@jit
def finish_points(p, L, L_low, tau, tau_low, psi, D, slack, log_abs):
    """psi, D, slack and log |psi|, each to its own relative accuracy, from a double-double tau."""
    b, b_low = power_of(p)
    top, top_low = (L, L_low) if p == 2.0 else (1.0, 0.0)
    for j in range(tau.size):
        a, a_low = abs(tau[j]), tau_low[j] if tau[j] >= 0.0 else -tau_low[j]
        s = top - a
        s_low = ((top - s) - a) + (top_low - a_low)
        slack[j] = s + s_low
        if p == 2.0:
            value, D[j], log_abs[j] = magnitude_2(a, a_low, L, L_low, s, s_low, 0.0)
        else:
            value, D[j], log_abs[j] = magnitude_p(b, b_low, a, a_low, s, s_low, L, L_low, 0.0)
        psi[j] = value if tau[j] >= 0.0 else -value
    return 0


@jit
def finish_near(p, L, L_low, index, sign, s, s_low, psi, D, slack, log_abs):
    """The same for coordinates `index` whose slacks s are unknowns of their own (p > 2)."""
    b, b_low = power_of(p)
    for k in range(index.size):
        j = index[k]
        slack[j] = s[k]
        a, a_low = two_sum(1.0, -s[k])
        a, a_low = two_sum(a, a_low - s_low[k])
        value, D[j], log_abs[j] = magnitude_p(b, b_low, a, a_low, s[k], s_low[k], L, L_low, 0.0)
        psi[j] = sign[k] * value
