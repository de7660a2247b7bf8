"""What the tests share: the reference tables, and processes of their own."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts jobs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # some tests press Ctrl-C


@functools.cache
def _table(name):
    return json.loads((ROOT / "tests" / "reference" / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def reference():
    """Load a table of tests/reference by name, once."""
    return _table


@pytest.fixture(scope="session")
def root():
    """The folder of the repository."""
    return ROOT


@pytest.fixture
def run_python(tmp_path):
    """Run a new interpreter in an empty folder; returns the finished process."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=300,
            check=False,
            **options,
        )

    return run
