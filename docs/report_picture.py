"""Draws `images/report.jpg`, the report on the embedded photo; needs the extra `runtimes` and Chromium.

python docs/report_picture.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from onnxplain.engine.embedded import MODEL, PHOTO
from onnxplain.engine.render.report.report import write_report
from playwright.sync_api import sync_playwright

METHODS = ("grad-cam", "layer-cam", "c-mwp", "guided-backprop", "guided-grad-cam", "full-grad")
CLASS = 335  # fox squirrel: parts of the photo speak for it, and others against


def main() -> None:
    """Writes the report, opens it and takes its picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        write_report(MODEL, [PHOTO], page, methods=METHODS, target=["top3", CLASS])
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5, color_scheme="light")
        view.goto(f"{page.as_uri()}#image=0&class={CLASS}")
        view.locator("#explanation .stage").hover()
        view.wait_for_timeout(500)
        view.screenshot(path=Path(__file__).parent / "images" / "report.jpg", type="jpeg", quality=85)
        browser.close()


if __name__ == "__main__":
    main()
