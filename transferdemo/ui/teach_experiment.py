"""Teach, under *Experiment*: one thing done otherwise than in the last run, and whether it made a difference beyond chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ..backbones import load_backbone
from ..device import choose
from ..engine.evaluate import Accuracy
from ..engine.experiment import TRICKS, ExperimentDone, experiment
from ..errors import BadFolder, BadSetting
from ..types import View, check_choice
from . import bridge, render, texts
from .shared import Shared
from .teach_state import Lesson

FIRST = ["init-normal", "standardise", "hidden"]
KEPT = 40  # rows
Rows = list[list[str]]


def build(shared: Shared, lesson: gr.State) -> None:
    """Lay the experiments out and wire them."""
    gr.HTML(f'<p class="fact">{texts.EXPERIMENT_LEAD}</p>')
    choices = [(trick.title, name) for name, trick in TRICKS.items()]
    chosen = gr.Dropdown(
        choices, value=FIRST, multiselect=True, label=texts.EXPERIMENT_CHOOSE, elem_id="experiments"
    )  # fmt: skip
    about = gr.HTML(lines(FIRST))
    with gr.Row():
        run = gr.Button(texts.EXPERIMENT_RUN, elem_id="experiment")
        stop = gr.Button(texts.STOP, visible=False, interactive=False)
    status, table = gr.HTML(elem_id="experiment-status"), gr.HTML(elem_id="experiment-table", elem_classes="rows")
    rows = gr.State([])
    chosen.input(bridge.told(lines), chosen, about, queue=False, show_progress="hidden", api_visibility="private")
    bridge.wire(run, stop, _handler(shared), [lesson, shared.view, chosen, rows], [rows, status, table])


def lines(names: list[str]) -> str:
    """What the chosen experiments are about. Raises BadSetting for one that does not exist."""
    for name in names:
        check_choice("experiment", name, tuple(TRICKS))
    return "".join(render.fact(f"{TRICKS[name].title}. {TRICKS[name].line}") for name in names)


def _handler(shared: Shared) -> Callable[..., Iterator[Any]]:
    def handler(lesson: Lesson, view: View, names: list[str], rows: Rows, request: gr.Request) -> Iterator[Any]:
        if lesson.embedded is None or lesson.head is None or not lesson.runs:
            raise BadFolder(texts.EXPERIMENT_FIRST)
        if not names:
            raise BadSetting(texts.EXPERIMENT_NONE)
        lines(names)
        board = _Board(list(rows))
        visitor, seconds = bridge.visitor_of(request), shared.settings.seconds
        for event in bridge.in_turn(lambda: _events(board, lesson, view, names), render.fact, visitor, seconds):
            yield board.rows, event, table_of(board.rows)
        yield board.rows, "", table_of(board.rows)

    return handler


@dataclass
class _Board:
    """The rows so far; every event shows all of them, because events that come too fast are dropped."""

    rows: Rows

    def add(self, run: int, title: str, done: ExperimentDone) -> None:
        """A row for what came of an experiment; the first after a run has the run's own above it."""
        if not self.rows or self.rows[-1][0] != str(run):
            self.rows.append([str(run), texts.experiment_run(run), accuracy_words(done.before), "", ""])
        points = f"{100 * done.paired.difference:+.1f} points".replace("-", "−")
        self.rows.append([str(run), escape(title), accuracy_words(done.accuracy), points, escape(done.says)])
        del self.rows[:-KEPT]

    def fail(self, run: int, title: str, reason: str) -> None:
        """A row for an experiment that could not be done."""
        self.rows.append([str(run), escape(title), "–", "", escape(reason)])


def _events(board: _Board, lesson: Lesson, view: View, names: list[str]) -> Iterator[str]:
    """The chosen experiments one after the other; yields how far each is."""
    if lesson.embedded is None or lesson.head is None:
        return
    base, run = lesson.runs[-1].config, lesson.runs[-1].number
    backbone = load_backbone(view.backbone, choose(view.device)) if lesson.embedded.pictures else None
    for name in names:
        title = TRICKS[name].title
        try:
            for event in experiment(lesson.embedded, lesson.head, base, name, backbone):
                if isinstance(event, ExperimentDone):
                    board.add(run, title, event)
                yield render.progress(event.step, event.total, texts.experiment_at(title, event.step, event.total))
        except (BadFolder, BadSetting) as error:  # the others go on
            board.fail(run, title, str(error))


def table_of(rows: Rows) -> str:
    """The answers so far; nothing when there are none."""
    return render.table(texts.EXPERIMENT_TABLE, [row[1:] for row in rows], wrap=(0, 3)) if rows else ""


def accuracy_words(accuracy: Accuracy) -> str:
    """98.5 % (96 to 99 %)."""
    low, high = accuracy.interval
    return f"{render.percent(accuracy.share)} ({100 * low:.0f} to {100 * high:.0f} %)"
