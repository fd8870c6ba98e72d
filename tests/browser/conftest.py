"""A real browser on the real page: Debian's Chromium without a window, with a camera that shows a test picture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.conftest import absent

CHROME = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]  # fmt: skip
PATIENCE = 60_000  # ms; the machine may be busy
Visit: TypeAlias = Callable[..., Page]


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    """One browser for all tests; each visitor gets a context of their own."""
    if not CHROME:
        absent("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROME, headless=True, args=ARGS)
        yield browser
        browser.close()


@contextmanager
def watched(context: BrowserContext, url: str) -> Iterator[Page]:
    """A page that has loaded; at its end nothing may have gone wrong in it, and it has asked no other host."""
    page, faults = context.new_page(), []
    page.set_default_timeout(PATIENCE)

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(f"console: {message.text} {message.location.get('url', '')}")

    def asked(request: Request) -> None:
        if not request.url.startswith((url.partition("?")[0], "data:", "blob:")):
            faults.append(f"asked another host: {request.url}")

    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("console", said)
    page.on("request", asked)
    page.goto(url)
    page.get_by_role("tab", name="Classify", exact=True).wait_for()
    yield page
    found = list(faults)  # what closing it cuts short is no fault
    context.close()
    assert found == []


@pytest.fixture
def visit(chrome: Browser, url: str) -> Iterator[Visit]:
    """visit(width=1280, dark=False, url=...) -> a page of a new visitor, watched to the end of the test."""
    with ExitStack() as visitors:

        def open_page(width: int = 1280, dark: bool = False, url: str = url, **options: Any) -> Page:
            context = chrome.new_context(
                viewport={"width": width, "height": 900},
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
                **options,
            )
            return visitors.enter_context(watched(context, url))

        yield open_page


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page as one visitor sees it on a desk."""
    return visit()
