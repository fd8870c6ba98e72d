"""Teach, step 3: how far to trust the head. What is strange to it, and whether its probabilities are honest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..engine.calibration import Calibration, CalibrationError
from ..engine.evaluate import full_report
from ..engine.features import Embedded
from ..engine.recipe import TrainConfig
from ..engine.trust import Trust, TrustDone, trust
from ..types import Head
from . import render, texts
from .teach_state import Lesson


def measured(lesson: Lesson, embedded: Embedded, head: Head, config: TrainConfig) -> Iterator[Any]:
    """The events of `trust`, for as many epochs as the run had, then those of the full report on the head that it gave."""
    ran = max(1, lesson.runs[-1].steps[-1].step)
    for event in trust(embedded, head, replace(config, epochs=ran)):
        head = event.trust.head if isinstance(event, TrustDone) else head
        yield event
    yield from full_report(embedded, head, config)


def words(found: Trust | None) -> str:
    """Two short paragraphs as HTML; nothing where nothing was measured."""
    if found is None:
        return ""
    lines = [*_strange(found), *(_honest(found.calibration) if found.calibration else [])]
    return "".join(lines)


def _strange(found: Trust) -> list[str]:
    own, alarms = found.head.novelty, found.alarms
    if own is None:
        return []
    counted = texts.alarms(alarms.right, alarms.count) if alarms else ""
    return [f"<h4>{texts.STRANGE}</h4>", render.fact(f"{texts.strange(own.false_alarm)} {counted}".strip())]


def _honest(found: Calibration) -> list[str]:
    before, after = _points(found.before), _points(found.after)
    if found.temperature == 1:
        return [f"<h4>{texts.HONEST}</h4>", render.fact(texts.honest_already(before))]
    return [f"<h4>{texts.HONEST}</h4>", render.fact(texts.honest_now(before, after, found.temperature))]


def _points(error: CalibrationError) -> str:
    low, high = error.interval
    return f"{100 * error.value:.1f} points ({100 * low:.1f} to {100 * high:.1f})"
