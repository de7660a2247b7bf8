"""The l1 minimiser proved along the path of a limit, and how far psi is from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._solver import (
    Curve,
    PathState,
    copy_state,
    deepest,
    exponent,
    follow_to,
    fresh_state,
    reaches_its_law,
)
from fastdln.kernels.face import FOUND, Face, at_depth, certify, deviation
from fastdln.kernels.many import PROVED_BY, Proof
from fastdln.kernels.path import REACHED
from fastdln.problem import Constraints

__all__ = ["deviations", "locate_face", "proof_of"]

Array = NDArray[np.float64]

_SHALLOW = -24.0  # log eps to which a proof is sought along the path of p = 2
_PROVING_DEPTH = 4.0


def locate_face(constraints: Constraints, p: float, state: PathState, limit: int) -> Face:
    """Follow the path on from a copy of `state` until the optimal face is proved.

    The face's code is NOT_YET if the path ended first. At p = 2 (or near) a dual that proves a
    degenerate face is reached only like 1 / log(1/eps); at p = 4 it is like eps^(1/2), and
    the face itself does not depend on the depth.
    """
    sought = proof_of(p).sought
    face = _search(constraints, p, copy_state(state), sought, limit)
    if face.code == FOUND or sought <= deepest(p):
        return face
    start = fresh_state(constraints, _PROVING_DEPTH)
    if start is not None:
        other = _search(constraints, _PROVING_DEPTH, start, deepest(_PROVING_DEPTH), limit)
        if other.code == FOUND:
            return at_depth(p == 2.0, exponent(p), other)
    return face


def proof_of(p: float) -> Proof:
    """How far a proof of the face is sought along the path of depth p, and where next."""
    sought = _SHALLOW if p == 2.0 or not reaches_its_law(p) else deepest(p)
    return Proof(sought, exponent(_PROVING_DEPTH), deepest(_PROVING_DEPTH))


def _search(constraints: Constraints, p: float, state: PathState, least: float, limit: int) -> Face:
    goal = min(state.log_eps, PROVED_BY)
    while True:
        code, _, state = follow_to(constraints, p, state, goal, limit)
        face: Face = certify(
            constraints.A, constraints.y, constraints.squares, p == 2.0, exponent(p),
            state.log_eps, state.columns, state.sgn, state.s,
        )  # fmt: skip
        if face.code == FOUND or code != REACHED or goal <= least:
            return face
        goal = max(2.0 * goal, deepest(p))


def deviations(constraints: Constraints, p: float, face: Face, curve: Curve) -> tuple[Array, Array]:
    """psi - W_p as (T, N) numbers in units of exp(the second result), (T,)."""
    out = np.empty_like(curve.psi)
    unit = np.empty(curve.L.size)
    for k in range(unit.size):
        scaled, log_unit = _in_unit_of_the_rest(curve, k, face.W != 0.0)
        unit[k] = deviation(
            constraints.A, p == 2.0, exponent(p), curve.L[k], face, scaled, log_unit, out[k]
        )
    return out, unit


def _in_unit_of_the_rest(curve: Curve, k: int, on_face: Any) -> tuple[Array, float]:
    """psi of target k over exp(the second result), so that nothing off the face underflows."""
    rest = curve.log_abs[k][~on_face]
    if curve.log_unit[k] == 0.0 or not np.any(rest > -np.inf):
        return curve.psi[k], 0.0
    log_unit = float(np.max(rest))
    logs = np.where(on_face, -np.inf, curve.log_abs[k] - log_unit)
    with np.errstate(under="ignore"):
        return np.copysign(np.exp(logs), curve.psi[k]), log_unit
