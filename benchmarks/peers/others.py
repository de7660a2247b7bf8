"""What each peer does that fastdln does not: said once, and put on the page."""

from __future__ import annotations

# Name on the page -> (package, what it does that fastdln does not).
OTHERS: dict[str, tuple[str, str]] = {
    "NumPy": ("numpy", "any formula, any element type; nothing to compile, nothing to install"),
    "SciPy special": ("scipy", "hundreds of functions, complex arguments, float32"),
    "numba": ("numba", "compiles any loop that you write"),
    "SciPy's ODE solvers": (
        "scipy",
        "any right-hand side, events of any form, implicit methods with sparse Jacobians",
    ),
    "diffrax": (
        "diffrax",
        "any vector field, stochastic and controlled equations, derivatives of the solution by "
        "adjoints, batches on GPU and TPU",
    ),
    "HiGHS": (
        "scipy",
        "any linear program, bounds and inequalities, integer variables, multipliers of all "
        "constraints",
    ),
    "Clarabel": ("clarabel", "quadratic, second-order, exponential and semidefinite cones"),
    "SPGL1": (
        "spgl1",
        "a tolerance on the residual (basis pursuit denoising), the LASSO, weights, complex and "
        "group-sparse x",
    ),
    "lars_path": ("scikit-learn", "the whole LASSO path with all its knots; LARS itself"),
    "celer": (
        "celer",
        "the LASSO with noise, group and multi-task penalties, logistic regression, "
        "cross-validation",
    ),
    "skglm": (
        "skglm",
        "any datafit with any separable penalty, non-convex ones too, as an estimator of "
        "scikit-learn",
    ),
    "PyTorch": (
        "torch",
        "any network, loss and optimiser (momentum, Adam), float32 and half, GPUs",
    ),
    "JAX": ("jax", "any function, its derivatives, vmap over anything, GPU and TPU"),
}
