"""Pacing, the line in front of the device, what a visitor is told of errors, and that everything can be pickled."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
import pickle
import pkgutil
import threading
import types as python_types
import typing
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch

import transferdemo.data
import transferdemo.engine
from transferdemo import fetch, types
from transferdemo.errors import BadImage, Busy, DemoError
from transferdemo.heads import Classifier
from transferdemo.ui import bridge, texts
from transferdemo.ui.bridge import Line, in_turn, limited, paced, told


class Clock:
    """Time that passes only when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ticking(self, count: int, each: float) -> Iterator[int]:
        for i in range(count):
            self.now += each
            yield i


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(bridge, "time", SimpleNamespace(monotonic=fake.monotonic, sleep=fake.sleep))
    return fake


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    fresh = Line(room=3)
    monkeypatch.setattr(bridge, "line", fresh)
    return fresh


def test_paced_lets_ten_a_second_through_and_always_the_last(clock: Clock) -> None:
    assert list(paced(clock.ticking(100, 0.01))) == [*range(0, 100, 10), 99]
    assert list(paced(clock.ticking(3, 1.0))) == [0, 1, 2]
    assert list(paced(iter([7]))) == [7] and list(paced(iter([]))) == []
    assert list(paced(iter([1, 2, 3]))) == [1, 3]


def test_limited_stops_when_the_time_is_up(clock: Clock) -> None:
    assert list(limited(clock.ticking(100, 1.0), 4.5)) == [0, 1, 2, 3, 4]
    assert list(limited(clock.ticking(2, 100.0), 1.0)) == [0]  # what a step has cost is shown
    assert list(limited(clock.ticking(3, 0.1), 10.0)) == [0, 1, 2]


def test_the_line_keeps_the_order_in_which_people_came(line: Line) -> None:
    with line.place("a") as first, line.place("b") as second:
        with line.place("c") as third:
            assert (first(), second(), third()) == (0, 1, 2)
        with line.place("d") as fourth:
            assert (first(), second(), fourth()) == (0, 1, 2)
    with line.place("b") as again:
        assert again() == 0


def test_one_who_gives_up_lets_the_others_move_up(line: Line) -> None:
    with ExitStack() as rest, ExitStack() as middle:
        rest.enter_context(line.place("a"))
        middle.enter_context(line.place("b"))
        last = rest.enter_context(line.place("c"))
        assert last() == 2
        middle.close()
        assert last() == 1


def test_the_line_has_room_for_so_many_and_one_each(line: Line) -> None:
    with line.place("a"), line.place("b"):
        with pytest.raises(Busy, match="already"), line.place("a"):
            pass
        with line.place("c"), pytest.raises(Busy, match="Too many"), line.place("d"):
            pass
    with line.place(""), line.place(""), line.place("a") as turn:  # callers without a session are not one person
        assert turn() == 2


def test_who_waits_is_told_how_long(clock: Clock, line: Line) -> None:
    for seconds in (20.0,) * 10:
        with line.front():
            clock.now += seconds
    with line.front():
        clock.now += 5
        assert line.seconds(1) == 15 and line.seconds(3) == 55
        clock.now += 100
        assert line.seconds(1) == 0
    assert [texts.about(s) for s in (0, 12, 55, 89, 130)] == ["5 s", "10 s", "55 s", "90 s", "2 min"]


def test_a_job_that_fails_leaves_the_line(line: Line) -> None:
    with pytest.raises(ZeroDivisionError), line.place("a"):
        raise ZeroDivisionError
    with line.place("a") as turn:
        assert turn() == 0


def job(log: list[str], name: str, steps: int = 3) -> Generator[str, None, None]:
    try:
        for i in range(steps):
            log.append(name)
            yield f"{name}{i}"
    finally:
        log.append(f"{name} ended")


def test_in_turn_waits_says_so_and_then_runs(clock: Clock, line: Line) -> None:
    log: list[str] = []
    with line.place("other"):
        events = in_turn(lambda: job(log, "mine"), lambda text: f"<{text}>", "me")
        said = [next(events) for _ in range(3)]
        assert said == [f"<{texts.waiting(1, bridge.FIRST_GUESS)}>"] * 3 and "2nd in line" in said[0] and log == []
    assert list(events) == ["mine0", "mine2"]  # without a clock that ticks, paced keeps the first and the last
    assert log == ["mine"] * 3 + ["mine ended"] and not line._places


def test_a_cancelled_job_ends_and_leaves_the_line(line: Line) -> None:
    log: list[str] = []
    running = in_turn(lambda: job(log, "mine", 1000), str, "me")
    waiting = in_turn(lambda: job(log, "yours"), str, "you")
    assert next(running) == "mine0" and "in line" in next(waiting)
    waiting.close()
    assert len(line._places) == 1 and "yours" not in log
    running.close()
    assert not line._places and log[-1] == "mine ended"


def test_the_next_starts_only_when_the_last_step_has_ended(line: Line) -> None:
    """Gradio frees a cancelled job's slot at once; its step may still hold the device."""
    inside, most, go = [0], [0], threading.Event()

    def step() -> Generator[int, None, None]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        go.wait(0.05)
        yield 1
        inside[0] -= 1
        yield 2

    threads = [threading.Thread(target=lambda n=n: list(in_turn(step, str, n))) for n in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] and inside == [0] and not line._places


def test_a_job_has_only_its_time(clock: Clock, line: Line) -> None:
    log: list[str] = []

    def slow() -> Generator[int, None, None]:
        try:
            yield from clock.ticking(1000, 1.0)
        finally:
            log.append("ended")

    assert list(in_turn(slow, str, "me", seconds=5.0))[-1] <= 6 and log == ["ended"]


def plain(error: BaseException) -> object:
    def handler(x: int, request: gr.Request | None = None) -> int:
        if x:
            raise error
        return 7

    return handler


def stream(error: BaseException) -> object:
    def handler(x: int, request: gr.Request | None = None) -> Iterator[int]:
        yield 7
        if x:
            raise error

    return handler


KINDS = pytest.mark.parametrize("kind", [plain, stream])


def results(handler: typing.Any, x: int) -> list[int]:
    made = handler(x)
    return list(made) if inspect.isgenerator(made) or isinstance(made, Iterator) else [made]


@KINDS
def test_told_shows_a_sentence_and_never_markup(kind: typing.Any, caplog: pytest.LogCaptureFixture) -> None:
    handler = told(kind(BadImage('The file "<img src=x onerror=alert(1)>" is none.')))
    assert results(handler, 0) == [7]
    with pytest.raises(gr.Error) as caught:
        results(handler, 1)
    assert "<img" not in caught.value.message and "&lt;img src=x" in caught.value.message
    assert not caught.value.print_exception and caplog.records == []


@KINDS
def test_told_keeps_a_bug_to_the_log(kind: typing.Any, caplog: pytest.LogCaptureFixture) -> None:
    handler = told(kind(ValueError("/home/someone/secret")))
    with caplog.at_level(logging.ERROR, "transferdemo"), pytest.raises(gr.Error) as caught:
        results(handler, 1)
    assert caught.value.message == texts.BUG and "secret" not in caught.value.message
    assert "secret" in caplog.text and "Traceback" in caplog.text


@KINDS
def test_told_lets_gradios_own_errors_and_signals_pass(kind: typing.Any) -> None:
    for error in (gr.Error("Mine."), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            results(told(kind(error)), 1)
        assert caught.value is error


def test_told_does_not_hide_what_gradio_reads_off_a_handler() -> None:
    """It injects a gr.Request by the signature, and streams by the kind of function."""
    for kind in (plain, stream):
        handler = kind(ValueError())
        assert inspect.signature(told(handler)) == inspect.signature(handler)
        assert inspect.isgeneratorfunction(told(handler)) == inspect.isgeneratorfunction(handler)


def test_closing_a_told_stream_closes_the_job() -> None:
    log: list[str] = []

    def handler() -> Iterator[str]:
        yield from job(log, "mine")

    events = told(handler)()
    assert next(events) == "mine0"
    events.close()
    assert log[-1] == "mine ended"


def test_a_visitor_is_the_pages_session() -> None:
    assert bridge.visitor_of(SimpleNamespace(session_hash="abc")) == "abc"
    assert bridge.visitor_of(None) == bridge.visitor_of(SimpleNamespace()) == ""


def test_off_zerogpu_gpu_is_the_identity() -> None:
    def handler() -> None: ...

    assert bridge.gpu(handler) is handler and bridge.gpu(duration=60)(handler) is handler


# --------------------------------------------------------------------------------------- everything can be pickled


def modules() -> list[python_types.ModuleType]:
    packages = (transferdemo.engine, transferdemo.data)
    names = [f"{p.__name__}.{m.name}" for p in packages for m in pkgutil.iter_modules(p.__path__)]
    return [types, fetch, *map(importlib.import_module, names)]


def public_records() -> list[type]:
    """Every dataclass that a module defines for others: configs, events, results."""
    found = []
    for module in modules():
        for name, value in vars(module).items():
            own = isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
            if own and dataclasses.is_dataclass(value):
                found.append(value)
    return found


INSIDE = {
    "Objective",
    "Canvas",
    "Look",
    "Goal",
    "Pass",
    "Recipe",
    "Prepared",
}  # never leave the job that makes them: they hold graphs
NAMES = {name: value for module in (typing, np, torch) for name, value in vars(module).items() if name[:1].isupper()}
ALIASES = {"Image8", "Pixels", "Features", "Logits"}
NAMES |= {
    "np": np,
    "NDArray": np.ndarray,
    "Path": Path,
    "Mapping": Mapping,
    "Sequence": Sequence,
    "Generator": Generator,
}


def example(hint: object) -> object:
    """Some value of a type: the first of a union that is no None, the default of a setting."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return arguments[0]
    if origin in (typing.Union, python_types.UnionType):
        return example(next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return tuple(example(a) for a in arguments if a is not ...)
    if isinstance(origin or hint, type):
        return made(origin or hint)  # type: ignore[arg-type]
    return "anything"


def made(kind: type) -> object:
    simple: dict[type, object] = {int: 1, float: 0.5, str: "text", bytes: b"bytes", bool: True, Path: Path("a/b")}
    if kind in simple:
        return simple[kind]
    if issubclass(kind, torch.Tensor):
        return torch.ones(2, 3)
    if issubclass(kind, np.ndarray):
        return np.ones((2, 2, 3), np.uint8)
    if dataclasses.is_dataclass(kind):
        return filled(kind)
    return {} if issubclass(kind, Mapping) else [] if issubclass(kind, Sequence) else "anything"


def filled(kind: type) -> object:
    """An instance whose required fields have some value each; checks of configs see their defaults."""
    hints = {f.name: resolved(f.type, kind) for f in dataclasses.fields(kind)}
    required = [f for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING]
    return kind(**{f.name: example(hints[f.name]) for f in required if f.init})


def resolved(hint: object, kind: type) -> object:
    """A field's type; aliases such as Image8 are strings until a type checker reads them."""
    scope = {**NAMES, **vars(importlib.import_module(kind.__module__))}
    scope |= {name: eval(alias, scope) for name, alias in scope.items() if name in ALIASES and isinstance(alias, str)}
    return eval(hint, scope) if isinstance(hint, str) else hint


def same(a: object, b: object) -> bool:
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (torch.Tensor, np.ndarray)):
        return bool((torch.as_tensor(a) == torch.as_tensor(b)).all())
    return a == b


@pytest.mark.parametrize(
    "kind", public_records(), ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
)
def test_a_record_can_be_sent_to_another_process(kind: type) -> None:
    if kind.__name__ in INSIDE:
        return
    try:
        record = filled(kind)
    except DemoError:  # a config that has no valid values by default
        record = object.__new__(kind)
        for field in dataclasses.fields(kind):
            object.__setattr__(record, field.name, example(resolved(field.type, kind)))
    assert same(record, pickle.loads(pickle.dumps(record)))
    if kind.__name__.endswith(("Step", "Done")):
        assert {"step", "total"} <= {f.name for f in dataclasses.fields(kind)}
    if kind.__name__.endswith(("Step", "Done", "Config")):
        assert kind.__dataclass_params__.frozen


def test_the_records_are_really_found() -> None:
    names = {kind.__name__ for kind in public_records()}
    assert {
        "ClassifyStep",
        "ClassifyDone",
        "AttackConfig",
        "IdealStep",
        "TrainDone",
        "View",
        "Head",
        "DownloadStep",
    } <= names


def test_what_a_job_is_given_can_be_sent_too(toy: Classifier) -> None:
    again = pickle.loads(pickle.dumps(toy))
    pixels = torch.rand(2, 3, 8, 8)
    assert torch.equal(again(pixels), toy(pixels)) and again.classes == toy.classes
