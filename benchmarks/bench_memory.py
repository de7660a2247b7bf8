"""Peak memory of a process that does one thing, its interpreter and libraries included."""

from __future__ import annotations

import numpy as np

from .common import gaussian


class Peak:
    """Sizes at which the arrays, not the libraries, decide."""

    version = "1"
    timeout = 120

    def peakmem_h(self) -> None:
        """h_3 of forty million values: two arrays of 320 MB."""
        import fastdln

        fastdln.h(np.linspace(-0.9, 0.9, 40_000_000), 3.0)

    def peakmem_limit(self) -> None:
        """One limit at 200 x 50,000: the matrix has 80 MB."""
        import fastdln

        problem = fastdln.Problem(*gaussian(200, 50_000, 30))
        fastdln.flow_limit(problem, 3.0, alpha=1e-3)

    def peakmem_flow(self) -> None:
        """A flow at 50 x 2,000 with its output at 200 times."""
        import fastdln

        problem = fastdln.Problem(*gaussian(50, 2_000, 10))
        fastdln.gradient_flow(problem, 2.0, 1e-3, np.linspace(0.1, 20.0, 200))
