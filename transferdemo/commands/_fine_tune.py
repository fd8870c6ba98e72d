"""`train --fine-tune`: the second stage, judged by the held-out photos or, with --folds, by all of them out of fold."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import emit, with_bar

if TYPE_CHECKING:
    from ..backbones import Backbone
    from ..engine.evaluate import Report
    from ..engine.features import Embedded
    from ..engine.last_stage import FineTuneConfig
    from ..engine.recipe import TrainConfig
    from ..engine.tune import FineTuneEvent, Judged
    from ..engine.tune_folds import FoldTuneEvent
    from ..types import Head


@dataclass(frozen=True, eq=False)
class Tuned:
    """What came of it: the head is the one given where it was not accepted."""

    before: Judged
    after: Judged
    head: Head
    found: Report | None  # of the head, by the held-out photos; None: by folds
    count: int = 0  # of folds
    note: str = ""  # why it ended early

    @property
    def accepted(self) -> bool:
        """Whether photos that were not seen speak for it."""
        return self.after.better_than(self.before)

    def report(self, frozen: Report) -> Report:
        """The report of the frozen head with what is true of the fine-tuned one in its place."""
        from ..engine.evaluate import Accuracy

        if self.found is not None:
            return self.found
        folds = Accuracy(int(self.after.right.sum()), len(self.after.right))
        return replace(frozen, folds=folds, folds_random=None, fold_count=self.count)

    def as_json(self) -> dict[str, object]:
        """accepted, loss_before, loss_after, accuracy_before, accuracy_after, p."""
        from ..engine.tune import as_json

        return as_json(self.before, self.after)


def config_of(args: argparse.Namespace) -> FineTuneConfig | None:
    """The settings, or None where it was not asked for. Raises BadSetting."""
    from ..engine.last_stage import FineTuneConfig

    if not args.fine_tune and args.fine_tune_epochs is None:
        return None
    given = {} if args.fine_tune_epochs is None else {"epochs": args.fine_tune_epochs}
    return FineTuneConfig(seed=args.seed, **given)


def tuned_on(
    backbone: Backbone,
    embedded: Embedded,
    head: Head,
    configs: tuple[FineTuneConfig, TrainConfig],
    args: argparse.Namespace,
) -> Tuned:
    """Fine-tune a head that was trained on `embedded`, by folds where there are folds. Raises BadFolder, BadSetting."""
    from ..engine.tune import FineTuneDone, fine_tune
    from ..engine.tune_folds import Folds, FoldTuneDone, fine_tune_folds

    events: Iterator[FineTuneEvent | FoldTuneEvent] = (
        fine_tune_folds(backbone, embedded, head, *configs, Folds(args.folds))
        if args.folds
        else fine_tune(backbone, embedded, head, *configs)
    )
    made: Tuned
    for event in with_bar(events, "fine-tuning", quiet=args.json):
        if args.json:
            emit(_record(event))
        if isinstance(event, FoldTuneDone):
            made = Tuned(event.before, event.after, event.head, None, args.folds)
        elif isinstance(event, FineTuneDone):
            made = Tuned(event.last.before, event.last.after, event.last.head, event.report, note=event.note)
    return made


def _record(event: FineTuneEvent | FoldTuneEvent) -> dict[str, object]:
    from ..engine.tune import FineTuneStep

    place: dict[str, object] = {"event": "fine_tune", "step": event.step, "total": event.total}
    if not isinstance(event, FineTuneStep):
        return place
    return {**place, "epoch": event.epoch, "held_out_loss": event.after.loss, "held_out_accuracy": event.after.accuracy}


def words_of(tuned: Tuned) -> str:
    """What it added, in words."""
    from ..engine.tune import says

    judges = "held-out photos" if tuned.found else "photos, each by a head that had not seen it,"
    return says(tuned.before, tuned.after, judges)
