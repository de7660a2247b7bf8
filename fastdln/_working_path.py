"""A path of LASSO solutions over a working set of columns, checked against all of them.

What basis pursuit and the linear program of rho share: see kernels/homotopy.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln.kernels.homotopy import (
    END,
    FAILED,
    STEP,
    Support,
    direction,
    exchange,
    next_event,
    open_path,
)
from fastdln.kernels.linear import matvec, rmatvec

__all__ = ["WorkingPath"]

Array = NDArray[np.float64]

_LEFT = 1e-6  # of t u: where r differs by less from it, what is left of y is looked at in itself
_EVENTS = 12  # of the path, for each row of A, before it is given up


class WorkingPath:
    """The path over a working set of columns, checked against all of them now and then.

    A column outside the set that should have joined is put into it, and the path goes back to
    where it was last checked. `level` is the ratio of penalties from one check to the next;
    columns with products above `near_enough` times the penalty join the working set.
    """

    level, near_enough = 0.8, 0.65

    def __init__(self, A: Array, r: Array, offset: Array | None = None) -> None:
        m, N = A.shape
        self.A, self.offset, self.k = A, offset, 0
        self.store, self.R = np.empty((m, m)), np.zeros((m, m))
        self.active, self.sign, self.x = np.empty(m, np.int64), np.empty(m), np.empty(m)
        self.r, self.u, self.all = r.copy(), np.empty(m), np.empty(N)
        self.w, self.near, self.outside = 0, np.empty(0, np.int64), np.ones(N, np.bool_)
        self.columns, self.c, self.slope = np.empty((0, m)), np.empty(0), np.empty(0)
        self.inside = np.empty(0, np.bool_)
        self.weights, self.entering = np.empty(0), -1
        self._look(self.r)
        self.t = float(np.max(np.abs(self.all)))

    def follow(self) -> bool:
        """Go to the end; whether it was reached. `all` then holds A^T u.

        With an offset the products are A^T r + offset. The end is then where t is least: `all`
        holds the products, `entering` and the active columns attain it, with `weights`.

        Event by event from Python: Ctrl-C is heard, and the products stay kernels of their own,
        which vectorise ten times better than inside a larger one.
        """
        if self.k == 0:
            self.widen(self.t)
            self.k = open_path(self.columns, self.store, self.active, self.sign, self.x, self.R,
                               self.c, self.inside)  # fmt: skip
            if self.k == 0:
                return False
        saved = self._save()
        d, barred, barred_sign = np.empty(self.r.size), -1, 0.0
        on = Support(self.store, self.active, self.sign, self.x, self.R)
        for _ in range(_EVENTS * self.r.size):
            w = self.w
            direction(self.store, self.sign, self.k, self.R, d, self.u)
            matvec(self.columns[:w], self.u, self.slope[:w])
            code, self.k, self.t, barred, barred_sign = next_event(
                self.columns[:w], on, self.k, self.t, self.c[:w], self.inside[:w], self.r, d,
                self.u, self.slope[:w], barred, barred_sign,
            )  # fmt: skip
            if code == FAILED and self.offset is not None and self.k == self.r.size:
                barred = -1
                code, self.entering = exchange(
                    self.columns[:w], self.store, self.active, self.sign, self.x, self.R, self.k,
                    self.c[:w], self.inside[:w], d,
                )  # fmt: skip
                self.weights = d
            elif code == END and self.offset is not None:
                return False
            if code == STEP and self.t > self.level * saved[1]:
                continue
            if code not in (STEP, END):
                return False
            pursuit = self.offset is None and code == END
            if pursuit and not self._nothing_left():
                self._look_ahead()
                self._restore(saved)
                barred = -1
                continue
            reach = 1.0 if pursuit else self.t
            self._look(self.u if pursuit else self.r)
            if self._missed(reach):
                self.widen(reach)
                self._restore(saved)
                barred = -1
            elif code == END:
                return True
            else:
                self.widen(reach)
                saved = self._save()
        return False

    def _look(self, r: Array) -> None:
        """All products with r."""
        rmatvec(self.A, r, self.all)
        if self.offset is not None:
            self.all += self.offset

    def _nothing_left(self) -> bool:
        """Whether r = t u, so that r vanishes with t; else other columns see what is left."""
        end = self.t * self.u
        return bool(np.max(np.abs(self.r - end)) <= _LEFT * np.max(np.abs(end)))

    def _look_ahead(self) -> None:
        """Take in the columns that come next on the line on which the working set would end."""
        t, w = self.t, self.w
        while self.w == w and t > 1e-9 * self.t:
            t *= 0.5
            self._look(self.r - (self.t - t) * self.u)
            self.widen(t)

    def _missed(self, reach: float) -> bool:
        """Whether a column outside the working set has a product larger than `reach`."""
        largest = float(np.max(np.abs(self.all), where=self.outside, initial=0.0))
        return not largest <= reach * (1.0 + 1e-12)

    def widen(self, reach: float) -> None:
        """Take columns whose product is near `reach` into the working set; c from `all`."""
        new = np.flatnonzero(self.outside & (np.abs(self.all) > self.near_enough * reach))
        w = self.w + new.size
        if w > self.c.size:
            size = min(self.all.size, 2 * w)
            self.columns = np.resize(self.columns, (size, self.r.size))
            self.c, self.slope = np.resize(self.c, size), np.empty(size)
            self.inside = np.resize(self.inside, size)
        self.columns[self.w : w] = self.A[:, new].T
        self.inside[self.w : w] = False
        self.near = np.concatenate((self.near, new))
        self.outside[new] = False
        self.w = w
        self.c[:w] = self.all[self.near]

    def _save(self) -> tuple[Any, ...]:
        k = self.k
        arrays = (self.active[:k], self.sign[:k], self.x[:k], self.R[:k, :k], self.r)
        return (k, self.t, *(array.copy() for array in arrays))

    def _restore(self, saved: tuple[Any, ...]) -> None:
        k, self.t, active, sign, x, R, r = saved
        self.k = k
        self.active[:k], self.sign[:k], self.x[:k], self.R[:k, :k] = active, sign, x, R
        self.r[:] = r
        self.store[:k] = self.columns[active]
        self.inside[: self.w] = False
        self.inside[active] = True
        matvec(self.columns[: self.w], self.r, self.c[: self.w])
        if self.offset is not None:
            self.c[: self.w] += self.offset[self.near]
