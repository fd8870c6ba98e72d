"""Every tab with what it can show: texts stand out, and nothing hangs over, light and dark, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit
from transferdemo.ui import texts

CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
CUT_OFF = """[...document.querySelectorAll("#top *, #panel *, #body *")].filter(
  e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .sr-only")
).map(e => e.outerHTML.slice(0, 100))"""  # what hangs over the right edge, though the page does not scroll
SQUEEZED = """[...document.querySelectorAll("#tabs .row > .column")].filter(
  e => e.checkVisibility() && e.offsetWidth < 0.9 * e.parentElement.offsetWidth).map(e => e.outerHTML.slice(0, 100))"""


def good(page: Page) -> None:
    """Assert that what is in view now has contrast, and fits; on a phone columns stand below each other."""
    found = Axe().run(page, options={"runOnly": ["color-contrast"], "resultTypes": ["violations"]})
    faults = [(n["html"][:120], n["any"][0]["message"]) for v in found.response["violations"] for n in v["nodes"]]
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("innerWidth") > 700 or page.evaluate(SQUEEZED) == []


def unfold(page: Page) -> None:
    """Open what is folded, and what is folded in that."""
    closed = page.locator("#panel, #body").locator("button.label-wrap:not(.open)").filter(visible=True)
    while closed.count():
        closed.first.click()


def classify(page: Page) -> None:
    page.locator("#answer .verdict b").wait_for()
    page.get_by_role("button", name=texts.OTHERS, exact=True).click()
    unfold(page)
    page.get_by_role("button", name=texts.COMPARE_RUN, exact=True).click()
    page.locator("table tr", has_text=" ms").first.wait_for()


def inside(page: Page) -> None:
    page.locator("#inside-maps img").first.wait_for()


def teach(page: Page) -> None:
    page.get_by_role("button", name="Cats or dogs", exact=True).click()
    page.get_by_role("button", name=texts.TO_REPORT).click()
    page.locator("#report .verdict").wait_for()


def nothing(page: Page) -> None:
    """The tab opens with something made before."""


TABS = {
    texts.CLASSIFY: classify, texts.INSIDE: inside, texts.TEACH: teach, texts.IDEAL: nothing, texts.FOOL: nothing,
}  # fmt: skip


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_texts_stand_out_and_nothing_hangs_over(visit: Visit, width: int, dark: bool) -> None:
    page = visit(width, dark)
    page.set_default_timeout(PATIENCE)
    good(page)
    page.locator("#picture input[type=file]").set_input_files(CAT)
    for name, prepare in TABS.items():
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
        prepare(page)
        unfold(page)
        good(page)


def test_the_check_can_fail(page: Page) -> None:
    page.evaluate("document.querySelector('#top h1').style.color = '#eee'")
    with pytest.raises(AssertionError):
        good(page)
