"""Inside: what the network saw on the photo, layer by layer, and why it said so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from ..backbones import DEFAULT, resolve
from ..engine.hide import hide_test
from ..engine.inspect import METHODS
from ..engine.sheet import drawn, record
from ..engine.stages import layout
from ..errors import BadImage, BadSetting
from ..heads import imagenet_names, load_classifier
from ..images import encode_png
from ..types import Photo, View, check_choice
from . import bridge, inside_channel, inside_map, inside_show, inside_try, photo, render, texts
from .clickable import chosen_of, clickable
from .inside_answer import (
    Screen,
    Updates,
    answered,
    beside_answer,
    closed,
    fresh_answer,
    layers,
    rivals,
    shows,
    then_tested,
)
from .inside_look import Asked, Shown, see
from .order import in_order
from .outbox import filed
from .picture import SafeImage
from .shared import KEEP, Shared

ASIDE: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "inside", **bridge.LIGHT}
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
GROUPS = ("any cat", "any dog")


def build(shared: Shared) -> None:
    """Lay the tab out and wire it."""
    screen, (handler, inputs, outputs) = _parts(shared)
    is_open = gr.State(False)
    where = [shared.photo, screen.second, shared.view]

    @bridge.told
    @in_order
    def fresh(
        given: Photo | None, second: Photo | None, view: View, shown: Shown | None, is_open: bool
    ) -> Iterator[Updates]:
        if is_open:
            yield from fresh_answer(screen, (given, second), view, shown)
        else:
            yield {screen.shown: gr.skip()}

    @bridge.told
    @in_order
    def beside(given: Photo | None, second: Photo | None, view: View, shown: Shown | None) -> Iterator[Updates]:
        yield from beside_answer(screen, (given, second), view, shown)

    opened = shared.tabs.select(_is_inside, None, is_open, **QUIET)
    for event in (opened, shared.given, *shared.chosen):
        looked = event.then(fresh, [*where, screen.shown, is_open], screen.outputs, **ASIDE)
        if event is opened:
            looked.then(handler, [*inputs, is_open], outputs, **ASIDE)
    screen.second.change(beside, [*where, screen.shown], screen.outputs, **ASIDE)
    _wire_choices(screen, where)
    for source in (screen.maps, screen.closer):
        inside_channel.tap(shared, screen.second, screen.panel, source)
    _wire_chips(shared, screen)


def _is_inside(event: gr.SelectData) -> bool:
    return bool(event.value == texts.INSIDE)


def _parts(shared: Shared) -> tuple[Screen, inside_map.Opening]:
    """Everything from top to bottom."""
    why = clickable(value=render.empty(texts.INSIDE_NONE), elem_id="inside-why")
    with gr.Row(elem_classes="chips"):
        chips = {k: gr.Button(text, size="sm", elem_id=f"try-inside-{k}") for k, text in texts.INSIDE_CHIPS.items()}
    reply = gr.HTML(elem_id="inside-reply")
    against = gr.Dropdown(
        rivals(imagenet_names(), GROUPS), value="", label=texts.INSIDE_AGAINST, info=texts.INSIDE_AGAINST_INFO,
        elem_id="inside-against", visible=False,
    )  # fmt: skip
    maps = clickable(elem_id="inside-maps")
    with gr.Accordion(texts.INSIDE_BESIDE, open=False):
        second = SafeImage(
            label=texts.INSIDE_SECOND, sources=["upload", "clipboard"], height=180, buttons=[], elem_id="inside-second"
        )  # fmt: skip
        examples = photo.examples()
        gr.Examples([[p] for p in examples.values()], second, label=texts.TRY_ONE, example_labels=list(examples))
    panel = inside_channel.build(shared)
    mapped = inside_map.build(shared)
    with gr.Accordion(texts.INSIDE_CLOSER, open=False):
        with gr.Row():
            layer = gr.Dropdown(
                layers(()), value="", label=texts.INSIDE_LAYER, info=texts.INSIDE_LAYER_INFO, elem_id="inside-layer"
            )  # fmt: skip
            method = gr.Radio(
                [(texts.INSIDE_METHODS[m], m) for m in METHODS], value=METHODS[0], label=texts.INSIDE_METHOD,
                info=texts.INSIDE_METHOD_INFO,
            )  # fmt: skip
        closer = clickable(elem_id="inside-closer")
    shown = gr.State(None, time_to_live=KEEP)
    return Screen(shown, why, against, reply, maps, second, layer, method, closer, panel, chips), mapped


def _wire_choices(screen: Screen, where: list[Any]) -> None:
    """Another class, another rival, layer or method: the same photo is explained anew."""

    def again(change: Callable[[Asked, Any, View], Asked]) -> Callable[..., Iterator[Updates]]:
        @bridge.told
        @in_order
        def handler(
            given: Photo | None, second: Photo | None, view: View, shown: Shown | None, value: Any
        ) -> Iterator[Updates]:
            yield from answered(screen, (given, second), view, change(shown.asked if shown else Asked(), value, view))

        return handler

    @bridge.told
    @in_order
    def chosen(
        given: Photo | None, second: Photo | None, view: View, shown: Shown | None, event: gr.EventData
    ) -> Iterator[Updates]:
        asked = shown.asked if shown else Asked()
        yield from answered(screen, (given, second), view, replace(asked, target=_class(chosen_of(event), view)))

    inputs = [*where, screen.shown]
    screen.why.select(chosen, inputs, screen.outputs, **ASIDE)
    for part, change in ((screen.against, _against), (screen.layer, _layer), (screen.method, _method)):
        part.input(again(change), [*inputs, part], screen.outputs, **ASIDE)


def _class(chosen: str, view: View) -> str:
    classes = load_classifier(view).classes
    if not chosen.isdecimal() or int(chosen) >= len(classes):
        raise BadSetting(texts.INSIDE_GONE)
    return classes[int(chosen)]


def _against(asked: Asked, value: Any, _: View) -> Asked:
    return replace(asked, against=value or None)


def _layer(asked: Asked, value: Any, view: View) -> Asked:
    layer = value or None
    if layer is not None:
        layout(load_classifier(view)).find(layer)
    return replace(asked, layer=layer)


def _method(asked: Asked, value: Any, _: View) -> Asked:
    check_choice("method", value, METHODS)
    return replace(asked, method=value, layer=None)


def _wire_chips(shared: Shared, screen: Screen) -> None:
    """The three questions of *Try this*."""
    outputs = [*screen.outputs, shared.picture, shared.photo]
    where = [shared.photo, screen.second, shared.view]

    @bridge.told
    @in_order
    def dog(given: Photo | None, second: Photo | None, view: View) -> Iterator[Updates]:
        path, given = _or_example(given)
        target = inside_try.other_pet(given, view)
        seen = see(given, view, Asked(target=target))
        beside = see(second, view, Asked()) if second else None
        said = inside_show.said(inside_try.answer_not(seen))
        photo_too = {shared.picture: photo.shown(path), shared.photo: given} if path else {}
        yield from then_tested(screen, seen, shows(screen, seen, beside, view) | {screen.reply: said} | photo_too)

    @bridge.told
    @in_order
    def lion(view: View) -> Iterator[Updates]:
        cat, other = list(photo.examples().values())[:2]
        seen, beside = (see(inside_try.example(path), view, Asked()) for path in (cat, other))
        said = inside_show.said(inside_try.answer_two(seen, beside))
        photos = {shared.picture: photo.shown(cat), shared.photo: seen.photo, screen.second: photo.shown(other)}
        answer = shows(screen, seen, beside, view) | closed(screen) | {screen.reply: said} | photos
        yield from then_tested(screen, seen, answer)

    def fooled(given: Photo | None, view: View, trial: Any, request: gr.Request) -> Iterator[Updates]:
        _, given = _or_example(given)
        visitor, seconds = bridge.visitor_of(request), shared.settings.seconds
        for event in inside_try.fooled(given, view, trial, visitor, seconds):
            if isinstance(event, str):
                yield {screen.reply: render.fact(event)}
                continue
            seen, beside = (see(one, view, Asked()) for one in event)
            files = [filed(encode_png(one.image8), one.name) for one in event]
            said = inside_show.said(inside_try.answer_fooled(seen, beside))
            photos = {shared.picture: files[0], shared.photo: seen.photo, screen.second: files[1]}
            answer = shows(screen, seen, beside, view) | closed(screen) | {screen.reply: said} | photos
            yield from then_tested(screen, seen, answer)

    screen.chips["dog"].click(dog, where, outputs, **ASIDE)
    screen.chips["lion"].click(lion, shared.view, outputs, **ASIDE)
    screen.chips["fooled"].click(
        bridge.told(fooled),
        [shared.photo, shared.view, shared.trial],
        outputs,
        api_visibility="private",
        **bridge.HEAVY,
    )


def _or_example(given: Photo | None) -> tuple[str, Photo]:
    """The photo, or the first example with the path of its file; an empty path where there is a photo."""
    if given is not None:
        return "", given
    path = next(iter(photo.examples().values()))
    return path, inside_try.example(path)


def api(shared: Shared) -> None:
    """/inspect for callers: a picture, a class and a layer -> heat map, sheet of channels, and what hiding says."""
    settings = shared.settings

    @bridge.told
    def inspect(picture: Photo | None, class_name: str, layer: str, backbone: str) -> tuple[str, str, dict[str, Any]]:
        """See which part of a picture made the decision, and what each depth of the network responds to.

        Args:
            picture: a JPEG, PNG, WebP, GIF or BMP file.
            class_name: a class by name or index, "any cat" or "any dog"; empty for the best class.
            layer: a stage's name, such as blocks.4; empty for the one that points best.
            backbone: a network's name, for example tf_efficientnet_lite0.in1k.
        """
        if picture is None:
            raise BadImage(texts.NO_PHOTO)
        view = View(resolve(backbone).tag, device=settings.device)
        seen = see(picture, view, Asked(target=None if class_name == "" else class_name, layer=layer or None))
        hidden = hide_test(seen.classifier, seen.inside.image8, seen.inside.cam)
        made = drawn(seen.classifier, seen.inside, picture.image8, seen.fit)
        files = [filed(encode_png(made[name]), name) for name in ("gradcam.png", "features.png")]
        return files[0], files[1], {"name": seen.title, **record(seen.inside, hidden)}

    inputs: list[Any] = [SafeImage(visible=False), gr.Textbox("", visible=False), gr.Textbox("", visible=False)]
    inputs += [gr.Textbox(DEFAULT, visible=False)]
    outputs = [gr.File(visible=False), gr.File(visible=False), gr.JSON(visible=False)]
    gr.Button(visible=False).click(
        inspect, inputs, outputs, api_name="inspect", concurrency_id="inspect", **bridge.LIGHT
    )  # fmt: skip
