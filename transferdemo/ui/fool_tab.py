"""Fool: change the photo until the network says something else, proved on the saved file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..backbones import resolve
from ..engine.aim import ANYTHING
from ..errors import BadImage, DemoError
from ..heads import groups, load_classifier
from ..images import open_photo
from ..types import Photo, View
from . import bridge, fool_parts, fool_show, fool_strength, photo, render, texts
from . import fool_trial as trials
from .fool_parts import RANGES, Controls, Screen
from .fool_trial import Trial, Wish
from .outbox import filed
from .picture import SafeImage
from .shared import Settings, Shared

CURVES = 0.25  # seconds between two drawings of the curves
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
ASIDE: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "fool", **bridge.LIGHT}
INTO_VIEW = "() => { if (innerWidth <= 700) document.getElementById('fool-out').scrollIntoView({behavior: 'smooth'}); }"


def build(shared: Shared) -> None:
    """Lay the tab out and wire it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=250):
            controls = fool_parts.controls()
        with gr.Column(scale=3, min_width=300, elem_id="fool-out"):
            screen = fool_parts.screen(shared.trial)
    with gr.Accordion(texts.FOOL_RECEIPT, open=False):
        screen.receipt.render()  # type: ignore[no-untyped-call]
    with gr.Accordion(texts.FOOL_STRENGTH, open=False):
        fool_strength.build(shared)
    _wire_controls(shared, controls)
    _wire_jobs(shared, controls, screen)
    _wire_result(shared, screen)


def _wire_controls(shared: Shared, controls: Controls) -> None:
    """The target follows the photo and the head; the lines under the sliders follow the method."""

    def offered(given: Photo | None, view: View) -> Any:
        try:
            return trials.preset(given, view)
        except DemoError:  # a network that is not ready says so in Classify and in the bar
            return gr.skip()

    def listed(given: Photo | None, view: View) -> Any:
        try:
            head = load_classifier(view).head
            names = fool_parts.choices(head.classes, tuple(groups(head)))
            return gr.update(choices=names, value=trials.preset(given, view))
        except DemoError:
            return gr.skip()

    where = [shared.photo, shared.view]
    shared.given.then(offered, where, controls.target, **ASIDE)
    for event in shared.chosen:
        event.then(listed, where, controls.target, **ASIDE)
    controls.method.input(
        explained, controls.method, [controls.steps, controls.tv, controls.confidence, controls.strength], **QUIET
    )


@bridge.told
def explained(method: str) -> tuple[Any, Any, Any, Any]:
    """What each slider does under this method; the strength is there where the method has one."""
    infos = [
        gr.update(info=lines[method])
        for lines in (texts.FOOL_STEPS_INFO, texts.FOOL_TV_INFO, texts.FOOL_CONFIDENCE_INFO)
    ]
    if method not in RANGES:
        return *infos, gr.update(visible=False)  # type: ignore[return-value]
    low, high, step, first = RANGES[method]
    label, info = texts.FOOL_EPSILON[method]
    strength = gr.update(visible=True, minimum=low, maximum=high, step=step, value=first, label=label, info=info)
    return *infos, strength  # type: ignore[return-value]


def _wire_jobs(shared: Shared, controls: Controls, screen: Screen) -> None:
    """The button and the chips run one job; what it left, stopped or not, is judged and shown."""

    def handler(
        request: gr.Request, given: Photo | None, view: View, times: int, *wish: Any
    ) -> Iterator[dict[Any, Any]]:
        yield from job(screen, given, view, times, Wish(*wish), shared.settings, bridge.visitor_of(request))

    def end(trial: Trial | None, times: int) -> Iterator[dict[Any, Any]]:
        yield from ended(screen, trial, times)

    inputs = [shared.photo, shared.view, screen.times, *controls.wish]
    buttons = [controls.run, controls.stop]

    def chain(begun: Any) -> Any:
        running = begun.then(bridge.told(handler), inputs, screen.outputs, api_visibility="private", **bridge.HEAVY)
        controls.stop.click(None, None, None, cancels=[running])
        running.then(bridge.free, None, buttons, **QUIET)
        return running.then(bridge.told(end), [screen.trial, screen.times], screen.outputs, **ASIDE)

    controls.run.click(None, js=INTO_VIEW, **QUIET)
    chain(controls.run.click(bridge.busy, None, buttons, **QUIET))
    for question, chip in controls.chips.items():
        chip.click(None, js=INTO_VIEW, **QUIET)
        begun = chip.click(bridge.busy, None, buttons, **QUIET).then(
            bridge.told(_prepared(question)),
            [shared.photo, shared.view, controls.target],
            [shared.picture, shared.photo, controls.target, screen.trial],
            **ASIDE,
        )
        chain(begun).then(_replied(question), screen.trial, screen.reply, **QUIET)


def _prepared(question: str) -> Callable[..., tuple[Any, Any, Any, None]]:
    """What a chip sets before it runs: an example where no photo was given, and a target."""

    def prepare(given: Photo | None, view: View, target: str) -> tuple[Any, Any, Any, None]:
        if given is not None:
            wanted = trials.pet(given, view) if question == "cat" else target
            return gr.skip(), gr.skip(), wanted, None
        path = next(iter(photo.examples().values()))
        example = open_photo(Path(path))
        return photo.shown(path), example, trials.preset(example, view), None

    return prepare


def _replied(question: str) -> Callable[[Trial | None], str]:
    def answer(trial: Trial | None) -> str:
        return fool_show.reply(question, trial)

    return answer


def job(
    screen: Screen, given: Photo | None, view: View, times: int, wish: Wish, settings: Settings, visitor: str
) -> Iterator[dict[Any, Any]]:
    """One attempt in turn with other jobs, as updates of the screen."""
    classifier, trial = trials.start(given, view, wish)
    opened = {
        screen.panel: gr.update(visible=True), screen.empty: gr.update(visible=False),
        screen.live: gr.update(value=fool_show.live(trial), visible=True), screen.slider: gr.update(visible=False),
        screen.change: fool_show.change(trial, times), screen.result: "", screen.reply: "", screen.trial: None,
        screen.status: gr.update(value=render.fact(texts.FOOL_STARTS), visible=True),
    }  # fmt: skip
    yield opened

    def waiting(sentence: str) -> dict[Any, Any]:
        return {screen.status: render.fact(sentence)}

    due = 0.0
    attempt = bridge.Job(trials.steps, (classifier, trial), trial.config.steps)
    for event in bridge.in_turn(attempt, waiting, visitor, settings.seconds):
        if isinstance(event, dict):
            yield event
            continue
        shown = {screen.trial: event, screen.status: fool_show.status(event), screen.live: fool_show.live(event)}
        shown[screen.change] = fool_show.change(event, times)
        if time.monotonic() > due or event.result is not None:
            due = time.monotonic() + CURVES
            shown |= {screen.chances: fool_show.chances(event), screen.sizes: fool_show.sizes(event)}
        yield shown


def ended(screen: Screen, trial: Trial | None, times: int) -> Iterator[dict[Any, Any]]:
    """What the saved file is worth; then the receipt, and what other networks say."""
    trial = trials.judged(trial) if trial else None
    if trial is None or trial.result is None:  # it failed, or was stopped before its first step
        yield {screen.trial: None, screen.panel: gr.update(visible=False), screen.empty: gr.update(visible=True)}
        return
    if trial.receipt is not None:  # an older one: the job did not begin
        yield {screen.trial: trial}
        return
    name = f"{'fooled' if trial.result.fooled else 'changed'}.png"
    yield {
        screen.trial: trial, screen.status: gr.update(visible=False), screen.live: gr.update(visible=False),
        screen.slider: gr.update(value=(trial.clean, trial.picture), visible=True),
        screen.change: fool_show.change(trial, times), screen.result: fool_show.result(trial),
        screen.download: gr.update(value=filed(trial.result.png, name), visible=True), screen.use: gr.update(visible=True),
        screen.chances: fool_show.chances(trial), screen.sizes: fool_show.sizes(trial),
    }  # fmt: skip
    for proof in trials.proved(trial):
        yield {
            screen.trial: proof, screen.result: fool_show.result(proof), screen.receipt: fool_show.table(proof),
        }  # fmt: skip


def _wire_result(shared: Shared, screen: Screen) -> None:
    """How strongly the change is shown, and the picture as the photo of every tab."""

    @bridge.told
    def magnified(trial: Trial | None, times: int) -> str:
        return fool_show.change(trial, times) if trial else ""

    @bridge.told
    def used(trial: Trial | None) -> str:
        if trial is None or trial.result is None:
            raise BadImage(texts.FOOL_RECEIPT_EMPTY)
        gr.Info(texts.FOOL_USED)
        return filed(trial.result.png, "fooled.png")

    screen.times.input(magnified, [screen.trial, screen.times], screen.change, **QUIET)
    screen.use.click(used, screen.trial, shared.picture, api_visibility="private", **bridge.LIGHT)


def api(shared: Shared) -> None:
    """/adversarial for callers: a picture and a wish -> the changed picture as a PNG file, and what it is worth."""
    settings = shared.settings

    @bridge.told
    def adversarial(
        request: gr.Request, picture: Photo | None, target: str, method: str, epsilon: float | None, steps: int, backbone: str
    ) -> tuple[str, dict[str, Any]]:  # fmt: skip
        """Change a picture as little as possible until the network says something else.

        Args:
            picture: a JPEG, PNG, WebP, GIF or BMP file.
            target: a class by name or index, "any cat", "any dog", or "anything" that is wrong.
            method: smallest, pgd-linf, pgd-l2, fgsm or lesson.
            epsilon: the most a value may change, grey levels of 255 (pgd-linf, fgsm) or L2 (pgd-l2); none for the others.
            steps: gradients at most, 1 to 1000.
            backbone: a network's name, for example tf_efficientnet_lite0.in1k.
        """
        wish = Wish(target, steps, method=method, strength=epsilon)  # type: ignore[arg-type]  # the engine checks it
        view = View(resolve(backbone).tag, device=settings.device)
        trial = last(picture, view, wish, settings, bridge.visitor_of(request))
        if trial.result is None:
            raise BadImage(texts.FOOL_NO_TIME)
        return filed(trial.result.png, "adversarial.png"), fool_show.record(trial)

    inputs: list[Any] = [SafeImage(visible=False)]
    inputs += [gr.Textbox(ANYTHING, visible=False), gr.Textbox("smallest", visible=False)]
    inputs += [gr.Number(None, visible=False), gr.Number(100, precision=0, visible=False)]
    inputs += [gr.Textbox("tf_efficientnet_lite0.in1k", visible=False)]
    gr.Button(visible=False).click(
        adversarial, inputs, [gr.File(visible=False), gr.JSON(visible=False)], api_name="adversarial", **bridge.HEAVY
    )


def last(given: Photo | None, view: View, wish: Wish, settings: Settings, visitor: str) -> Trial:
    """The attempt when it ended or its time was up, judged."""
    classifier, begun = trials.start(given, view, wish)
    trial = begun
    attempt = bridge.Job(trials.steps, (classifier, begun), begun.config.steps)
    for event in bridge.in_turn(attempt, lambda _: None, visitor, settings.seconds):
        trial = event or trial
    return trials.judged(trial)
