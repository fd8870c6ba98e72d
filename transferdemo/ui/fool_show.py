"""What an attempt looks like: pictures, the change made visible, curves, three lines, the receipt, a sentence of answer."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..engine.receipt import Opinion, Receipt
from ..types import Image8
from . import render, texts
from .fool_trial import Point, Trial

POINTS = 100  # a line of a curve
TIMES = (1, 5, 20, 50)
JPEG = "JPEG 90"


def magnified(clean: Image8, changed: Image8, times: int) -> Image8:
    """The change on grey, `times` as strong, cut to 0 to 255."""
    change = changed.astype(np.int16) - clean.astype(np.int16)
    return (128 + int(times) * change).clip(0, 255).astype(np.uint8)


def live(trial: Trial) -> str:
    """The changed picture while it is made."""
    return _figure(trial.picture, texts.FOOL_LIVE)


def change(trial: Trial, times: int) -> str:
    """The change alone, with how often it was magnified written on it."""
    return _figure(magnified(trial.clean, trial.picture, times), texts.fool_magnified(times))


def _figure(image8: Image8, caption: str) -> str:
    return (
        f'<figure class="stamped">{render.picture(image8, caption)}<figcaption>{escape(caption)}</figcaption></figure>'
    )


def chances(trial: Trial) -> pd.DataFrame:
    """Rows for the curves of both probabilities."""
    lines = {trial.classes[trial.before.index]: "original", trial.title: "target"}
    rows = [(p.step, getattr(p, field), name) for name, field in lines.items() for p in _thinned(trial)]
    return pd.DataFrame(rows, columns=["step", "probability", "class"])


def sizes(trial: Trial) -> pd.DataFrame:
    """Rows for the curve of the size so far."""
    return pd.DataFrame([(p.step, p.l2) for p in _thinned(trial)], columns=["step", "size"])


def _thinned(trial: Trial) -> list[Point]:
    every = max(1, -(-len(trial.curve) // (POINTS - 1)))
    return [*trial.curve[:-1:every], *trial.curve[-1:]]


def status(trial: Trial) -> str:
    """How far the attempt is, as a bar and a line."""
    best = trial.best
    if best is None:
        return render.progress(trial.step, trial.total, texts.FOOL_STARTS)
    shrinks = trial.config.method == "smallest"
    words = texts.fool_step(trial.step, trial.total, best.l2, best.found, shrinks)
    return render.progress(trial.step, trial.total, words)


def result(trial: Trial) -> str:
    """What the saved file says, in three lines, and why; empty before there is one."""
    end = trial.result
    if end is None:
        return ""
    before, after = trial.classes[end.before.index], trial.classes[end.after.index]
    saved = f"{escape(after)} {render.percent(end.after.probability)}{_together(trial)}"
    head = f"{texts.FOOL_SAVED}: {saved}" if end.fooled else f"{texts.FOOL_SAVED}: {escape(texts.FOOL_STILL)} {saved}"
    lines = [
        f"<b>{head}</b>",
        escape(texts.fool_changed(end.changed_share, end.linf_levels)),
        escape(_noise(trial.receipt, before)),
    ]
    body = "".join(f"<li>{line}</li>" for line in lines)
    return f'<ol class="fooled" role="status">{body}</ol>{render.fact(_why(trial))}'


def _together(trial: Trial) -> str:
    """The probability of a group of targets, where one was asked for and the picture was searched as it is saved."""
    grouped = trial.config.targets is not None and len(trial.config.targets) > 1 and trial.config.method != "lesson"
    if trial.best is None or not grouped or not (trial.result and trial.result.fooled):
        return ""
    return f"<small>{escape(trial.title)} {render.percent(trial.best.target)}</small>"


def _noise(receipt: Receipt | None, before: str) -> str:
    return (
        texts.FOOL_NOISE_SOON
        if receipt is None
        else texts.fool_noise(receipt.noise.changed, receipt.noise.draws, before)
    )


def _why(trial: Trial) -> str:
    end = trial.result
    if end is None:
        return ""
    if trial.config.method == "lesson":
        return texts.fool_lesson(end.low, end.high, end.l2)
    return texts.fool_why(trial.classes[end.after.index], end.linf_levels) if end.fooled else texts.FOOL_NOT


def table(trial: Trial) -> str:
    """The full receipt."""
    receipt = trial.receipt
    if receipt is None:
        return render.empty(texts.FOOL_RECEIPT_EMPTY)
    after = [
        (
            line.name,
            f"{escape(trial.classes[line.answer.index])} {render.percent(line.answer.probability)}",
            line.fooled,
        )
        for line in receipt.lines
    ]
    others = [(other.network, _opinion(other), other.fooled) for other in receipt.others]
    rows = [
        [escape(name), said, texts.FOOL_YES if fooled else texts.FOOL_NO] for name, said, fooled in (*after, *others)
    ]
    return render.table(texts.FOOL_TABLE, rows, wrap=(1,)) + _measures(receipt)


def _opinion(other: Opinion) -> str:
    before = f"{escape(other.before)} {render.percent(other.before_probability)}"
    return f"{before} → {escape(other.after)} {render.percent(other.after_probability)}"


def _measures(receipt: Receipt) -> str:
    rows = [
        (texts.FOOL_L2, f"{receipt.l2:.3f}"),
        (texts.FOOL_LINF, f"{receipt.linf_levels} of 255"),
        (texts.FOOL_SHARE, render.percent(receipt.changed_share)),
        ("PSNR", f"{receipt.psnr:.1f} dB"),
        ("SSIM", f"{receipt.ssim:.4f}"),
        (texts.FOOL_CONTROL, f"{receipt.noise.changed} of {receipt.noise.draws}"),
    ]
    return '<dl class="lines">' + "".join(f"<dt>{escape(k)}</dt><dd>{v}</dd>" for k, v in rows) + "</dl>"


def reply(question: str, trial: Trial | None) -> str:
    """One line of answer to a question of *Try this*; empty where the attempt was stopped too early."""
    if trial is None or trial.result is None or trial.receipt is None:
        return ""
    return f'<p class="reply" role="status">{escape(_reply(question, trial, trial.receipt))}</p>'


def _reply(question: str, trial: Trial, receipt: Receipt) -> str:
    end = trial.result
    if end is None or not end.fooled:
        return texts.FOOL_NOT
    before, after = trial.classes[end.before.index], trial.classes[end.after.index]
    if question == "noise":
        return texts.fool_answer_noise(receipt.noise.changed, receipt.noise.draws, before)
    if question == "jpeg":
        line = next(line for line in receipt.lines if line.name == JPEG)
        return texts.fool_answer_jpeg(trial.classes[line.answer.index], line.fooled)
    if question == "other":
        return texts.fool_answer_other([(o.network, o.after, o.fooled) for o in receipt.others])
    return texts.fool_answer_pet(before, after, end.changed_share, end.linf_levels)


def record(trial: Trial) -> dict[str, Any]:
    """What the saved file is worth, for a caller: names, probabilities and sizes."""
    end = trial.result
    if end is None:
        return {}
    named = {
        when: {"index": answer.index, "name": trial.classes[answer.index], "probability": answer.probability}
        for when, answer in (("before", end.before), ("after", end.after))
    }
    return {
        "fooled": end.fooled, **named, "l2": end.l2, "linf_levels": end.linf_levels,
        "changed_share": end.changed_share, "gradients": end.gradients, "seconds": end.seconds,
    }  # fmt: skip
