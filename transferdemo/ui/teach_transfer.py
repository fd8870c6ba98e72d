"""Teach, step 3: how much came from transfer, as one picture with its sentence, in the same press as the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from html import escape

import gradio as gr

from ..backbones import load_backbone, load_random
from ..device import choose
from ..engine.baselines import Row
from ..engine.experiment import against
from ..engine.transfer import ORDER, Point, Transfer, TransferDone, TransferStep, compare, says
from ..types import View
from . import bridge, render, texts
from .shared import Shared
from .teach_state import Lesson, limits_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 200, 48, 14, 10, 40  # of the curve, in its own units


def handler(shared: Shared) -> Callable[..., Iterator[str]]:
    """What runs after a report: (lesson, view) -> the picture's HTML, again and again until it is complete."""

    def compared(lesson: Lesson, view: View, request: gr.Request) -> Iterator[str]:
        if lesson.embedded is None or lesson.head is None or lesson.report is None:
            return
        if lesson.head.digest != lesson.embedded.digest:
            return
        visitor, found = f"{bridge.visitor_of(request)} compares", Transfer()
        for event in bridge.in_turn(
            lambda: _events(lesson, view, shared), render.fact, visitor, shared.settings.seconds
        ):
            if isinstance(event, str):
                yield event
                continue
            found = event.found
            if isinstance(event, TransferDone):
                yield picture(found) + _sentence(found) + before(lesson)
                return
            yield picture(found, waiting=True) + render.progress(event.step, event.total, texts.TRANSFER_STEP)
        yield picture(found) + render.fact(texts.TRANSFER_TIME)

    return bridge.told(compared)


def _events(lesson: Lesson, view: View, shared: Shared) -> Iterator[TransferStep | TransferDone]:
    """The comparison; what the network with random weights saw is kept for the next run."""
    if lesson.embedded is None or lesson.head is None:
        return
    backbone = load_backbone(view.backbone, choose(view.device))
    mine = lesson.embedded.pictures and backbone.digest == lesson.embedded.digest
    known = lesson.cache.known(load_random(backbone), lesson.embedded.fit) if mine else None
    config = lesson.runs[-1].config
    events = compare(
        lesson.embedded, lesson.head, config, backbone if mine else None, limits_of(shared.settings), known
    )
    for event in events:
        if isinstance(event, TransferDone) and event.random:
            lesson.cache.keep(event.random)
        yield event


def picture(found: Transfer, waiting: bool = False) -> str:
    """The ways of telling the classes apart as bars with their intervals, and the curve; rows to come are empty."""
    rows = {row.name: row for row in found.rows}
    shown = [
        name for name in ORDER if name in rows or (waiting and (found.pictures or name not in ("pixels", "random")))
    ]
    ways = "".join(_way(name, rows.get(name)) for name in shown)
    spoken = ", ".join(f"{texts.TRANSFER_ROWS[n][0]} {_words(r)}" for n, r in rows.items())
    return (
        f'<div class="transfer"><figure><h4>{texts.TRANSFER}</h4>'
        f'<div class="ways" role="img" aria-label="{escape(spoken)}">{ways}</div></figure>'
        f"<figure><h4>{texts.TRANSFER_CURVE}</h4>{curve(found.curve)}</figure></div>"
    )


def _way(name: str, row: Row | None) -> str:
    title, what = texts.TRANSFER_ROWS[name]
    label = f"<span>{title}<small>{what}</small></span>"
    kind = "ours" if name in ("mean", "head") else ""
    if row is None:
        return f'{label}<i class="soon"></i><span>…<small>&nbsp;</small></span>'
    low, high = (100 * bound for bound in row.accuracy.interval)
    bar = f'<i class="{kind}" style="--p:{100 * row.accuracy.share:.1f}%;--l:{low:.1f}%;--h:{high:.1f}%"></i>'
    return (
        f"{label}{bar}<span><b>{render.percent(row.accuracy.share)}</b><small>{low:.0f} to {high:.0f} %</small></span>"
    )


def _words(row: Row) -> str:
    low, high = row.accuracy.interval
    return f"{render.percent(row.accuracy.share)} ({100 * low:.0f} to {100 * high:.0f} %)"


def _sentence(found: Transfer) -> str:
    """What follows, and what the rows could not be measured on."""
    lines = [f'<p class="reply">{escape(says(found))}</p>']
    random, head = found.row("random"), found.row("head")
    if not found.pictures:
        lines.append(render.fact(texts.TRANSFER_NO_PICTURES))
    elif random and head and random.trained_on < head.trained_on:
        lines.append(render.fact(texts.transfer_few(random.trained_on, random.accuracy.count)))
    return "".join(lines)


def before(lesson: Lesson) -> str:
    """The last run beside the one before it, where the same photos were held out from both."""
    if lesson.embedded is None or len(lesson.runs) < 2:
        return ""
    old, new = lesson.runs[-2:]
    heads = new.steps[-1].head, old.steps[-1].head
    sides = [(run.photos, run.config.seed, run.config.held_out) for run in (old, new)]
    if sides[0] != sides[1] or any(head.digest != lesson.embedded.digest for head in heads):
        return ""
    return render.fact(texts.against_before(against(lesson.embedded, new.config, *heads).says))


def curve(points: tuple[Point, ...]) -> str:
    """Accuracy against photos a class as SVG, the photos on a logarithmic scale; an empty frame before there are points."""
    most = max((p.each for p in points), default=10)
    places = [(_x(p.each, most), p) for p in points]
    line = " ".join(f"{x:.1f},{_y(p.mean):.1f}" for x, p in places)
    band = [f"{x:.1f},{_y(max(p.accuracies)):.1f}" for x, p in places]
    band += [f"{x:.1f},{_y(min(p.accuracies)):.1f}" for x, p in reversed(places)]
    spoken = ", ".join(texts.transfer_point(p.each, render.percent(p.mean)) for p in points)
    drawn = (
        f'<polygon class="band" points="{" ".join(band)}"/><polyline class="line" points="{line}"/>'
        + "".join(f'<circle cx="{x:.1f}" cy="{_y(p.mean):.1f}" r="3.5"/>' for x, p in places)
        if points
        else ""
    )
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken)}">'
        f"{_frame()}{drawn}{_ticks(places)}</svg>{render.fact(texts.TRANSFER_BAND)}"
    )


def _x(each: int, most: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log(each) / math.log(max(most, 2))


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _frame() -> str:
    """Lines at 0, 50 and 100 %."""
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(s):.1f}" y2="{_y(s):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{_y(s) + 4:.1f}" text-anchor="end">{100 * s:.0f} %</text>'
        for s in (0.0, 0.5, 1.0)
    )


def _ticks(places: list[tuple[float, Point]]) -> str:
    """The numbers of photos, as far as they do not touch."""
    kept: list[str] = []
    last = math.inf
    for x, point in reversed(places):
        if last - x > 9 * len(str(point.each)) + 4:
            kept.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{point.each}</text>')
            last = x
    return "".join(kept) + f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">photos a class</text>'
