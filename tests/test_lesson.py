"""The lesson sheet names tabs and chips that are there."""

from __future__ import annotations

import re
from pathlib import Path

from transferdemo.ui import build, texts
from transferdemo.ui.shared import Settings

ROOT = Path(__file__).resolve().parents[1]


def test_every_address_of_the_lesson_opens_something() -> None:
    sheet = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
    here = {getattr(block, "elem_id", None) for block in build(Settings()).blocks.values()}
    asked = re.findall(r"`/\?tab=([a-z]+)(?:&try=([a-z0-9-]+))?`", sheet)
    missing = [(tab, chip) for tab, chip in asked if tab not in here or (chip and f"try-{tab}-{chip}" not in here)]
    assert len(asked) >= 12 and not missing


def test_its_words_are_those_of_the_page() -> None:
    sheet = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
    titles = [*texts.IDEAL_CHIPS.values(), *texts.INSIDE_CHIPS.values(), *texts.FOOL_CHIPS.values()]
    titles += [*texts.READY_SETS.values(), texts.DIGITS, texts.IDEAL_WHY, texts.OTHERS, texts.IDEAL_STRIP]
    plain = " ".join(sheet.split())
    assert [title for title in titles if f"*{title}*" not in plain] == []
    assert "docs/lesson.md" in (ROOT / "README.md").read_text(encoding="utf-8")
