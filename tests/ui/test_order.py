"""Presses of one visitor wait for each other, those of another do not, and an abandoned one blocks nobody for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from gradio.context import LocalContext

from transferdemo.ui import order


class Request:
    """What Gradio knows of who asks."""

    def __init__(self, session_hash: str) -> None:
        self.session_hash = session_hash


def press(visitor: str, name: str, said: list[str], go: threading.Event | None = None) -> None:
    """One press, answered in two parts."""

    @order.in_order
    def handler() -> Iterator[str]:
        yield f"{name} answer"
        if go:
            assert go.wait(10)
        yield f"{name} test"

    LocalContext.request.set(Request(visitor))  # type: ignore[arg-type]
    said.extend(iter(handler()))  # what is said is said at once


def test_one_visitors_answers_never_cross_and_others_do_not_wait() -> None:
    said: list[str] = []
    go = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(press, "ann", "1", said, go)
        while "1 answer" not in said:
            threading.Event().wait(0.01)
        later = []
        for name in ("2", "3", "4"):
            later.append(pool.submit(press, "ann", name, said))
            while len(order._lines["ann"]) < len(later) + 1:
                threading.Event().wait(0.01)
        pool.submit(press, "bob", "b", said).result(10)
        assert said == ["1 answer", "b answer", "b test"]
        go.set()
        for one in (first, *later):
            one.result(10)
    assert said[3:] == ["1 test", "2 answer", "2 test", "3 answer", "3 test", "4 answer", "4 test"]
    assert not order._lines


def test_who_left_in_the_middle_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "PATIENCE", 0.1)
    said: list[str] = []
    with order.turn("ann"):
        press("ann", "2", said)
        assert said == ["2 answer", "2 test"]
    press("ann", "3", said)
    assert len(said) == 4 and not order._lines


def test_callers_without_a_session_wait_for_nobody() -> None:
    said: list[str] = []
    with order.turn(""):
        press("", "1", said)
    assert said == ["1 answer", "1 test"] and not order._lines
