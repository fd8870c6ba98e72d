"""Teach, step 3: how good is the head, on which photos does it fail, and what to do with those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from ..data.labelled import LabelledFolder, LabelledPhoto
from ..engine.evaluate import Accuracy, Report, ReportDone, report
from ..engine.trust import Trust, TrustDone
from ..errors import BadFolder, BadSetting
from . import bridge, render, teach_trust, texts
from .clickable import chosen_of, clickable
from .shared import Shared
from .teach_photos import pieces_of
from .teach_state import Lesson

CELL_SHOWN = 60


@dataclass(frozen=True, eq=False)
class ReportStep:
    """What runs after a training run."""

    handler: Callable[..., Iterator[Any]]
    inputs: list[Any]
    outputs: list[Any]
    onward: gr.Button  # to the next step
    transfer: gr.HTML  # how much came from transfer


def build(shared: Shared, lesson: gr.State, pieces: list[Any]) -> ReportStep:
    """Lay the step out and wire it; `pieces` are the set's components of step 1."""
    out = gr.HTML(render.empty(texts.REPORT_EMPTY), elem_id="report")
    transfer = gr.HTML(elem_id="transfer")
    with gr.Accordion(texts.CLOSER, open=False):
        per_class = gr.HTML(elem_id="per-class")
        matrix = clickable(elem_id="matrix")
        cell = gr.HTML(elem_id="cell")
        marked = gr.CheckboxGroup([], label=texts.MARKED, visible=False)
        with gr.Row(elem_classes="inline"):
            aside = gr.Button(texts.SET_ASIDE, visible=False, size="sm")
            where = gr.Dropdown([], label=texts.MOVE_TO, visible=False)
            move = gr.Button(texts.MOVE, visible=False, size="sm")
    onward = gr.Button(texts.TO_HOME, visible=False)
    tools = [cell, marked, aside, where, move]
    options: dict[str, Any] = {"api_visibility": "private", **bridge.LIGHT}
    matrix.select(bridge.told(_open_cell), lesson, tools, **options)
    changed = [lesson, cell, *pieces]
    aside.click(_changed(lambda folder, ids, _: folder.set_aside(ids)), [lesson, marked, where], changed, **options)
    move.click(
        _changed(lambda folder, ids, label: folder.move(ids, label)), [lesson, marked, where], changed, **options
    )

    def handler(now: Lesson, request: gr.Request) -> Iterator[Any]:
        yield from reported(now, bridge.visitor_of(request), shared.settings.seconds)

    return ReportStep(bridge.told(handler), [lesson], [lesson, out, per_class, matrix, cell, onward], onward, transfer)


def reported(lesson: Lesson, visitor: str, seconds: float) -> Iterator[Any]:
    """The report at once, then again with what folds say."""
    if lesson.embedded is None or lesson.head is None or not lesson.runs:
        return
    embedded, head, config = lesson.embedded, lesson.head, lesson.runs[-1].config
    if set(head.classes) != set(embedded.folder.used_classes):
        return
    now = replace(lesson, report=report(embedded, head, config))
    yield now, *_pieces(now)
    found: list[Trust] = []  # kept here, because events that come quickly do not all arrive below

    def events() -> Iterator[Any]:
        for event in teach_trust.measured(lesson, embedded, head, config):
            found.extend([event.trust] if isinstance(event, TrustDone) else [])
            yield event

    for event in bridge.in_turn(events, lambda _: (gr.skip(),) * 6, visitor, seconds):
        if isinstance(event, ReportDone):
            now = replace(now, report=event.report, head=found[-1].head, trust=found[-1])
            yield now, *_pieces(now)


def again(lesson: Lesson) -> tuple[Any, ...]:
    """The pieces after the report has become another one without a training run."""
    return _pieces(lesson)


def _pieces(lesson: Lesson) -> tuple[Any, ...]:
    found, folder = lesson.report, lesson.folder
    if found is None or folder is None:
        return render.empty(texts.REPORT_EMPTY), "", "", "", gr.update(visible=False)
    shown = summary(found, folder), teach_trust.words(lesson.trust) + class_table(found), matrix_of(found)
    return *shown, render.fact(texts.CELL_HINT), gr.update(visible=True)


def summary(found: Report, folder: LabelledFolder) -> str:
    """The accuracy with its interval, what it would have seemed to be, and the photos that it is most sure and wrong about."""
    lines = [
        f'<div class="verdict"><b>{render.percent(found.held_out.share)}</b><span>{_counted(found.held_out)}</span></div>'
    ]
    if found.leaky:
        lines.append(render.fact(texts.LEAKY))
    if found.test is not None:
        lines.append(render.fact(f"On the folder's own test photos: {_words(found.test)}."))
    if found.folds is not None and found.folds_random is not None:
        lines.append(render.fact(_seeming(found.folds, found.folds_random, found.fold_count)))
    return "".join(lines) + _wrongs(found, folder)


def _counted(accuracy: Accuracy) -> str:
    low, high = accuracy.interval
    return (
        f"right on {accuracy.right:,} of {accuracy.count:,} held-out photos. The true value lies between "
        f"{100 * low:.0f} and {100 * high:.0f} %, as far as so few photos can say (95 % interval)."
    )


def _words(accuracy: Accuracy) -> str:
    low, high = accuracy.interval
    return f"{100 * accuracy.share:.1f} % of {accuracy.count:,} ({100 * low:.0f} to {100 * high:.0f} %)"


def _seeming(grouped: Accuracy, random: Accuracy, count: int) -> str:
    return (
        f"{count} folds with near duplicates kept on one side: {_words(grouped)}. "
        f"With them on both sides it would have seemed {100 * random.share:.1f} %."
    )


def _wrongs(found: Report, folder: LabelledFolder) -> str:
    if not found.wrong:
        return render.fact(texts.NO_WRONG)
    by_id = {photo.id: photo for photo in folder.photos}
    tiles = "".join(
        f"<figure>{_thumbnail(by_id.get(w.id))}<figcaption><b>{escape(w.truth)}</b>, taken for {escape(w.answer)} "
        f"{render.percent(w.probability)}</figcaption></figure>"
        for w in found.wrong
    )
    return f'<h4>{texts.WRONG}</h4><div class="tiles">{tiles}</div>'


def _thumbnail(photo: LabelledPhoto | None) -> str:
    if photo is None or not photo.thumbnail:
        return f'<span class="none">{texts.NO_PICTURE}</span>'
    return render.thumbnail(photo.thumbnail, "")


def class_table(found: Report) -> str:
    """A class at a time: right, held out, share with interval."""
    rows = [[escape(name), f"{a.right} of {a.count}", _words(a) if a.count else "–"]
            for name, a in zip(found.classes, found.per_class, strict=True)]  # fmt: skip
    return render.table(("class", "right", "share (95 % interval)"), rows)


def matrix_of(found: Report) -> str:
    """The confusion matrix; a cell with photos can be chosen."""
    most = max(1, int(found.confusion.max()))
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in found.classes)
    rows = []
    for i, name in enumerate(found.classes):
        cells = "".join(_cell(i, j, int(n), most, name, found.classes[j]) for j, n in enumerate(found.confusion[i]))
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<h4>{texts.MATRIX}</h4><div class="scroll"><table class="matrix"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(i: int, j: int, count: int, most: int, truth: str, answer: str) -> str:
    if not count:
        return "<td></td>"
    label = escape(f"{count} of {truth} taken for {answer}")
    kind = "right" if i == j else "wrong"
    return (
        f'<td class="{kind}" style="--n:{count / most:.2f}"><button type="button" data-choose="{i},{j}" '
        f'aria-label="{label}" title="{label}">{count}</button></td>'
    )


def _open_cell(lesson: Lesson, event: gr.EventData) -> tuple[Any, ...]:
    """The photos behind a cell, and what can be done with them."""
    if lesson.report is None or lesson.folder is None:
        raise BadFolder(texts.REPORT_EMPTY)
    row, _, column = chosen_of(event).partition(",")
    ids = lesson.report.cells.get((int(row), int(column)), ()) if row.isdecimal() and column.isdecimal() else ()
    by_id = {photo.id: photo for photo in lesson.folder.photos}
    photos = [by_id[i] for i in ids[:CELL_SHOWN] if i in by_id]
    if not photos:
        raise BadSetting(texts.NO_CELL)
    names = lesson.report.classes
    tiles = "".join(
        f"<figure>{_thumbnail(p)}<figcaption>{n}: {escape(p.name[-24:])}</figcaption></figure>"
        for n, p in enumerate(photos, 1)
    )
    title = f"{escape(names[int(row)])}, taken for {escape(names[int(column)])}"
    able = bool(lesson.embedded and lesson.embedded.pictures)
    return (
        f'<h4>{title}</h4><div class="tiles">{tiles}</div>',
        gr.update(choices=[(f"photo {n}", str(p.id)) for n, p in enumerate(photos, 1)], value=[], visible=able),
        gr.update(visible=able),
        gr.update(choices=list(lesson.folder.classes), value=names[int(column)], visible=able),
        gr.update(visible=able),
    )


def _changed(change: Callable[[LabelledFolder, list[int], str], LabelledFolder]) -> Callable[..., Any]:
    """A handler that changes the marked photos; the person trains again when they like."""

    @bridge.told
    def handler(lesson: Lesson, marked: list[Any] | None, where: str | None) -> Any:
        if lesson.folder is None:
            raise BadFolder(texts.NO_SET)
        ids = [int(i) for i in marked or [] if str(i).isdecimal()]
        if not ids:
            raise BadSetting(texts.MARK_FIRST)
        now = lesson.with_folder(change(lesson.folder, ids, where or ""))
        return now, render.fact(texts.TRAIN_AGAIN), *pieces_of(now)

    return handler
