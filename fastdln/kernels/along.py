"""The start of a path, the way along it, and what is polished there: one kernel for all.

They have most of their code in common, which several kernels would compile anew.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit
from fastdln.kernels.ends import residual_norm, slopes, start_state
from fastdln.kernels.path import follow
from fastdln.kernels.polish import Root, no_bounds, polish

__all__ = ["FOLLOW", "NOWHERE", "POLISH", "SLOPES", "START", "go_along"]

START, FOLLOW, POLISH, SLOPES = 0, 1, 2, 3  # what to do

# the root where none is found
NOWHERE = Root(np.empty(0), np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.bool_))


@jit
def go_along(task, A, y, squares, p, b, log_eps, aim, limit, chosen, state, kept, root):
    """`start_state`, `follow`, `polish` or `slopes`, with state = (columns, sgn, s), overwritten.

    b is that of `path`. `aim` is (L_hi, L_lo, L_level) of `polish`; the path goes to
    log eps = -L_level. Returns (code, iterations, factorisations, log eps or log unit,
    `residual_norm` of psi, bounds): what does not apply is 0, or infinite.
    """
    columns, sgn, s = state
    if task == POLISH:
        code, iterations, count, log_unit, bounds = polish(
            A, y, squares, p, aim[0], aim[1], aim[2], chosen, columns, sgn, s, kept, root
        )  # fmt: skip
        return code, iterations, count, log_unit, residual_norm(A, y, root.psi), bounds
    code, count = 0, 0
    if task == START:
        code, log_eps = start_state(A, y, squares, p == 2.0, columns, sgn, s)
    elif task == FOLLOW:
        code, count, log_eps = follow(
            A, y, squares, p == 2.0, b, log_eps, -aim[2], limit, columns, sgn, s, kept
        )  # fmt: skip
    else:
        slopes(A, y, kept, columns, sgn, s)
    return code, 0, count, log_eps, 0.0, no_bounds()
