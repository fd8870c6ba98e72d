"""Inside without a browser: what is said of a look, the map of a folder, a folder's photos for one channel, and /inspect."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import skimage
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from transferdemo.backbones import DEFAULT, load_backbone
from transferdemo.data.folder import read_folder
from transferdemo.device import choose
from transferdemo.engine.features import collect
from transferdemo.errors import BadFolder, BadSetting
from transferdemo.images import open_photo
from transferdemo.types import Photo, View
from transferdemo.ui import inside_map, inside_show, inside_try, texts
from transferdemo.ui.inside_channel import Channel, searched
from transferdemo.ui.inside_look import Asked, see
from transferdemo.ui.shared import Settings
from transferdemo.ui.teach_state import Lesson

SAMPLES = Path(skimage.__file__).parent / "data"
CAT, COFFEE = SAMPLES / "chelsea.png", SAMPLES / "coffee.png"
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def cat() -> Photo:
    return open_photo(CAT)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Cats and cups with a class name that would be a script, four photos each, embedded."""
    root = tmp_path_factory.mktemp("set")
    for path, label in ((CAT, EVIL), (COFFEE, "cup")):
        (root / label).mkdir()
        picture = Image.open(path).convert("RGB")
        for i in range(4):
            picture.crop((40 * i, 10 * i, 40 * i + 200, 10 * i + 200)).save(root / label / f"{i}.png")
    done = list(collect(read_folder(root), load_backbone(DEFAULT, choose(None))))[-1]
    return Lesson(embedded=done.embedded)  # type: ignore[union-attr]


def test_a_look_says_class_test_and_layer(cat: Photo) -> None:
    seen = see(cat, View(DEFAULT), Asked())
    shown = inside_show.why(seen, tested=True)
    assert shown.count("data-choose=") == 5 and 'aria-pressed="true"' in shown
    assert "Hide the brightest fifth" in shown and "“features”" in shown
    assert texts.INSIDE_TESTING in inside_show.why(seen, tested=False)
    rather = see(cat, View(DEFAULT), Asked(target="any cat", against="any dog"))
    assert "“any cat” and not “any dog”" in inside_show.why(rather, tested=False)


def test_why_not_a_dog_asks_for_the_other_pet(cat: Photo) -> None:
    view = View(DEFAULT)
    target = inside_try.other_pet(cat, view)
    assert target == "any dog"
    assert "any dog" in inside_try.answer_not(see(cat, view, Asked(target=target)))


def test_two_equal_photos_share_all_channels(cat: Photo) -> None:
    seen = see(cat, View(DEFAULT), Asked())
    assert inside_try.shared_channels(seen, seen) == {"early": 8, "middle": 8, "late": 8}


def test_the_map_of_a_folder_has_a_dot_a_photo_and_runs_no_script(lesson: Lesson) -> None:
    svg, _, words, made = inside_map.drawn(lesson, inside_map.MINE)
    assert lesson.embedded and svg.count("<circle") == len(lesson.embedded.folder.used)
    assert "<img src=x" not in svg and "%" in words
    event = gr.EventData(None, {"chosen": "0"})
    photo = inside_map.pointed(made, event)
    assert "data:image/jpeg" in photo and "<img src=x" not in photo
    with pytest.raises(BadSetting):
        inside_map.pointed(made, gr.EventData(None, {"chosen": "9999"}))
    with pytest.raises(BadSetting):
        inside_map.drawn(lesson, "../secret")


def test_a_folder_is_searched_for_a_channel(lesson: Lesson) -> None:
    view, channel = View(DEFAULT), Channel("features", 7)
    last = list(searched(channel, view, lesson, Settings(), ""))[-1]
    assert lesson.embedded and last[0] == "" and last[1].count("<figure>") == min(8, len(lesson.embedded.folder.used))
    with pytest.raises(BadFolder):
        next(searched(channel, view, Lesson(), Settings(), ""))


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, verbose=False, download_files=tmp_path_factory.mktemp("client"))


def inspect(client: Client, *values: Any) -> Any:
    return client.predict(handle_file(str(CAT)), *values, api_name="/inspect")


def test_inspect_for_programs(client: Client) -> None:
    heat, sheet, record = inspect(client, "", "", DEFAULT)
    with Image.open(CAT) as photo, Image.open(heat) as picture:
        assert picture.size == photo.size
    with Image.open(sheet) as picture:
        assert picture.width > 800
    assert record["layer"] == "features" and record["shape"] == [1280, 7, 7] and len(record["strongest"]) == 8
    assert "cat" in record["name"] and 0 < record["probability"] < 1
    *_, other = inspect(client, "any dog", "blocks.4", DEFAULT)
    assert other["name"] == "any dog" and other["layer"] == "blocks.4"


@pytest.mark.parametrize("wish", [("unicorn", "", DEFAULT), ("", "blocks.99", DEFAULT), ("", "", "no_such_net")])
def test_what_cannot_be_seen_is_said(client: Client, wish: tuple[str, str, str]) -> None:
    with pytest.raises(AppError, match=r"no class|no layer|no network"):
        inspect(client, *wish)


@pytest.mark.parametrize("value", [None, True, 7, [], {}, "\0", 1e308])
def test_odd_values_are_no_bugs(client: Client, value: object, caplog: pytest.LogCaptureFixture) -> None:
    for wish in ((value, "", DEFAULT), ("", value, DEFAULT), ("", "", value)):
        with suppress(AppError, ValueError):  # refused by us, or by the client itself
            inspect(client, *wish)
    assert "a job failed" not in caplog.text
