"""What a visitor's lesson holds between two presses: the set with its features, the runs, the head and its report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..data.labelled import LabelledFolder
from ..data.records import LOCAL, STRANGER, Limits
from ..engine.evaluate import Report
from ..engine.features import Embedded, FeatureCache
from ..engine.recipe import TrainConfig
from ..engine.train import TrainStep
from ..engine.trust import Trust
from ..types import Head
from .shared import Settings

KEPT_RUNS = 3
CURVES = ("training", "held out", "held out, the run before", "two runs before")
POINTS = 100  # a curve is drawn with at most so many


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: what was chosen, and its curves."""

    number: int
    config: TrainConfig
    steps: tuple[TrainStep, ...]
    photos: int = 0  # a fingerprint of the set, by which runs can be compared

    def points(self, value: str) -> list[tuple[int, float]]:
        """(epoch, value) of at most 100 steps; `value` is a field of TrainStep."""
        every = max(1, -(-len(self.steps) // POINTS))
        return [(s.step, float(getattr(s, value))) for s in [*self.steps[::every], self.steps[-1]]]


@dataclass(frozen=True, eq=False)
class Lesson:
    """A visitor's lesson; each step makes a new one."""

    embedded: Embedded | None = None
    runs: tuple[Run, ...] = ()
    head: Head | None = None
    report: Report | None = None
    trust: Trust | None = None  # of the head as it is now
    name: str = ""
    cache: FeatureCache = field(default_factory=FeatureCache)

    @property
    def folder(self) -> LabelledFolder | None:
        """The set of photos, or None before the first step."""
        return self.embedded.folder if self.embedded else None

    def with_folder(self, folder: LabelledFolder) -> Lesson:
        """The same lesson after its photos were changed; the head stays until the next run."""
        return replace(self, embedded=self.embedded.with_folder(folder)) if self.embedded else self

    def with_run(self, config: TrainConfig, steps: list[TrainStep]) -> Lesson:
        """The lesson with one more run, and its head so far."""
        number = (self.runs[-1].number if self.runs else 0) + 1
        used = self.folder.used if self.folder else ()
        photos = hash(tuple((photo.sha256, photo.label) for photo in used))
        return replace(
            self,
            runs=(*self.runs[-KEPT_RUNS + 1 :], Run(number, config, tuple(steps), photos)),
            head=steps[-1].head,
            trust=None,
        )


def limits_of(settings: Settings) -> Limits:
    """What a set may hold: a stranger's limits, or hardly any for a person at their own computer."""
    return LOCAL if settings.local else STRANGER


def counted(number: int, one: str, many: str | None = None) -> str:
    """1 photo, 2 photos."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def as_rows(runs: tuple[Run, ...], train: str, held_out: str) -> list[dict[str, Any]]:
    """The rows of a line plot: both curves of the last run, the held-out curve of those before.

    Every curve of the legend has a row, because the plot fixes its legend when it is first drawn.
    """
    rows: list[dict[str, Any]] = [{"epoch": 0, "value": None, "curve": name} for name in CURVES]
    for run, name in zip(reversed(runs), CURVES[1:], strict=False):
        rows += [{"epoch": e, "value": v, "curve": name} for e, v in run.points(held_out)]
    if runs:
        rows += [{"epoch": e, "value": v, "curve": CURVES[0]} for e, v in runs[-1].points(train)]
    return rows
