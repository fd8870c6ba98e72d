"""Inside as a person uses it: what appears without a press, another class, one channel, a dot of the map, the chips."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit
from transferdemo.ui import texts

expect.set_options(timeout=3 * PATIENCE)


def example(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name=texts.INSIDE, exact=True).click()


def proved(page: Page) -> None:
    expect(page.locator("#inside-why .test")).to_contain_text("Hide the brightest fifth")


@pytest.mark.parametrize("width", [1280, 390])
def test_from_the_heat_map_to_one_channel_and_the_folder(visit: Visit, width: int) -> None:
    page = visit(width=width)
    open_tab(page)
    expect(page.locator("#inside-why")).to_contain_text(texts.INSIDE_NONE)
    example(page, "a lion")  # the map appears without a press
    expect(page.locator("#inside-why h3")).to_have_text("Why “lion”?")
    proved(page)
    assert page.locator("#inside-maps .maps img").count() == 24

    first = page.locator("#inside-why figure img").get_attribute("src")
    page.locator("#inside-why .asks button").nth(1).click()
    second = page.locator("#inside-why .asks button").nth(1)
    expect(second).to_have_attribute("aria-pressed", "true")
    proved(page)
    assert page.locator("#inside-why figure img").get_attribute("src") != first

    page.locator("#inside-maps .maps button").nth(20).click()
    expect(page.locator("#inside-large h3")).to_have_text(re.compile(r"Channel \d+ of “features”"))
    expect(page.locator("#inside-large")).to_contain_text("It speaks for")
    assert page.locator("#inside-examples figure").count() == 5
    large, small = (
        page.locator(f"{where} img").first.bounding_box() for where in ("#inside-large", "#inside-maps .maps")
    )
    assert large and small and large["width"] > 1.5 * small["width"]

    page.locator("#inside-map circle").last.hover()  # the last one is covered by no other
    expect(page.locator("#inside-dot")).to_contain_text(texts.NO_PICTURE)
    expect(page.locator("#inside-linear")).to_contain_text("a straight cut")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_what_a_channel_likes_best_is_painted_before_your_eyes(page: Page) -> None:
    example(page, "a cat")
    open_tab(page)
    page.locator("#inside-maps .maps button").nth(16).click()
    page.locator("#inside-paint").click()
    expect(page.locator("#inside-likes figcaption")).to_have_text(texts.inside_likes(1, 1))
    page.get_by_role("button", name=texts.INSIDE_CLOSER).click()
    expect(page.locator("#inside-closer tr", has_text="features")).to_contain_text("1280 × 7 × 7")
    expect(page.locator("#inside-closer")).to_contain_text(texts.INSIDE_STRIP)


def test_the_chips_answer_in_a_line_and_the_photo_stays_for_every_tab(page: Page) -> None:
    open_tab(page)
    page.locator("#try-inside-lion").click()
    expect(page.locator("#inside-reply")).to_contain_text("both have in common")
    assert page.locator("#inside-maps .maps").count() == 6 and page.locator("#inside-maps .pair img").count() == 2
    page.locator("#try-inside-dog").click()
    expect(page.locator("#inside-reply")).to_contain_text("any dog")
    expect(page.locator("#inside-why h3")).to_have_text("Why “any dog”?")
    proved(page)
    page.get_by_role("tab", name=texts.CLASSIFY, exact=True).click()
    expect(page.locator("#answer .verdict b")).to_have_text("cat")


def test_nothing_is_looked_at_while_another_tab_is_open(page: Page) -> None:
    example(page, "a cat")
    page.locator("#answer .verdict").wait_for()
    open_tab(page)
    proved(page)
    page.get_by_role("tab", name=texts.CLASSIFY, exact=True).click()
    example(page, "coffee")
    expect(page.locator("#answer .verdict b")).to_have_text("neither")
    open_tab(page)
    expect(page.locator("#inside-why h3")).not_to_have_text(re.compile("cat"))
    proved(page)
