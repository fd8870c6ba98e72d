"""Teach: a network learns your own classes. Four steps: photos, training, how good, take it home."""

from __future__ import annotations

from typing import Any

import gradio as gr

from . import (
    bridge,
    teach_experiment,
    teach_home,
    teach_networks,
    teach_photos,
    teach_report,
    teach_train,
    teach_transfer,
    teach_tune,
    texts,
)
from .shared import Shared
from .teach_state import Lesson


def build(shared: Shared) -> None:
    """Lay the four steps out and wire them."""
    lesson = shared.lesson
    gr.HTML(f'<p class="lead">{texts.TEACH_LEAD}</p>')
    with gr.Walkthrough(selected=0, elem_id="steps") as steps:
        with gr.Step(texts.STEP_PHOTOS, id=0):
            photos = teach_photos.build(shared, lesson, steps)
        with gr.Step(texts.STEP_TRAIN, id=1):
            training = teach_train.build(shared, lesson)
        with gr.Step(texts.STEP_REPORT, id=2):
            report = teach_report.build(shared, lesson, photos.pieces)
            tuning = teach_tune.build(shared, lesson)
            with gr.Accordion(texts.EXPERIMENT, open=False, elem_id="experiment-box"):
                teach_experiment.build(shared, lesson)
                gr.HTML(f"<h4>{texts.NETWORKS}</h4>")
                teach_networks.build(shared, lesson, training.run)
        with gr.Step(texts.STEP_HOME, id=3):
            home = teach_home.build(shared, lesson)
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    training.onward.click(lambda: gr.update(selected=2), None, steps, **quiet)
    report.onward.click(lambda: gr.update(selected=3), None, steps, **quiet)
    for event in photos.trained_by:  # a ready set trains at once
        event.then(None, None, None, js='() => { setTimeout(() => document.getElementById("train").click(), 100); }')
    reported = training.job.then(
        report.handler, report.inputs, report.outputs, api_visibility="private", **bridge.HEAVY
    )
    reported.then(_ready, lesson, training.onward, **quiet)
    compared = reported.then(
        teach_transfer.handler(shared), [lesson, shared.view], report.transfer, api_visibility="private", **bridge.HEAVY
    )
    training.run.click(None, None, None, cancels=[compared])
    at_home = reported.then(home.handler, home.inputs, home.outputs, api_visibility="private", **bridge.LIGHT)
    again = tuning.job.then(teach_report.again, lesson, report.outputs[1:], api_visibility="private", **bridge.LIGHT)
    tuned = again.then(home.handler, home.inputs, home.outputs, api_visibility="private", **bridge.LIGHT)
    training.run.click(None, None, None, cancels=[tuning.job])
    for event in (at_home, tuned, *home.changed):
        event.then(lambda stamp: stamp + 1, shared.stamp, shared.stamp, **quiet)


def _ready(lesson: Lesson) -> Any:
    """The way to the report opens once there is one."""
    return gr.update(visible=lesson.report is not None)
