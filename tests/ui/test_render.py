"""Numbers become HTML, and no text of a stranger becomes markup."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from transferdemo.engine.classify import Prediction, Score, Verdict
from transferdemo.ui import render, texts

EVIL = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'&"
DOG, CAT, NEITHER = Verdict("dog", 0.9, 0.05), Verdict("cat", 0.1, 0.9), Verdict("neither", 0.01, 0.02)


class Page(HTMLParser):
    """What a browser makes of a piece of HTML: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(html: str) -> Page:
    parsed = Page(html)
    assert parsed.open == [], "a tag stayed open"
    return parsed


def prediction(
    imagenet: Verdict | None = DOG, pets: Verdict | None = None, lost: float = 0.0, exact: bool = False
) -> Prediction:
    scores = (Score(207, "golden retriever", 0.93), Score(1, EVIL, 0.05))
    return Prediction(
        EVIL, scores, np.ones(1000, np.float32), imagenet, pets, np.zeros((8, 8, 3), np.uint8), lost, exact, 12.0
    )


@pytest.mark.parametrize(
    "html",
    [
        render.empty(EVIL), render.fact(EVIL), render.picture(np.zeros((8, 8, 3), np.uint8), EVIL),
        render.thumbnail(b"x", EVIL), render.bars([Score(0, EVIL, 0.5)]), render.progress(1, 2, EVIL),
        render.answer(prediction(), EVIL), render.answer(prediction(None), EVIL), render.table((EVIL, "b"), []),
    ],
)  # fmt: skip
def test_texts_of_strangers_stay_texts(html: str) -> None:
    parsed = page(html)
    assert not parsed.all("script")
    assert all(str(i.get("src", "")).startswith("data:image/") for i in parsed.all("img"))
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.5, "50.0 %"), (0.1234, "12.3 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.9999, "99.9 %"), (0.0006, "0.1 %"),
     (1e-9, "<0.1 %")],
)  # fmt: skip
def test_percentages_never_claim_certainty(share: float, text: str) -> None:
    assert page(f"<p>{render.percent(share)}</p>").text == text


def test_bars_say_what_they_show() -> None:
    scores = [Score(0, "golden retriever", 0.93), Score(1, "tabby", 0.0001)]
    parsed = page(render.bars(scores))
    box = parsed.all("div")[0]
    assert box["role"] == "img" and box["aria-label"] == "golden retriever 93.0 %, tabby <0.1 %"
    assert [i["style"] for i in parsed.all("i")] == ["--p:93.0%", "--p:0.0%"]


def test_pictures_carry_their_pixels() -> None:
    image8 = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for exact in (True, False):
        [image] = page(render.picture(image8, "what it saw", exact=exact)).all("img")
        kind, _, data = image["src"].partition(";base64,")
        assert kind == f"data:image/{'png' if exact else 'jpeg'}" and image["alt"] == "what it saw"
        again = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        assert again.shape == image8.shape and (not exact or np.array_equal(again, image8))
    assert render.thumbnail(None, "none") == ""


def test_progress_is_there_for_all() -> None:
    for step, total, now in ((0, 4, "0"), (1, 4, "25"), (4, 4, "100"), (0, 0, "0")):
        bar = page(render.progress(step, total, "3 of 4 photos")).all("div")[0]
        assert bar["role"] == "progressbar" and bar["aria-valuenow"] == now and bar["aria-label"]


def test_an_answer_has_the_verdict_its_sums_and_what_was_seen() -> None:
    parsed = page(render.answer(prediction(), "12 ms"))
    assert parsed.text.startswith("dog") and "dog 90.0 % · cat 5.0 % · neither 5.0 %" in parsed.text
    assert "12 ms" in parsed.text and f"{texts.SAW}: 8 × 8 pixels." in parsed.text and EVIL in parsed.text


def test_a_word_on_what_went_in() -> None:
    assert texts.lost(0.4) in page(render.seen(prediction(lost=0.4))).text
    assert "leaves out" not in page(render.seen(prediction(lost=0.2))).text
    assert texts.EXACT in page(render.seen(prediction(exact=True))).text


def test_a_head_with_other_classes_has_no_dogs_and_cats() -> None:
    text = page(render.answer(prediction(None), "")).text
    assert text.startswith("golden retriever") and "neither" not in text


def test_the_two_lines_of_the_lesson() -> None:
    text = page(render.both(prediction(DOG, CAT))).text
    assert texts.ALONE in text and "dog (" in text and "cat (" in text
    assert "cat" not in re.sub(
        r"cats and dogs", "", page(render.both(prediction(NEITHER, CAT))).text.split("neither (")[1].split(")")[1]
    )
    assert render.both(prediction(DOG, None)) == render.both(prediction(None, None)) == ""


def test_tables_take_html_cells_and_text_headings() -> None:
    parsed = page(render.table(("a", "<b>"), [["<b>bold</b>", "plain"], ["", ""]]))
    assert len(parsed.all("tr")) == 3 and len(parsed.all("th")) == 2 and len(parsed.all("td")) == 4
    assert "<b>" in parsed.text and len(parsed.all("b")) == 1
