"""A headless Chromium for the tests of the page, and axe-core to judge what it shows.

Owns starting it and what is watched while it runs: requests, messages of the console, errors. Skips, with the reason,
where there is no Chromium or nothing to drive it with.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True, slots=True)
class Opened:
    """A page, and what it has done so far."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # console messages and errors


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Starts it; $BABYCLI_CHROMIUM names another than the first of the usual names."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright, to drive a browser, is not installed")
    path = os.environ.get("BABYCLI_CHROMIUM") or next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"there is no Chromium: none of {', '.join(_NAMES)} is found, and $BABYCLI_CHROMIUM is not set")
    with sync_api.sync_playwright() as driver:
        # It cannot make its sandbox for root; it opens nothing here but what the tests have written.
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(
    browser: Browser, path: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Opened]:
    """A file as a user opens it, in a window of that width."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    try:
        found = Opened(context.new_page())
        context.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(path.as_uri())
        yield found
    finally:
        context.close()


def serious_issues(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical, with the first place of each."""
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run({ resultTypes: ['violations'] }).then((result) => result.violations)"
    )
    return [
        f"{each['id']}: {each['nodes'][0]['html']}: {each['nodes'][0]['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
