"""Chromium for the tests in this folder; without it they skip and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from screen import FLAGS, SIZE, Screen, chromium_path

from gaussian_lens_app.session import Session
from gaussian_lens_app.viewer import View


@pytest.fixture(scope="session")
def browser():
    path = chromium_path()
    if path is None:
        pytest.skip("Chromium is not installed: apt install chromium.")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev].")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def screen(browser) -> Iterator[Screen]:
    page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, accept_downloads=True)
    yield Screen(page)
    page.close()


@pytest.fixture
def opened(screen: Screen, tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    """Serve a session and open it in the browser; exports go to the test's folder."""
    views: list[View] = []

    def open_it(session: Session, **how) -> Screen:
        views.append(View(session, port=0, exports=tmp_path, **how))
        screen.at_rest = lambda: all(one.host.at_rest for one in views)
        screen.open(views[-1].url)
        return screen

    yield open_it
    for one in views:
        one.stop()
        one.session.close()


@pytest.fixture
def pictures(request) -> Path:
    """Where screenshots for people go; kept out of the repository."""
    return Path(request.config.rootpath) / ".pytest_cache" / "screenshots"
