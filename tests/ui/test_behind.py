"""Heavy jobs run in one thread that stands back, and end where they ran."""

from __future__ import annotations

import contextvars
import gc
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from transferdemo.ui.behind import NICE, behind

who: contextvars.ContextVar[str] = contextvars.ContextVar("who")


def test_events_come_in_order_from_one_thread_in_the_callers_context() -> None:
    def job() -> Iterator[tuple[int, str, int]]:
        for i in range(5):
            yield i, who.get(), threading.get_native_id()

    who.set("me")
    one, other = list(behind(job())), list(behind(job()))
    assert [(i, name) for i, name, _ in one] == [(i, "me") for i in range(5)]
    assert {thread for *_, thread in one + other} == {one[0][2]} != {threading.get_native_id()}


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a priority of its own")
def test_the_thread_and_what_it_starts_stand_back_and_nobody_else() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def job() -> Iterator[int]:
        yield nice()
        found: list[int] = []
        started = threading.Thread(target=lambda: found.append(nice()))
        started.start()
        started.join()
        yield found[0]

    before = nice()
    assert list(behind(job())) == [min(19, before + NICE)] * 2
    assert nice() == before


def test_an_error_arrives_and_the_next_job_runs() -> None:
    def bad() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    events = behind(bad())
    assert next(events) == 1
    with pytest.raises(ValueError, match="two"):
        next(events)
    assert list(behind(iter_of(3))) == [0, 1, 2]


def iter_of(count: int) -> Iterator[int]:
    yield from range(count)


def test_a_job_that_is_left_is_closed_there_even_when_it_is_collected_there() -> None:
    closed: list[str] = []

    def job() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(threading.current_thread().name)

    events = behind(job())
    next(events)
    events.close()  # type: ignore[attr-defined]
    ring: list[object] = [behind(job())]
    next(ring[0])  # type: ignore[call-overload]
    ring.append(ring)
    del ring

    def collecting() -> Iterator[int]:
        yield gc.collect()

    list(behind(collecting()))
    assert len(closed) == 2 and closed[0] == closed[1] != threading.current_thread().name
