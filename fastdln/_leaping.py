"""Leaps over steps of gradient descent: the loop around the collocation engine."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._pairs import exponent_pair, log_eps_pair
from fastdln.kernels import collocation as engine
from fastdln.kernels.collocation_tables import ORDERS, all_tables
from fastdln.kernels.collocation_weights import DESCENT

__all__ = ["Leaper", "Remainder", "engine_parameters", "engine_tolerance"]

Array = NDArray[np.float64]

_SECONDS = 0.1
_MIN_STRIDE = 48.0
_BETWEEN_LOOKS = 32  # leaps tried between two looks at whether the iterates have settled
_REST = np.isin(np.arange(10), (engine.REST, engine.REST + 1))


def engine_parameters(p: float, alpha: float, rate: float, mode: int) -> Array:
    """What `collocation_weights` calls par, for a step size (or 1, for the flow)."""
    high, low = map(float, log_eps_pair(np.array(alpha), p, False))
    if p == 2.0:
        return np.array([p, 0.0, 0.0, high, low, -2.0 * rate, 2.0 * rate, mode])
    b, b_low = exponent_pair(p)
    kappa = rate * p * alpha ** (p - 2.0)
    return np.array([p, b, b_low, high, low, (p - 2.0) * kappa, kappa, mode])


def engine_tolerance(p: float, rtol: float) -> float:
    """Tolerance in w for a relative error of rtol in psi, with room for many leaps."""
    return 0.3 * rtol / (2.0 if p == 2.0 else p / (p - 2.0))


class Remainder(NamedTuple):
    """What is left until the iterates stand still, from the linearised descent."""

    change: Array  # (2, N), of the w of u and v
    relative: float  # its largest entry, as a relative change of psi
    noise: float  # the same for residuals that are nothing but rounding


class Leaper:
    """One configuration, leapt. It has the attributes of a `Stepper`."""

    def __init__(
        self, A: Array, y: Array, p: float, alpha: float, step_size: float, rtol: float
    ) -> None:
        self.A, self.y, self.p, self.alpha = A, y, p, alpha
        self.par = engine_parameters(p, alpha, step_size, DESCENT)
        if not self.par[6] > 0.0:
            raise ValueError(
                "alpha ** (p - 2) * step_size must not underflow for method 'leap', got "
                f"alpha = {alpha!r}, p = {p!r}, step_size = {step_size!r}"
            )
        self.tol = engine_tolerance(p, rtol)
        N = A.shape[1]
        self.base, self.delta = np.zeros((4, N)), np.zeros((2, ORDERS[-1], N))
        self.counts = np.zeros(5, dtype=np.int64)
        # the goal and the way left to it change together: an interrupt sees both or none
        self._way: tuple[Array, int] = (np.zeros(10), 0)
        leap = 3e-10 * A.size * (60.0 + len(y)) + 3e-5  # seconds, roughly
        self._most = int(min(32.0, max(1.0, 0.3 * _SECONDS / leap)))
        self._before = self._looked = 0  # attempts before `start`, and at the last look
        self._u, self._v, self._psi = np.empty((3, N))

    def begin(self, alpha: float) -> None:
        """Set all weights to alpha."""
        self.base[:] = 0.0
        self.base[0::2] = 0.0 if self.p == 2.0 else 1.0
        meta = np.zeros(10)
        meta[engine.STRIDE] = 64.0
        meta[engine.MIN_STRIDE] = _MIN_STRIDE
        meta[engine.ORDER] = 1 if self.tol > 1e-8 else 2
        self._way = (meta, 0)

    def resume(self, step: int, kept: Any) -> None:
        """Continue from a copy of the state taken by `snapshot`."""
        self.base[:], self.delta[:] = kept[0], kept[1]
        self._way = (np.where(_REST, 0.0, kept[2]), step)
        self._before, self._looked = kept[3]

    def snapshot(self) -> tuple[Array, Array, Array, tuple[int, int]]:
        """The present state."""
        looks = self._attempts, self._looked
        return self.base.copy(), self.delta.copy(), self._way[0].copy(), looks

    @property
    def step(self) -> int:
        """Number of steps taken."""
        meta, goal = self._way
        return goal - int(meta[engine.REST]) - int(meta[engine.REST + 1])

    @property
    def u(self) -> Array:
        """Present u."""
        return self._u

    @property
    def v(self) -> Array:
        """Present v."""
        return self._v

    @property
    def psi(self) -> Array:
        """Present psi; computes u and v, too."""
        self._evaluate(np.zeros((2, self.A.shape[1])))
        return self._psi

    @property
    def psi_now(self) -> Array:
        """psi as last computed."""
        return self._psi

    def _evaluate(self, change: Array) -> None:
        log_alpha = math.log(self.alpha)
        engine.weights_at(self.par, log_alpha, self.base, change, self._psi, self._u, self._v)

    def advance(self, target: int) -> int:
        """Go on to step `target`; DONE, or what ended it before."""
        meta, rest = self._way[0].copy(), target - self.step
        meta[engine.REST] = float(rest)
        meta[engine.REST + 1] = float(rest - int(meta[engine.REST]))
        self._way = (meta, target)
        flag, settled = engine.MORE, False
        while flag == engine.MORE and not settled:
            started = time.perf_counter()
            # the looks fall on the same leaps whatever the pace: the bits do not depend on it
            passes = min(self._most, _BETWEEN_LOOKS - self._attempts % _BETWEEN_LOOKS)
            flag = engine.advance(
                self.A,
                self.y,
                self.par,
                all_tables(),
                self.base,
                self.delta,
                meta,
                self.counts,
                self.tol,
                passes,
            )
            if (time.perf_counter() - started) * self._most > _SECONDS * passes:
                self._most = max(1, self._most // 2)
            settled = flag == engine.MORE and self._settled()
        if settled:
            self._way = (np.where(_REST, 0.0, meta), target)
            return engine.DONE
        return int(flag)

    @property
    def _attempts(self) -> int:
        return int(self.counts[1] + self.counts[2]) + self._before

    def _settled(self) -> bool:
        """Whether all that is still to come is far below the tolerance; looked at now and then."""
        attempts = self._attempts
        if attempts % _BETWEEN_LOOKS or attempts == self._looked:
            return False
        self._looked = attempts
        left = self.remainder()
        return left.relative + left.noise <= self.tol

    def remainder(self) -> Remainder:
        """The change still to come: dw = gain A^T K^-1 r, K = A diag(d) A^T."""
        psi = self.psi
        w_u, w_v = self.base[0] + self.base[1], self.base[2] + self.base[3]
        up, vp = self._powers()
        p, gain = self.p, self.par[5]
        if p == 2.0:
            d_u, d_v, scale = 2.0 * up, 2.0 * vp, np.ones((2, psi.size))
            factor = 2.0
        else:
            factor = p / (p - 2.0)
            d_u, d_v, scale = -factor * up / w_u, -factor * vp / w_v, np.array([w_u, w_v])
        A, y = self.A, self.y
        K = (A * (-gain * (d_u + d_v))) @ A.T
        values, vectors = np.linalg.eigh(K)
        floor = 2.0**-53 * (np.abs(A) @ (up + vp) + np.abs(y))
        values = np.maximum(values, 2.0**-52 * values[-1] * len(y))
        residual = A @ psi - y
        moved = gain * (A.T @ (vectors @ ((vectors.T @ residual) / values)))
        unsure = np.abs(gain) * np.linalg.norm(A.T @ vectors / values, axis=1)
        unsure = unsure * np.linalg.norm(floor)
        change = np.array([moved, -moved])
        relative = factor * float(np.max(np.abs(change) / scale))
        noise = factor * float(np.max(unsure / np.min(scale, axis=0)))
        return Remainder(change, relative, noise)

    def _powers(self) -> tuple[Array, Array]:
        """u^p and v^p, as they stand."""
        with np.errstate(under="ignore"):
            return self._u**self.p, self._v**self.p

    def finish(self, change: Array) -> None:
        """Evaluate psi and the weights at the state changed by `change`."""
        self._evaluate(change)
