"""A headless Chromium, driven by Playwright: the machine's own, or one that is downloaded."""

import functools
import importlib.util
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
_INSTALL = (sys.executable, "-m", "playwright", "install", "chromium-headless-shell")


@functools.cache
def missing():
    """Why no browser can be had, after an attempt to install one; None if there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed: pip install -e '.[browser]'"
    if _on_the_path() is not None:
        return None
    try:  # at once where it is there already
        done = subprocess.run(_INSTALL, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "no Chromium on the path, and its download took over 5 minutes"
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error" in line]
        return f"no Chromium on the path, and its download failed: {(said or ['?'])[0]}"
    return None


def _on_the_path():
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page at a time; `close` ends the browser."""

    def __init__(self):
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=_on_the_path(), args=list(FLAGS)
        )
        self._page, self._found = None, []

    def open(self, path, width, dark=False):
        """Load a file at a width of the window, in light or dark."""
        if self._page is not None:
            self._page.close()
        self._found = []
        self._page = self._browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self._page.on("pageerror", lambda error: self._found.append(str(error)))
        self._page.on("console", self._on_console)
        self._page.on("request", self._on_request)
        self._page.goto(path.resolve().as_uri())

    def _on_console(self, message):
        if message.type == "error":
            self._found.append(message.text)

    def _on_request(self, request):
        if not request.url.startswith(("file:", "data:")):
            self._found.append(request.url)

    def eval(self, expression):
        """Value of a JavaScript expression."""
        return self._page.evaluate(expression)

    def click(self, selector, index=0):
        """A real click in the middle of an element."""
        self._page.locator(selector).nth(index).click()

    def select(self, selector, index):
        """Choose an entry of a list."""
        self._page.locator(selector).select_option(index=index)

    def hover(self, selector, index=0):
        """Move the pointer onto an element."""
        self._page.locator(selector).nth(index).hover()

    def screenshot(self, path):
        """The whole page as a PNG file."""
        self._page.screenshot(path=path, full_page=True)

    def problems(self):
        """Errors of scripts, and addresses asked for beside the file itself."""
        return self._found

    def close(self):
        """End the browser."""
        self._browser.close()
        self._playwright.stop()
