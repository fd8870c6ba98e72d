"""Behind the Ideal tab: the way of a picture, its strip and its words, the gallery; and /ideal for programs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from transferdemo.backbones import DEFAULT
from transferdemo.engine import ideal_order
from transferdemo.engine.ideal import METHODS
from transferdemo.engine.ideal_file import settings_of
from transferdemo.engine.ideal_order import Order
from transferdemo.heads import Classifier
from transferdemo.types import View
from transferdemo.ui import ideal_keep, ideal_parts, ideal_run, ideal_show, texts
from transferdemo.ui.ideal_run import FRAMES, Opinion, Painting, Strip
from transferdemo.ui.ideal_why import side_by_side

HERE = Opinion("A", False, "zebra", 0.9, 0.9, 1)
AGAINST = Opinion("B", False, "<b>rug</b>", 0.8, 0.1, 4)


@pytest.fixture
def network(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    for module in (ideal_order, ideal_run):
        monkeypatch.setattr(module, "load_classifier", lambda *_: toy)
        monkeypatch.setattr(module, "others", lambda _: [])
    return toy


def painted(**changes: Any) -> list[Painting]:
    order = replace(Order("green", steps=150, size=128), **changes)
    prepared, begun = ideal_run.start(View("toy.test"), order)
    return list(ideal_run.steps(prepared, begun))


def test_the_way_is_kept_in_at_most_sixty_pictures(network: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transferdemo.engine.ideal.EVENT_SECONDS", 0.0)
    last = painted()[-1]
    steps = [step for step, _ in last.frames]
    assert len(last.points) == 150 and len(steps) <= FRAMES + 2 and steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, 150)
    assert last.frame(0) == last.frames[0] and last.frame(150) == last.frames[-1]
    assert all(len(rows) <= ideal_show.POINTS + 1 for rows in ideal_show.curves(last))
    with Image.open(io.BytesIO(ideal_run.animation(last))) as image:
        assert image.format == "WEBP" and getattr(image, "n_frames", 1) == len(steps)


def test_a_stopped_picture_is_judged_as_it_is(network: Classifier) -> None:
    stopped = painted()[0]
    (known,) = ideal_run.judged(stopped)
    assert known.strip is not None and settings_of(known.png)["stopped_after"] == 1
    assert (ideal_run.decode(known.png) == stopped.image8).all() and known.strip.plain == known.strip.saved
    assert list(ideal_run.judged(replace(stopped, image8=None))) == []


def test_four_grow_side_by_side(network: Classifier) -> None:
    shown = list(side_by_side(View("toy.test"), Order("red", steps=3, size=128)))
    assert shown[-1].done and not shown[-2].done
    assert [sum(e is not None for e in s.events) for s in shown[:4]] == [1, 2, 3, 4]
    assert ideal_show.why(shown[-1]).count("data:image/png") == 4


def test_words_on_other_networks() -> None:
    def word(*opinions: Opinion, saved: float = 0.99) -> str:
        return ideal_show.word(Strip(saved, saved, saved, opinions), "zebra")

    assert word() == texts.IDEAL_NO_OTHERS and word(HERE, saved=0.1) == texts.IDEAL_UNSURE
    assert "disagree" in word(HERE, AGAINST) and "B sees" in word(HERE, AGAINST)
    assert word(HERE, replace(AGAINST, took_part=True)) == texts.ideal_agree("zebra", 1)
    assert word(replace(HERE, rank=None, probability=None)) == texts.IDEAL_OTHER_CLASSES


def test_what_others_wrote_is_escaped(network: Classifier) -> None:
    (known,) = ideal_run.judged(painted(steps=1)[-1])
    evil = "<img src=x>"
    strip = Strip(1, 1, 1, (AGAINST,))
    dressed = replace(known, title=evil, strip=strip, settings=known.settings | {"class": evil})
    kept = ideal_keep.with_new((), dressed)
    for html in (ideal_show.picture(dressed), ideal_show.strip(dressed), ideal_show.gallery(kept)):
        assert "<img src=x" not in html and "<b>rug" not in html
    for question in texts.IDEAL_CHIPS:
        assert "<img" not in ideal_show.said(ideal_show.answer(question, dressed))


def test_the_gallery_forgets_the_oldest(network: Classifier) -> None:
    (known,) = ideal_run.judged(painted(steps=1)[-1])
    kept: tuple[ideal_keep.Kept, ...] = ()
    for seed in range(ideal_keep.MOST + 3):
        kept = ideal_keep.with_new(kept, replace(known, settings=known.settings | {"seed": seed}))
    assert [one.settings["seed"] for one in kept] == list(range(3, ideal_keep.MOST + 3))


def test_every_method_has_its_lines_and_the_page_opens_with_a_zebra() -> None:
    for method in METHODS:
        tv, steps, rate = ideal_parts.of_method(method)
        assert tv["value"] <= ideal_parts.TV_MOST and tv["info"] and steps["info"] and rate["info"]
    assert "zebra" in ideal_show.opening() and settings_of(ideal_keep.OPENING)["method"] == METHODS[0]


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, verbose=False, download_files=tmp_path_factory.mktemp("client"))


def call(client: Client, *values: Any) -> tuple[Path, dict[str, Any]]:
    file, record = client.predict(*values, api_name="/ideal")
    return Path(file), record


def test_ideal_for_programs(client: Client) -> None:
    file, record = call(client, "any dog", DEFAULT, "sharp", 2, None, 128, 1)
    with Image.open(file) as image:
        assert np.array(image).shape == (128, 128, 3)
    settings = settings_of(file)
    assert settings["class"] == record["class"] == "any dog" and settings["tv"] == record["tv"] > 0
    assert record["steps_done"] == 2 and 0 <= record["robust_probability"] <= 1 and json.dumps(record)
    assert "EfficientNet-Lite2" in {other["network"] for other in record["others"]}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("unicorn", DEFAULT, "sharp", 2, None, 128, 0), "no class"),
        (("zebra", "nonet", "sharp", 2, None, 128, 0), "no network called"),
        (("zebra", DEFAULT, "magic", 2, None, 128, 0), "method must be one of"),
        (("zebra", DEFAULT, "sharp", 0, None, 128, 0), "steps must be"),
        (("zebra", DEFAULT, "sharp", 10_000, None, 128, 0), "steps must be"),
        (("zebra", DEFAULT, "sharp", 2, -1, 128, 0), "tv must be"),
        (("zebra", DEFAULT, "sharp", 2, None, 4096, 0), "size must be"),
        (("zebra", DEFAULT, "sharp", 2, None, 128, 0.5), "seed must be"),
    ],
)
def test_limits_hold_for_programs(client: Client, values: tuple[Any, ...], says: str) -> None:
    with pytest.raises(AppError) as caught:
        call(client, *values)
    assert says in str(caught.value)
