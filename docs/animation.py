"""Record the README's animation from the real page: `python docs/animation.py` writes docs/page.webp (about 8 seconds).

Starts the program on a free port, drives it in headless Chromium, and joins screenshots to an animated WebP.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
SIZE = {"width": 1200, "height": 760}
FRAME = 0.15  # seconds


@contextmanager
def served() -> Iterator[str]:
    """The program on a free port of this computer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE.parent / "app.py"), "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        while True:
            try:
                httpx.get(url)
                break
            except httpx.TransportError:
                time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait()


class Film:
    """Screenshots of a page, each with the time that it is shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.times: list[int] = []

    def shoot(self, seconds: float) -> None:
        """Add what the page shows now."""
        self.frames.append(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB").resize((840, 532)))
        self.times.append(int(1000 * seconds))

    def watch(self, frames: int) -> None:
        """Add the page as it changes."""
        for _ in range(frames):
            self.shoot(FRAME)
            self.page.wait_for_timeout(60)

    def save(self, path: Path) -> None:
        """Write the animation."""
        first, *rest = self.frames
        first.save(path, save_all=True, append_images=rest, duration=self.times, loop=0, quality=70, method=6)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)


def act(page: Page) -> Film:
    """What the film shows: a photo named, a head trained, an ideal picture made, a photo that fools."""
    film = Film(page)
    page.get_by_role("button", name="a cat", exact=True).click()
    page.locator("#answer .verdict").wait_for()
    page.wait_for_timeout(400)
    film.shoot(1.2)
    tab(page, "Inside")
    page.wait_for_timeout(4000)
    film.shoot(1.0)
    tab(page, "Ideal")
    page.locator("#try-ideal-zebra").click()
    page.locator("#ideal-picture img[src^='data:image/jpeg']").wait_for()
    film.watch(12)
    page.locator("#ideal-strip", has_text="and shifts").wait_for(timeout=240_000)
    page.evaluate("scrollTo(0, 0)")
    film.shoot(1.2)
    tab(page, "Fool")
    page.locator("#fool-run").click()
    page.locator("#fool-result", has_text="Saved file").wait_for(timeout=240_000)
    page.locator("#fool-slider").scroll_into_view_if_needed()
    film.shoot(1.8)
    tab(page, "Teach")
    page.get_by_role("button", name="37 breeds", exact=True).click()
    page.locator("#train-status .progress").wait_for(timeout=60_000)
    film.watch(8)
    page.locator("#train-status", has_text="Epoch 20").wait_for(timeout=60_000)
    film.shoot(1.2)
    return film


def main() -> None:
    """Record and save."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(url)
        page.get_by_role("tab", name="Classify", exact=True).wait_for()
        film = act(page)
        browser.close()
    film.save(HERE / "page.webp")


if __name__ == "__main__":
    main()
