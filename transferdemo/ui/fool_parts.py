"""The components of the Fool tab: what a person chooses, and what they see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..engine.adversarial import MAX_CONFIDENCE, METHODS
from ..engine.aim import ANYTHING
from ..heads import imagenet_names
from . import fool_show, render, texts

GROUPS = ("any cat", "any dog")
SURE = 0.5  # confidence at first: the target has more than all else together; 0 would end at 8 % of a thousand classes
RANGES = {
    "pgd-linf": (1, 32, 1, 4),
    "fgsm": (1, 32, 1, 4),
    "pgd-l2": (0.1, 10, 0.1, 1),
}  # strength: from, to, step, at first


@dataclass(frozen=True, eq=False)
class Controls:
    """What a person chooses."""

    target: gr.Dropdown
    steps: gr.Slider
    tv: gr.Slider
    method: gr.Dropdown
    confidence: gr.Slider
    strength: gr.Slider
    run: gr.Button
    stop: gr.Button
    chips: dict[str, gr.Button]

    @property
    def wish(self) -> list[Any]:
        """The components whose values are the fields of a Wish, in order."""
        return [self.target, self.steps, self.tv, self.method, self.confidence, self.strength]


@dataclass(frozen=True, eq=False)
class Screen:
    """What a person sees, and the attempt behind it."""

    trial: gr.State
    empty: gr.HTML
    panel: gr.Column
    status: gr.HTML
    reply: gr.HTML
    live: gr.HTML
    slider: gr.ImageSlider
    change: gr.HTML
    times: gr.Radio
    result: gr.HTML
    download: gr.DownloadButton
    use: gr.Button
    chances: gr.LinePlot
    sizes: gr.LinePlot
    receipt: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """Every component that a job may write to."""
        return [part for part in vars(self).values() if part is not self.times]


def choices(classes: tuple[str, ...], groups: tuple[str, ...]) -> list[tuple[str, str]]:
    """(title, value) of every target."""
    return [(texts.FOOL_ANYTHING, ANYTHING), *((name, name) for name in (*groups, *classes))]


def controls() -> Controls:
    """The left column."""
    first = METHODS[0]
    gr.HTML(f'<p class="fact">{texts.FOOL_LEAD}</p>')
    target = gr.Dropdown(
        choices(imagenet_names(), GROUPS), value=ANYTHING, label=texts.FOOL_TARGET, info=texts.FOOL_TARGET_INFO,
        elem_id="fool-target",
    )  # fmt: skip
    steps = gr.Slider(10, 500, 100, step=10, label=texts.FOOL_STEPS, info=texts.FOOL_STEPS_INFO[first])
    tv = gr.Slider(0, 20, 0, step=0.5, label=texts.FOOL_TV, info=texts.FOOL_TV_INFO[first])
    with gr.Accordion(texts.MORE, open=False):
        method = gr.Dropdown([(texts.FOOL_METHODS[m], m) for m in METHODS], value=first, label=texts.FOOL_METHOD)
        confidence = gr.Slider(
            0, MAX_CONFIDENCE, SURE, step=0.01, label=texts.FOOL_CONFIDENCE, info=texts.FOOL_CONFIDENCE_INFO[first]
        )
        strength = gr.Slider(1, 32, 4, step=1, visible=False, elem_id="fool-strength-slider")
    with gr.Row():
        run = gr.Button(texts.FOOL_RUN, variant="primary", elem_id="fool-run")
        stop = gr.Button(texts.STOP, visible=False, interactive=False, elem_id="fool-stop")
    with gr.Row(elem_classes="chips"):
        chips = {k: gr.Button(text, size="sm", elem_id=f"try-fool-{k}") for k, text in texts.FOOL_CHIPS.items()}
    return Controls(target, steps, tv, method, confidence, strength, run, stop, chips)


def screen(trial: gr.State) -> Screen:
    """The right column; the receipt is rendered by the caller."""
    empty = gr.HTML(render.empty(texts.FOOL_EMPTY))
    with gr.Column(visible=False) as panel:
        status = gr.HTML()
        reply = gr.HTML(elem_id="fool-reply")
        with gr.Row(elem_classes="pictures"):
            with gr.Column(min_width=150):
                live = gr.HTML()
                slider = gr.ImageSlider(
                    label=texts.FOOL_SLIDER, show_label=False, format="png", interactive=False, visible=False,
                    buttons=["fullscreen"], elem_id="fool-slider",
                )  # fmt: skip
            with gr.Column(min_width=150):
                change = gr.HTML(elem_id="fool-change")
        times = gr.Radio(
            [(f"× {n}", n) for n in fool_show.TIMES], value=20, label=texts.FOOL_TIMES, elem_id="fool-times"
        )
        result = gr.HTML(elem_id="fool-result")
        with gr.Row():
            download = gr.DownloadButton(texts.FOOL_DOWNLOAD, size="md", visible=False, elem_id="fool-download")
            use = gr.Button(texts.FOOL_USE, size="md", visible=False, elem_id="fool-use")
        chances = gr.LinePlot(
            x="step", y="probability", color="class", title=texts.FOOL_CHANCES, height=190, y_lim=[0, 1], buttons=[],
            x_title="", y_title="", color_title="",
        )  # fmt: skip
        sizes = gr.LinePlot(x="step", y="size", title=texts.FOOL_SIZE, height=150, buttons=[], x_title="", y_title="")
    receipt = gr.HTML(render.empty(texts.FOOL_RECEIPT_EMPTY), render=False, elem_id="fool-table")
    return Screen(
        trial, empty, panel, status, reply, live, slider, change, times, result, download, use, chances, sizes, receipt
    )  # fmt: skip
