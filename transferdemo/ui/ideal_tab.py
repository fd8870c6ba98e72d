"""Ideal: the picture that a class likes best, painted before your eyes; and how far to trust it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from ..backbones import DEFAULT, resolve
from ..engine.ideal import RECIPES
from ..engine.ideal_order import Order
from ..errors import BadSetting
from ..types import Photo, View
from . import bar, bridge, ideal_memory, ideal_parts, ideal_show, render, texts
from . import ideal_run as runs
from .clickable import chosen_of
from .ideal_keep import Kept, with_new
from .ideal_parts import Controls, Screen
from .ideal_run import Painting
from .ideal_why import Why, side_by_side
from .outbox import filed
from .shared import Settings, Shared

CURVES = 0.25  # seconds between two drawings of the curves
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
ASIDE: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "ideal", **bridge.LIGHT}
INTO_VIEW = (
    "() => { if (innerWidth <= 700) document.getElementById('ideal-out').scrollIntoView({behavior: 'smooth'}); }"
)
ONLY_SAID = "only said"  # the question of a chip that had nothing to run

Updates = dict[Any, Any]


def build(shared: Shared) -> None:
    """Lay the tab out and wire it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=260):
            controls = ideal_parts.controls()
        with gr.Column(scale=3, min_width=300, elem_id="ideal-out"):
            screen = ideal_parts.screen()
    _wire_controls(shared, controls)
    _wire_jobs(shared, controls, screen)
    _wire_result(shared, controls, screen)


def _wire_controls(shared: Shared, controls: Controls) -> None:
    for event in shared.chosen:
        event.then(bridge.told(ideal_parts.listed), [shared.view, controls.name], controls.name, **ASIDE)
    controls.method.input(
        bridge.told(ideal_parts.of_method), controls.method, [controls.tv, controls.steps, controls.rate], **QUIET
    )


def _wire_jobs(shared: Shared, controls: Controls, screen: Screen) -> None:
    """The buttons and the chips run one job each; what it left, stopped or not, is judged and shown."""
    inputs = [shared.photo, shared.view, *controls.order]
    settings = shared.settings

    def paint(request: gr.Request, question: str, photo: Photo | None, view: View, *values: Any) -> Iterator[Updates]:
        if question != ONLY_SAID:
            order = ideal_parts.order_of(photo, *values)
            yield from painted(screen, view, order, settings.seconds, bridge.visitor_of(request))
        else:
            yield {screen.status: ""}

    def four(request: gr.Request, photo: Photo | None, view: View, *values: Any) -> Iterator[Updates]:
        order = _as_recipes(ideal_parts.order_of(photo, *values))
        yield from explained(screen, view, order, settings.seconds, bridge.visitor_of(request))

    def end(painting: Painting | None, kept: tuple[Kept, ...], question: str) -> Iterator[Updates]:
        yield from ended(screen, painting, kept, question)

    endings: list[Any] = []

    def chain(begun: Any, handler: Callable[..., Any], values: list[Any]) -> None:
        running = begun.then(bridge.told(handler), values, screen.outputs, api_visibility="private", **bridge.HEAVY)
        controls.stop.click(None, None, None, cancels=[running])
        running.then(_free(controls), None, controls.buttons, **QUIET)
        behind = [screen.painting, screen.kept, screen.question]
        endings.append(running.then(bridge.told(end), behind, screen.outputs, **ASIDE))

    asked = [screen.question, *inputs]
    chain(controls.run.click(_busy(controls), None, [*controls.buttons, screen.question], **QUIET), paint, asked)
    chain(controls.why.click(_busy(controls), None, [*controls.buttons, screen.question], **QUIET), four, inputs)
    for question, chip in controls.chips.items():
        set_up = [shared.view, controls.name, shared.stamp]
        above = [shared.view, shared.head_menu, shared.stamp]
        outputs = [*controls.order, screen.question, screen.reply, *above]
        prepared = bridge.told(_prepared(question, shared, controls, screen))
        ready = chip.click(prepared, set_up, outputs, **ASIDE)
        chain(ready.success(_busy(controls, question), None, controls.buttons, **QUIET), paint, asked)
    for button in controls.buttons[1:]:
        button.click(None, None, None, js=INTO_VIEW, cancels=endings)


def _busy(controls: Controls, question: str | None = None) -> Callable[[], list[Any]]:
    """All buttons wait, Stop stands in the place of *Show why*; a button that is no chip also clears the question."""

    def busy() -> list[Any]:
        others = [gr.update(interactive=False, visible=button is not controls.why) for button in controls.buttons[1:]]
        waiting = [gr.update(interactive=True, visible=True), *others]
        return waiting if question is not None else [*waiting, ""]

    return busy


def _free(controls: Controls) -> Callable[[], list[Any]]:
    """All buttons are back, Stop is gone."""

    def free() -> list[Any]:
        return [
            gr.update(interactive=False, visible=False),
            *[gr.update(interactive=True, visible=True)] * (len(controls.buttons) - 1),
        ]

    return free


def _as_recipes(order: Order) -> Order:
    """Steps that the person did not change follow each method's own recipe."""
    untouched = order.method in RECIPES and order.steps == RECIPES[order.method].steps
    return replace(order, steps=None) if untouched else order


def _prepared(
    question: str, shared: Shared, controls: Controls, screen: Screen
) -> Callable[[View, str, float], Updates]:
    """What a chip sets before it runs. Without a head of one's own, *my own class* says how to get one and runs nothing.

    A class that the head above the tabs does not know is asked of the network's own classes, which then stand there.
    """
    methods = {"smooth": "lesson", "agreed": "agreed"}
    names = {"zebra": "zebra", "cat": "any cat"}

    def prepare(view: View, name: str, stamp: float) -> Updates:
        if question == "mine" and view.head is None:
            return {screen.question: ONLY_SAID, screen.reply: ideal_show.said(texts.IDEAL_TEACH_FIRST)}
        if question == "mine" and view.head is not None:
            name = name if name in view.head.classes else view.head.classes[0]
        method = methods.get(question, "sharp")
        tv, steps, rate = ideal_parts.of_method(method)
        if question == "smooth":
            tv["value"] = 0
        wanted, above = names.get(question, name), {}
        if question in names and view.head is not None and not ideal_parts.known(view.head, wanted):
            view = replace(view, head=None)
            above = {shared.view: view, shared.head_menu: bar.OWN, shared.stamp: stamp + 1}
        return above | {
            controls.name: ideal_parts.listed(view, wanted), controls.method: method, controls.tv: tv,
            controls.steps: steps, controls.rate: rate, controls.start: "noise", screen.question: question,
            screen.reply: "",
        }  # fmt: skip

    return prepare


def painted(screen: Screen, view: View, order: Order, seconds: float, visitor: str) -> Iterator[Updates]:
    """One picture in turn with other jobs, as updates of the screen."""
    prepared, painting = runs.start(view, order)
    yield _cleared(screen) | {screen.figure: ideal_show.picture(painting), screen.curves: gr.update(visible=True)}
    due = 0.0
    if (known := ideal_memory.known(prepared, painting)) is not None:
        yield {screen.painting: known, screen.figure: ideal_show.picture(known)} | _curves(screen, known)
        return
    growing = partial(ideal_memory.painted, prepared, painting)
    for event in bridge.in_turn(growing, _waiting(screen), visitor, seconds):
        if isinstance(event, dict):
            yield event
            continue
        shown = {
            screen.painting: event,
            screen.status: ideal_show.status(event),
            screen.figure: ideal_show.picture(event),
        }
        if time.monotonic() > due:
            due = time.monotonic() + CURVES
            shown |= _curves(screen, event)
        yield shown


def explained(screen: Screen, view: View, order: Order, seconds: float, visitor: str) -> Iterator[Updates]:
    """Two by two, in turn with other jobs, as updates of the screen."""
    four: Why | None = None
    yield _cleared(screen) | {screen.curves: gr.update(visible=False)}
    job = bridge.Job(side_by_side, (view, order), 600)
    for event in bridge.in_turn(job, _waiting(screen), visitor, seconds):
        if isinstance(event, dict):
            yield event
        else:
            four = event
            yield {screen.figure: ideal_show.why(four), screen.status: ideal_show.why_status(four)}
    if four is not None:
        yield {screen.figure: ideal_show.why(four), screen.status: "", screen.reply: ideal_show.why_answer(four)}


def _cleared(screen: Screen) -> Updates:
    """Nothing of the last picture is left but its place."""
    return {
        screen.painting: None, screen.status: render.fact(texts.IDEAL_STARTING), screen.reply: "", screen.strip: "",
        screen.scrub: gr.update(visible=False), screen.files: gr.update(visible=False),
    }  # fmt: skip


def _waiting(screen: Screen) -> Callable[[str], Updates]:
    return lambda sentence: {screen.status: render.fact(sentence)}


def _curves(screen: Screen, painting: Painting) -> Updates:
    return dict(zip(screen.plots, ideal_show.curves(painting), strict=True))


def ended(screen: Screen, painting: Painting | None, kept: tuple[Kept, ...], question: str) -> Iterator[Updates]:
    """The saved file, and what networks make of it: first its own, then one other after the other."""
    if painting is None or painting.image8 is None or painting.strip is not None:
        yield {screen.status: ""}
        return
    yield {screen.status: render.fact(texts.IDEAL_ASKING)} | _curves(screen, painting)
    known = painting
    for number, known in enumerate(runs.judged(painting)):
        shown: Updates = {screen.painting: known, screen.strip: ideal_show.strip(known)}
        yield shown | (_finished(screen, known, kept) if number == 0 else {})
    yield {screen.status: "", screen.reply: ideal_show.said(ideal_show.answer(question, known))}


def _finished(screen: Screen, painting: Painting, kept: tuple[Kept, ...]) -> Updates:
    """The file, the way there and the gallery."""
    name = f"ideal-{''.join(c if c.isalnum() else '-' for c in painting.title)[:40]}"
    kept = with_new(kept, painting)
    return {
        screen.figure: ideal_show.picture(painting), screen.kept: kept,
        screen.gallery: gr.update(value=ideal_show.gallery(kept), visible=True),
        screen.scrub: gr.update(maximum=max(2, painting.step), value=painting.step, visible=painting.step > 1),
        screen.files: gr.update(visible=True), screen.png: filed(painting.png, f"{name}.png"),
        screen.webp: filed(runs.animation(painting), f"{name}.webp"),
    }  # fmt: skip


def _wire_result(shared: Shared, controls: Controls, screen: Screen) -> None:
    """The way there, and the pictures made before."""

    @bridge.told
    def scrubbed(painting: Painting | None, step: int) -> Any:
        return ideal_show.frame(painting, step) if painting else gr.skip()

    @bridge.told
    def again(kept: tuple[Kept, ...], event: gr.EventData) -> Updates:
        chosen = chosen_of(event)
        if not chosen.isdecimal() or int(chosen) >= len(kept):
            raise BadSetting(texts.IDEAL_GONE)
        settings = kept[int(chosen)].settings
        title = resolve(str(settings["backbone"])).title
        said = ideal_show.said(texts.ideal_set(str(settings["class"]), title))
        return ideal_parts.at(controls, settings) | {screen.reply: said}

    screen.scrub.input(scrubbed, [screen.painting, screen.scrub], screen.figure, trigger_mode="always_last", **QUIET)
    screen.gallery.select(again, screen.kept, [*controls.order, screen.reply], **ASIDE)


def api(shared: Shared) -> None:
    """/ideal for callers: a class and how to paint it -> the PNG file, and what networks make of it."""
    settings = shared.settings

    @bridge.told
    def ideal(
        request: gr.Request, class_name: str, backbone: str, method: str, steps: int | None, tv: float | None, size: int,
        seed: int,
    ) -> tuple[str, dict[str, Any]]:  # fmt: skip
        """Paint the picture that a class likes best.

        Args:
            class_name: a class by name or index, "any cat" or "any dog".
            backbone: a network's name, for example tf_efficientnet_lite0.in1k.
            method: sharp, agreed or lesson.
            steps: 1 to 1000; none for the method's own.
            tv: weight of total variation, 0 to 5000; none for the method's own.
            size: pixels a side, 128 to 384.
            seed: of the random start and looks.
        """
        view = View(resolve(backbone).tag, device=settings.device)
        order = Order(class_name, method, steps, tv, size=size, seed=seed)  # type: ignore[arg-type]  # prepare checks it
        painting = last(view, order, settings, bridge.visitor_of(request))
        return filed(painting.png, "ideal.png"), record(painting)

    inputs: list[Any] = [gr.Textbox("zebra", visible=False), gr.Textbox(DEFAULT, visible=False)]
    inputs += [gr.Textbox("sharp", visible=False), gr.Number(None, visible=False), gr.Number(None, visible=False)]
    inputs += [gr.Number(224, visible=False), gr.Number(0, visible=False)]
    gr.Button(visible=False).click(
        ideal, inputs, [gr.File(visible=False), gr.JSON(visible=False)], api_name="ideal", **bridge.HEAVY
    )


def last(view: View, order: Order, settings: Settings, visitor: str) -> Painting:
    """The picture when it ended or its time was up, judged. Raises DemoError."""
    prepared, begun = runs.start(view, order)
    painting = begun
    growing = partial(ideal_memory.painted, prepared, begun)
    for event in bridge.in_turn(growing, lambda _: None, visitor, settings.seconds):
        painting = event or painting
    known = list(runs.judged(painting))
    if not known:
        raise BadSetting(texts.IDEAL_NOTHING)
    return known[-1]


def record(painting: Painting) -> dict[str, Any]:
    """The settings, and what networks make of the file, as JSON."""
    strip = painting.strip
    if strip is None:
        return dict(painting.settings)
    others = [
        {"network": o.network, "took_part": o.took_part, "best": o.best, "best_probability": round(o.best_probability, 6),
         "probability": None if o.probability is None else round(o.probability, 6), "rank": o.rank}
        for o in strip.opinions
    ]  # fmt: skip
    measured = {"probability": round(strip.saved, 6), "robust_probability": round(strip.robust, 6)}
    return {**painting.settings, **measured, "steps_done": painting.step, "others": others}
