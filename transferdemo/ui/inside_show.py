"""What a look inside looks like: the heat map with its classes, sheets of channels, tables. Numbers -> HTML."""

from __future__ import annotations

from html import escape

from .. import pictures
from ..engine.channels import first_filters, strongest
from ..engine.inspect import REASONS
from ..engine.stages import depths
from ..types import Image8
from . import render, texts
from .inside_look import Firing, Seen

TILE = 112  # px


def figure(image8: Image8, caption: str, kind: str = "seen") -> str:
    """A picture with a line under it."""
    return (
        f'<figure class="{kind}">{render.picture(image8, caption)}<figcaption>{escape(caption)}</figcaption></figure>'
    )


def why(seen: Seen, tested: bool) -> str:
    """The photo under its heat map; beside it the classes to choose from, the test that it means something, the layer."""
    title = texts.inside_why(seen.title, seen.rival)
    lines = [
        f"<h3>{escape(title)}</h3>",
        _classes(seen),
        f'<p class="test" role="status">{escape(_test(seen, tested))}</p>',
    ]
    reason = texts.INSIDE_CHOSEN if seen.asked.layer else REASONS[seen.asked.method]
    lines.append(render.fact(texts.inside_layer(seen.inside.cam.layer, reason)))
    return f'<div class="why">{figure(seen.heat, texts.INSIDE_HEAT)}<div>{"".join(lines)}</div></div>'


def _classes(seen: Seen) -> str:
    """The five best classes, each a button with its bar."""
    inside = seen.inside
    rows = []
    for i in inside.best:
        name, share = inside.classes[i], float(inside.probabilities[i])
        pressed = str(inside.cam.target == (i,)).lower()
        rows.append(
            f'<button type="button" data-choose="{i}" aria-pressed="{pressed}"><span>{escape(name)}</span>'
            f'<i style="--p:{100 * share:.1f}%"></i><span>{render.percent(share)}</span></button>'
        )
    return f'<div class="asks" role="group" aria-label="{texts.INSIDE_CLASSES}">{"".join(rows)}</div>'


def _test(seen: Seen, tested: bool) -> str:
    """The sentence of the hide test, or that nothing speaks for the class."""
    if seen.inside.cam.empty:
        return texts.inside_empty(seen.title)
    if not tested:
        return texts.INSIDE_TESTING
    test = seen.hidden()
    return texts.inside_hidden(seen.title, (test.probability, test.hot, test.random), test.holds)


def sheets(seen: Seen, second: Seen | None) -> str:
    """Early, middle and late: the strongest channels of the photo, and the same ones of the second photo under them."""
    blocks = [_pair(seen, second)] if second else []
    for depth, i in depths(seen.inside.stages).items():
        chosen = strongest(seen.inside.maps[i])
        rows = _row(seen, i, chosen, texts.INSIDE_FIRST)
        if second:
            rows += _row(second, i, chosen, texts.INSIDE_SECOND)
        name = seen.inside.stages[i].name
        head = f"<h4>{texts.INSIDE_DEPTHS[depth]} <small>{escape(name)}</small></h4>"
        blocks.append(f'<section class="depth">{head}{render.fact(texts.INSIDE_SEES[depth])}{rows}</section>')
    return "".join(blocks)


def _pair(seen: Seen, second: Seen) -> str:
    """Both photos under their maps, each for its own class."""
    both = [(texts.INSIDE_FIRST, seen), (texts.INSIDE_SECOND, second)]
    return f'<div class="pair">{"".join(figure(one.heat, f"{label}: {_said(one)}") for label, one in both)}</div>'


def _said(seen: Seen) -> str:
    return f"{seen.title} {100 * seen.inside.cam.probability:.0f} %"


def _row(seen: Seen, layer: int, channels: tuple[int, ...], label: str) -> str:
    name = seen.inside.stages[layer].name
    tiles = "".join(
        f'<button type="button" data-choose="{escape(name)}/{channel}" title="{texts.inside_channel(channel)}" '
        f'aria-label="{escape(texts.inside_enlarge(name, channel, label))}">'
        f"{render.picture(pictures.tile(seen.inside.maps[layer][channel], seen.inside.image8, TILE), '')}</button>"
        for channel in channels
    )
    return f'<div class="maps">{tiles}</div>'


def channel(seen: Seen, second: Seen | None, layer: int, number: int) -> str:
    """One channel, large: where it fires in the photo and in the second one, and which classes it speaks for."""
    name = seen.inside.stages[layer].name
    photos = [(texts.INSIDE_FIRST, seen)] + ([(texts.INSIDE_SECOND, second)] if second else [])
    maps = "".join(
        figure(one.fires(layer, number), texts.inside_peak(label, float(one.inside.maps[layer][number].max())))
        for label, one in photos
    )
    return (
        f"<h3>{escape(texts.inside_one(name, number))}</h3>"
        f'<div class="pair">{maps}</div>{render.fact(_speaks(seen, layer, number))}'
    )


def _speaks(seen: Seen, layer: int, number: int) -> str:
    names = seen.speaks_for(layer, number)
    return texts.inside_speaks([name for name, rise in names if rise > 0]) if names else texts.INSIDE_NOT_READ


def firing(found: list[Firing], title: str) -> str:
    """Photos in a row, those first that fire a channel most."""
    tiles = "".join(
        f"<figure>{render.picture(one.image8, one.name)}"
        f"<figcaption>{escape(one.name[-24:])} {one.peak:.1f}</figcaption></figure>"
        for one in found
    )
    return f'<h4>{escape(title)}</h4><div class="tiles">{tiles}</div>'


def closer(seen: Seen) -> str:
    """The first filters where they are a picture, else the lesson's strip; and every stage in a table."""
    rows = [
        [escape(stage.name), " × ".join(map(str, stage.shape)), f"{stage.parameters:,}"] for stage in seen.inside.stages
    ]
    table = render.table(texts.INSIDE_TABLE, rows)
    return f"{_filters(seen)}<h4>{texts.INSIDE_STAGES}</h4>{table}"


def _filters(seen: Seen) -> str:
    weights = first_filters(seen.classifier)
    if weights is not None:
        drawing = render.picture(pictures.filters(weights), texts.INSIDE_FILTERS, exact=True)
        return f'<h4>{texts.INSIDE_FILTERS}</h4><div class="filters">{drawing}</div>{render.fact(texts.INSIDE_FILTERS_NOTE)}'
    maps = seen.inside.maps[-1]
    strip = render.picture(pictures.strip(maps), texts.INSIDE_STRIP)
    tiles = _row(seen, len(seen.inside.maps) - 1, strongest(maps), texts.INSIDE_FIRST)
    note = texts.inside_strip(len(maps), maps.shape[1] * maps.shape[2])
    return (
        f'<h4>{texts.INSIDE_STRIP}</h4><div class="strip">{strip}</div>{render.fact(note)}{tiles}'
        f"{render.fact(texts.INSIDE_READABLE)}"
    )


def said(sentence: str) -> str:
    """One line of answer to a question of *Try this*; empty for none."""
    return f'<p class="reply" role="status">{escape(sentence)}</p>' if sentence else ""
