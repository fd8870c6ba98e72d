"""A head that knows what it does not know, and that can be taken anywhere: in one visit, as a person goes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_teach import give_zip, open_tab, photos, to_report, train, zipped
from tests.engine.test_export import only_three
from transferdemo.ui import texts


def test_a_cat_is_not_one_of_yours_and_the_zip_runs_on_three_packages(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="a cat", exact=True).click()
    folder = photos(tmp_path / "set", ("red", "green"), each=10)
    give_zip(open_tab(page), zipped(folder))
    train(page)
    to_report(page)
    page.get_by_role("button", name=texts.CLOSER).filter(visible=True).first.click()
    expect(page.locator("#per-class")).to_contain_text(texts.HONEST)
    expect(page.locator("#report .verdict b")).to_have_text(
        "100.0 %"
    )  # a run that is over at once keeps its last epoch
    page.get_by_role("button", name=texts.TO_HOME).click()
    page.locator("#get-anywhere").wait_for()
    with page.expect_download() as download:
        page.locator("#get-anywhere").click()
    download.value.save_as(tmp_path / "anywhere.zip")
    page.get_by_role("tab", name=texts.CLASSIFY, exact=True).click()
    expect(page.locator("#answer .verdict b")).to_have_text("not one of yours")
    expect(page.locator("#answer .muted .bars")).to_be_visible()
    with zipfile.ZipFile(tmp_path / "anywhere.zip") as archive:
        archive.extractall(tmp_path / "out")
    code = (
        f"import runpy, sys; sys.path[:0] = {[str(only_three(tmp_path))]}; "
        f"sys.argv = {['predict.py', '--json', str(folder / 'red' / '0.png')]}; "
        f"runpy.run_path({str(tmp_path / 'out' / 'predict.py')!r})"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["class"] == "red" and answer["strange"] is False
