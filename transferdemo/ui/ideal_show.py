"""What an ideal picture looks like on the page: picture, curves, honesty strip, two by two, gallery, a line of answer."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from ..engine.ideal import IdealDone
from ..engine.ideal_file import settings_of
from ..images import encode_jpeg, encode_png
from . import render, texts
from .ideal_keep import OPENING, Kept
from .ideal_run import Opinion, Painting, Strip
from .ideal_why import Why

POINTS = 100  # a line of a curve
UNSURE = 0.5  # probability below which other opinions say nothing
CURVES = ("probability", "loss", "tv")


def opening() -> str:
    """The zebra that the page opens with, and how it was made."""
    if not OPENING.is_file():
        return render.empty(texts.IDEAL_EMPTY)
    settings = settings_of(OPENING)
    image = render.thumbnail(OPENING.read_bytes(), str(settings["class"]), "png")
    return _figure(image, caption(settings))


def picture(painting: Painting) -> str:
    """The picture so far; the saved file itself once it is done."""
    if painting.png:
        return _figure(render.thumbnail(painting.png, painting.title, "png"), caption(painting.settings))
    if not painting.frames:
        return _figure("", caption(painting.settings))
    return _figure(render.thumbnail(painting.frames[-1][1], painting.title), caption(painting.settings))


def frame(painting: Painting, step: int) -> str:
    """The picture at an earlier step; at the last one the saved file."""
    kept = painting.frame(step)
    if kept is None or step >= painting.step:
        return picture(painting)
    return _figure(render.thumbnail(kept[1], painting.title), texts.ideal_at(kept[0], painting.total))


def caption(settings: dict[str, Any]) -> str:
    """The settings in a line."""
    words = (settings[name] for name in ("class", "method", "steps", "tv", "size", "seed"))
    stopped = f" · stopped after {settings['stopped_after']}" if "stopped_after" in settings else ""
    return texts.ideal_caption(*words) + stopped


def _figure(image: str, words: str) -> str:
    return f'<figure class="ideal"><div>{image}</div><figcaption>{escape(words)}</figcaption></figure>'


def status(painting: Painting) -> str:
    """How far it is, and how long it still takes."""
    label = texts.ideal_left(painting.step, painting.total, painting.seconds_left)
    return render.progress(painting.step, painting.total, label)


def curves(painting: Painting) -> list[pd.DataFrame]:
    """Rows for the three curves."""
    every = max(1, -(-len(painting.points) // POINTS))
    points = [*painting.points[:-1:every], *painting.points[-1:]]
    steps = [point.step for point in points]
    return [pd.DataFrame({"step": steps, name: [getattr(point, name) for point in points]}) for name in CURVES]


def strip(painting: Painting) -> str:
    """Probabilities on the network itself, what every other one says, and a word when they disagree."""
    if painting.strip is None:
        return ""
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{render.percent(share)}</dd>"
        for name, share in (
            (texts.IDEAL_PLAIN, painting.strip.plain),
            (texts.IDEAL_SAVED, painting.strip.saved),
            (texts.IDEAL_ROBUST, painting.strip.robust),
        )
    )
    others = "".join(_opinion(opinion, painting.title) for opinion in painting.strip.opinions)
    said = render.fact(word(painting.strip, painting.title))
    return f'<h4>{texts.IDEAL_STRIP}</h4><dl class="lines">{lines}{others}</dl>{said}'


def _opinion(opinion: Opinion, title: str) -> str:
    part = f" ({texts.IDEAL_TOOK_PART})" if opinion.took_part else ""
    says = f"{escape(opinion.best)} {render.percent(opinion.best_probability)}"
    if opinion.rank is not None and opinion.probability is not None:
        own = f"{escape(title)} {render.percent(opinion.probability)}"
        says = own if opinion.rank == 1 else f"{says}; {own}, {texts.ideal_rank(opinion.rank)}"
    return f"<dt>{escape(opinion.network)}{part}</dt><dd>{says}</dd>"


def word(strip: Strip, title: str) -> str:
    """What to make of the other networks' opinions."""
    if strip.saved < UNSURE:
        return texts.IDEAL_UNSURE
    if not strip.opinions:
        return texts.IDEAL_NO_OTHERS
    if all(opinion.rank is None for opinion in strip.opinions):
        return texts.IDEAL_OTHER_CLASSES
    if strip.against:
        return texts.ideal_disagree(title, [f"{o.network} sees {o.best}" for o in strip.against])
    free = sum(not opinion.took_part for opinion in strip.opinions)
    return texts.ideal_agree(title, free) if free else ""


def answer(question: str, painting: Painting) -> str:
    """One line of answer to what a chip asked."""
    if painting.strip is None or question not in texts.IDEAL_CHIPS:
        return ""
    share = _plain(painting.strip.saved)
    if question == "smooth":
        return texts.ideal_answer_smooth(share, painting.points[-1].tv / 2)
    if question == "mine":
        return texts.ideal_answer_mine(painting.title, share)
    second = next((o.network for o in painting.strip.opinions if o.took_part), None)
    if question == "agreed" and second:
        return texts.ideal_answer_agreed(painting.title, second, share)
    return texts.ideal_answer(painting.title, share, _plain(painting.strip.robust))


def _plain(share: float) -> str:
    return render.percent(share).replace("&lt;", "<")


def said(sentence: str) -> str:
    """A line of answer, or nothing."""
    return f'<p class="reply" role="status">{escape(sentence)}</p>' if sentence else ""


def why_status(four: Why) -> str:
    """How far the four are, together."""
    done, total = (sum(getattr(e, name) for e in four.events if e is not None) for name in ("step", "total"))
    return render.progress(done, total, texts.ideal_at(done, total))


def why_answer(four: Why) -> str:
    """What the four show, once they are finished."""
    if not four.done:
        return ""
    sure = all(event is not None and (event.probability or 0) >= UNSURE for event in four.events)
    return said(texts.IDEAL_WHY_ANSWER if sure else texts.IDEAL_UNSURE)


def why(four: Why) -> str:
    """Two by two: rows pixels and waves, columns without and with smoothness."""
    cells = []
    for i, event in enumerate(four.events):
        name = f"{texts.IDEAL_WHY_ROWS[i // 2]}, {texts.IDEAL_WHY_COLUMNS[i % 2]}"
        if event is None:
            cells.append(_figure("", name))
            continue
        done = isinstance(event, IdealDone)
        data = encode_png(event.image8) if done else encode_jpeg(event.image8, 85)
        image = render.thumbnail(data, f"{four.title}: {name}", "png" if done else "jpeg")
        sure = f": {_plain(event.probability)}" if event.probability is not None else ""
        cells.append(_figure(image, f"{name}{sure}"))
    return f'<div class="two-by-two">{"".join(cells)}</div>'


def gallery(kept: tuple[Kept, ...]) -> str:
    """This visitor's pictures, newest first; each can be pressed."""
    tiles = "".join(
        f'<button type="button" data-choose="{i}" title="{escape(caption(one.settings))}">'
        f"{render.thumbnail(one.thumbnail, str(one.settings['class']))}<span>{escape(str(one.settings['class'])[:30])}</span>"
        "</button>"
        for i, one in reversed(list(enumerate(kept)))
    )
    return f'<h4>{texts.IDEAL_GALLERY}</h4>{render.fact(texts.IDEAL_GALLERY_INFO)}<div class="kept">{tiles}</div>'
