"""Fine-tuning measured by folds: k times on the photos of the others, and, where that helps, once more on all photos.

No photo is judged by a network that has seen it, and all of them decide: the fairest answer that a small set can give.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..backbones import Backbone
from ..data.split import Indices, folds
from ..errors import BadFolder
from ..heads import check_fits
from ..types import Features, Head, check_number
from .cut import Cut, cut
from .descent import fit
from .evaluate import FoldStep
from .features import Embedded
from .last_stage import FineTuneConfig, Stage
from .maps import Maps, MapsStep, check_room, maps_of
from .recipe import TrainConfig, tensors
from .trust import Judges, strangeness, trust_by
from .tune import Judged, check_tunable, judged, with_tuning


@dataclass(frozen=True, eq=False)
class FoldTuneDone:
    """All photos by heads that have not seen them, before and after; `head`: fine-tuned on all of them where it helped."""

    step: int
    total: int
    before: Judged
    after: Judged
    head: Head

    @property
    def accepted(self) -> bool:
        """Whether photos that were not seen speak for it."""
        return self.after.better_than(self.before)


@dataclass(frozen=True)
class Folds:
    """How it is measured: `count` folds, near duplicates kept on one side or not."""

    count: int = 5
    grouped: bool = True


FoldTuneEvent = MapsStep | FoldStep | FoldTuneDone


def fine_tune_folds(
    backbone: Backbone, embedded: Embedded, head: Head, config: FineTuneConfig, recipe: TrainConfig, way: Folds
) -> Generator[FoldTuneEvent, None, None]:
    """Fine-tune `head`, which was trained on all photos of `embedded` as `recipe` says. Raises as `fine_tune` does."""
    check_number("folds", way.count, 2, 100, whole=True)
    check_tunable(embedded, head)
    check_fits(head, backbone)
    folder = embedded.folder
    pairs = folds(folder.labels, folder.groups, way.count, recipe.seed, way.grouped)
    if not pairs:
        raise BadFolder("There are too few different photos for two folds; add more, or fine-tune without folds.")
    halves = cut(backbone)
    check_room(halves, folder)
    return _run(_Job(embedded, head, config, recipe, halves), pairs)


@dataclass(frozen=True, eq=False)
class _Job:
    embedded: Embedded
    head: Head
    config: FineTuneConfig
    recipe: TrainConfig
    halves: Cut

    def stage(self, maps: Maps, labels: Tensor, start: Head) -> Stage:
        return Stage(self.halves.fresh_tail(), start, maps, labels, self.config)


def _run(job: _Job, pairs: list[tuple[Indices, Indices]]) -> Generator[FoldTuneEvent, None, None]:
    features, labels = tensors(job.embedded)
    sets = [(torch.from_numpy(train), torch.from_numpy(held_out)) for train, held_out in pairs]
    everything = torch.arange(len(labels))
    total = len(labels) + job.config.epochs * sum(len(train) for train in (*(t for t, _ in sets), everything))
    for event in maps_of(job.halves, job.embedded.folder, job.embedded.fit):
        if isinstance(event, MapsStep):
            yield replace(event, total=total)
        else:
            maps = event
    step, scores = len(labels), torch.zeros(len(labels))
    before, after = torch.zeros(2, len(labels), len(job.head.classes))
    for train, held_out in sets:
        frozen = fit(features[train], labels[train], len(job.head.classes), job.recipe)
        before[held_out] = frozen.logits(features[held_out])
        stage = job.stage(maps, labels, replace(job.head, weight=frozen.weight, bias=frozen.bias, temperature=1.0))
        step = yield from _epochs(stage, train, FoldStep(step, total))
        inside = yield from _embedded(stage, train, FoldStep(step, total))
        outside = yield from _embedded(stage, held_out, FoldStep(step, total))
        after[held_out] = stage.linear.logits(outside)
        scores[held_out] = strangeness((inside, labels[train]), outside, job.head)
    unseen = torch.cat([held_out for _, held_out in sets])
    found = judged(before[unseen], labels[unseen]), judged(after[unseen], labels[unseen])
    head = job.head
    if found[1].better_than(found[0]):
        stage = job.stage(maps, labels, job.head)
        step = yield from _epochs(stage, everything, FoldStep(step, total))
        learned = yield from _embedded(stage, everything, FoldStep(step, total))
        judges = Judges(after[unseen], labels[unseen], scores[unseen])
        head = trust_by(with_tuning(stage.head, *found, job.config), (learned, labels), judges, job.config.seed).head
    yield FoldTuneDone(total, total, *found, head)


def _epochs(stage: Stage, train: Tensor, place: FoldStep) -> Generator[FoldStep, None, int]:
    """All epochs over the photos `train`, from `place` on; returns how far they went."""
    step = place.step
    for _ in range(stage.config.epochs):
        for seen in stage.epoch(train):
            yield replace(place, step=step + seen)
        step += len(train)
    return step


def _embedded(stage: Stage, indices: Tensor, place: FoldStep) -> Generator[FoldStep, None, Features]:
    """The features of photos by the stage as it is now."""
    batches = []
    for batch in stage.embed(indices):
        batches.append(batch)
        yield place
    return torch.cat(batches)
