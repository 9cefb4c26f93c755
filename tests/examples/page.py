"""The page of examples/web, built and served here, in a browser; `python -m tests.examples.page` takes its picture."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnxplain.engine.images.files import read_image, write_image

from .models import EXAMPLES, explained_file

# Run before the page's own scripts: keeps what it announces.
_LISTEN = "window.explanations = []; addEventListener('explained', ({ detail }) => explanations.push(detail), true);"
_READ = """() => {
    const { index, probability, score, heatmap, source } = explanations.at(-1);
    const text = ({ data }) => btoa(Array.from(new Uint8Array(data.buffer), (b) => String.fromCharCode(b)).join(""));
    const map = (one) => [text(one), one.height, one.width];
    return { index, probability, score, heatmap: map(heatmap), source: map(source) };
}"""


def build(folder: Path, model: Path) -> Path:
    """The page with a model, in a folder to be served."""
    command = ["node", str(EXAMPLES / "web" / "build.mjs"), str(model), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which a folder is served meanwhile."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Page:
    """The page in a browser's tab: what it requested and complained of, and what it explained."""

    def __init__(self, browser: Any, address: str, script: str = "", **options: Any) -> None:
        self.tab = browser.new_page(**options)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.errors.extend([message.text] if message.type == "error" else []))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.add_init_script(_LISTEN + script)
        self.address = address

    def open(self) -> Page:
        """Loads the page; waits until its model is ready."""
        self.tab.goto(self.address)
        self.wait(lambda: self.status in ("Choose a photo to begin.", "Choose an explained model to begin."))
        return self

    @property
    def status(self) -> str:
        return str(self.tab.get_by_role("status").inner_text())

    @property
    def alert(self) -> str:
        """The message shown, if any."""
        return " ".join(self.tab.get_by_role("alert").locator("p").all_inner_texts())

    def wait(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Waits for a condition; Playwright's own polling evaluates strings, which the page's policy forbids."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{self.status} {self.alert} {self.errors}"
            time.sleep(0.02)

    def choose(self, what: str, *files: Path) -> None:
        """Chooses a file by the button of that name; waits until the page is done with it."""
        self.tab.get_by_label(what, exact=True).set_input_files(files)
        self.settle()

    def settle(self) -> None:
        """Waits until the page does nothing more."""
        time.sleep(0.1)  # what was done reaches the page
        self.wait(lambda: self.tab.evaluate("document.body.ariaBusy") == "false")

    def explained(self, action: Callable[[], Any]) -> dict[str, Any]:
        """What the page explains because of an action: index, probability, score, and the maps `heatmap`, `source`."""
        before = self.tab.evaluate("explanations.length")
        action()
        self.wait(lambda: self.tab.evaluate("explanations.length") > before)
        self.settle()
        result = dict(self.tab.evaluate(_READ))
        for name in ("heatmap", "source"):
            data, height, width = result[name]
            result[name] = np.frombuffer(base64.b64decode(data), np.float32).reshape(height, width)
        return result

    def example(self) -> dict[str, Any]:
        """The explanation of the photo that comes with the page."""
        return self.explained(self.tab.get_by_role("button", name="Use the example").click)

    def class_named(self, label: str) -> Any:
        return self.tab.get_by_role("radio", name=label)


def _main() -> None:
    from playwright.sync_api import sync_playwright

    picture = EXAMPLES.parent / "docs" / "images" / "web.jpg"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with served(build(folder / "page", explained_file("open", folder))) as address:
            halves = []
            for scheme in ("light", "dark"):
                page = Page(browser, address, viewport={"width": 1000, "height": 760}, color_scheme=scheme).open()
                page.example()
                page.tab.screenshot(path=folder / f"{scheme}.png")
                halves.append(read_image(folder / f"{scheme}.png"))
        write_image(picture, np.hstack(halves))
        browser.close()


if __name__ == "__main__":
    _main()
