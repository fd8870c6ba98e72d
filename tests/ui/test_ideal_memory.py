"""The same ideal picture asked again comes from memory; what differs in anything that counts does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transferdemo.engine import ideal_order
from transferdemo.engine.ideal_order import Order
from transferdemo.heads import Classifier
from transferdemo.types import View
from transferdemo.ui import ideal_memory, ideal_run
from transferdemo.ui.ideal_memory import Memory, key_of, known, painted, weight

ORDER = Order("green", steps=3, size=128)


@pytest.fixture(autouse=True)
def network(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(
        ideal_order, "load_classifier", lambda view, *_: Classifier(toy.backbone, view.head or toy.head)
    )
    monkeypatch.setattr(ideal_memory, "memory", Memory())
    return toy


def start(view: View | None = None, **changes: Any) -> tuple[Any, Any]:
    return ideal_run.start(view or View("toy.test"), replace(ORDER, **changes))


def test_the_second_one_has_it_at_once_and_as_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = list(painted(*start()))
    other = View("toy.test")
    monkeypatch.setattr(ideal_memory, "steps", lambda *_: pytest.fail("painted again"))
    (again,) = painted(*start(other))
    assert again.png == first[-1].png and again.frames == first[-1].frames and again.strip is None
    assert again.view is other is not first[-1].view


def test_only_what_is_finished_is_kept() -> None:
    growing = painted(*start())
    next(growing)
    assert known(*start()) is None
    assert list(growing)[-1].png and known(*start()) is not None


def test_another_class_setting_head_or_seed_is_another_picture(toy: Classifier) -> None:
    head = toy.head
    renamed = replace(head, classes=("rot", "green", "blau"))
    heads = [replace(head, bias=head.bias + 0.5), replace(head, temperature=2.0), renamed]
    views = [View("toy.test", head=one) for one in heads]
    changes: list[dict[str, Any]] = [{"name": "red"}, {"seed": 1}, {"steps": 4}, {"tv": 1.0}, {"method": "lesson"}]
    changes += [{"size": 130}, {"learning_rate": 0.5}]
    keys = [key_of(start()[0]), *(key_of(start(v)[0]) for v in views), *(key_of(start(**c)[0]) for c in changes)]
    assert len(set(keys)) == len(keys) == 1 + len(views) + len(changes)
    assert key_of(start(View("toy.test", head=replace(head)))[0]) == keys[0]  # the same numbers in another object


def test_a_visitors_photo_is_kept_nowhere() -> None:
    photo = np.zeros((128, 128, 3), np.uint8)
    assert (
        key_of(start(start=photo)[0]) == ""
        and list(painted(*start(start=photo)))
        and known(*start(start=photo)) is None
    )


def test_memory_is_bounded_in_bytes_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    last = list(painted(*start()))[-1]
    memory = Memory(most=2 * weight(last) + 10, seconds=60)
    for key in ("a", "b"):
        memory.keep(key, last)
    assert memory.find("a") is last
    memory.keep("c", last)
    assert memory.find("b") is None and memory.find("a") and memory.find("c")
    now = ideal_memory.time.monotonic()
    monkeypatch.setattr(ideal_memory.time, "monotonic", lambda: now + 61)
    assert memory.find("a") is None and not memory._kept
    memory.most = 10
    memory.keep("d", last)
    assert memory.find("d") is None
