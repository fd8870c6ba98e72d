"""Classify: what is on the photo, what the network saw of it, the live camera, several networks, many photos."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..backbones import BACKBONES, find_weights, resolve
from ..device import describe
from ..engine.classify import ClassifyDone, ClassifyStep, Prediction, classify, classify_many
from ..errors import BadImage, BadSetting
from ..heads import Classifier, load_classifier, pets_head
from ..types import Photo, View
from . import bar, bridge, live, render, texts
from .outbox import place
from .picture import SafeImage, uploaded
from .shared import Settings, Shared

OFFER_PAD = 0.25  # share of the picture that the crop must lose before the whole one is offered
MANY = 2000


def answer(photo: Photo, view: View) -> tuple[Prediction, Classifier]:
    """One photo's prediction by the chosen network and head."""
    classifier = load_classifier(view)
    pets = None if view.head else pets_head(classifier.backbone)
    return classify(classifier, photo, view.fitting, pets), classifier


def note(prediction: Prediction, classifier: Classifier) -> str:
    """How long it took, on what, with which network, and where its weights came from."""
    info, found = classifier.backbone.info, classifier.backbone.found
    device = describe(classifier.device)
    return f"{info.title} · {prediction.milliseconds:.0f} ms on {device} · weights from {found.origin}"


def shown(photo: Photo | None, view: View) -> tuple[str, Any]:
    """The answer as HTML, and whether the whole picture is offered."""
    if photo is None:
        return render.empty(texts.EMPTY_CLASSIFY), gr.update(visible=False)
    prediction, classifier = answer(photo, view)
    offer = prediction.lost > OFFER_PAD or view.fit == "pad"
    return render.answer(prediction, note(prediction, classifier)), gr.update(visible=offer, value=view.fit == "pad")


def build(shared: Shared) -> None:
    """Lay the tab out and wire it."""
    with gr.Column():
        out = gr.HTML(render.empty(texts.EMPTY_CLASSIFY), elem_id="answer")
        pad = gr.Checkbox(False, label=texts.PAD, visible=False, container=False, elem_id="pad")
    with gr.Accordion(texts.LIVE, open=False):
        live.build(shared, lambda photo, view: answer(photo, view)[0])
    with gr.Accordion(texts.COMPARE, open=False):
        _compare(shared)
    with gr.Accordion(texts.MANY, open=False):
        _many(shared)
    _wire(shared, out, pad)


def _wire(shared: Shared, out: gr.HTML, pad: gr.Checkbox) -> None:
    @bridge.told
    def again(photo: Photo | None, view: View) -> tuple[str, Any]:
        return shown(photo, view)

    def padded(whole: bool, view: View) -> View:
        return replace(view, fit="pad" if whole is True else "auto")

    light: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "classify", **bridge.LIGHT}
    whole = pad.input(padded, [pad, shared.view], shared.view, api_visibility="private", show_progress="hidden")
    for event in (shared.given, whole, *shared.chosen):
        event.then(again, [shared.photo, shared.view], [out, pad], **light)


def _compare(shared: Shared) -> None:
    rows = [(row.title, tag) for tag, row in BACKBONES.items() if find_weights(row) and row.top1]
    ticked = gr.CheckboxGroup(rows, value=[tag for _, tag in rows][:3], label="Networks", info=texts.COMPARE_NOTE)
    run = gr.Button(texts.COMPARE_RUN, variant="primary")
    table = gr.HTML()

    @bridge.told
    def compare(photo: Photo | None, tags: list[str], view: View) -> str:
        if photo is None:
            raise BadImage(texts.NO_PHOTO)
        if not tags:
            raise BadSetting(texts.COMPARE_NONE)
        return render.table(
            ("network", "verdict", "best classes", "size", "time"),
            [_row(photo, replace(view, backbone=tag, head=None)) for tag in tags if tag in BACKBONES],
            wrap=(2,),
        )

    run.click(compare, [shared.photo, ticked, shared.view], table, api_visibility="private", **bridge.LIGHT)


def _row(photo: Photo, view: View) -> list[str]:
    """One network's answer; its time is the middle of three, after it was loaded."""
    runs = [answer(photo, view)[0] for _ in range(3)]
    row = resolve(view.backbone)
    best = ", ".join(f"{s.name} {100 * s.probability:.0f} %" for s in runs[0].scores[:3])
    middle = statistics.median(r.milliseconds for r in runs)
    return [
        f"<b>{escape(row.title)}</b>", escape(runs[0].verdict),
        escape(best), f"{row.megabytes:.0f} MB", f"{middle:.0f} ms",
    ]  # fmt: skip


def _many(shared: Shared) -> None:
    files = gr.File(file_count="multiple", label=texts.MANY_FILES, type="filepath", height=140)
    gr.HTML(f'<p class="fact">{texts.MANY_NOTE}</p>')
    with gr.Row():
        run = gr.Button(texts.MANY_RUN, variant="primary")
        stop = gr.Button(texts.STOP, visible=False, interactive=False)
    table = gr.HTML(elem_id="many")
    download = gr.DownloadButton(texts.CSV, visible=False)

    def handler(paths: list[str] | None, view: View, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        yield from many(paths, view, shared.settings, bridge.visitor_of(request))

    bridge.wire(run, stop, handler, [files, shared.view], [table, download])


def many(paths: list[str] | None, view: View, settings: Settings, visitor: str) -> Iterator[tuple[Any, Any]]:
    """Classify many uploads in turn with other jobs: a growing table, then a CSV file."""
    if not paths:
        raise BadImage("Choose some photos first.")
    if len(paths) > MANY and not settings.local:
        raise BadSetting(f"At most {MANY:,} photos at once; you chose {len(paths):,}.")
    sources = [(Path(p).name, uploaded(p)) for p in paths]
    classifier = load_classifier(view)
    pets = None if view.head else pets_head(classifier.backbone)
    steps: list[ClassifyStep] = []

    def events() -> Any:
        for event in classify_many(classifier, sources, view.fitting, pets):
            if isinstance(event, ClassifyStep):
                steps.append(event)
            yield event

    for event in bridge.in_turn(events, lambda text: (render.fact(text), gr.skip()), visitor, settings.seconds):
        if isinstance(event, tuple):
            yield event
        elif not isinstance(event, ClassifyDone):
            label = f"{event.step} of {event.total} photos"
            yield render.progress(event.step, event.total, label) + many_table(steps[-8:]), gr.skip()
    yield many_table(steps), gr.update(value=str(write_csv(steps)), visible=bool(steps))


def many_table(steps: list[ClassifyStep]) -> str:
    """Thumbnail, name, verdict, best class and probability of each photo."""
    rows = []
    for step in steps[:500]:
        found = step.prediction
        cells = (
            [found.verdict, found.scores[0].name, f"{found.scores[0].probability:.0%}"]
            if found
            else ["–", step.error or "", ""]
        )
        muted = '<span class="muted">{}</span>' if found and found.strange else "{}"
        told = [escape(cells[0]), *(muted.format(escape(cell)) for cell in cells[1:])]
        rows.append([render.thumbnail(step.thumbnail, ""), escape(step.name[:60]), *told])
    more = render.fact(f"and {len(steps) - 500:,} more, in the file below.") if len(steps) > 500 else ""
    return render.table(("", "photo", "verdict", "best class", ""), rows) + more


def write_csv(steps: list[ClassifyStep]) -> Path:
    """The table as a file in the page's own cache; cells that a spreadsheet would run as a formula are defused."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["picture", "verdict", "class", "probability", "problem"])
    for s in steps:
        p = s.prediction
        row = [p.verdict, p.scores[0].name, f"{p.scores[0].probability:.4f}", ""] if p else ["", "", "", s.error or ""]
        writer.writerow([defused(cell) for cell in (s.name, *row)])
    path = place("photos.csv")
    path.write_text(out.getvalue(), encoding="utf-8-sig")
    return path


def defused(cell: str) -> str:
    """A cell that a spreadsheet shows and does not run."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "|") else cell


def api(shared: Shared) -> None:
    """/classify for callers: a picture, a network's name and a fit -> the best class and the top five."""
    settings = shared.settings

    @bridge.told
    def classify_picture(picture: Photo | None, backbone: str, fit: str) -> dict[str, Any]:
        """Name what is on a picture.

        Args:
            picture: a JPEG, PNG, WebP, GIF or BMP file.
            backbone: a network's name, for example tf_efficientnet_lite0.in1k; with one of the heads that ship after a
                slash, tf_efficientnet_lite0.in1k/cats_dogs, the answer is that head's.
            fit: auto, crop, pad or exact.
        """
        if picture is None:
            raise BadImage(texts.NO_PHOTO)
        network, _, head = str(backbone).partition("/")
        tag = resolve(network).tag
        chosen = bar.head_called(head or bar.OWN, tag, {})
        view = View(tag, chosen, fit, settings.device)  # type: ignore[arg-type]  # View checks it
        prediction, _ = answer(picture, view)
        return {
            "label": prediction.verdict,
            "strange": prediction.strange,
            "confidences": [{"label": s.name, "confidence": s.probability} for s in prediction.scores],
        }

    inputs = [SafeImage(visible=False), gr.Textbox(visible=False), gr.Textbox(visible=False)]
    gr.Button(visible=False).click(
        classify_picture, inputs, gr.JSON(visible=False), api_name="classify", concurrency_id="classify", **bridge.LIGHT
    )
