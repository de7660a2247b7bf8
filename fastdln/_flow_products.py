"""gradient_flow where A is used piece by piece: m numbers are integrated, by Radau IIA of order 5.

Each evaluation of A psi(A^T lambda) reads A once, and so does each Jacobian -c A D A^T. The
integrator is SciPy's; what is ours is its tolerance. psi_i changes by D_i a_i^T dlambda, and
D_i / (|psi_i| + eps) is at most 1 for p = 2 and some b / s_i for p > 2, where s_i is the slack: so
much error in lambda is allowed that every psi_i is right to rtol (|psi_i| + eps).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._flow_engine import Observed, observed
from fastdln._flow_run import Plan, Trajectory
from fastdln._interrupt import heard_between_pieces
from fastdln._matrix_free_gram import MOST_ROWS
from fastdln._operator import Matrix
from fastdln.kernels.flow_output import weights_of_slack
from fastdln.limit import flow_limit
from fastdln.problem import Problem
from fastdln.results import FlowStats, Status

__all__ = ["check_plan", "run_by_pieces"]

Array = NDArray[np.float64]

_SHARE = 0.1  # of the tolerance that one step may use
_RESOLVED = 1e-13  # least error of tau that doubles allow for
_RELATIVE = 1e-13  # the same, of lambda


def check_plan(problem: Problem, plan: Plan) -> None:
    """Refuse what only an A in memory allows for."""
    matrix = problem._matrix
    assert matrix is not None
    if not matrix.has_gram or problem.m > MOST_ROWS:
        given = f"one of {problem.m} rows" if matrix.has_gram else "products alone"
        raise ValueError(
            f"gradient_flow needs an A that gives its columns, of at most {MOST_ROWS} rows, "
            f"got {given}: raise memory_budget if it fits into memory"
        )
    refused = {
        "t": plan.times is None,
        "method": plan.method not in ("auto", "radau"),
        "form": plan.form != 0,
        "events": bool(plan.events),
    }
    for name, refuse in refused.items():
        if refuse:
            raise ValueError(
                "an A that is read in pieces needs times t, method 'radau' or 'auto', form 'dual' "
                f"and no events, got another {name}: raise memory_budget if it fits into memory"
            )


class _Field(NamedTuple):
    """The right-hand side."""

    matrix: Matrix
    y: Array
    p_is_2: bool
    b: float
    level: float  # L, or sigma
    c: float

    def sums(self, dual: Array, with_gram: bool) -> tuple[Array, Array]:
        """A psi and A D A^T."""
        m = self.y.size
        product, gram = np.zeros(m), np.zeros((m, m) if with_gram else (0, 0))
        given = dual, self.p_is_2, self.b, self.level, with_gram
        for part, more in self.matrix.parts().each(work.psi_sums, *given):
            product += part
            if with_gram:
                gram += more
        return product, gram

    def slope(self, t: float, dual: Array) -> Array:
        """lambda'."""
        out: Array = self.c * (self.y - self.sums(dual, False)[0])
        return out

    def jacobian(self, t: float, dual: Array) -> Array:
        """d lambda' / d lambda."""
        return -self.c * self.sums(dual, True)[1]


class _Rows:
    """What belongs to the times reached."""

    def __init__(self, field: _Field, plan: Plan) -> None:
        self._field, self._plan = field, plan
        self.t: list[float] = []
        self._seen: list[tuple[Array, ...]] = []

    def add(self, t: float, dual: Array) -> None:
        """psi and the weights at a dual."""
        plan, field = self._plan, self._field
        L = -plan.p * plan.log_alpha
        tau = field.matrix.rmatvec(dual)
        top = L if field.p_is_2 else 1.0
        psi, D, slack, log_abs = (np.empty_like(tau) for _ in range(4))
        work.finish_points(plan.p, L, 0.0, tau, np.zeros_like(tau), psi, D, slack, log_abs)
        left = field.matrix.matvec(psi) - field.y
        self.add_known(t, psi, np.copysign(top - slack, tau), slack, dual, 0.5 * float(left @ left))

    def add_known(
        self, t: float, psi: Array, sign: Array, slack: Array, dual: Array, loss: float
    ) -> None:
        """The same, of a limit."""
        u, v = np.empty_like(psi), np.empty_like(psi)
        weights_of_slack(self._plan.p, self._plan.log_alpha, sign, slack, u, v)
        self.t.append(t)
        self._seen.append((psi, dual.copy(), u, v, np.array(loss)))

    def all(self, m: int, N: int) -> tuple[Array, Observed]:
        """Arrays with a row for each time."""
        if not self.t:
            none = np.empty((0, N))
            return np.empty(0), observed(none, np.empty((0, m)), none, none, np.empty(0))
        return np.array(self.t), observed(*(np.stack(c) for c in zip(*self._seen, strict=True)))


def run_by_pieces(problem: Problem, plan: Plan) -> Trajectory:
    """Integrate to each of the times."""
    matrix, y, p = problem._matrix, problem.y, plan.p
    assert matrix is not None
    assert plan.times is not None
    b = p / (p - 2.0) if p > 2.0 else 1.0
    sigma = math.exp((p - 2.0) * plan.log_alpha)
    c = 4.0 if p == 2.0 else p * (p - 2.0) * sigma
    level = -p * plan.log_alpha if p == 2.0 else sigma
    field = _Field(matrix, y, p == 2.0, b, level, c)
    limit = flow_limit(problem, p, log_alpha=plan.log_alpha)
    rows, counts = _Rows(field, plan), np.zeros(4, np.int64)
    allowed = _SHARE * plan.rtol / _sensitivity(limit, p, b)
    if allowed < _RESOLVED:
        raise ValueError(
            "alpha is too small, or rtol, for an A that is read in pieces: an error of "
            f"{allowed:.1e} in tau would be needed, {_RESOLVED:.0e} is possible"
        )
    status = Status.INTEGRATED
    with heard_between_pieces(plan.stop), np.errstate(all="ignore"):
        longest = max(matrix.parts().each(work.longest_column))
        tolerance = allowed / (longest * math.sqrt(y.size))
        if np.any(y):
            status = _integrate(field, plan, tolerance, rows, counts)
        else:
            for t in plan.times[np.isfinite(plan.times)].tolist():
                rows.add(t, np.zeros(y.size))
    joined = math.inf
    if status is Status.INTEGRATED and math.isinf(plan.times[-1]):
        status = Status.LIMIT_UNKNOWN
        if limit.status is Status.CONVERGED:
            status, joined = Status.INTEGRATED, rows.t[-1] if rows.t else 0.0
            loss = 0.5 * float(limit.residual) ** 2
            rows.add_known(math.inf, limit.psi, limit.psi, limit.slack, limit.dual, loss)
    steps, rejections, evaluations, factorisations = counts.tolist()
    stats = FlowStats(
        steps, rejections, evaluations, factorisations, (("radau", 0.0),), joined
    )  # fmt: skip
    return Trajectory(*rows.all(problem.m, problem.N), (), stats, status, [])


def _sensitivity(limit: Any, p: float, b: float) -> float:
    """Largest relative change of a psi_i for a change of its tau."""
    if p == 2.0 or limit.status is not Status.CONVERGED:
        return 1.0 if p == 2.0 else math.inf
    return max(1.0, b / float(np.min(limit.slack)))


def _integrate(
    field: _Field, plan: Plan, tolerance: float, rows: _Rows, counts: NDArray[np.int64]
) -> Status:
    """From one time to the next; the integrator begins anew there, with the step it had."""
    from scipy.integrate import Radau

    assert plan.times is not None
    t, dual, step = 0.0, np.zeros(field.y.size), None
    for end in plan.times[np.isfinite(plan.times)].tolist():
        if end > t:
            first = None if step is None else min(step, end - t)
            solver = Radau(
                field.slope, t, dual, end, rtol=_RELATIVE, atol=tolerance, jac=field.jacobian,
                first_step=first,
            )  # fmt: skip
            while solver.status == "running":
                if counts[0] >= plan.max_steps:
                    return Status.STEP_LIMIT
                solver.step()
                counts[0] += 1
                step = solver.h_abs if solver.t < end or step is None else max(step, solver.h_abs)
                if plan.progress is not None:
                    plan.progress(solver.t, int(counts[0]))
                if plan.stop.is_set():
                    return Status.INTERRUPTED
            counts[2:] += solver.nfev + solver.njev, solver.nlu
            if solver.status == "failed":
                return Status.STUCK
            t, dual = end, solver.y
        rows.add(end, dual)
    return Status.INTEGRATED
