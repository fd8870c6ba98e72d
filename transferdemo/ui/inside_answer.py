"""What a look inside changes on the page: updates of the screen, by component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..errors import BadImage, DemoError
from ..heads import groups
from ..types import Photo, View
from . import inside_channel, inside_show, render, texts
from .inside_look import Asked, Seen, Shown, see

Updates = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class Screen:
    """What a person sees and chooses, and what is behind it."""

    shown: gr.State  # Shown | None
    why: gr.HTML
    against: gr.Dropdown
    reply: gr.HTML
    maps: gr.HTML
    second: Any  # SafeImage
    layer: gr.Dropdown
    method: gr.Radio
    closer: gr.HTML
    panel: inside_channel.Panel
    chips: dict[str, gr.Button]

    @property
    def outputs(self) -> list[Any]:
        """What an answer may write to."""
        parts = [
            self.shown,
            self.why,
            self.against,
            self.reply,
            self.maps,
            self.second,
            self.layer,
            self.method,
            self.closer,
        ]
        return [*parts, self.panel.column]


def rivals(classes: tuple[str, ...], together: tuple[str, ...]) -> list[tuple[str, str]]:
    """(title, value) of what a class can be set against."""
    return [(texts.INSIDE_ALL, ""), *((name, name) for name in (*together, *classes))]


def layers(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """(title, value) of the layers at which a decision can be explained."""
    return [(texts.INSIDE_BEST_LAYER, ""), *((name, name) for name in names)]


def fresh_answer(
    screen: Screen, photos: tuple[Photo | None, Photo | None], view: View, shown: Shown | None
) -> Iterator[Updates]:
    """The answer for another photo or view; nothing where it is shown already. What cannot be is said in its place."""
    given, _ = photos
    if given is None:
        empty = {screen.why: render.empty(texts.INSIDE_NONE), screen.maps: "", screen.closer: ""}
        yield empty | {screen.shown: None, screen.reply: "", screen.against: gr.update(visible=False)} | closed(screen)
    elif shown is not None and shown.view is view and shown.sha256 == given.sha256:
        yield {screen.shown: gr.skip()}
    else:
        try:
            yield closed(screen)
            yield from answered(screen, photos, view, Asked())
        except DemoError as error:
            yield {screen.why: render.empty(str(error)), screen.maps: "", screen.closer: "", screen.shown: None}


def beside_answer(
    screen: Screen, photos: tuple[Photo | None, Photo | None], view: View, shown: Shown | None
) -> Iterator[Updates]:
    """The answer for another second photo, once the first one is shown; nothing where it is shown already."""
    given, second = photos
    if given is None or shown is None or shown.sha256 != given.sha256 or shown.second == _hash(second):
        yield {screen.shown: gr.skip()}
    else:
        yield from answered(screen, photos, view, shown.asked)


def closed(screen: Screen) -> Updates:
    """The channel of another photo is put away."""
    return {screen.panel.column: gr.update(visible=False)}


def _hash(given: Photo | None) -> str:
    return given.sha256 if given else ""


def answered(screen: Screen, photos: tuple[Photo | None, Photo | None], view: View, asked: Asked) -> Iterator[Updates]:
    """Everything that one look shows, then the test of its heat map. Raises DemoError."""
    given, second = photos
    if given is None:
        raise BadImage(texts.NO_PHOTO)
    seen = see(given, view, asked)
    beside = see(second, view, Asked(None, None, asked.layer, asked.method)) if second else None
    yield from then_tested(screen, seen, shows(screen, seen, beside, view))


def then_tested(screen: Screen, seen: Seen, answer: Updates) -> Iterator[Updates]:
    """An answer, and behind it the test that its map means something, which takes longer.

    Both are one event of the page: a press that follows waits, so that its answer and this test cannot cross.
    """
    yield answer
    yield {screen.why: inside_show.why(seen, tested=True)}


def shows(screen: Screen, seen: Seen, beside: Seen | None, view: View) -> Updates:
    """What was seen, as updates of the screen."""
    head, asked = seen.classifier.head, seen.asked
    names = tuple(stage.name for stage in seen.inside.stages)
    heading = f"<h3>{texts.INSIDE_MAPS}</h3>{render.fact(texts.INSIDE_MAPS_NOTE)}"
    shown = Shown(seen.photo.sha256, beside.photo.sha256 if beside else "", view, asked)
    return {
        screen.shown: shown, screen.why: inside_show.why(seen, tested=False), screen.reply: "",
        screen.against: gr.update(choices=rivals(head.classes, tuple(groups(head))), value=asked.against or "", visible=True),
        screen.maps: heading + inside_show.sheets(seen, beside), screen.closer: inside_show.closer(seen),
        screen.layer: gr.update(choices=layers(names), value=asked.layer or ""), screen.method: asked.method,
    }  # fmt: skip
