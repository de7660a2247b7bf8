"""The l1 minimiser W_p that gradient flow tends to as alpha -> 0."""

from __future__ import annotations

import dataclasses

import numpy as np

from fastdln._check import check_depth
from fastdln._proving import locate_face
from fastdln._pursuit import Vertex, pursue
from fastdln._solver import fresh_state
from fastdln._working_set import violators
from fastdln.kernels.exact import exact_rank
from fastdln.kernels.face import FOUND, Face
from fastdln.problem import Constraints, Problem, check_problem
from fastdln.results import L1Minimizer, Status

__all__ = ["l1_minimizer"]

_LIMIT = 400  # factorisations along the path
_LARGE = 4096  # entries of A from which homotopy is tried first: below, little is gained
_ROUNDS = 100  # of a search among more columns than memory holds
_APART = 1e-9  # columns with |A^T dual| this close to 1 are taken in
_ROUNDED = 1e-12  # what rounded data (y projected on the range of A) can decide


def l1_minimizer(problem: Problem, p: float) -> L1Minimizer:
    """Minimiser of the l1 norm that the flow of depth p selects.

    W_p(A, y) = argmin of sum g_p(x_i) over U, where U = argmin ||x||_1 over A x = y and
    g_2(x) = |x| log(|x|/e), g_p(x) = |x| - (p/2) |x|^(2/p). It is the limit of psi as
    alpha -> 0 (arXiv 2307.07410, theorem 2.1), and has the largest support in U.

    Parameters
    ----------
    problem : Problem
        A and y. Where y is outside the range of A, the minimiser is that of the reduced
        problem, which the flow sees. Of an A that is used through its products some columns
        are solved together, until the dual proves that the others are zero.
    p : float
        Depth, at least 2. It matters only where the minimiser is not unique.

    Returns
    -------
    L1Minimizer
        W_p with a dual certificate. ``status`` is ``UNDECIDED`` where none was found.

    Raises
    ------
    TypeError, ValueError
        If p is not a finite real number of at least 2.

    Examples
    --------
    >>> import fastdln as fd
    >>> minimizer = fd.l1_minimizer(fd.datasets.line(), p=2)
    >>> minimizer.psi.round(6)
    array([0.653965, 1.30793 , 1.038105])
    >>> minimizer.unique, minimizer.face_dimension, round(minimizer.l1_norm, 12)
    (False, 1, 3.0)
    """
    check_problem(problem)
    depth = check_depth(p)
    if problem.large:
        return _of_few_columns(problem, depth)
    if problem.dense.size >= _LARGE:
        vertex = pursue(problem.dense, problem.y)
        if vertex is not None:
            return _from_vertex(problem.N, vertex)
    constraints = problem._constraints if problem.rank > 0 else None
    if constraints is None or not np.any(constraints.y):
        return _zero(problem.N, 0 if constraints is None else constraints.y.size)
    state = fresh_state(constraints, depth)
    if state is None:
        return _undecided(problem.N, constraints.y.size)
    return from_face(constraints, locate_face(constraints, depth, state, _LIMIT))


def _of_few_columns(problem: Problem, p: float) -> L1Minimizer:
    """The minimiser on some columns, more of them until the dual proves that no other is needed.

    All minimisers vanish where |A^T dual| < 1: with W_p on those columns W_p itself is found.
    """
    matrix, y, (m, N) = problem._matrix, problem.y, (problem.m, problem.N)
    assert matrix is not None
    if not np.any(y):
        return _zero(N, m)
    parts = matrix.parts()
    _, columns = violators(parts, y, np.empty(0, np.int64), 0.0, 6 * m)
    for _ in range(_ROUNDS):
        few = Problem(matrix.columns(columns), y)
        found = l1_minimizer(few, p) if few.rank == m else None
        if found is None or found.status is not Status.PROVED:
            dual, level = y, 0.0  # as long as there is nothing better
        else:
            dual, level = found.dual, 1.0 - _APART
        largest, more = violators(parts, dual, columns, level, 3 * m)
        if found is not None and largest <= level:
            psi = np.zeros(N)
            psi[columns] = found.psi
            return dataclasses.replace(
                found, psi=psi, support=np.flatnonzero(psi), margin=min(found.margin, 1.0 - largest)
            )
        if more.size == 0:
            break
        columns = np.union1d(columns, more)
    return _undecided(N, m)


def from_face(constraints: Constraints, face: Face) -> L1Minimizer:
    """The public result for a face, once its exact zeros have been checked."""
    psi = face.W * constraints.scale
    support = np.flatnonzero(psi)
    proved = face.code == FOUND and (
        _zeros_are_exact(constraints, face) if constraints.exact else _is_clear(face)
    )
    dimension = int(face.apart.columns.size)
    return L1Minimizer(
        psi=psi,
        support=support,
        l1_norm=float(np.sum(np.abs(psi))),
        dual=face.dual / constraints.row_scale,
        unique=dimension == 0,
        face_dimension=dimension,
        margin=float(face.margin),
        status=Status.PROVED if proved else Status.UNDECIDED,
    )


def _from_vertex(N: int, vertex: Vertex) -> L1Minimizer:
    """The public result for a minimiser that homotopy has found and proved."""
    psi = np.zeros(N)
    psi[vertex.support] = vertex.values
    return L1Minimizer(
        psi=psi, support=vertex.support, l1_norm=float(np.sum(np.abs(vertex.values))),
        dual=vertex.dual, unique=True, face_dimension=0, margin=vertex.margin,
        status=Status.PROVED,
    )  # fmt: skip


def _zeros_are_exact(constraints: Constraints, face: Face) -> bool:
    """Confirm in exact arithmetic what double-double arithmetic took for zero.

    With F the columns of the face and k those of them in the basis: rank A_F = k, y in
    the range of A_F, and the signs of the face in the row space of A_F.
    """
    inside = face.basis.columns[~face.zero]
    columns = np.concatenate((inside, face.apart.columns))
    signs = np.concatenate((face.sgn[~face.zero], face.apart.sign))
    k = inside.size
    if k == constraints.y.size and face.apart.columns.size == 0:
        return True  # nothing was taken for zero
    on_face = np.ascontiguousarray(constraints.A[:, columns])
    with_y = np.column_stack((on_face, constraints.y))
    with_signs = np.vstack((on_face, signs))
    return bool(
        exact_rank(on_face) == k and exact_rank(with_y) == k and exact_rank(with_signs) == k
    )


def _is_clear(face: Face) -> bool:
    """Whether data that were rounded decide the face: a unique vertex, by a wide margin."""
    sizes = np.abs(face.basis.x_hi)
    return bool(
        face.apart.columns.size == 0
        and face.margin > _ROUNDED
        and sizes.min() > _ROUNDED * sizes.max()
    )


def _zero(N: int, m: int) -> L1Minimizer:
    """The minimiser for y = 0."""
    return L1Minimizer(
        psi=np.zeros(N), support=np.empty(0, np.int64), l1_norm=0.0, dual=np.zeros(m),
        unique=True, face_dimension=0, margin=1.0, status=Status.PROVED,
    )  # fmt: skip


def _undecided(N: int, m: int) -> L1Minimizer:
    return L1Minimizer(
        psi=np.full(N, np.nan), support=np.empty(0, np.int64), l1_norm=np.nan,
        dual=np.full(m, np.nan), unique=False, face_dimension=0, margin=0.0,
        status=Status.UNDECIDED,
    )  # fmt: skip
