"""Columns of a matrix in a memory-mapped file, read through the file itself.

A page touched through a mapping counts as memory in use, with up to 2 MB around it, for each of
the m rows. What is read does not, and comes faster.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MappedFile"]


class MappedFile:
    """The file behind a C-ordered np.memmap."""

    def __init__(self, handle: int, start: int, A: Any) -> None:
        self._handle, self._start, self._shape = handle, start, A.shape
        self._dtype, self._stride = A.dtype, A.strides[0]
        self._here = threading.local()
        weakref.finalize(self, os.close, handle)

    @classmethod
    def of(cls, A: Any) -> MappedFile | None:
        """The file of `A`, if it is certain that it is that file, and nothing else is seen in A."""
        if getattr(A, "_mmap", None) is None or getattr(A, "mode", "c") not in ("r", "r+"):
            return None  # mode "c" may hold changes of its own
        if A.ndim != 2 or A.strides[1] != A.itemsize or A.strides[0] < A.itemsize:
            return None
        first = A.ctypes.data
        place = _mapping(first, first + (A.shape[0] - 1) * A.strides[0] + A.shape[1] * A.itemsize)
        if place is None or not hasattr(os, "preadv"):
            return None
        offset, identity = place
        try:
            handle = os.open(A.filename, os.O_RDONLY)
        except (OSError, TypeError):
            return None
        status = os.fstat(handle)
        if identity != (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino):
            os.close(handle)
            return None
        return cls(handle, offset, A)

    def block(self, lo: int, hi: int) -> NDArray[Any]:
        """Columns lo to hi, until this thread asks for others.

        They take the place of the last ones: new memory would be cleared, page by page, at half
        the price of reading.
        """
        out, size = self._room(self._shape[0] * (hi - lo)), self._dtype.itemsize
        out = out.reshape(self._shape[0], hi - lo)
        for i, row in enumerate(out):
            rest, place = memoryview(row).cast("B"), self._start + i * self._stride + lo * size
            while rest:
                count = os.preadv(self._handle, [rest], place)
                if count == 0:
                    raise OSError("the file of A has become shorter")
                rest, place = rest[count:], place + count
        return out

    def _room(self, size: int) -> NDArray[Any]:
        """So many entries of this thread's own."""
        room: NDArray[Any] | None = getattr(self._here, "room", None)
        if room is None or room.size < size:
            room = self._here.room = np.empty(size, self._dtype)
        return room[:size]

    def columns(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """A[:, index]."""
        size, offsets = self._dtype.itemsize, index * self._dtype.itemsize
        rows = []
        for i in range(self._shape[0]):
            places = (self._start + i * self._stride + offsets).tolist()
            rows.append(b"".join([os.pread(self._handle, size, place) for place in places]))
        return np.frombuffer(b"".join(rows), self._dtype).reshape(self._shape[0], index.size)


def _mapping(first: int, last: int) -> tuple[int, tuple[int, int, int]] | None:
    """Offset in its file of the address `first`, and that file, where all up to `last` is of it."""
    try:
        with open("/proc/self/maps") as lines:
            for line in lines:
                span, _, offset, device, inode = line.split(maxsplit=5)[:5]
                low, high = (int(part, 16) for part in span.split("-"))
                if low <= first < high:
                    major, minor = (int(part, 16) for part in device.split(":"))
                    known = last <= high and inode != "0"
                    place = int(offset, 16) + first - low
                    return (place, (major, minor, int(inode))) if known else None
    except OSError:  # not on every system
        pass
    return None
