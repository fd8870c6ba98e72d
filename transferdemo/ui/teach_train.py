"""Teach, step 2: train and stop; live curves of loss and accuracy, and the bars of your photo, which move with each epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import pandas as pd

from ..backbones import load_backbone
from ..device import choose
from ..engine import tricks
from ..engine.classify import Score
from ..engine.features import CollectDone, Embedded, collect, embed_photo
from ..engine.recipe import TrainConfig
from ..engine.train import TrainDone, TrainStep, train
from ..errors import BadFolder
from ..types import Photo, View, check_choice
from . import bridge, render, texts
from .shared import Settings, Shared
from .teach_state import Lesson, as_rows, limits_of

PLOT_PERIOD = 0.25  # seconds


@dataclass(frozen=True, eq=False)
class Training:
    """The components of the step that others write to or listen to."""

    job: Any  # the event of a run's end
    controls: list[Any]
    run: gr.Button
    outputs: list[Any]
    onward: gr.Button  # to the next step, shown once there is a report


def build(shared: Shared, lesson: gr.State) -> Training:
    """Lay the step out and wire it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=260):
            controls = _controls()
            with gr.Row():
                run = gr.Button(texts.TRAIN, variant="primary", elem_id="train")
                stop = gr.Button(texts.STOP, visible=False, interactive=False)
            status = gr.HTML(render.fact(texts.TRAIN_EMPTY), elem_id="train-status")
            bars = gr.HTML(elem_id="train-bars")
            onward = gr.Button(texts.TO_REPORT, visible=False)
        with gr.Column(scale=3, min_width=300):
            loss = _plot(texts.LOSS, "loss-plot")
            accuracy = _plot(texts.ACCURACY, "accuracy-plot")
    outputs = [lesson, status, bars, loss, accuracy]
    inputs = [lesson, shared.photo, shared.view, *controls]

    def handler(now: Lesson, photo: Photo | None, view: View, request: gr.Request, *values: Any) -> Iterator[Any]:
        yield from run_shown(now, photo, view, config_of(*values), _Turn(shared.settings, bridge.visitor_of(request)))

    job = bridge.wire(run, stop, handler, inputs, outputs)
    return Training(job, controls, run, outputs, onward)


def _controls() -> list[Any]:
    """The settings in the order of `config_of`, at the engine's own defaults."""
    own = TrainConfig()
    epochs = gr.Slider(1, 200, own.epochs, step=1, label="Epochs", info="How often each photo is looked at.")
    rate = gr.Number(own.rate, label="Learning rate", info="How far each step goes.", step=own.rate / 2)
    seed = gr.Number(own.seed, precision=0, label="Seed", info="Another seed, another split and another order.")
    with gr.Accordion(texts.MORE, open=False):
        optimizer = gr.Dropdown(list(tricks.OPTIMIZER_NAMES), value=own.optimizer, label="Optimiser")
        optimizer.input(_rate, optimizer, rate, queue=False, show_progress="hidden", api_visibility="private")
        decay = gr.Dropdown(list(tricks.DECAY_NAMES), value=own.decay, label="Learning rate over time")
        init = gr.Dropdown(list(tricks.INIT_NAMES), value=own.init, label="First weights")
        batch = gr.Slider(1, 512, own.batch_size, step=1, label="Photos a step")
        weight_decay = gr.Slider(0, 1, own.weight_decay, label="Weight decay", info="Pulls the weights towards zero.")
        smoothing = gr.Slider(
            0, 0.5, own.label_smoothing, label="Label smoothing", info="Asks for a little less than certainty."
        )
        standardise = gr.Checkbox(own.standardise, label="Standardise the features")
        balance = gr.Checkbox(own.class_weights, label="Every class the same say, however many photos it has")
        patience = gr.Slider(
            0, 50, own.patience, step=1, label="Patience", info="Stop after so many epochs without progress; 0: never."
        )
        share = gr.Slider(
            0.1, 0.5, own.held_out, step=0.05, label="Held out", info="Share of the photos that only judge."
        )
    return [
        epochs,
        rate,
        seed,
        optimizer,
        decay,
        init,
        batch,
        weight_decay,
        smoothing,
        standardise,
        balance,
        patience,
        share,
    ]


def _rate(optimizer: str) -> float:
    """The learning rate that suits an optimiser."""
    check_choice("optimizer", optimizer, tricks.OPTIMIZER_NAMES)
    return tricks.OPTIMIZERS[optimizer].rate


def config_of(*values: Any) -> TrainConfig:
    """The controls' values as a config. Raises BadSetting."""
    (
        epochs,
        rate,
        seed,
        optimizer,
        decay,
        init,
        batch,
        weight_decay,
        smoothing,
        standardise,
        balance,
        patience,
        share,
    ) = values
    return TrainConfig(
        epochs=epochs, learning_rate=rate, seed=seed, optimizer=optimizer, decay=decay, init=init, batch_size=batch,
        weight_decay=weight_decay, label_smoothing=smoothing, standardise=standardise, class_weights=balance,
        patience=patience, held_out=share,
    )  # fmt: skip


def _plot(title: str, name: str) -> gr.LinePlot:
    return gr.LinePlot(
        _frame(as_rows((), "", "")), x="epoch", y="value", color="curve", title=title, height=220,
        x_title="epoch", y_title=" ", elem_id=name,
    )  # fmt: skip


@dataclass(frozen=True)
class _Turn:
    settings: Settings
    visitor: str


def run_shown(lesson: Lesson, photo: Photo | None, view: View, config: TrainConfig, turn: _Turn) -> Iterator[Any]:
    """Train in turn with other jobs and show how it goes: values for lesson, status, bars and the two plots."""
    if lesson.embedded is None:
        raise BadFolder(texts.NO_SET)
    show = _Shown(lesson, config)

    def events() -> Iterator[Any]:
        yield from _for_view(show, view, turn.settings)
        for event in train(show.embedded, config, _features(photo, view)):
            show.keep(event)
            yield event

    for event in bridge.in_turn(events, _say, turn.visitor, turn.settings.seconds):
        yield event if isinstance(event, tuple) else show.of(event)
    if show.steps:
        yield show.last()


def _say(text: str) -> Any:
    return gr.skip(), render.fact(text), *[gr.skip()] * 3


class _Shown:
    """What the page shows of a run so far; curves at four a second, everything else as it comes."""

    def __init__(self, lesson: Lesson, config: TrainConfig) -> None:
        self.lesson, self.config, self.note, self.due = lesson, config, "", 0.0
        self.steps: list[TrainStep] = []

    @property
    def embedded(self) -> Embedded:
        """The set for the network above the tabs."""
        if self.lesson.embedded is None:
            raise BadFolder(texts.NO_SET)
        return self.lesson.embedded

    def keep(self, event: TrainStep | TrainDone) -> None:
        """Remember an event, whether or not it will be shown: of those that come quickly most are not."""
        if isinstance(event, TrainDone):
            self.note = event.note
        elif not self.steps or event.step > self.steps[-1].step:
            self.steps.append(event)

    def of(self, event: TrainStep | TrainDone) -> Any:
        """The page after one event."""
        if isinstance(event, TrainDone):
            return _say(self.note)
        now = self.lesson.with_run(self.config, self.steps)
        fresh = time.monotonic() >= self.due
        if fresh:
            self.due = time.monotonic() + PLOT_PERIOD
        return now, _status(event), _bars(event), *(_curves(now) if fresh else (gr.skip(), gr.skip()))

    def last(self) -> Any:
        """The page when the run has ended, or was stopped by its time."""
        now = self.lesson.with_run(self.config, self.steps)
        return now, _status(self.steps[-1], self.note), _bars(self.steps[-1]), *_curves(now)


def _for_view(show: _Shown, view: View, settings: Settings) -> Iterator[Any]:
    """Embed what the network above the tabs has not seen yet, in sentences."""
    embedded, backbone = show.embedded, load_backbone(view.backbone, choose(view.device))
    if embedded.digest == backbone.digest and not embedded.missing:
        return
    if not embedded.pictures:
        raise BadFolder(texts.READY_OTHER)
    known = show.lesson.cache.known(backbone, view.fit)
    for event in collect(embedded.folder, backbone, view.fit, limits_of(settings), known):
        if isinstance(event, CollectDone):
            show.lesson.cache.keep(event.embedded)
            show.lesson = replace(show.lesson, embedded=event.embedded)
        else:
            yield looking(event.step, event.total)


def looking(step: int, total: int) -> Any:
    """The page while photos are embedded."""
    return gr.skip(), render.progress(step, total, f"Looking at photo {step:,} of {total:,}"), *[gr.skip()] * 3


def _features(photo: Photo | None, view: View) -> Any:
    if photo is None:
        return None
    return embed_photo(load_backbone(view.backbone, choose(view.device)), photo.image8, view.fit)


def _status(step: TrainStep, note: str = "") -> str:
    words = f"Epoch {step.step} of {step.total}: held-out accuracy {step.held_out_accuracy:.1%}".replace("%", " %")
    return render.progress(step.step, step.total, f"{words}. {note}".strip())


def _bars(step: TrainStep) -> str:
    """What the head says of the visitor's photo now."""
    if step.standing is None:
        return ""
    ranked = sorted(enumerate(step.standing), key=lambda pair: -pair[1])[:5]
    scores = [Score(i, step.head.classes[i], p) for i, p in ranked]
    return f"<h4>{texts.YOUR_PHOTO_NOW}</h4>{render.bars(scores)}"


def _curves(lesson: Lesson) -> tuple[pd.DataFrame, pd.DataFrame]:
    loss = _frame(as_rows(lesson.runs, "train_loss", "held_out_loss"))
    return loss, _frame(as_rows(lesson.runs, "train_accuracy", "held_out_accuracy"))


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """With types that hold for no rows too: the plot decides by them whether curves have names or shades."""
    return pd.DataFrame(rows, columns=["epoch", "value", "curve"]).astype({"epoch": int, "value": float, "curve": str})
