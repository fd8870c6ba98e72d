"""The folder picker in a real browser, on a page of its own."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, expect

from transferdemo.data.archive import read_zip
from transferdemo.data.folder import read_folder
from transferdemo.errors import BadFile
from transferdemo.ui.folder_picker import TEXTS, Picked, folder_picker, picked

FEW = 40  # photos that the second picker of the page takes
TIGHT = 240_000  # bytes that the third one sends at most

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # gradio's own


class Served:
    """The page's address and what arrived last, as the server saw it."""

    def __init__(self) -> None:
        self.url = ""
        self.value = ""

    @property
    def picked(self) -> Picked:
        return picked(self.value)

    @property
    def files(self) -> dict[str, bytes]:
        with ZipFile(self.picked.path) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    state = Served()

    def take(value: str) -> str:
        state.value = value
        return f"{picked(value).sent} arrived"

    with gr.Blocks(analytics_enabled=False) as demo:
        news = gr.Textbox(elem_id="news")
        for name, options in (("one", {}), ("few", {"photos": FEW}), ("tight", {"room": TIGHT})):
            picker = folder_picker(elem_id=name, **options)  # type: ignore[arg-type]
            picker.upload(take, picker, news, api_visibility="private")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        _, state.url, _ = demo.launch(
            prevent_thread_lock=True, quiet=True, max_file_size="100mb", ssr_mode=False, run_history=False
        )
        yield state
        demo.close()


@pytest.fixture
def page(chrome: Browser, served: Served) -> Iterator[Page]:
    context = chrome.new_context(viewport={"width": 900, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(served.url)
    page.wait_for_function("document.querySelectorAll('[data-ready]').length === 3")
    yield page
    context.close()
    assert not faults


def choose(page: Page, folder: Path, box: str = "one") -> None:
    page.locator(f"#{box} input.folder").set_input_files(folder)
    expect(page.locator("#news textarea")).to_have_value(f"{_sent(page, box)} arrived")


def _sent(page: Page, box: str) -> str:
    line = page.locator(f"#{box} .news")
    expect(line).to_contain_text("are here")
    return (line.text_content() or "").split()[0].replace(",", "")


def photo(path: Path, size: tuple[int, int], seed: int = 0, **options: Any) -> Image.Image:
    """Write a picture of smooth random colours and return it."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return image


def opened(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def test_names_of_folders_survive_and_strays_are_told(page: Page, served: Served, tmp_path: Path) -> None:
    root = tmp_path / "my set"
    names = (
        "kočka ü/1.png",
        "<img src=x onerror=alert(1)>/2.png",
        "\U0001f436 dog/train/3.png",
        "\u05db\u05dc\u05d1/4.png",
    )
    for seed, name in enumerate(names):
        photo(root / name, (40, 30), seed)
    for stray in ("notes.txt", "kočka ü/.DS_Store", "kočka ü/Thumbs.db", "a.mat"):
        (root / stray).write_bytes(b"x")
    choose(page, root)
    assert set(served.files) == {f"my set/{name}" for name in names}
    assert served.picked.sent == 4
    assert served.picked.counts == {TEXTS["noPicture"]: 2, TEXTS["hidden"]: 2}
    assert ("my set/notes.txt", TEXTS["noPicture"]) in served.picked.left_out
    listing = read_zip(served.picked.path)
    assert set(listing.classes) == {"kočka ü", "<img src=x onerror=alert(1)>", "\U0001f436 dog", "\u05db\u05dc\u05d1"}
    expect(page.locator("#one .news")).to_have_text("4 photos are here, 4 files were left out.")


def test_large_photos_are_made_smaller_and_stay_what_they_were(page: Page, served: Served, tmp_path: Path) -> None:
    root = tmp_path / "set"
    large = photo(root / "a" / "large.jpg", (1600, 1200), 1, quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    photo(root / "a" / "turned.jpg", (1600, 1200), 2, quality=95, exif=turned)
    clear = photo(tmp_path / "clear.png", (1000, 1000), 3)
    clear.putalpha(Image.new("L", clear.size, 0))
    clear.save(root / "a" / "clear.png")
    choose(page, root)
    files = {name: opened(data) for name, data in served.files.items()}
    assert {name: image.size for name, image in files.items()} == {
        "set/a/large.jpg": (853, 640),
        "set/a/turned.jpg": (640, 853),
        "set/a/clear.jpg": (640, 640),
    }
    expected = np.asarray(large.resize((853, 640), Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(np.asarray(files["set/a/large.jpg"], dtype=float) - expected).mean() < 2
    assert np.asarray(files["set/a/clear.jpg"]).min() >= 254  # transparent is white, as on the server


def test_small_and_unreadable_files_go_as_they_are(page: Page, served: Served, tmp_path: Path) -> None:
    root = tmp_path / "set"
    photo(root / "a" / "small.jpg", (900, 640), 1)
    photo(root / "a" / "small.bmp", (64, 64), 2)
    (root / "a" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(5_000))
    (root / "b" / "cut.png").parent.mkdir()
    (root / "b" / "cut.png").write_bytes((root / "a" / "small.jpg").read_bytes()[:900])
    (root / "b" / "huge.tif").write_bytes(bytes(21 * 2**20))
    choose(page, root)
    sent = ("a/small.jpg", "a/small.bmp", "a/phone.heic", "b/cut.png")
    assert served.files == {f"set/{name}": (root / name).read_bytes() for name in sent}
    assert served.picked.left_out == (("set/b/huge.tif", TEXTS["noRoom"]),)


def test_of_too_many_photos_every_class_keeps_its_share(page: Page, served: Served, tmp_path: Path) -> None:
    for number in range(100):
        photo(tmp_path / "set" / ("a" if number < 60 else "b") / f"{number}.png", (16, 16), number)
    choose(page, tmp_path / "set", "few")
    listing = read_zip(served.picked.path)
    assert [sum(entry.label == label for entry in listing.entries) for label in ("a", "b")] == [24, 16]
    assert list(served.picked.counts.values()) == [60]


def test_photos_that_do_not_fit_are_made_smaller_still(page: Page, served: Served, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    for number in range(8):
        image = Image.fromarray(noise.integers(0, 256, (20, 30, 3), dtype=np.uint8)).resize((1500, 1000))
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=95)
    choose(page, tmp_path / "set", "tight")
    files = served.files
    assert len(files) == 8 and sum(map(len, files.values())) <= TIGHT
    assert all(256 <= opened(data).size[1] < 640 for data in files.values())


def test_photos_that_fit_at_no_size_are_refused(page: Page, served: Served, tmp_path: Path) -> None:
    for number in range(8):
        photo(tmp_path / "set" / "a" / f"{number}.bmp", (200, 200), number)
    served.value = ""
    page.locator("#tight input.folder").set_input_files(tmp_path / "set")
    expect(page.locator("#tight .news")).to_have_text("These photos do not fit into 0.2 MB; choose fewer of them.")
    assert served.value == ""


def drop(page: Page, paths: list[Path], box: str = "one") -> None:
    """Drop files and folders as a person does, through the browser's own drag and drop."""
    area = page.locator(f"#{box} .picker").bounding_box()
    assert area is not None
    client = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        client.send(
            "Input.dispatchDragEvent",
            {
                "type": kind,
                "x": area["x"] + area["width"] / 2,
                "y": area["y"] + 8,
                "data": {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1},
            },
        )


def test_a_dropped_folder_is_walked(page: Page, served: Served, tmp_path: Path) -> None:
    for number in range(130):  # more than one read of a directory gives
        photo(tmp_path / "set" / "many" / f"{number}.png", (16, 16), number)
    photo(tmp_path / "set" / "deep" / "deeper" / "1.png", (16, 16), 999)
    drop(page, [tmp_path / "set"])
    expect(page.locator("#news textarea")).to_have_value("131 arrived")
    assert {entry.label for entry in read_zip(served.picked.path).entries} == {"many", "deep"}


def test_two_folders_dropped_together_are_two_classes(page: Page, served: Served, tmp_path: Path) -> None:
    for seed, label in enumerate(("mug", "pen")):
        photo(tmp_path / label / "1.png", (16, 16), seed)
    drop(page, [tmp_path / "mug", tmp_path / "pen"])
    expect(page.locator("#news textarea")).to_have_value("2 arrived")
    assert read_zip(served.picked.path).classes == ("mug", "pen")


@pytest.mark.parametrize("way", ["choose", "drop"])
def test_a_zip_is_sent_as_it_is(page: Page, served: Served, tmp_path: Path, way: str) -> None:
    path = tmp_path / "photos.zip"
    with ZipFile(path, "w") as archive:
        for label in ("a", "b"):
            photo(tmp_path / f"{label}.png", (30, 30), len(label))
            archive.write(tmp_path / f"{label}.png", f"{label}/1.png")
    if way == "choose":
        page.locator("#one input.zip").set_input_files(path)
    else:
        drop(page, [path])
    expect(page.locator("#one .news")).to_have_text(TEXTS["sentZip"])
    expect(page.locator("#news textarea")).to_have_value("0 arrived")
    assert served.picked.path.read_bytes() == path.read_bytes()


def test_photos_of_a_usual_size_arrive_as_they_are(page: Page, served: Served, shared: Path) -> None:
    """So a head from the picker is the head from the same folder by its path."""
    root = shared / "data" / "clothing"
    choose(page, root)
    expected = {f"clothing/{path.relative_to(root).as_posix()}": path.read_bytes() for path in root.rglob("*.jpg")}
    assert served.files == expected
    names = [(entry.label, entry.name) for entry in read_zip(served.picked.path).entries]
    assert names == [(entry.label, entry.name) for entry in read_folder(root).entries]


def test_what_cannot_be_sent_is_said(page: Page, served: Served, tmp_path: Path) -> None:
    served.value = ""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").write_text("hello")
    page.locator("#one input.folder").set_input_files(tmp_path / "set")
    expect(page.locator("#one .news")).to_have_text(TEXTS["nothing"])
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(120_000_000)
    page.locator("#one input.zip").set_input_files(tmp_path / "large.zip")
    expect(page.locator("#one .news")).to_have_text(
        "This zip has 120 MB and at most 100 MB can be sent; choose its folder instead, then the photos are made smaller."
    )
    assert served.value == ""
    expect(page.locator("#one button.folder")).to_be_enabled()


def test_it_works_from_the_keyboard(page: Page, tmp_path: Path) -> None:
    photo(tmp_path / "a" / "1.png", (20, 20))
    button = page.get_by_role("group", name="A folder of photos").first.get_by_role("button", name="Choose a folder")
    with page.expect_file_chooser() as chooser:
        button.press("Enter")
    chooser.value.set_files(tmp_path / "a")
    expect(page.locator("#one [role=status]")).to_contain_text("1 photos are here")
    page.locator("#one button.folder").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Choose a zip"


def test_the_page_stays_awake_and_tells_how_far_it_is(page: Page, served: Served, tmp_path: Path) -> None:
    first = photo(tmp_path / "set" / "a" / "0.jpg", (1400, 1000), quality=90)
    data = (tmp_path / "set" / "a" / "0.jpg").read_bytes()
    assert first
    (tmp_path / "set" / "b").mkdir()
    for number in range(1, 150):
        (tmp_path / "set" / "ab"[number % 2] / f"{number}.jpg").write_bytes(data)
    page.evaluate(
        """() => { window.gaps = [0]; window.lines = new Set(); let last = performance.now();
        const tick = () => { const now = performance.now(); gaps.push(now - last); last = now;
          lines.add(document.querySelector("#one .news").textContent); requestAnimationFrame(tick); }; tick(); }"""
    )
    choose(page, tmp_path / "set")
    lines = page.evaluate("[...lines]")
    assert sum(line.startswith("Preparing photo") for line in lines) >= 4
    assert page.evaluate("Math.max(...gaps) < 0.2 * gaps.reduce((a, b) => a + b)")  # never one long task
    assert page.locator("#one progress").is_hidden()


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "{",
        "3",
        "[]",
        "{}",
        {"path": "x"},
        json.dumps({"path": 3}),
        json.dumps({"path": "/etc/passwd"}),
        "[" * 100_000,
    ],
)
def test_a_value_that_was_not_uploaded_is_refused(value: object) -> None:
    with pytest.raises(BadFile, match="not uploaded here"):
        picked(value)


@pytest.mark.parametrize(
    "facts", [{"left_out": 3}, {"left_out": [1]}, {"counts": []}, {"sent": "x"}, {"counts": {"a": 1e999}}]
)
def test_odd_facts_are_refused(facts: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (Path(get_upload_folder()) / "a.zip").write_bytes(b"x")
    good = {"path": str(Path(get_upload_folder()) / "a.zip")}
    assert picked(json.dumps(good)).path.name == "a.zip"
    with pytest.raises(BadFile):
        picked(json.dumps(good | facts))
