"""Opens the server's pages in headless Chromium, as an operator sees them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS: Final = 60_000


@contextmanager
def browser_page() -> Iterator[Page]:
    """Gives a page of 1500×1000 pixels. Without a browser the test is skipped; in CI it fails."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        if "CI" in os.environ:
            pytest.fail("CI must test the pages in a browser: apt-get install chromium, pip install .[pages]")
        pytest.skip("PAGES NOT TESTED: apt-get install chromium, pip install -e '.[test,pages]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            opened = browser.new_page(viewport={"width": 1500, "height": 1000})
            opened.set_default_timeout(PATIENCE_MS)
            yield opened
        finally:
            browser.close()
