"""How much came from transfer, as a person sees it: the picture with its sentence, two runs, an experiment, all networks."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_teach import give, open_tab, photos, to_report, train
from transferdemo.ui import texts


def test_transfer_experiment_and_all_networks(page: Page, tmp_path: Path) -> None:
    give(open_tab(page), photos(tmp_path / "set", ("red", "green"), each=8))
    train(page)
    to_report(page)
    expect(page.locator("#transfer .reply")).to_contain_text("ransfer")
    for title, _ in texts.TRANSFER_ROWS.values():
        expect(page.locator("#transfer .ways")).to_contain_text(title)
    assert page.locator("#transfer .ways i.soon").count() == 0 and page.locator("#transfer svg circle").count() >= 3
    assert re.search(r"The trained head \d+\.\d %", page.locator("#transfer .ways").get_attribute("aria-label") or "")
    page.get_by_role("tab", name=texts.STEP_TRAIN).click()
    page.get_by_label("number input for Epochs").fill("5")
    train(page)
    to_report(page)
    expect(page.locator("#transfer")).to_contain_text("Against the run before: ")
    page.locator("#experiment-box > button").click()
    page.locator("#experiment").click()
    expect(page.locator("#experiment-table tbody tr")).to_have_count(4)
    expect(page.locator("#experiment-table")).to_contain_text("Run 2, as it was")
    page.locator("#networks").click()
    expect(page.locator("#networks-status .reply")).to_contain_text(".")
    expect(page.locator("#networks-table")).to_contain_text("EfficientNet-Lite2")
    page.locator("#networks-pick input").click()
    page.get_by_role("option", name="EfficientNet-Lite2").click()
    page.get_by_role("button", name=texts.NETWORKS_USE).click()
    expect(page.locator("#network input")).to_have_value(re.compile("EfficientNet-Lite2"))
