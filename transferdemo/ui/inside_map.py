"""Features as a map of the folder: every photo a dot, coloured by its class. Why a linear head can work, or cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from ..backbones import resolve
from ..engine import ready
from ..engine.channels import at_home, project
from ..engine.features import Embedded
from ..errors import BadSetting
from . import bridge, render, texts
from .clickable import JS, chosen_of
from .shared import KEEP, Shared
from .teach_state import Lesson

MINE = "mine"
DOTS = 800  # photos on a map, drawn evenly from the set
LEGEND = 12  # classes that are named under it
WIDTH, HEIGHT, EDGE = 640, 420, 14  # of the drawing
GOLDEN = 137.508  # degrees: each next hue is far from all before

Opening = tuple[Callable[..., Any], list[Any], list[Any]]  # a handler with its inputs and outputs

# A dot that is pointed at for a moment is chosen, as if it was pressed.
HOVER = (
    JS
    + """
let timer = null;
element.addEventListener("pointerover", (event) => {
  clearTimeout(timer);
  if (event.target.closest("[data-choose]")) timer = setTimeout(() => choose(event), 90);
});
element.addEventListener("pointerleave", () => clearTimeout(timer));
"""
)


@dataclass(frozen=True, eq=False)
class Map:
    """A set as a drawing, and what is said about it; `embedded` is what it was made of."""

    embedded: Embedded
    svg: str
    words: str


def build(shared: Shared) -> Opening:
    """Lay the section out; returns its handler with inputs and outputs, for the moment when the tab is opened."""
    made = gr.State(None, time_to_live=KEEP)
    gr.HTML(f"<h3>{texts.INSIDE_MAP}</h3>")
    which = gr.Dropdown(offered(Lesson()), label=texts.INSIDE_SET, elem_id="inside-set")
    drawing = gr.HTML(js_on_load=HOVER, elem_id="inside-map")
    dot = gr.HTML(elem_id="inside-dot")
    words = gr.HTML(elem_id="inside-linear")

    def opened(lesson: Lesson, name: str | None, before: Map | None, is_open: bool) -> Any:
        """Another set in Teach is shown at once; otherwise what was shown stays."""
        if not is_open:
            return [gr.skip()] * 5
        own = lesson.embedded if before is None or name == MINE else None
        if before is not None and own in (None, before.embedded):
            return [gr.update(choices=offered(lesson)), *[gr.skip()] * 4]
        return [
            gr.update(choices=offered(lesson), value=MINE if own else first()),
            *drawn(lesson, MINE if own else first()),
        ]

    def another(lesson: Lesson, name: str | None) -> Any:
        return drawn(lesson, name or first())

    options: dict[str, Any] = {"api_visibility": "private", **bridge.LIGHT}
    which.input(bridge.told(another), [shared.lesson, which], [drawing, dot, words, made], **options)
    drawing.select(bridge.told(pointed), made, dot, trigger_mode="always_last", **options)
    return bridge.told(opened), [shared.lesson, which, made], [which, drawing, dot, words, made]


def first() -> str:
    """The ready set that is shown before there are photos."""
    return next(iter(texts.READY_SETS))


def offered(lesson: Lesson) -> list[tuple[str, str]]:
    """(title, value) of the sets that can be shown."""
    mine = [(texts.INSIDE_MINE, MINE)] if lesson.embedded else []
    return mine + [(texts.READY_SETS[name], name) for name in ready.names() if name in texts.READY_SETS]


def drawn(lesson: Lesson, name: str) -> tuple[Any, ...]:
    """The drawing, an empty place for a photo, the words, and the map itself."""
    if name != MINE and name not in texts.READY_SETS:
        raise BadSetting(texts.INSIDE_NO_OTHER_SET)
    if name == MINE and lesson.embedded is None:
        raise BadSetting(texts.INSIDE_NO_FOLDER)
    made = map_of(lesson.embedded) if name == MINE and lesson.embedded else ready_map(name)
    tall = " tall" if made.embedded.pictures else ""
    return made.svg, f'<div class="dot{tall}"><span>{texts.INSIDE_POINT}</span></div>', made.words, made


@functools.lru_cache(maxsize=8)
def ready_map(name: str) -> Map:
    """The map of a set that ships with the project: always the same. Raises BadFile."""
    return map_of(ready.read_set_features(name))


def map_of(embedded: Embedded) -> Map:
    """The map of a set. Raises BadSetting for fewer than two photos."""
    folder = embedded.folder
    places = np.unique(np.linspace(0, len(folder.used) - 1, min(DOTS, len(folder.used))).astype(int))
    features, labels = embedded.features[places], folder.labels[places]
    found = project(features)
    chance = float(((np.bincount(labels) / len(labels)) ** 2).sum())
    sentences = (
        texts.inside_linear(at_home(features, labels, folder.groups[places]), chance),
        texts.inside_variance(
            len(labels), len(folder.used_classes), resolve(embedded.backbone).title, sum(found.explained)
        ),
    )
    words = f'<p class="test">{escape(sentences[0])}</p>{render.fact(sentences[1])}'
    return Map(embedded, _svg(embedded, places, found.points) + _legend(folder.used_classes), words)


def _svg(embedded: Embedded, places: np.ndarray[Any, np.dtype[np.int64]], points: np.ndarray[Any, Any]) -> str:
    """All dots, the same scale along both sides."""
    used, labels = embedded.folder.used, embedded.folder.labels
    low, high = points.min(0), points.max(0)
    scale = min((WIDTH - 2 * EDGE) / max(high[0] - low[0], 1e-9), (HEIGHT - 2 * EDGE) / max(high[1] - low[1], 1e-9))
    placed = (points - (low + high) / 2) * scale + (WIDTH / 2, HEIGHT / 2)
    dots = "".join(
        f'<circle data-choose="{i}" cx="{x:.0f}" cy="{HEIGHT - y:.0f}" r="5" fill="{colour(int(labels[i]))}">'
        f"<title>{escape(used[i].label)}</title></circle>"
        for i, (x, y) in zip(places.tolist(), placed.tolist(), strict=True)
    )
    return f'<svg class="dots" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{texts.INSIDE_MAP}">{dots}</svg>'


def colour(label: int) -> str:
    """A class's colour: indigo and amber first, which the colour-blind tell apart, then ever other hues."""
    first_two = ("#4f46e5", "#d97706")
    return first_two[label] if label < len(first_two) else f"hsl({(label * GOLDEN) % 360:.0f} 62% 48%)"


def _legend(classes: tuple[str, ...]) -> str:
    names = "".join(
        f'<span><i style="background:{colour(i)}"></i>{escape(name)}</span>' for i, name in enumerate(classes[:LEGEND])
    )
    more = f"<span>+ {len(classes) - LEGEND}</span>" if len(classes) > LEGEND else ""
    return f'<div class="legend">{names}{more}</div>'


def pointed(made: Map | None, event: gr.EventData) -> str:
    """The photo behind a dot."""
    chosen = chosen_of(event)
    if made is None or not chosen.isdecimal() or int(chosen) >= len(made.embedded.folder.used):
        raise BadSetting(texts.INSIDE_POINT)
    photo = made.embedded.folder.used[int(chosen)]
    picture = render.thumbnail(photo.thumbnail, "") if photo.thumbnail else ""
    words = escape(texts.inside_dot(photo.label, photo.name[-40:] if photo.thumbnail else texts.NO_PICTURE))
    tall = " tall" if made.embedded.pictures else ""
    return f'<div class="dot{tall}">{picture}<span>{words}</span></div>'
