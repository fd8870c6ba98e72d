"""Teach, step 1: photos from the camera, a folder, a zip or a ready set; what was set aside; the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from ..backbones import load_backbone
from ..data.archive import read_zip
from ..data.folder import read_folder
from ..data.labelled import LabelledFolder
from ..data.ready import data_folder, digits, download_pets, oxford_pets
from ..data.records import Listing
from ..device import choose
from ..engine.features import CollectDone, Embedded, collect
from ..engine.ready import read_set_features
from ..errors import BadFolder, BadSetting
from ..types import View
from . import bridge, render, texts
from .class_boxes import class_boxes
from .folder_picker import folder_picker, picked
from .shared import Settings, Shared
from .teach_state import Lesson, counted, limits_of

ASIDE_SHOWN = 200


@dataclass(frozen=True, eq=False)
class Photos:
    """The components of the step that later steps write to or listen to."""

    lesson: gr.State
    steps: gr.Walkthrough
    summary: gr.HTML
    status: gr.HTML
    pieces: list[Any]  # outputs of `pieces_of`
    trained_by: tuple[Any, ...]  # events after which training starts by itself


def build(shared: Shared, lesson: gr.State, steps: gr.Walkthrough) -> Photos:
    """Lay the step out and wire it."""
    settings = shared.settings
    boxes = class_boxes(limits_of(settings).photos, elem_id="boxes")
    picker = folder_picker(texts.OR_FOLDER, elem_id="folder")
    with gr.Row(visible=settings.local, elem_classes="inline"):
        path = gr.Textbox(label=texts.BY_PATH, placeholder="/home/me/photos", scale=4)
        by_path = gr.Button(texts.USE_IT, scale=1)
    gr.HTML(f"<h3>{texts.READY}</h3><p class='fact'>{texts.READY_NOTE}</p>")
    with gr.Row(elem_classes="chips"):
        ready = {
            key: gr.Button(title, size="sm", elem_id=f"try-teach-{key.replace('_', '-')}")
            for key, title in texts.READY_SETS.items()
        }
        pets = gr.Button(texts.OXFORD, size="sm")
        numbers = gr.Button(texts.DIGITS, size="sm")
    with gr.Row():
        status = gr.HTML(elem_id="teach-status")
        stop = gr.Button(texts.STOP, visible=False, interactive=False, scale=0)
    summary = gr.HTML(elem_id="set")
    pieces = _changes(lesson, summary, steps)
    photos = Photos(lesson, steps, summary, status, pieces, ())
    outputs = [lesson, status, steps, *pieces]
    doors: list[tuple[Any, Any, Callable[..., Listing | Iterator[Any]]]] = [
        (boxes.upload, boxes, lambda value: _picked(value, settings)),
        (picker.upload, picker, lambda value: _picked(value, settings)),
        (by_path.click, path, lambda value: _by_path(value, settings)),
        (numbers.click, path, lambda _: digits(limits_of(settings))),
        (pets.click, path, lambda _: oxford_pets(data_folder(), "category", limits_of(settings))),
    ]
    jobs = []
    for event, source, door in doors:
        before = event(_begin, None, [status, stop], queue=False, show_progress="hidden", api_visibility="private")
        job = before.then(
            bridge.told(_taker(door, settings, fetch=event is pets.click)), [source, lesson, shared.view], outputs,
            api_visibility="private", **bridge.HEAVY,
        )  # fmt: skip
        job.then(_end, None, stop, queue=False, show_progress="hidden", api_visibility="private")
        jobs.append(job)
    stop.click(None, None, None, cancels=jobs)
    trained_by = tuple(
        button.click(bridge.told(_ready(key)), [lesson, shared.view], outputs, api_visibility="private", **bridge.LIGHT)
        for key, button in ready.items()
    )
    return replace(photos, trained_by=trained_by)


def _begin() -> tuple[str, Any]:
    return render.fact(texts.LOOKING), gr.update(visible=True, interactive=True)


def _end() -> Any:
    return gr.update(visible=False, interactive=False)


def _picked(value: Any, settings: Settings) -> Listing:
    """What the browser sent, with a count of what it left out."""
    sent = picked(value)
    return read_zip(sent.path, limits_of(settings)).with_skipped(sent.counts)


def _by_path(path: str, settings: Settings) -> Listing:
    if not settings.local:
        raise BadFolder(texts.ONLY_LOCAL)
    if not path.strip():
        raise BadFolder(texts.NO_PATH)
    return read_folder(path.strip(), limits_of(settings))


def _taker(door: Callable[[Any], Any], settings: Settings, *, fetch: bool) -> Callable[..., Iterator[Any]]:
    """A handler that opens one door and collects what is behind it, in turn with other jobs."""

    def take(value: Any, lesson: Lesson, view: View, request: gr.Request) -> Iterator[Any]:
        still = [gr.skip()] * 10

        def say(text: str) -> Any:
            return (gr.skip(), render.fact(text), *still[2:])

        if fetch and not (data_folder() / "oxford-iiit-pet").is_dir():
            for event in bridge.paced(download_pets(data_folder()), 0.25):
                label = f"Oxford-IIIT Pet: {event.step / 2**20:.0f} of {event.total / 2**20:.0f} MB"
                yield (gr.skip(), render.progress(event.step, event.total, label), *still[2:])
        listing = door(value)
        yield from taken(listing, lesson, view, settings, bridge.visitor_of(request), say)

    return take


def taken(
    listing: Listing, lesson: Lesson, view: View, settings: Settings, visitor: str, say: Callable[[str], Any]
) -> Iterator[Any]:
    """Open and embed a set, showing how far it is; then the pieces of the page that speak of it."""
    backbone = load_backbone(view.backbone, choose(view.device))
    known = lesson.cache.known(backbone, view.fit)

    def events() -> Any:
        return collect(listing, backbone, view.fit, limits_of(settings), known)

    done: CollectDone | None = None
    for event in bridge.in_turn(events, say, visitor, settings.seconds):
        if isinstance(event, CollectDone):
            done = event
        elif isinstance(event, tuple):
            yield event
        else:
            left = f", {event.seconds_left:.0f} s left" if event.seconds_left else ""
            text = render.progress(event.step, event.total, f"Looking at photo {event.step:,} of {event.total:,}{left}")
            yield (gr.skip(), text, *say("")[2:])
    if done is None:
        raise BadFolder(texts.NOT_ALL)
    lesson.cache.keep(done.embedded)
    now = replace(lesson, embedded=done.embedded, head=None, report=None, runs=())
    yield now, "", gr.update(selected=1), *pieces_of(now)


def _ready(key: str) -> Callable[..., Any]:
    def handler(lesson: Lesson, view: View) -> Any:
        embedded = read_set_features(key)
        if (embedded.backbone, embedded.digest) != (
            view.backbone,
            load_backbone(view.backbone, choose(view.device)).digest,
        ):
            raise BadFolder(texts.READY_OTHER)
        now = replace(lesson, embedded=embedded, head=None, report=None, runs=())
        return now, "", gr.update(selected=1), *pieces_of(now)

    return handler


def _changes(lesson: gr.State, summary: gr.HTML, steps: gr.Walkthrough) -> list[Any]:
    """The quarantine with its way back, and renaming, leaving out; returns the outputs of `pieces_of`."""
    with gr.Accordion(texts.ASIDE, open=False, visible=False, elem_id="aside") as aside_box:
        aside = gr.HTML()
        with gr.Row(elem_classes="inline"):
            back = gr.Dropdown([], multiselect=True, label=texts.TAKE_BACK, scale=4)
            restore = gr.Button(texts.RESTORE, scale=1)
    with gr.Accordion(texts.CLASSES, open=False, visible=False) as class_box, gr.Row(elem_classes="inline"):
        which = gr.Dropdown([], label=texts.WHICH, scale=2)
        name = gr.Textbox(label=texts.NEW_NAME, max_length=64, scale=2)
        rename = gr.Button(texts.RENAME, scale=1)
        leave = gr.Button(texts.LEAVE, scale=1)
    onward = gr.Button(texts.TO_TRAIN, visible=False)
    onward.click(
        lambda: gr.update(selected=1), None, steps, queue=False, show_progress="hidden", api_visibility="private"
    )
    pieces = [summary, aside_box, aside, back, class_box, which, onward]
    options: dict[str, Any] = {"api_visibility": "private", **bridge.LIGHT}
    restore.click(_changed(_restored), [lesson, back], [lesson, *pieces], **options)
    rename.click(_changed(_renamed), [lesson, which, name], [lesson, *pieces], **options)
    leave.click(_changed(_left_out), [lesson, which], [lesson, *pieces], **options)
    return pieces


def _changed(change: Callable[..., LabelledFolder]) -> Callable[..., Any]:
    """A handler that changes the set and shows it anew."""

    @bridge.told
    def handler(lesson: Lesson, *values: Any) -> Any:
        if lesson.folder is None:
            raise BadFolder(texts.NO_SET)
        now = lesson.with_folder(change(lesson.folder, *values))
        return now, *pieces_of(now)

    return handler


def _restored(folder: LabelledFolder, ids: list[Any] | None) -> LabelledFolder:
    if not isinstance(ids, list) or not ids:
        raise BadSetting(texts.CHOOSE_BACK)
    return folder.restore([int(i) for i in ids if str(i).isdecimal()])


def _renamed(folder: LabelledFolder, which: str, name: str) -> LabelledFolder:
    return folder.rename(which or "", name or "")


def _left_out(folder: LabelledFolder, which: str) -> LabelledFolder:
    return folder.leave_out(which or "", which not in folder.left_out)


def pieces_of(lesson: Lesson) -> tuple[Any, ...]:
    """The set in words, its quarantine, its classes: values for the components that `_changes` made."""
    folder = lesson.folder
    if folder is None or lesson.embedded is None:
        none, hidden = gr.update(choices=[]), gr.update(visible=False)
        return "", hidden, "", none, hidden, none, hidden
    aside = folder.aside[:ASIDE_SHOWN]
    choices = [(f"{p.name[:60]} – {p.aside[:60]}", str(p.id)) for p in aside if p.readable]
    title = f"{texts.ASIDE}: {len(folder.aside):,}"
    return (
        summary_of(lesson.embedded),
        gr.update(visible=bool(aside), label=title),
        aside_table(folder),
        gr.update(choices=choices, value=[]),
        gr.update(visible=lesson.embedded.pictures),
        gr.update(choices=list(folder.classes), value=folder.classes[0]),
        gr.update(visible=True),
    )


def summary_of(embedded: Embedded) -> str:
    """How many photos in which classes, what was set aside and passed over, and what was understood on the way."""
    folder = embedded.folder
    counts = {name: 0 for name in folder.used_classes}
    for photo in folder.used:
        counts[photo.label] += 1
    shown = [f"<b>{escape(name)}</b> {count:,}" for name, count in list(counts.items())[:50]]
    lines = [f"{counted(len(folder.used), 'photo')} in {counted(len(counts), 'class', 'classes')}: {' · '.join(shown)}"]
    extra = [escape(note) for note in folder.notes]
    if folder.aside:
        extra.append(f"{len(folder.aside):,} set aside, look below")
    if folder.skipped:
        extra.append("passed over: " + ", ".join(f"{n:,} {escape(reason)}" for reason, n in folder.skipped.items()))
    if folder.inferred:
        extra.append(f"<b>{texts.INFERRED}</b>")
    if not embedded.pictures:
        extra.append(texts.NO_PICTURES)
    return f'<p class="set">{lines[0]}</p>' + "".join(f'<p class="fact">{line}</p>' for line in extra)


def aside_table(folder: LabelledFolder) -> str:
    """The quarantine: thumbnail, name and reason of each photo in it."""
    rows = [
        [render.thumbnail(photo.thumbnail or None, ""), escape(photo.name[:80]), escape(photo.aside)]
        for photo in folder.aside[:ASIDE_SHOWN]
    ]
    more = len(folder.aside) - len(rows)
    return render.table(("", "photo", "why"), rows, wrap=(1, 2)) + (render.fact(f"and {more:,} more") if more else "")
