"""Chromium without a window, to look at the server's pages as an operator does."""

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
def page() -> Iterator[Page]:
    """A page of 1500×1000. Skips where there is no browser; in CI that fails."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        if "CI" in os.environ:
            pytest.fail("There is no browser, and CI looks at pages: apt-get install chromium, pip install .[pages]")
        pytest.skip("PAGES NOT LOOKED AT: apt-get install chromium, pip install -e '.[test,pages]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            opened = browser.new_page(viewport={"width": 1500, "height": 1000})
            opened.set_default_timeout(PATIENCE_MS)
            yield opened
        finally:
            browser.close()
