"""Builds docs/report.png: the page that `babycli report --format html` writes of the demo's model and its controls.

Owns which commands are run. Needs Chromium and Playwright, as the tests of the page do; takes about two minutes.

    python tools/build_report_picture.py
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from babycli.cli import main as babycli

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "report.png"
WIDTH, HEIGHT = 1240, 1180


def main() -> None:
    chromium = shutil.which("chromium") or sys.exit("Chromium is not there: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _run("demo")
        on_demo = ("--data", "babycli-demo/dataset", "--output-path", "babycli-demo/logs")
        _run("eval", "--model", "babyllava-tiny", "--control", "blind", *on_demo)
        _run("eval", "--model", "babyllava-tiny", "--control", "shuffled", *on_demo)
        _run("report", "babycli-demo/logs", "--format", "html", "--output", "report.html")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(Path("report.html").absolute().as_uri())
            page.screenshot(path=PICTURE)
            browser.close()
    print(f"wrote {PICTURE}", file=sys.stderr)


def _run(*words: str) -> None:
    code = babycli(words)
    if code not in (0, 7):  # a control may be above chance
        sys.exit(f"babycli {' '.join(words)} ended with {code}")


if __name__ == "__main__":
    main()
