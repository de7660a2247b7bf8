"""The start of a path, the way along it, and what is polished there: one kernel for all three.

They have most of their code in common, which three kernels would compile three times.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit
from fastdln.kernels.ends import start_state
from fastdln.kernels.path import follow
from fastdln.kernels.polish import Root, no_bounds, polish

__all__ = ["FOLLOW", "NOWHERE", "POLISH", "START", "go_along"]

START, FOLLOW, POLISH = 0, 1, 2  # what to do

# the root for the first two, which find none
NOWHERE = Root(np.empty(0), np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.bool_))


@jit
def go_along(task, A, y, squares, p, b, log_eps, aim, limit, chosen, state, kept, root):
    """`start_state`, `follow` or `polish`, with state = (columns, sgn, s), which is overwritten.

    b is that of `path`. `aim` is (L_hi, L_lo, L_level) of `polish`; the path goes to
    log eps = -L_level. Returns (code, iterations, factorisations, log eps or log unit, bounds).
    """
    columns, sgn, s = state
    if task == START:
        code, log_eps = start_state(A, y, squares, p == 2.0, columns, sgn, s)
        return code, 0, 0, log_eps, no_bounds()
    if task == FOLLOW:
        code, count, log_eps = follow(
            A, y, squares, p == 2.0, b, log_eps, -aim[2], limit, columns, sgn, s, kept
        )  # fmt: skip
        return code, 0, count, log_eps, no_bounds()
    return polish(
        A, y, squares, p, aim[0], aim[1], aim[2], chosen, columns, sgn, s, kept, root
    )  # fmt: skip
