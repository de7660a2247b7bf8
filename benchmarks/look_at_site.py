"""Open the published site in a headless Chromium, and keep pictures of what it shows.

    python -m benchmarks.look_at_site [--out out/site]

After ``python -m benchmarks.release``. The site is served on the loopback address; nothing
else can be reached. Exits 1 where a page asks for a file that is not there, shows less than
it should, or the site was not published; says so and exits 0 where there is no Chromium.
"""

from __future__ import annotations

import argparse
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from . import gate

ROOT = gate.HERE.parent
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--window-size=1300,1000", "--virtual-time-budget=6000"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
# Page -> address in the site, and what its text must hold once its scripts have run.
PAGES = {
    "grid": ("#/", ("bench_limits", "bench_descent")),
    "list": ("#summarylist", ("bench_functions.Throughput.time_array",)),
    "graph": ("#bench_limits.PublishedFigure.time_all", ("flot-base", "NUMBA_NUM_THREADS")),
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Remembers what is missing; says nothing else."""

    missing: list[str] = []  # noqa: RUF012

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def send_error(self, code: int, *arguments: Any, **keywords: Any) -> None:
        """Keep the path."""
        self.missing.append(f"{code} {self.path}")
        super().send_error(code, *arguments, **keywords)


def look(site: Path, browser: str, out: Path) -> list[str]:
    """What is wrong with the pages; their pictures are in `out`."""

    def handler(*arguments: Any) -> Handler:
        return Handler(*arguments, directory=str(site))

    out.mkdir(parents=True, exist_ok=True)
    Handler.missing.clear()
    problems = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, (address, expected) in PAGES.items():
            url = f"http://127.0.0.1:{server.server_port}/{address}"
            text = _show(browser, url, out / f"{name}.png")
            problems += [f"{name}: {word!r} is not shown" for word in expected if word not in text]
        server.shutdown()
    asked = [path for path in Handler.missing if "favicon" not in path]
    return problems + [f"asked for, and not there: {path}" for path in asked]


def _show(browser: str, url: str, picture: Path) -> str:
    """A picture, and the page as it is after its scripts."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}"]
        run = {"capture_output": True, "text": True, "timeout": 60, "check": False}
        subprocess.run([*command, f"--screenshot={picture}", url], **run)  # type: ignore[call-overload]
        return str(subprocess.run([*command, "--dump-dom", url], **run).stdout)  # type: ignore[call-overload]


def main(arguments: list[str] | None = None) -> int:
    """Look at each page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "site")
    chosen = parser.parse_args(arguments)
    site = ROOT / json.loads((ROOT / "asv.conf.json").read_text())["html_dir"]
    if not (site / "index.html").exists():
        print("no site is published: python -m benchmarks.release")
        return 1
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        print(f"none of {', '.join(NAMES)} is installed: not looked at")
        return 0
    problems = look(site, browser, chosen.out)
    for problem in problems:
        print(f"PROBLEM {problem}")
    print(f"{len(PAGES)} pages, pictures in {chosen.out.name}; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
