"""Jobs that nobody listens to: they are not run, and give their places away."""

from __future__ import annotations

import pytest

from transferdemo.errors import Busy
from transferdemo.ui import attendance as module
from transferdemo.ui import bridge
from transferdemo.ui.attendance import GRACE, Attendance, listener_of
from transferdemo.ui.bridge import Line, in_turn


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Attendance:
    fresh = Attendance()
    monkeypatch.setattr(bridge, "attendance", fresh)
    monkeypatch.setattr(bridge, "line", Line(room=3))
    monkeypatch.setattr(bridge.time, "sleep", lambda _: None)
    return fresh


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed."""
    passed, now = [0.0], module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + passed[0])
    return passed


def test_what_is_a_stream() -> None:
    assert listener_of("/gradio_api/queue/data", b"session_hash=abc&x=1") == "abc"
    assert listener_of("/gradio_api/call/ideal/e1", b"") == "e1"
    assert listener_of("/gradio_api/call/ideal", b"") == listener_of("/gradio_api/queue/join", b"session_hash=a") == ""


def test_present_absent_gone(here: Attendance, later: list[float]) -> None:
    assert not here.absent("who never asked over http")
    here.expect("a", "event")
    assert here.absent("a") and not here.gone("a")
    for name in ("a", "event"):
        with here.stream(name), here.stream(name):
            assert not here.absent("a")
    later[0] += GRACE + 1
    assert here.gone("a")
    with here.stream("a"):
        assert not here.gone("a")
    assert here.absent("a") and not here.gone("a")  # they may come back
    here.forget("a")
    assert not here.absent("a")


def test_a_job_waits_for_its_listener_and_is_dropped_without_one(here: Attendance, later: list[float]) -> None:
    here.expect("a", "e")
    job = in_turn(lambda: iter(["ran"]), lambda _: "waits", "a")
    assert next(job) == "waits"
    with here.stream("e"):
        assert list(job) == ["ran"]
    here.expect("b", "")
    job = in_turn(lambda: iter(["ran"]), lambda _: "waits", "b")
    assert next(job) == "waits"
    later[0] += GRACE + 1
    assert list(job) == [] and not bridge.line._places


def test_in_a_full_line_who_listens_gets_the_place_of_who_does_not(here: Attendance) -> None:
    jobs = [in_turn(lambda: iter(["ran"]), str, name) for name in "abc"]
    for name, job in zip("abc", jobs, strict=True):
        here.expect(name, "")
        next(job)
    here.expect("d", "")
    with here.stream("a"), here.stream("c"), here.stream("d"):
        honest = in_turn(lambda: iter(["ran"]), str, "d")
        assert "3rd in line" in next(honest)
        with pytest.raises(Busy, match="Too many"):
            next(jobs[1])
        with pytest.raises(Busy, match="Too many"):
            next(in_turn(lambda: iter(["ran"]), str, "e"))  # all others listen
        for job in (jobs[0], jobs[2], honest):
            assert list(job)[-1] == "ran"
