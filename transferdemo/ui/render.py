"""Numbers -> what is shown: small pieces of HTML. Every text that a person or a file supplied is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from ..engine.classify import Prediction, Score, Verdict
from ..images import encode_jpeg, encode_png
from ..types import Image8
from . import texts


def empty(sentence: str) -> str:
    """A dashed box with one line on what will come."""
    return f'<div class="empty">{escape(sentence)}</div>'


def fact(sentence: str) -> str:
    """A quiet line."""
    return f'<p class="fact" role="status">{escape(sentence)}</p>'


def picture(image8: Image8, alt: str, *, exact: bool = False) -> str:
    """An <img> with the picture inside it: JPEG, or PNG where every pixel counts."""
    kind, data = ("png", encode_png(image8)) if exact else ("jpeg", encode_jpeg(image8, 88))
    return thumbnail(data, alt, kind)


def thumbnail(data: bytes | None, alt: str, kind: str = "jpeg") -> str:
    """An <img> of a picture file's bytes; nothing for None."""
    if data is None:
        return ""
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def bars(scores: Iterable[Score]) -> str:
    """Names, bars and percentages."""
    rows = "".join(
        f'<span>{escape(s.name)}</span><i style="--p:{100 * s.probability:.1f}%"></i><span>{percent(s.probability)}</span>'
        for s in scores
    )
    return f'<div class="bars" role="img" aria-label="{escape(spoken(scores))}">{rows}</div>'


def spoken(scores: Iterable[Score]) -> str:
    """The bars as a sentence, for a screen reader."""
    return ", ".join(f"{s.name} {percent(s.probability)}" for s in scores)


def percent(share: float) -> str:
    """0.1234 -> 12.3 %; never 100.0 % or 0.0 % for what is not."""
    if 0 < share < 0.0005:
        return "<0.1 %"  # a "<" before a digit opens no tag
    return f"{min(share, 0.999) if share < 1 else share:.1%}".replace("%", " %")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], wrap: Sequence[int] = ()) -> str:
    """A table that scrolls by itself; cells are HTML already, headings are text. Columns in `wrap` may break into lines."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(f"<tr>{''.join(_cell(cell, i in wrap) for i, cell in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table class="table"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(html: str, wrap: bool) -> str:
    return f'<td class="n{" w" if wrap else ""}">{html}</td>'


def progress(step: int, total: int, label: str) -> str:
    """A bar with a line under it."""
    share = 100 * step / max(total, 1)
    return (
        f'<div class="progress" role="progressbar" aria-valuenow="{share:.0f}" aria-label="{escape(label)}">'
        f'<i style="--p:{share:.1f}%"></i></div>{fact(label)}'
    )


def answer(prediction: Prediction, note: str) -> str:
    """The verdict, the best classes, and what the network saw."""
    return (
        f'{verdict(prediction)}<div class="answer"><div>{scores(prediction)}{both(prediction)}'
        f'<p class="fact">{escape(note)}</p></div>{seen(prediction)}</div>'
    )


def verdict(prediction: Prediction) -> str:
    """The one word, large, and the sums it was read from; of a strange photo, what the head would have said."""
    if prediction.strange and prediction.imagenet is None:
        best = prediction.scores[0]
        words = escape(texts.otherwise(best.name, percent(best.probability)))
        return f'<div class="verdict"><b>{prediction.verdict}</b><span>{words}</span></div>'
    by = prediction.pets if prediction.pets and prediction.verdict != "neither" else prediction.imagenet
    sums = f"<span>{sums_of(by)}</span>" if by else ""
    return f'<div class="verdict"><b>{escape(prediction.verdict)}</b>{sums}</div>'


def scores(prediction: Prediction) -> str:
    """The bars, and where the photo is strange to the head: muted, with a line on how sure that is."""
    shown = bars(prediction.scores)
    if not prediction.strange or prediction.odd is None:
        return shown
    return f'<div class="muted">{shown}</div>{fact(texts.why_strange(prediction.odd.false_alarm))}'


def sums_of(by: Verdict) -> str:
    """dog 97.0 % · cat 1.0 % · neither 2.0 %."""
    rest = max(0.0, 1 - by.dog - by.cat)
    parts = [("dog", by.dog), ("cat", by.cat)] + ([("neither", rest)] if rest > 1e-6 else [])
    return " · ".join(f"{name} {percent(share)}" for name, share in parts)


def both(prediction: Prediction) -> str:
    """What ImageNet's classes say alone, and what a trained head makes of the same features: the lesson in two lines."""
    if not (prediction.imagenet and prediction.pets):
        return ""
    alone, trained = prediction.imagenet, prediction.pets
    word = trained.word if alone.word != "neither" else "not asked: it knows only cats and dogs"
    return (
        f'<dl class="lines"><dt>{texts.ALONE}</dt><dd>{alone.word} ({sums_of(alone)})</dd>'
        f"<dt>{texts.TRAINED}</dt><dd>{word}{f' ({sums_of(trained)})' if alone.word != 'neither' else ''}</dd></dl>"
    )


def seen(prediction: Prediction) -> str:
    """The very pixels that went in, with a word on what the crop left out."""
    words = texts.EXACT if prediction.exact else texts.lost(prediction.lost) if prediction.lost > 0.25 else ""
    size = len(prediction.seen)
    caption = f"{texts.SAW}: {size} × {size} pixels. {words}"
    return (
        f'<figure class="seen">{picture(prediction.seen, texts.SAW)}<figcaption>{escape(caption)}</figcaption></figure>'
    )
