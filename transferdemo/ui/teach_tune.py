"""Teach, step 3, an experiment: fine-tune the network's last stage, with its losses live and one sentence of result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import pandas as pd

from ..backbones import load_backbone
from ..device import choose
from ..engine.last_stage import FineTuneConfig
from ..engine.tune import FineTuneDone, FineTuneEvent, FineTuneStep, fine_tune, says
from ..errors import BadFolder
from ..types import View
from . import bridge, render, texts
from .shared import Shared
from .teach_state import Lesson

PLOT_PERIOD = 0.5  # seconds
CURVES = ("training", "held out")
Row = tuple[int, float, str]  # epoch, loss, curve


@dataclass(frozen=True, eq=False)
class Tuning:
    """The event of a run's end, after which the lesson may have another head."""

    job: Any
    run: gr.Button


def build(shared: Shared, lesson: gr.State) -> Tuning:
    """Lay the experiment out and wire it."""
    own = FineTuneConfig()
    with gr.Accordion(texts.TUNE, open=False, elem_id="tune-box"):
        gr.HTML(f'<p class="fact">{texts.TUNE_NOTE}</p>')
        with gr.Row():
            with gr.Column(scale=2, min_width=260):
                epochs = gr.Slider(1, 50, own.epochs, step=1, label="Epochs", info=texts.TUNE_EPOCHS)
                with gr.Row():
                    run = gr.Button(texts.TUNE_RUN, elem_id="tune")
                    stop = gr.Button(texts.STOP, visible=False, interactive=False)
                status = gr.HTML(elem_id="tune-status")
            with gr.Column(scale=3, min_width=300):
                plot = gr.LinePlot(
                    _frame([]), x="epoch", y="value", color="curve", title=texts.LOSS, height=220, x_title="epoch",
                    y_title=" ", elem_id="tune-plot", visible=False,
                )  # fmt: skip
    job = bridge.wire(run, stop, _handler(shared), [lesson, shared.view, epochs], [lesson, status, plot])
    return Tuning(job, run)


def _handler(shared: Shared) -> Callable[..., Iterator[Any]]:
    def tuned(lesson: Lesson, view: View, epochs: int, request: gr.Request) -> Iterator[Any]:
        config = FineTuneConfig(epochs=epochs)
        seconds = shared.settings.seconds
        yield from shown(lesson, lambda: _events(lesson, view, config), bridge.visitor_of(request), seconds)

    return tuned


def _events(lesson: Lesson, view: View, config: FineTuneConfig) -> Iterator[FineTuneEvent]:
    """From the head of the last training run, so that pressing again starts anew. Raises DemoError."""
    if lesson.embedded is None or not lesson.runs or lesson.report is None:
        raise BadFolder(texts.TUNE_FIRST)
    last = lesson.runs[-1]
    backbone = load_backbone(view.backbone, choose(view.device))
    return fine_tune(backbone, lesson.embedded, last.steps[-1].head, config, last.config)


def shown(lesson: Lesson, events: Callable[[], Iterator[FineTuneEvent]], visitor: str, seconds: float) -> Iterator[Any]:
    """The events as values for lesson, status and plot; what Stop keeps is in the lesson after every epoch."""
    before, rows = lesson, list[Row]()
    step: FineTuneStep | None = None
    due, note = 0.0, ""
    for event in bridge.in_turn(events, _waiting, visitor, seconds):
        if isinstance(event, tuple):
            yield event
            continue
        if isinstance(event, FineTuneDone):
            step, note, lesson = event.last, event.note, kept(before, event.last, event)
        elif isinstance(event, FineTuneStep):
            fresh = step is None or event.epoch > step.epoch
            step = event
            if fresh:
                rows += _rows(event)
                lesson = kept(before, event)
        drawn = time.monotonic() >= due
        due = time.monotonic() + PLOT_PERIOD if drawn else due
        yield lesson, _status(event, step), _plot(rows) if drawn and rows else gr.skip()
    if step is not None:
        yield lesson, _result(step, note), _plot(rows)


def kept(before: Lesson, step: FineTuneStep, done: FineTuneDone | None = None) -> Lesson:
    """The lesson as it was `before`, with the head and the report that hold after this step."""
    if not step.accepted and before.head is not None and not before.head.changed:
        return before
    own = before.trust if before.trust and step.head is before.trust.head else None  # another network's features
    if done is None:
        return replace(before, head=step.head, report=step.report, trust=own)
    return replace(before, head=done.last.head, report=done.report, trust=done.trust or own)


def _waiting(text: str) -> Any:
    return gr.skip(), render.fact(text), gr.skip()


def _rows(step: FineTuneStep) -> list[Row]:
    values = zip((step.train_loss, step.after.loss), CURVES, strict=True)
    return [(step.epoch, value, name) for value, name in values if math.isfinite(value)]


def _status(event: Any, step: FineTuneStep | None) -> str:
    if step is None:
        return render.progress(event.step, event.total, texts.TUNE_MAPS)
    return render.progress(event.step, event.total, texts.tune_epoch(step.epoch, step.epochs, step.after.loss))


def _result(step: FineTuneStep, note: str) -> str:
    words = says(step.before, step.after) if step.epoch else texts.TUNE_TIME
    return render.fact(f"{words} {note}".strip())


def _plot(rows: list[Row]) -> Any:
    return gr.update(value=_frame(rows), visible=True)


def _frame(rows: list[Row]) -> pd.DataFrame:
    """Every curve of the legend has a row, because the plot fixes its legend when it is first drawn."""
    every = [(0, None, name) for name in CURVES]
    frame = pd.DataFrame([*every, *rows], columns=["epoch", "value", "curve"])
    return frame.astype({"epoch": int, "value": float, "curve": str})
