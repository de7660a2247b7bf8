"""Time and memory against size, batch and threads: ``python -m benchmarks.scaling``."""
