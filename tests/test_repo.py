"""The files around the code agree with it, and what they show runs."""

import dataclasses
import doctest
import enum
import inspect
import re
import tomllib

import numpy as np
import pytest

import fastdln

PUBLIC = [name for name in fastdln.__all__ if name not in ("__version__", "datasets")]
DATASETS = ["line", "plane", "random", "kink"]
TEXT = {".py", ".md", ".toml", ".json", ".cff", ".yaml", ".ini", ".cfg", ".typed", ""}
# In pieces, so that this file does not hold what it looks for.
FORBIDDEN = [
    "/" + "work/",
    "/" + "root/",
    "/" + "home/",
    ".." + "/shared",
    "pypi" + ".org",
    "python" + "hosted",
    "npm" + "js",
]


def public(name):
    return getattr(fastdln.datasets if name in DATASETS else fastdln, name)


def sections(doc):
    """Sections of a numpydoc docstring: title -> text."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(doc or ""), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(text):
    """Names at the head of the entries of a Parameters or Attributes section."""
    heads = re.findall(r"^(\S.*?)(?: :.*)?$", text, flags=re.MULTILINE)
    return [name.strip(" *") for head in heads for name in head.split(",")]


def parameters(callable_):
    return [name for name in inspect.signature(callable_).parameters if name != "self"]


def tracked_files(root):
    skipped = {"__pycache__", "results", "out", "build", "dist"}
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = parts[0].startswith(".") and parts[0] not in (".ci", ".pre-commit-config.yaml")
        if hidden or skipped & set(parts) or any(part.endswith(".egg-info") for part in parts):
            continue
        if path.is_file() and path.suffix in TEXT:
            yield path


def test_readme_has_the_two_commands(root):
    lines = (root / "README.md").read_text().splitlines()
    commands = [line for line in lines if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("fastdln figure 1")
    assert commands[1].endswith("python -m pytest")
    for command, extras in zip(commands, ("all", "all,browser"), strict=True):
        assert f"pip install -e '.[{extras}]'" in command


def test_readme_s_example_runs(root, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) >= 5


def test_versions_agree(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "fastdln.__version__"
    changelog = (root / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert released[0] == fastdln.__version__
    citation = (root / "CITATION.cff").read_text()
    assert f"\nversion: {fastdln.__version__}\n" in citation
    for paper in ("arXiv:2307.07410", "arXiv:2506.01143"):
        assert paper in citation


def test_only_three_hard_dependencies(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", dependency)[0] for dependency in project["dependencies"]}
    assert names == {"numba", "numpy", "scipy"}
    assert {"plot", "sweep", "test", "docs", "all"} <= set(project["optional-dependencies"])


def test_no_place_of_one_machine_is_named(root):
    files = list(tracked_files(root))
    assert root / "README.md" in files
    assert root / ".ci" / "run" in files
    found = [
        f"{path.relative_to(root)}: {word}"
        for path in files
        for word in FORBIDDEN
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


@pytest.mark.parametrize("name", PUBLIC + DATASETS)
def test_docstrings_tell_the_parameters(name):
    thing = public(name)
    parts = sections(thing.__doc__)
    if inspect.isclass(thing) and issubclass(thing, enum.Enum):
        assert all(isinstance(member.value, str) and " " in member.value for member in thing)
    elif dataclasses.is_dataclass(thing) and name != "Problem":
        fields = [f.name for f in dataclasses.fields(thing) if not f.name.startswith("_")]
        assert documented(parts.get("Attributes", "")) == fields
    else:
        assert documented(parts.get("Parameters", "")) == parameters(thing)


@pytest.mark.parametrize("name", [n for n in PUBLIC if not n[0].isupper()] + ["Problem"])
def test_functions_show_what_they_return(name):
    parts = sections(public(name).__doc__)
    assert ">>>" in parts.get("Examples", "")
    assert name == "Problem" or "Returns" in parts


@pytest.mark.parametrize("name", PUBLIC + DATASETS)
def test_examples_run(name):
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(public(name), name, globs={"fd": fastdln, "np": np}):
        assert runner.run(test).failed == 0


def test_the_package_s_own_example_runs():
    assert doctest.testmod(fastdln).failed == 0
    assert doctest.testmod(fastdln).attempted >= 3
