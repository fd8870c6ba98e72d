"""The components of the Ideal tab: what a person chooses, and what they see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..engine.ideal import METHODS, RECIPES, SIZES
from ..engine.ideal_order import Order
from ..errors import BadImage, BadSetting
from ..heads import groups, imagenet_names, load_classifier
from ..types import Head, Photo, View, check_choice
from . import ideal_show, render, texts
from .clickable import clickable
from .shared import KEEP

GROUPS = ("any cat", "any dog")
TV_MOST = 1000
STARTS = tuple(texts.IDEAL_STARTS)


@dataclass(frozen=True, eq=False)
class Controls:
    """What a person chooses, in the order of `order_of`; and the buttons."""

    name: gr.Dropdown
    tv: gr.Slider
    steps: gr.Slider
    method: gr.Radio
    rate: gr.Number
    size: gr.Slider
    seed: gr.Number
    start: gr.Radio
    run: gr.Button
    why: gr.Button
    stop: gr.Button
    chips: dict[str, gr.Button]

    @property
    def order(self) -> list[Any]:
        """The components whose values `order_of` takes."""
        return [self.name, self.tv, self.steps, self.method, self.rate, self.size, self.seed, self.start]

    @property
    def buttons(self) -> list[gr.Button]:
        """Stop, then all that start a job."""
        return [self.stop, self.run, self.why, *self.chips.values()]


@dataclass(frozen=True, eq=False)
class Screen:
    """What a person sees, and what is behind it."""

    painting: gr.State
    kept: gr.State
    question: gr.State
    status: gr.HTML
    figure: gr.HTML
    reply: gr.HTML
    scrub: gr.Slider
    files: gr.Row
    png: gr.DownloadButton
    webp: gr.DownloadButton
    strip: gr.HTML
    curves: gr.Row
    plots: tuple[gr.LinePlot, ...]
    gallery: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """Every component that a job may write to."""
        return [part for part in vars(self).values() if part is not self.plots] + [*self.plots]


def controls() -> Controls:
    """The left column."""
    first = METHODS[0]
    recipe = RECIPES[first]
    gr.HTML(render.fact(texts.IDEAL_LEAD))
    name = gr.Dropdown(
        choices(imagenet_names(), GROUPS), value="zebra", label=texts.IDEAL_CLASS, info=texts.IDEAL_CLASS_INFO,
        elem_id="ideal-class",
    )  # fmt: skip
    tv = gr.Slider(
        0, TV_MOST, recipe.tv, step=5, label=texts.IDEAL_TV, info=texts.IDEAL_TV_INFO[first], elem_id="ideal-tv"
    )
    steps = gr.Slider(
        1,
        1000,
        recipe.steps,
        step=1,
        label=texts.IDEAL_STEPS,
        info=texts.IDEAL_STEPS_INFO[first],
        elem_id="ideal-steps",
    )
    with gr.Row():
        run = gr.Button(texts.IDEAL_RUN, variant="primary", min_width=90, elem_id="ideal-run")
        why = gr.Button(texts.IDEAL_WHY, min_width=90, elem_id="ideal-why")
        stop = gr.Button(texts.STOP, visible=False, interactive=False, min_width=70, elem_id="ideal-stop")
    with gr.Row(elem_classes="chips"):
        chips = {k: gr.Button(text, size="sm", elem_id=f"try-ideal-{k}") for k, text in texts.IDEAL_CHIPS.items()}
    with gr.Accordion(texts.MORE, open=False):
        more = _more(first)
    return Controls(name, tv, steps, *more, run, why, stop, chips)


def _more(first: str) -> tuple[gr.Radio, gr.Number, gr.Slider, gr.Number, gr.Radio]:
    method = gr.Radio(
        [(texts.IDEAL_METHODS[m], m) for m in METHODS], value=first, label=texts.IDEAL_METHOD, elem_id="ideal-method"
    )
    rate = gr.Number(0, label=texts.IDEAL_RATE, info=texts.IDEAL_RATE_INFO[first])
    size = gr.Slider(*SIZES, 224, step=32, label=texts.IDEAL_SIZE, info=texts.IDEAL_SIZE_INFO, elem_id="ideal-size")
    seed = gr.Number(0, precision=0, label=texts.IDEAL_SEED, info=texts.IDEAL_SEED_INFO, elem_id="ideal-seed")
    start = gr.Radio(
        [(title, key) for key, title in texts.IDEAL_STARTS.items()], value=STARTS[0], label=texts.IDEAL_START,
        info=texts.IDEAL_START_INFO,
    )  # fmt: skip
    return method, rate, size, seed, start


def screen() -> Screen:
    """The right column."""
    painting, kept = gr.State(None, time_to_live=KEEP), gr.State((), time_to_live=KEEP)
    question = gr.State("", time_to_live=KEEP)
    figure = gr.HTML(ideal_show.opening(), elem_id="ideal-picture")
    status = gr.HTML(elem_id="ideal-status")
    reply = gr.HTML(elem_id="ideal-reply")
    scrub = gr.Slider(
        1, 2, 1, step=1, label=texts.IDEAL_SCRUB, info=texts.IDEAL_SCRUB_INFO, visible=False, elem_id="ideal-scrub"
    )
    with gr.Row(visible=False) as files:
        png = gr.DownloadButton(texts.IDEAL_PNG, min_width=120, elem_id="ideal-png")
        webp = gr.DownloadButton(texts.IDEAL_WEBP, min_width=120, elem_id="ideal-webp")
    strip = gr.HTML(elem_id="ideal-strip")
    with gr.Row(visible=False, elem_id="ideal-curves") as curves:
        plots = tuple(_plot(name) for name in ideal_show.CURVES)
    gallery = clickable(visible=False, elem_id="ideal-gallery")
    return Screen(
        painting, kept, question, status, figure, reply, scrub, files, png, webp, strip, curves, plots, gallery
    )  # fmt: skip


def _plot(name: str) -> gr.LinePlot:
    limits: dict[str, Any] = {"y_lim": [0, 1]} if name == "probability" else {}
    return gr.LinePlot(
        x="step", y=name, title=texts.IDEAL_CURVES[name], height=170, min_width=150, buttons=[], x_title="", y_title="",
        **limits,
    )  # fmt: skip


def known(head: Head, name: str) -> bool:
    """Whether a head has a class or a group of this name."""
    return name in choices(head.classes, tuple(groups(head)))


def choices(classes: tuple[str, ...], together: tuple[str, ...]) -> list[str]:
    """What can be painted: groups first, then the names in alphabetical order where there are many."""
    return [*together, *(sorted(classes, key=str.lower) if len(classes) > 50 else classes)]


def listed(view: View, current: str | None) -> Any:
    """The class list of the view's head; what was chosen stays if it is still there. A network without classes has none."""
    try:
        head = load_classifier(view).head
    except BadSetting:
        return gr.update(choices=[], value=None)
    names = choices(head.classes, tuple(groups(head)))
    return gr.update(choices=names, value=current if current in names else names[0])


def order_of(photo: Photo | None, *values: Any) -> Order:
    """The controls' values as an order. Raises BadSetting, BadImage; the engine checks the rest."""
    name, tv, steps, method, rate, size, seed, start = values
    if not name:
        raise BadSetting(texts.IDEAL_NO_CLASS)
    check_choice("start", start, STARTS)
    if start == "photo" and photo is None:
        raise BadImage(texts.NO_PHOTO)
    image8 = photo.image8 if photo is not None and start == "photo" else None
    return Order(name, method, steps, tv, rate or None, size, seed, image8)


def of_method(method: str) -> list[Any]:
    """The values and lines of TV, steps and learning rate that belong to a method."""
    recipe = RECIPES[method]
    return [
        gr.update(value=recipe.tv, info=texts.IDEAL_TV_INFO[method]),
        gr.update(value=recipe.steps, info=texts.IDEAL_STEPS_INFO[method]),
        gr.update(value=0, info=texts.IDEAL_RATE_INFO[method]),
    ]


def at(controls: Controls, settings: dict[str, Any]) -> dict[Any, Any]:
    """Updates that set the controls to a picture's settings, its recipe's numbers included."""
    method = settings["method"]
    tv, steps, rate = of_method(method)
    own = settings["learning_rate"] == RECIPES[method].learning_rate
    return {
        controls.name: settings["class"], controls.method: method, controls.size: settings["size"],
        controls.seed: settings["seed"], controls.start: settings["start"],
        controls.tv: tv | {"value": settings["tv"]}, controls.steps: steps | {"value": settings["steps"]},
        controls.rate: rate | {"value": 0 if own else settings["learning_rate"]},
    }  # fmt: skip
