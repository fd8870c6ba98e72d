"""How strong is a head: how many photos it still names rightly while every value may move, as a curve."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from ..decode import fit_image
from ..engine.recipe import sides
from ..engine.robustness import Curve, RobustnessDone, RobustnessEvent, robustness
from ..engine.verdict import classify_alone
from ..errors import DemoError
from ..heads import Classifier, load_classifier
from ..images import open_photo
from ..types import Image8, Photo, View
from . import bridge, photo, render, texts
from .shared import Shared
from .teach_state import Lesson

HELD = 16  # photos that judged a head are asked at most


@dataclass(frozen=True, eq=False)
class Held:
    """Photos that a head was not trained on, and the index of the class of each."""

    images: tuple[Image8, ...]  # (H, W, 3) of any size
    labels: tuple[int, ...]


def robustness_of(
    classifier: Classifier, images: Sequence[Image8], labels: Sequence[int] | None = None
) -> Generator[RobustnessEvent, None, None]:
    """The curve over 0 to 8 grey levels for pictures at the network's input size.

    Without `labels` what the head says of the clean pictures counts as right: the curve tells how many answers stay.
    """
    if labels is None:
        labels = [classify_alone(classifier, image).index for image in images]
    yield from robustness(classifier, images, labels)


def build(shared: Shared) -> None:
    """Lay it out and wire it."""
    gr.HTML(render.fact(texts.FOOL_STRENGTH_NOTE))
    with gr.Row():
        run = gr.Button(texts.FOOL_MEASURE, variant="secondary", elem_id="fool-measure")
        stop = gr.Button(texts.STOP, visible=False, interactive=False)
    status = gr.HTML(elem_id="fool-strong")
    plot = gr.LinePlot(
        x="grey levels", y="right", color="head", title=texts.FOOL_CURVE, height=230, y_lim=[0, 1], visible=False, buttons=[],
        x_title="grey levels of 255", y_title="", color_title="",
    )  # fmt: skip

    def handler(request: gr.Request, given: Photo | None, view: View, lesson: Lesson) -> Iterator[tuple[Any, Any]]:
        visitor = bridge.visitor_of(request)
        kept = held_of(lesson, view)
        pictures = kept.images if kept else pictures_of(given)  # opened here: children may not have children
        job = bridge.Job(curves, (pictures, view, kept), 500)
        events = bridge.in_turn(job, render.fact, visitor, shared.settings.seconds)
        for event in events:
            yield (event, gr.skip()) if isinstance(event, str) else drawn(event)

    bridge.wire(run, stop, handler, [shared.photo, shared.view, shared.lesson], [status, plot])


@dataclass(frozen=True, eq=False)
class Progress:
    """How far the curves are."""

    step: int
    total: int
    curves: dict[str, Curve]
    note: str


def curves(images: tuple[Image8, ...], view: View, held: Held | None) -> Generator[Progress, None, None]:
    """The curve of the chosen head, and of the network's own classes beside it, on these pictures. Raises DemoError."""
    judges = _judges(view)
    found: dict[str, Curve] = {}
    for number, (name, classifier) in enumerate(judges.items()):
        fitted = [fit_image(image, classifier.spec, view.fitting) for image in images]
        labels = held.labels if held and classifier.head is view.head else None
        for event in robustness_of(classifier, fitted, labels):
            if event.curve.right:
                found = found | {name: event.curve}
            step = number * event.total + (event.total if isinstance(event, RobustnessDone) else event.step)
            yield Progress(step, len(judges) * event.total, found, "" if held else texts.FOOL_NO_HELD)


def _judges(view: View) -> dict[str, Classifier]:
    """The chosen head, and the network's own classes where they are something else."""
    judges = {texts.FOOL_MY_HEAD if view.head else texts.FOOL_OWN_CLASSES: load_classifier(view)}
    if view.head is not None:
        try:
            judges[texts.FOOL_OWN_CLASSES] = load_classifier(replace(view, head=None))
        except DemoError:  # a network without classes of its own
            return judges
    return judges


def held_of(lesson: Lesson, view: View) -> Held | None:
    """A few of the photos that judged the chosen head in Teach; None where it comes from elsewhere or the set has changed."""
    embedded, found = lesson.embedded, lesson.report
    if view.head is None or view.head is not lesson.head or embedded is None or found is None or not lesson.runs:
        return None
    held_out = sides(embedded.folder, lesson.runs[-1].config).held_out
    if not embedded.pictures or len(held_out) != found.held_out.count:
        return None
    some = [int(index) for index in held_out[:: max(1, len(held_out) // HELD)][:HELD]]
    pictures = tuple(open_photo(embedded.folder.used[index].source.read()).image8 for index in some)
    return Held(pictures, tuple(int(embedded.folder.labels[index]) for index in some))


def pictures_of(given: Photo | None) -> tuple[Image8, ...]:
    """The visitor's photo and the examples."""
    examples = tuple(open_photo(Path(path)).image8 for path in photo.examples().values())
    return examples if given is None else (given.image8, *examples)


def drawn(progress: Progress) -> tuple[str, Any]:
    """The line and the curves so far."""
    rows = [
        (level, share, name)
        for name, curve in progress.curves.items()
        for level, share in zip(curve.epsilons, curve.accuracy, strict=False)
    ]
    frame = pd.DataFrame(rows, columns=["grey levels", "right", "head"])
    done = progress.step == progress.total
    words = " ".join(texts.fool_half(name, _half(curve), curve.photos) for name, curve in progress.curves.items())
    text = (
        render.fact(f"{words} {progress.note}")
        if done
        else render.progress(progress.step, progress.total, texts.FOOL_CURVE)
    )
    return text, gr.update(value=frame, visible=bool(rows))


def _half(curve: Curve) -> int | None:
    """The smallest number of grey levels at which less than half are right, or None."""
    return next((e for e, a in zip(curve.epsilons, curve.accuracy, strict=False) if a < 0.5), None)
