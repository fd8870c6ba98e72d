"""One channel: where it fires, which photos fire it most, which classes it speaks for, and the picture that it likes best."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ..data.labelled import LabelledPhoto
from ..data.prepare import fitted
from ..engine.channels import FiresConfig, FiresStep, fires_most
from ..engine.ideal import IdealConfig, ideal
from ..engine.stages import layout
from ..errors import BadFolder, BadImage, BadSetting
from ..heads import load_classifier
from ..images import open_photo
from ..types import Image8, Photo, View
from . import bridge, inside_show, photo, render, texts
from .clickable import chosen_of
from .inside_look import Asked, firing, marked, see
from .shared import KEEP, Settings, Shared
from .teach_state import Lesson

STEPS, SIDE = 64, 224  # of the picture that a channel likes best
TV = 10.0  # its smoothness: what a channel likes is often of finer grain than a class
SEARCHED = 300  # photos of a folder, drawn evenly
INTO_VIEW = """() => document.getElementById("inside-channel").scrollIntoView({block: "nearest", behavior: "smooth"})"""


@dataclass(frozen=True)
class Channel:
    """A channel of a stage, by the stage's name."""

    layer: str
    number: int


@dataclass(frozen=True, eq=False)
class Panel:
    """The components of the section."""

    channel: gr.State
    column: gr.Column
    large: gr.HTML
    examples: gr.HTML
    status: gr.HTML
    likes: gr.HTML
    folder: gr.HTML
    search: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What a tap writes to."""
        return [*vars(self).values()]


def build(shared: Shared) -> Panel:
    """Lay the section out and wire its two jobs; `opened` fills it after a tap."""
    channel = gr.State(None, time_to_live=KEEP)
    with gr.Column(visible=False, elem_id="inside-channel") as column:
        large = gr.HTML(elem_id="inside-large")
        examples = gr.HTML(elem_id="inside-examples")
        with gr.Row():
            paint = gr.Button(texts.INSIDE_PAINT, variant="primary", elem_id="inside-paint")
            search = gr.Button(texts.INSIDE_SEARCH, visible=False, elem_id="inside-search")
            stop = gr.Button(texts.STOP, visible=False, interactive=False)
            halt = gr.Button(texts.STOP, visible=False, interactive=False)
        status = gr.HTML()
        likes = gr.HTML(elem_id="inside-likes")
        folder = gr.HTML(elem_id="inside-folder")
    panel = Panel(channel, column, large, examples, status, likes, folder, search)
    settings = shared.settings

    def painting(channel: Channel | None, view: View, request: gr.Request) -> Iterator[Any]:
        yield from painted(channel, view, settings, bridge.visitor_of(request))

    def searching(channel: Channel | None, view: View, lesson: Lesson, request: gr.Request) -> Iterator[Any]:
        yield from searched(channel, view, lesson, settings, bridge.visitor_of(request))

    bridge.wire(paint, stop, painting, [channel, shared.view], [status, likes])
    bridge.wire(search, halt, searching, [channel, shared.view, shared.lesson], [status, folder])
    return panel


def tap(shared: Shared, second: Any, panel: Panel, source: gr.HTML) -> None:
    """Pressing one of the small maps of `source` opens the section."""

    def chosen(given: Photo | None, other: Photo | None, view: View, lesson: Lesson, event: gr.EventData) -> Any:
        return opened(panel, (given, other), view, lesson, chosen_of(event))

    inputs = [shared.photo, second, shared.view, shared.lesson]
    event = source.select(bridge.told(chosen), inputs, panel.outputs, api_visibility="private", **bridge.LIGHT)
    event.success(None, None, None, js=INTO_VIEW)


def opened(
    panel: Panel, photos: tuple[Photo | None, Photo | None], view: View, lesson: Lesson, chosen: str
) -> dict[Any, Any]:
    """The section for the channel that was chosen, "layer/number". Raises BadImage, BadSetting."""
    given, other = photos
    if given is None:
        raise BadImage(texts.NO_PHOTO)
    layer, _, number = chosen.rpartition("/")
    if not number.isdecimal():
        raise BadSetting(texts.INSIDE_TAP)
    channel = Channel(layer, int(number))
    seen = see(given, view, Asked())
    found = firing(seen, list(examples_of()), channel.layer, channel.number)  # checks the channel
    place = layout(seen.classifier).find(layer)
    beside = see(other, view, Asked()) if other else None
    has_folder = bool(lesson.embedded and lesson.embedded.pictures)
    return {
        panel.channel: channel, panel.column: gr.update(visible=True),
        panel.large: inside_show.channel(seen, beside, place, channel.number),
        panel.examples: inside_show.firing(found, texts.INSIDE_EXAMPLES),
        panel.status: "", panel.likes: "", panel.folder: "", panel.search: gr.update(visible=has_folder),
    }  # fmt: skip


@functools.cache
def examples_of() -> tuple[Photo, ...]:
    """The examples under the photo box, decoded once."""
    return tuple(open_photo(Path(path), name) for name, path in photo.examples().items())


def painted(channel: Channel | None, view: View, settings: Settings, visitor: str) -> Iterator[tuple[Any, Any]]:
    """The picture that a channel likes best, while it is made, in turn with other jobs."""
    if channel is None:
        raise BadSetting(texts.INSIDE_TAP)
    classifier = load_classifier(view)
    place = layout(classifier).find(channel.layer)
    config = IdealConfig(steps=STEPS, tv=TV, size=SIDE, channel=(place, channel.number))
    job = bridge.Job(ideal, ([classifier], config), STEPS)
    for event in bridge.in_turn(job, _waits, visitor, settings.seconds):
        if isinstance(event, tuple):
            yield event
        else:
            yield "", inside_show.figure(event.image8, texts.inside_likes(event.step, event.total))


def _waits(sentence: str) -> tuple[Any, Any]:
    return render.fact(sentence), gr.skip()


def searched(
    channel: Channel | None, view: View, lesson: Lesson, settings: Settings, visitor: str
) -> Iterator[tuple[Any, Any]]:
    """The photos of the visitor's folder that fire a channel most, in turn with other jobs."""
    if channel is None:
        raise BadSetting(texts.INSIDE_TAP)
    embedded = lesson.embedded
    if embedded is None or not embedded.pictures:
        raise BadFolder(texts.INSIDE_NO_FOLDER)
    classifier = load_classifier(view)
    photos = _drawn(embedded.folder.used)
    by_hash = {one.sha256: one.name for one in photos}
    config = FiresConfig(channel.layer, channel.number)
    images: list[Image8] = []
    names: list[str] = []

    def events() -> Iterator[int | FiresStep]:
        part = replace(embedded.folder, photos=photos)
        with closing(fitted(part, classifier.spec, view.fitting)) as opening:
            for step in opening:
                images.extend(step.images)
                names.extend(by_hash[sha256] for sha256 in step.hashes)
                yield len(images)
        with closing(fires_most(classifier, images, config)) as steps:
            yield from steps

    for event in bridge.in_turn(events, _waits, visitor, settings.seconds):
        if isinstance(event, tuple):
            yield event
        elif isinstance(event, int):
            yield render.progress(event, 2 * len(photos), texts.inside_searching(event, len(photos))), gr.skip()
        else:
            found = [marked(fired, images[fired.index], names[fired.index]) for fired in event.strongest]
            end = event.step >= event.total
            label = texts.inside_searching(event.step, event.total)
            bar = "" if end else render.progress(len(images) + event.step, 2 * len(images), label)
            yield bar, inside_show.firing(found, texts.INSIDE_FOLDER)


def _drawn(used: tuple[LabelledPhoto, ...]) -> tuple[LabelledPhoto, ...]:
    """At most `SEARCHED` photos, evenly from the whole set."""
    places = np.unique(np.linspace(0, len(used) - 1, min(SEARCHED, len(used))).astype(int))
    return tuple(used[i] for i in places)
