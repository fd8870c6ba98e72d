"""Teach as a person uses it: ready set, camera, folder, zip; curves; Stop; the matrix; quarantine; head and project again."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit
from transferdemo.head_file import read_head
from transferdemo.ui import texts

expect.set_options(timeout=3 * PATIENCE)
HOSTILE = ("<img src=x onerror=alert(1)>", 'a & b "c"', "🐶 ünï", "‮right to left", "a" * 64)


def open_tab(page: Page) -> Page:
    page.set_default_timeout(3 * PATIENCE)
    page.get_by_role("tab", name=texts.TEACH, exact=True).click()
    page.locator("#boxes .box").first.wait_for()
    return page


def photos(folder: Path, classes: tuple[str, ...], each: int = 6, seed: int = 0) -> Path:
    """A folder of noise with one hue a class: easy to tell apart, no two alike."""
    random = np.random.default_rng(seed)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = random.integers(0, 90, (64, 80, 3), dtype=np.uint8)
            pixels[..., place % 3] += np.uint8(120 + 8 * (place // 3))
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def give(page: Page, folder: Path) -> None:
    page.locator("#folder input.folder").set_input_files(folder)
    page.locator("#train").wait_for()


def give_zip(page: Page, path: Path) -> None:
    page.locator("#folder input.zip").set_input_files(path)
    page.locator("#train").wait_for()


def train(page: Page) -> None:
    page.locator("#train").click()
    page.get_by_role("button", name=texts.TO_REPORT).wait_for()


def to_report(page: Page) -> None:
    page.get_by_role("button", name=texts.TO_REPORT).click()
    page.locator("#report .verdict").wait_for()


def test_a_ready_set_trains_in_one_click_and_all_tabs_answer_with_it(page: Page) -> None:
    page.get_by_role("button", name="a cat", exact=True).click()
    open_tab(page).get_by_role("button", name="Cats or dogs", exact=True).click()
    to_report(page)
    expect(page.locator("#report")).to_contain_text("held-out photos")
    page.get_by_role("button", name=texts.TO_HOME).click()
    page.locator("#get-head").wait_for()
    page.get_by_role("tab", name=texts.CLASSIFY, exact=True).click()
    expect(page.locator("#answer .bars span:first-child")).to_have_text("cat")


def test_the_curve_moves_and_stop_keeps_the_head(page: Page) -> None:
    open_tab(page).get_by_role("button", name="37 breeds", exact=True).click()
    page.get_by_role("button", name=texts.TO_REPORT).wait_for()
    page.get_by_label("number input for Epochs").fill("200")
    page.get_by_role("button", name=texts.MORE).filter(visible=True).click()
    page.get_by_label("number input for Photos a step").fill("1")  # it will not be over before we press
    page.locator("#train").click()
    lines = page.locator("#loss-plot path[aria-roledescription='line mark']")
    expect(lines.first).to_be_attached()
    before = lines.first.get_attribute("d")
    page.wait_for_function("before => document.querySelector(\"#loss-plot path[aria-roledescription='line mark']\")"
                           ".getAttribute('d') !== before", arg=before)  # fmt: skip
    page.get_by_role("button", name=texts.STOP, exact=True).filter(visible=True).click()
    expect(page.locator("#train")).to_be_enabled()
    assert "of 200" in page.locator("#train-status").inner_text()
    assert not page.locator("#train-status").inner_text().startswith("Epoch 200")
    to_report(page)


def test_a_folder_its_matrix_its_quarantine_and_hostile_names(page: Page, tmp_path: Path) -> None:
    folder = photos(tmp_path / "set", HOSTILE[:3])
    first = folder / HOSTILE[0] / "0.png"
    shutil.copy(first, folder / HOSTILE[0] / "copy.png")
    (folder / HOSTILE[1] / "broken.jpg").write_bytes(b"no picture")
    (folder / HOSTILE[1] / "notes.txt").write_text("stray")
    page.on("dialog", lambda dialog: pytest.fail(f"a name ran: {dialog.message}"))
    give(open_tab(page), folder)
    page.get_by_role("tab", name=texts.STEP_PHOTOS).click()
    expect(page.locator("#set")).to_contain_text(HOSTILE[0])
    expect(page.locator("#set")).to_contain_text("2 set aside")
    page.get_by_role("button", name=f"{texts.ASIDE}: 2").click()
    page.get_by_label(texts.TAKE_BACK).click()
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=texts.RESTORE, exact=True).click()
    expect(page.locator("#set")).to_contain_text("1 set aside")
    page.get_by_role("button", name=texts.TO_TRAIN).click()
    train(page)
    to_report(page)
    page.get_by_role("button", name=texts.CLOSER).filter(visible=True).click()
    page.locator("#matrix button").first.click()
    expect(page.locator("#cell .tiles img").first).to_be_visible()
    expect(page.locator("#per-class")).to_contain_text(HOSTILE[0])


def test_head_and_project_come_back_by_download_and_upload(page: Page, visit: Visit, tmp_path: Path) -> None:
    give_zip(open_tab(page), zipped(photos(tmp_path / "set", ("red", "green"))))
    train(page)
    to_report(page)
    page.get_by_role("button", name=texts.TO_HOME).click()
    with page.expect_download() as download:
        page.locator("#get-head").click()
    download.value.save_as(tmp_path / "head.safetensors")
    head = read_head(tmp_path / "head.safetensors")
    assert set(head.classes) == {"red", "green"} and head.facts["accuracy"] is not None
    page.get_by_role("button", name=texts.SAVE_PROJECT, exact=True).click()
    page.locator("#get-project").wait_for()
    with page.expect_download() as download:
        page.locator("#get-project").click()
    download.value.save_as(tmp_path / "project.zip")
    assert "head.safetensors" in zipfile.ZipFile(tmp_path / "project.zip").namelist()
    page = visit()  # another day
    give_zip(open_tab(page), tmp_path / "project.zip")
    train(page)
    to_report(page)
    page.get_by_role("button", name=texts.TO_HOME).click()
    page.get_by_role("button", name=texts.BRING_HEAD).click()
    page.locator("#bring input[type=file]").set_input_files(tmp_path / "head.safetensors")
    expect(page.locator("#home")).to_contain_text("all tabs answer with it")


def test_the_camera_teaches_two_classes(page: Page) -> None:
    open_tab(page)
    for number in range(2):
        box = page.locator("#boxes .box").nth(number)
        box.locator(".record").dispatch_event("pointerdown")
        expect(box.locator(".count")).not_to_have_text("0 photos")
        page.wait_for_function(
            "n => parseInt(document.querySelectorAll('#boxes .count')[n].textContent) >= 4", arg=number
        )
        box.locator(".record").dispatch_event("pointerup")
    page.locator("#boxes .name").first.fill("left hand")
    page.locator("#boxes .send").click()
    page.locator("#train").wait_for()
    page.get_by_role("tab", name=texts.STEP_PHOTOS).click()
    expect(page.locator("#set")).to_contain_text("left hand")


def test_train_for_programs(url: str, tmp_path: Path) -> None:
    path = zipped(photos(tmp_path / "set", ("red", "green", "blue")))
    client = Client(url, verbose=False)
    file, record = client.predict(handle_file(str(path)), "tf_efficientnet_lite0.in1k", 5, 0, api_name="/train")
    assert set(record["classes"]) == {"red", "green", "blue"} == set(read_head(Path(file)).classes)
    with pytest.raises(Exception, match="class"):
        client.predict(handle_file(str(zipped(photos(tmp_path / "one", ("red",))))), "tf_efficientnet_lite0.in1k", 5, 0,
                       api_name="/train")  # fmt: skip
