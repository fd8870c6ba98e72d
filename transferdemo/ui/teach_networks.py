"""Teach, under *Experiment*: every network whose weights are here gets a head on the same photos, and one can be chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr
import pandas as pd

from ..backbones import BACKBONES, load_backbone
from ..device import choose
from ..engine.networks import NetworkResult, NetworksDone, NetworksStep, here, says, train_all
from ..engine.recipe import TrainConfig
from ..errors import BadFolder, BadSetting
from ..types import Head, View
from . import bar, bridge, render, texts
from .shared import Shared
from .teach_experiment import accuracy_words
from .teach_state import Lesson, limits_of

Curves = Mapping[str, Sequence[tuple[int, float]]]


def build(shared: Shared, lesson: gr.State, train: gr.Button) -> None:
    """Lay it out and wire it; `train` is pressed when a network was chosen."""
    gr.HTML(f'<p class="fact">{texts.NETWORKS_LEAD}</p>')
    with gr.Row():
        run = gr.Button(texts.NETWORKS_RUN, elem_id="networks")
        stop = gr.Button(texts.STOP, visible=False, interactive=False)
    status, table = gr.HTML(elem_id="networks-status"), gr.HTML(elem_id="networks-table", elem_classes="rows")
    plot = gr.LinePlot(
        frame({}), x="epoch", y="value", color="network", title=texts.NETWORKS_PLOT, height=220, x_title="epoch",
        y_title=" ", visible=False, elem_id="networks-plot",
    )  # fmt: skip
    with gr.Row(elem_classes="inline"):
        pick = gr.Dropdown([], label=texts.NETWORKS_PICK, visible=False, elem_id="networks-pick")
        use = gr.Button(texts.NETWORKS_USE, visible=False, size="sm")
    outputs = [status, table, plot, pick, use]
    bridge.wire(run, stop, _handler(shared), [lesson, shared.view], outputs)
    above = [shared.view, shared.head_menu, shared.network_menu, shared.stamp]
    chosen = use.click(
        bridge.told(_use),
        [pick, shared.view, shared.heads, shared.stamp],
        above,
        api_visibility="private",
        **bridge.LIGHT,
    )
    chosen.success(None, None, None, js=f'() => {{ document.getElementById("{train.elem_id}").click(); }}')


def _handler(shared: Shared) -> Callable[..., Iterator[Any]]:
    def handler(lesson: Lesson, view: View, request: gr.Request) -> Iterator[Any]:
        if lesson.embedded is None:
            raise BadFolder(texts.NO_SET)
        if not lesson.embedded.pictures:
            raise BadFolder(texts.NETWORKS_ONE)
        results: tuple[NetworkResult, ...] = ()
        for event in bridge.in_turn(
            lambda: _events(lesson, view, shared), render.fact, bridge.visitor_of(request), shared.settings.seconds
        ):
            if isinstance(event, str):
                yield event, *[gr.skip()] * 4
            else:
                results = event.results
                yield _shown(event)
        yield (f'<p class="reply">{escape(says(results))}</p>', *[gr.skip()] * 2, *_choice(results))

    return handler


def _events(lesson: Lesson, view: View, shared: Shared) -> Iterator[NetworksStep | NetworksDone]:
    """Train on all; what each network saw is kept, so that going on with one of them takes no second look."""
    if lesson.embedded is None:
        return
    device, embedded = choose(view.device), lesson.embedded
    backbones = [load_backbone(tag, device) for tag in here()]
    known = {b.digest: lesson.cache.known(b, embedded.fit) for b in backbones}
    known[embedded.digest] = {**known.get(embedded.digest, {}), **embedded.vectors}
    config = lesson.runs[-1].config if lesson.runs else TrainConfig()
    kept: set[str] = set()
    for event in train_all(embedded.folder, backbones, config, embedded.fit, limits_of(shared.settings), known):
        for result in event.results:
            if result.tag not in kept:
                kept.add(result.tag)
                lesson.cache.keep(result.embedded)
        yield event


def _shown(event: NetworksStep | NetworksDone) -> tuple[Any, ...]:
    curves: Curves = event.curves if isinstance(event, NetworksStep) else {r.title: r.curve for r in event.results}
    words = f"{event.step:,} of {event.total:,} looks"
    plot = gr.update(value=frame(curves), visible=True) if curves else gr.skip()
    return render.progress(event.step, event.total, words), table_of(event.results), plot, gr.skip(), gr.skip()


def _choice(results: Sequence[NetworkResult]) -> tuple[Any, Any]:
    best = max(results, key=lambda r: r.accuracy.share, default=None)
    choices = [(r.title, r.tag) for r in results]
    return gr.update(choices=choices, value=best.tag if best else None, visible=bool(results)), gr.update(
        visible=bool(results)
    )


def table_of(results: Sequence[NetworkResult]) -> str:
    """A network a row; nothing when there are none."""
    rows = [
        [escape(r.title), accuracy_words(r.accuracy), f"{r.seconds:.1f} s", f"{r.megabytes:.0f} MB"] for r in results
    ]
    return render.table(texts.NETWORKS_TABLE, rows) if rows else ""


def frame(curves: Curves) -> pd.DataFrame:
    """The rows of the plot; every network of this machine has one, because the plot fixes its legend when it is first drawn."""
    kinds = {"epoch": int, "value": float, "network": str}
    rows: list[tuple[int, float | None, str]] = [(0, None, BACKBONES[tag].title) for tag in here()]
    rows += [(epoch, value, name) for name, points in curves.items() for epoch, value in points]
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _use(tag: str | None, view: View, heads: dict[str, Head], stamp: float) -> tuple[Any, ...]:
    """The chosen network goes above the tabs."""
    if not tag:
        raise BadSetting(texts.NETWORKS_FIRST)
    now, menu, _ = bar.choose_network(tag, view, heads)
    return now, menu, gr.update(value=tag), stamp + 1
