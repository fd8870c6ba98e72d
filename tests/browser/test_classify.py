"""Classify as a person uses it: every way to give a photo, what is shown, and what must never happen on the page."""

from __future__ import annotations

import base64
import csv
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr
import numpy as np
import pytest
import skimage
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, Visit
from transferdemo.ui import KEEP, build, launch_options, texts
from transferdemo.ui.shared import Settings

expect.set_options(timeout=3 * PATIENCE)
Launch: TypeAlias = Callable[[tuple[int, int]], str]
CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
COFFEE = CAT.with_name("coffee.png")
EVIL = "<img src=x onerror=alert(1)>.png"
LITE, MOBILENET = "EfficientNet-Lite0", "MobileNetV2"


def give(page: Page, path: Path) -> None:
    page.locator("#picture input[type=file]").set_input_files(path)


def verdict(page: Page) -> Locator:
    return page.locator("#answer .verdict b")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True).filter(visible=True)


def accordion(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label).click()
    page.get_by_role("option", name=option).click()


def file_in_browser(page: Page, path: Path) -> Any:
    """A DataTransfer in the page that holds the file, as a drag from the desktop does."""
    return page.evaluate_handle(
        """([name, data]) => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, {type: "image/png"}));
            return transfer; }""",
        [path.name, base64.b64encode(path.read_bytes()).decode()],
    )


def upload(page: Page) -> None:
    give(page, CAT)


def drop(page: Page) -> None:
    transfer = file_in_browser(page, CAT)
    target = page.get_by_label("Drop an image file here to upload")
    for event in ("dragenter", "dragover", "drop"):
        target.dispatch_event(event, {"dataTransfer": transfer})


def paste(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async transfer => navigator.clipboard.write([new ClipboardItem({"image/png": transfer.files[0]})])""",
        file_in_browser(page, CAT),
    )
    page.get_by_label("Paste from clipboard").click()


def example(page: Page) -> None:
    button(page, "a cat").click()


@pytest.mark.parametrize("way", [upload, drop, paste, example])
def test_a_photo_is_named_however_it_is_given(page: Page, way: Callable[[Page], None]) -> None:
    expect(page.locator("#answer")).to_contain_text(texts.EMPTY_CLASSIFY)
    way(page)
    expect(verdict(page)).to_have_text("cat")
    assert page.locator("#answer .bars span").count() == 10
    expect(page.locator("#answer")).to_contain_text(f"{LITE} ·")
    expect(page.locator("#answer")).to_contain_text("weights from the installed package")


def webcam(page: Page) -> None:
    page.get_by_label("Capture from camera").first.click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('video')].some(v => v.videoWidth > 0 && v.readyState > 1)"
    )
    page.get_by_label("capture photo").click()


def test_a_photo_by_the_webcam(page: Page) -> None:
    webcam(page)
    verdict(page).wait_for()
    assert page.locator("#answer .seen img").count() == 1


def test_every_example_is_named(page: Page) -> None:
    seen: set[str] = set()
    bars = page.locator("#answer .bars")
    words = {"a cat": "cat", "a lion": None, "a cheetah": None, "coffee": "neither", "a silhouette": None}
    for name, word in words.items():
        button(page, name).click()
        page.wait_for_function(
            "seen => (e => e && !seen.includes(e.ariaLabel))(document.querySelector('#answer .bars'))", arg=list(seen)
        )
        seen.add(str(bars.get_attribute("aria-label")))
        if word:
            expect(verdict(page)).to_have_text(word)
    assert len(seen) == 5


def test_a_photo_taken_away_leaves_one_line(page: Page) -> None:
    give(page, CAT)
    verdict(page).wait_for()
    page.get_by_label("Remove Image").click()
    expect(page.locator("#answer")).to_contain_text(texts.EMPTY_CLASSIFY)
    assert verdict(page).count() == 0


def test_where_photos_stay_is_said(page: Page) -> None:
    assert KEEP == 3600 and "an hour" in texts.STAY_LOCAL
    expect(page.get_by_text(texts.STAY_LOCAL)).to_be_visible()


@pytest.mark.parametrize("data", [b"nothing", b"\x89PNG\r\n\x1a\n" + b"0" * 99, b""], ids=["text", "cut", "empty"])
def test_a_file_that_is_no_picture_gets_a_sentence(page: Page, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    give(page, path)
    expect(page.get_by_test_id("toast-body").first).to_contain_text(".")
    assert page.get_by_test_id("toast-body").first.inner_text().strip() not in ("Error", "")
    give_again = page.get_by_label("Remove Image")
    if give_again.count():
        give_again.click()
        expect(give_again).to_have_count(0)
    button(page, "a cat").click()
    expect(verdict(page)).to_have_text("cat")


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    path = tmp_path / "wide.png"
    cat = Image.open(CAT).convert("RGB").resize((400, 266))
    canvas = Image.new("RGB", (1200, 266), "white")
    canvas.paste(cat, (0, 0))
    canvas.save(path)
    return path


def test_the_whole_picture_is_offered_where_the_crop_loses_much(page: Page, wide: Path) -> None:
    give(page, wide)
    expect(page.locator("#answer")).to_contain_text("The crop leaves out")
    cropped = page.locator("#answer .seen img").get_attribute("src")
    whole = page.get_by_label(texts.PAD)
    whole.check()
    expect(page.locator("#answer")).not_to_contain_text("The crop leaves out")
    assert page.locator("#answer .seen img").get_attribute("src") != cropped
    whole.uncheck()
    expect(page.locator("#answer")).to_contain_text("The crop leaves out")


def test_nothing_is_offered_where_the_crop_loses_little(page: Page, tmp_path: Path) -> None:
    square = tmp_path / "square.png"
    Image.open(CAT).convert("RGB").crop((0, 0, 300, 300)).save(square)
    give(page, square)
    verdict(page).wait_for()
    expect(page.get_by_label(texts.PAD)).to_have_count(0)


def test_a_picture_of_the_networks_size_goes_in_pixel_for_pixel(page: Page, tmp_path: Path) -> None:
    exact = tmp_path / "exact.png"
    Image.open(CAT).convert("RGB").resize((224, 224)).save(exact)
    give(page, exact)
    expect(page.locator("#answer")).to_contain_text(texts.EXACT)


def test_the_network_holds_for_this_visitor_and_for_no_other(visit: Visit, shared: Path) -> None:
    one, other = visit(), visit()
    give(one, CAT)
    verdict(one).wait_for()
    choose(one, texts.NETWORK, MOBILENET)
    expect(one.locator("#answer")).to_contain_text(f"{MOBILENET} ·")
    give(other, CAT)
    expect(other.locator("#answer")).to_contain_text(f"{LITE} ·")
    button(one, "coffee").click()
    expect(verdict(one)).to_have_text("neither")
    expect(one.locator("#answer")).to_contain_text(f"{MOBILENET} ·")


def test_the_table_of_networks(page: Page) -> None:
    button(page, texts.OTHERS).click()
    table = page.locator("#panel table")
    expect(table).to_contain_text("The lesson's network, 528 MB")
    row = table.locator("tr", has_text="VGG-16")
    expect(row).to_contain_text(texts.NOT_HERE)
    expect(table.locator("tr", has_text=LITE)).to_contain_text("installed package")
    button(page, texts.OTHERS).click()
    expect(table).to_be_hidden()


def test_networks_side_by_side(page: Page, shared: Path) -> None:
    give(page, CAT)
    verdict(page).wait_for()
    accordion(page, texts.COMPARE)
    button(page, texts.COMPARE_RUN).click()
    rows = page.locator("table tr", has_text=" ms")
    expect(rows).to_have_count(3)
    for row, name in zip(rows.all(), (LITE, "EfficientNet-Lite2", MOBILENET), strict=True):
        expect(row).to_contain_text(name)
        expect(row).to_contain_text("cat")
        expect(row).to_contain_text(" MB")


def test_compare_without_a_photo_says_so(page: Page) -> None:
    accordion(page, texts.COMPARE)
    button(page, texts.COMPARE_RUN).click()
    expect(page.get_by_test_id("toast-body")).to_contain_text(texts.NO_PHOTO)


def test_many_photos_make_a_table_and_a_file(page: Page, tmp_path: Path) -> None:
    names = {
        "a cat.png": CAT.read_bytes(),
        "=1+1.png": COFFEE.read_bytes(),
        EVIL: CAT.read_bytes(),
        "bad.png": b"nothing",
    }
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    accordion(page, texts.MANY)
    page.locator("input[type=file][multiple]").set_input_files([tmp_path / name for name in names])
    button(page, texts.MANY_RUN).click()
    rows = page.locator("#many tr")
    expect(rows).to_have_count(5)
    expect(button(page, texts.CSV)).to_be_visible()
    expect(rows.nth(1)).to_contain_text("cat")
    expect(rows.nth(2)).to_contain_text("neither")
    assert page.locator("#many img").count() == 3 and page.locator("#many img[src=x]").count() == 0
    assert "onerror" not in page.locator("#many img").evaluate_all("all => all.map(i => i.outerHTML).join()")
    with page.expect_download() as download:
        button(page, texts.CSV).click()
    lines = list(csv.reader(download.value.path().read_text(encoding="utf-8-sig").splitlines()))
    assert lines[0] == ["picture", "verdict", "class", "probability", "problem"] and len(lines) == 5
    assert lines[1][:2] == ["a cat.png", "cat"] and float(lines[1][3]) > 0 and lines[4][4].endswith(".")
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line)


def test_a_table_of_many_can_be_stopped(page: Page, shared: Path) -> None:
    photos = sorted((shared / "data" / "cats_dogs" / "test" / "cat").glob("*.jpg"))[:200]
    accordion(page, texts.MANY)
    page.locator("input[type=file][multiple]").set_input_files(photos)
    expect(page.locator(".file-preview tr")).to_have_count(200)
    button(page, texts.MANY_RUN).click()
    page.locator("#many .progress").wait_for()
    button(page, texts.STOP).click()
    expect(button(page, texts.MANY_RUN)).to_be_enabled()
    shown = page.locator("#many").inner_text()
    time.sleep(1)
    assert page.locator("#many").inner_text() == shown and button(page, texts.STOP).count() == 0


FRAMES = """() => {
window.frames_sent = [];
const send = window.fetch;
window.fetch = (...given) => {
  const body = given[1]?.body ?? "", found = typeof body === "string" && body.match(/frame\\\\+":(\\d+)/);
  const shown = +(document.querySelector("#live [data-frame]")?.dataset.frame ?? 0);
  if (found) window.frames_sent.push([+found[1], shown, performance.now()]);
  return send(...given);
}; }"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """A page with an upload folder of its own, `tmp_path / "kept"`: address of own((seconds between rounds, to keep))."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    demo = build(Settings())
    assert isinstance(demo, gr.Blocks) and demo.delete_cache == (600, 3600)

    def launch(delete: tuple[int, int]) -> str:
        demo.delete_cache = delete
        _, address, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options())
        return str(address)

    with closing(demo):
        yield launch


@pytest.fixture
def forgetful(tmp_path: Path, own: Launch) -> tuple[str, Path]:
    """The page, keeping files for two seconds; its address and its folder."""
    return own((1, 2)), tmp_path / "kept"


def test_the_bars_follow_the_live_camera_and_no_frame_is_queued(visit: Visit, own: Launch, tmp_path: Path) -> None:
    page = visit(url=own((600, 3600)))
    page.evaluate(FRAMES)
    accordion(page, texts.LIVE)
    files = set((tmp_path / "kept").rglob("*"))
    button(page, texts.LIVE_START).click()
    page.wait_for_function("() => +(document.querySelector('#live [data-frame]')?.dataset.frame ?? 0) >= 5")
    assert page.locator("#live .verdict").count() == 1 and page.locator("#live .bars span").count() == 10
    button(page, texts.LIVE_STOP).click()
    time.sleep(1)
    last = page.locator("#live [data-frame]").get_attribute("data-frame")
    sent = page.evaluate("window.frames_sent")
    assert len(sent) >= 5
    for (number, shown, at), (_, _, before) in zip(sent[1:], sent, strict=False):
        assert number - shown == 1 or at - before > 5000, sent  # sent when the one before was answered, or given up
    time.sleep(1)
    assert page.locator("#live [data-frame]").get_attribute("data-frame") == last
    assert set((tmp_path / "kept").rglob("*")) == files  # frames are kept nowhere


# ------------------------------------------------------------------------------------------------ what is deleted


def pictures(folder: Path) -> set[Path]:
    """Files that hold something: gr.File leaves an empty one behind for each upload."""
    return {path for path in folder.rglob("*") if path.is_file() and path.stat().st_size}


def test_photos_are_deleted_and_the_examples_are_not(visit: Visit, forgetful: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = forgetful
    mine = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)).save(mine)
    at_start = pictures(folder)
    page = visit(url=url)
    give(page, mine)
    verdict(page).wait_for()
    page.get_by_label("Remove Image").click()
    webcam(page)
    verdict(page).wait_for()
    accordion(page, texts.MANY)
    page.locator("input[type=file][multiple]").set_input_files([mine, CAT])
    button(page, texts.MANY_RUN).click()
    expect(button(page, texts.CSV)).to_be_visible()
    end = time.monotonic() + 60
    while (left := pictures(folder) - at_start) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == set()
    again = visit(url=url)
    button(again, "coffee").click()
    expect(verdict(again)).to_have_text("neither")
