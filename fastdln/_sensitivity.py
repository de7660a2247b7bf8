"""Which coordinates of a limit are determined by data known only to some accuracy.

To first order in dA and dy, with u = dy - dA psi and v = dA^T lambda,

    dpsi = D (A^T dlambda + v),   A dpsi = u.

In the coordinates of a basis B of columns of large D, with G = A_B^-1 A_N, c = A_B^-1 u,
w = v_N - G^T v_B, K = D_B^-1/2 G D_N^1/2 (bounded) and S = I + K K^T, this is

    dpsi_N = D_N^1/2 [K^T S^-1 (D_B^-1/2 c - K D_N^1/2 w) + D_N^1/2 w],
    dpsi_B = D_B^1/2 S^-1 (D_B^-1/2 c - K D_N^1/2 w) = c - G dpsi_N,

and absolute values in every factor bound it. (Derivation: docs/limits.md.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._check import real_array
from fastdln.kernels.select import select_basis
from fastdln.problem import Constraints, Problem

__all__ = ["InputError", "check_input_error", "sensitivity"]

Array = NDArray[np.float64]
InputError = tuple[Array, Array]

_TINY = 1e-290


def check_input_error(value: Any, problem: Problem) -> InputError:
    """Bounds on |dA| and |dy|: one number for all, or a pair of numbers or arrays."""
    parts = value if isinstance(value, tuple) else (value, value)
    if len(parts) != 2:
        raise ValueError(
            f"input_error must be a number or a pair (of A, of y), got {len(parts)} entries"
        )
    shapes = ((problem.m, problem.N), (problem.m,))
    checked = []
    for name, part, shape in zip("Ay", parts, shapes, strict=True):
        title, given = f"input_error of {name}", np.asarray(part)
        array = real_array(title, given, given.ndim, str(shape))
        if array.ndim and array.shape != shape:
            raise ValueError(f"{title} must be a number or of shape {shape}, got {array.shape}")
        if np.any(array < 0.0):
            raise ValueError(f"{title} must not be negative, got {array.min()}")
        checked.append(array)
    if problem.large or problem.rank < problem.m:
        needed = "a dense A" if problem.large else "A of full row rank"
        raise ValueError(f"input_error needs {needed}: without, no accuracy determines psi")
    return checked[0], checked[1]


def sensitivity(
    constraints: Constraints, p: float, L: float, psi: Array, slack: Array, dual: Array,
    error: InputError,
) -> Array:  # fmt: skip
    """Bound on |dpsi|, shape (N,), to first order in data wrong by at most `error`.

    psi, slack and dual are those of the constraints, which are the problem's rows over
    row_scale; psi and y are in units of scale.
    """
    A = constraints.A
    m, N = A.shape
    u, v = _data(constraints, psi, dual, error)
    D = _derivative(p, L, psi, slack)
    columns = np.empty(m, np.int64)
    if not select_basis(A, D, constraints.squares, columns):
        return np.full(N, np.inf)
    rest = np.setdiff1d(np.arange(N), columns)
    inverse = np.linalg.inv(A[:, columns])
    G = inverse @ A[:, rest]
    root_B, root_N = np.sqrt(D[columns]), np.sqrt(D[rest])
    K = G / root_B[:, np.newaxis] * root_N
    S_inverse = np.abs(np.linalg.inv(np.eye(m) + K @ K.T))
    np.abs(G, out=G)
    np.abs(K, out=K)
    c = np.abs(inverse) @ u
    omega = root_N * (v[rest] + G.T @ v[columns])
    z = S_inverse @ (c / root_B + K @ omega)
    out = np.empty(N)
    out[rest] = root_N * (K.T @ z + omega)
    out[columns] = np.minimum(root_B * z, c + G @ out[rest])
    return out


def _data(
    constraints: Constraints, psi: Array, dual: Array, error: InputError
) -> tuple[Array, Array]:
    """Bounds on |dy - dA psi| and on |dA^T dual|."""
    of_A, of_y = error
    rows, size, weight = constraints.row_scale, np.abs(psi), np.abs(dual)
    of_rows = of_y / (rows * constraints.scale)
    if of_A.ndim == 0:
        scaled = of_A / rows
        v = np.full(psi.size, float(scaled @ weight))
        return of_rows + scaled * float(np.sum(size)), v
    return of_rows + (of_A @ size) / rows, of_A.T @ (weight / rows)


def _derivative(p: float, L: float, psi: Array, slack: Array) -> Array:
    """D = d psi / d tau, kept from underflow."""
    with np.errstate(under="ignore", over="ignore"):
        if p == 2.0:
            return np.maximum(np.hypot(psi, 2.0 * np.exp(-L)), _TINY)
        b = p / (p - 2.0)
        near, far = -(b + 1.0) * np.log(slack), -(b + 1.0) * np.log(2.0 - slack)
        logs = np.log(b) - L + near + np.log1p(np.exp(far - near))
        return np.maximum(np.exp(logs), _TINY)
