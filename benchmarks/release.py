"""Record the releases that are not recorded, publish, and write the page of the history.

    python -m benchmarks.release [--page]

For each release of ``releases.toml`` without results: ``asv run`` on the machine named
`reference`, with the environment pinned in ``asv.conf.json``. Then ``asv publish``, the
site's scripts are put beside it (from npm's registry, where npm is there) so that
``asv preview`` shows it offline, and ``docs/history.md`` is written from
``benchmarks/results``. ``--page`` does the last alone. Exits 1 where a release could not
be recorded whole; the others are.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from . import gate, history

ROOT = gate.HERE.parent
MACHINE = "reference"

# What the published page loads from the web: file name, npm package, and file in it.
SCRIPTS = {
    "jquery-3.3.1.min.js": ("jquery@3.3.1", "dist/jquery.min.js"),
    "jquery.flot.min.js": ("flot@0.8.3", "jquery.flot.js"),
    "jquery.flot.time.min.js": ("flot@0.8.3", "jquery.flot.time.js"),
    "jquery.flot.selection.min.js": ("flot@0.8.3", "jquery.flot.selection.js"),
    "jquery.flot.categories.min.js": ("flot@0.8.3", "jquery.flot.categories.js"),
    "jquery.flot.orderBars.js": ("flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js"),
    "stupidtable.min.js": ("stupid-table-plugin@1.1.3", "stupidtable.min.js"),
    "md5.min.js": ("blueimp-md5@2.19.0", "js/md5.min.js"),
    "bootstrap.min.js": ("bootstrap@3.1.1", "dist/js/bootstrap.min.js"),
    "bootstrap.min.css": ("bootstrap@3.1.1", "dist/css/bootstrap.min.css"),
}
_LINK = re.compile(r'(?P<attribute>src|href)="https?://[^"]*/(?P<file>[^"/]+\.(?:js|css))"[^>]*')


def environments() -> int:
    """Result files that a release has when it is whole: one for each number of threads."""
    configuration = json.loads((ROOT / "asv.conf.json").read_text())
    return len(configuration["matrix"]["env_nobuild"]["NUMBA_NUM_THREADS"])


def is_recorded(commit: str) -> bool:
    """Whether each number of threads has results."""
    return len(gate.results_of(commit)) >= environments()


def record(commit: str) -> bool:
    """Build one release and run the suite on it; False where that could not be done."""
    asv("machine", "--yes", "--machine", MACHINE)
    with tempfile.TemporaryDirectory() as folder:
        hashes = Path(folder) / "hashes.txt"
        hashes.write_text(f"{commit}\n")
        # With what an interrupted run left behind, only the rest is run.
        skip = "--skip-existing-successful"
        status = asv("run", "--machine", MACHINE, skip, f"HASHFILE:{hashes}")
    return status == 0 and is_recorded(commit)


def asv(*arguments: str) -> int:
    """Run the asv of this environment from the root; its status."""
    command = [sys.executable, "-m", "asv", *arguments]
    print("$ asv", *arguments, flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def make_offline(site: Path) -> list[str]:
    """Put the scripts beside the published page; what is still loaded from the web."""
    npm = shutil.which("npm")
    if npm is None:
        return ["npm is not installed: the site needs the web to be shown"]
    beside = site / "beside"
    beside.mkdir(exist_ok=True)
    problems = []
    for package in dict.fromkeys(package for package, _ in SCRIPTS.values()):
        if not _unpack(npm, package, beside):
            problems.append(f"npm pack {package} failed")
    for page in site.glob("*.html"):
        text, left = localised(page.read_text(), {path.name for path in beside.iterdir()})
        page.write_text(text)
        problems += [f"{page.name} loads {link}" for link in left]
    return problems


def _unpack(npm: str, package: str, beside: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([npm, "pack", "--silent", package], cwd=folder, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            return False
        with tarfile.open(archives[0]) as archive:
            for name, (origin, member) in SCRIPTS.items():
                file = archive.extractfile(f"package/{member}") if origin == package else None
                if file is not None:
                    (beside / name).write_bytes(file.read())
    return True


def localised(text: str, present: set[str]) -> tuple[str, list[str]]:
    """The page with its links to the files `present` beside it, and the links that stay.

    The hashes go as well: flot's package holds the readable form of the same code.
    """
    left: list[str] = []

    def replace(found: re.Match[str]) -> str:
        if found["file"] in present:
            return f'{found["attribute"]}="beside/{found["file"]}"'
        left.append(found["file"])
        return found[0]

    return _LINK.sub(replace, text), left


def main(arguments: list[str] | None = None) -> int:
    """Record, publish, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--page", action="store_true", help="only write docs/history.md")
    chosen = parser.parse_args(arguments)
    problems = [] if chosen.page else _record_and_publish()
    page = ROOT / "docs" / "history.md"
    page.write_text(history.page())
    print(f"written: {page.relative_to(ROOT)}")
    for problem in problems:
        print(f"PROBLEM {problem}")
    return 1 if problems else 0


def _record_and_publish() -> list[str]:
    problems = [
        f"release {release['version']} ({release['commit'][:8]}) was not recorded whole"
        for release in gate.releases()
        if not is_recorded(release["commit"]) and not record(release["commit"])
    ]
    if asv("publish") != 0:
        return [*problems, "asv publish failed"]
    site = ROOT / json.loads((ROOT / "asv.conf.json").read_text())["html_dir"]
    return [*problems, *make_offline(site)]


if __name__ == "__main__":
    sys.exit(main())
