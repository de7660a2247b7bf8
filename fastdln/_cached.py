"""Attributes that are computed when first asked for, in many threads at once."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property(functools.cached_property):
        """That of Python 3.12: 3.11 holds one lock for all instances while any is computed."""

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            # two threads that come at once both compute it, and find the same
            value = instance.__dict__[self.attrname] = self.func(instance)
            return value
