"""The Ideal tab in a real browser: it opens with a zebra, paints, is stopped, goes back over its steps, explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE
from transferdemo.engine.ideal_file import settings_of
from transferdemo.ui import texts

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # gradio's own
PNG, JPEG = "img[src^='data:image/png']", "img[src^='data:image/jpeg']"


@pytest.fixture
def ideal(page: Page) -> Page:
    """The tab, open, set to a small picture."""
    expect.set_options(timeout=3 * PATIENCE)
    page.set_default_timeout(3 * PATIENCE)
    page.get_by_role("tab", name=texts.IDEAL, exact=True).click()
    page.get_by_role("button", name=texts.MORE).filter(visible=True).first.click()
    expect(number(page, "ideal-size")).to_be_visible()
    enter(page, "ideal-size", 128)
    return page


def number(page: Page, name: str) -> Locator:
    return page.locator(f"#{name} input[type=number]")


def enter(page: Page, name: str, value: int) -> None:
    number(page, name).fill(str(value))
    number(page, name).press("Tab")


def finished(page: Page) -> None:
    expect(page.locator("#ideal-stop")).to_be_hidden()
    expect(page.locator("#ideal-strip")).to_contain_text(texts.IDEAL_STRIP)
    expect(page.locator("#ideal-status")).to_have_text("")


def saved(page: Page, path: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#ideal-png").click()
    download.value.save_as(path)
    return path


def test_paint_look_back_and_make_again(ideal: Page, tmp_path: Path) -> None:
    picture = ideal.locator("#ideal-picture")
    expect(picture.locator(PNG)).to_be_visible()
    expect(picture).to_contain_text("zebra")
    enter(ideal, "ideal-steps", 6)
    ideal.locator("#ideal-run").click()
    finished(ideal)
    expect(picture.locator(PNG)).to_be_visible()
    strip = ideal.locator("#ideal-strip")
    for line in (texts.IDEAL_PLAIN, texts.IDEAL_SAVED, texts.IDEAL_ROBUST, "EfficientNet-Lite2"):
        expect(strip).to_contain_text(line)
    first = saved(ideal, tmp_path / "first.png")
    settings = settings_of(first)
    assert (settings["class"], settings["steps"], settings["size"], settings["seed"]) == ("zebra", 6, 128, 0)
    enter(ideal, "ideal-scrub", 1)
    expect(picture.locator(JPEG)).to_be_visible()
    expect(picture).to_contain_text(texts.ideal_at(1, 6))
    enter(ideal, "ideal-scrub", 6)
    expect(picture.locator(PNG)).to_be_visible()

    enter(ideal, "ideal-steps", 9)
    ideal.locator("#ideal-gallery button").first.click()
    expect(number(ideal, "ideal-steps")).to_have_value("6")
    ideal.locator("#ideal-run").click()
    expect(ideal.locator("#ideal-gallery button")).to_have_count(2)
    finished(ideal)
    assert saved(ideal, tmp_path / "again.png").read_bytes() == first.read_bytes()


def test_stop_keeps_the_picture(ideal: Page, tmp_path: Path) -> None:
    enter(ideal, "ideal-steps", 1000)
    ideal.locator("#ideal-run").click()
    expect(ideal.locator("#ideal-picture").locator(JPEG)).to_be_visible()
    ideal.locator("#ideal-stop").click()
    finished(ideal)
    expect(ideal.locator("#ideal-picture")).to_contain_text("stopped after")
    settings = settings_of(saved(ideal, tmp_path / "stopped.png"))
    assert settings["steps"] == 1000 and 1 <= int(str(settings["stopped_after"])) < 1000
    expect(ideal.locator("#ideal-run")).to_be_enabled()


def test_why_and_a_chip_without_a_head_of_ones_own(ideal: Page) -> None:
    ideal.locator("#try-ideal-mine").click()
    expect(ideal.locator("#ideal-reply")).to_have_text(texts.IDEAL_TEACH_FIRST)
    expect(ideal.locator("#ideal-run")).to_be_enabled()
    enter(ideal, "ideal-steps", 2)
    ideal.locator("#ideal-why").click()
    expect(ideal.locator("#ideal-picture figure")).to_have_count(4)
    expect(ideal.locator("#ideal-picture").locator(PNG)).to_have_count(4)
    expect(ideal.locator("#ideal-reply")).not_to_be_empty()


def test_a_chip_brings_back_the_head_that_knows_its_class(ideal: Page) -> None:
    head = ideal.locator("#head input")
    head.click()
    ideal.get_by_role("option", name="cat or dog").click()
    expect(ideal.locator("#ideal-name input, #ideal-class input").first).not_to_have_value("zebra")
    ideal.locator("#try-ideal-zebra").click()
    expect(head).to_have_value(texts.OWN_HEAD)
    expect(ideal.locator("#ideal-picture").locator(JPEG)).to_be_visible()
    ideal.locator("#ideal-stop").click()
    finished(ideal)
    expect(ideal.locator("#ideal-picture")).to_contain_text("zebra")
