"""How far to trust a head: a temperature for its probabilities, and a sense for photos that are not one of its classes.

Both come from photos that were out of the fold: for each, a head and distances that know only the other folds. So the
threshold's false alarms and the temperature hold for new photos, as far as these are like those that the head learned from.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .. import novelty
from ..data.split import Indices, folds
from ..head_file import MAX_BYTES
from ..types import Features, Head, Logits, Novelty
from .blind import BlindDescent, Named
from .calibration import Calibration, calibrate
from .evaluate import FOLDS, Accuracy, FoldsDone, FoldStep
from .features import Embedded
from .recipe import TrainConfig, check_trainable, sides, tensors

FALSE_ALARMS = 0.05  # share of photos like its own that a head may call strange
HEADER = 70_000  # bytes of a head's file that are not tensors


@dataclass(frozen=True, eq=False)
class Trust:
    """A head that knows its temperature and what is strange to it, and what was measured of both."""

    head: Head
    calibration: Calibration | None  # None: there were too few photos for two folds
    alarms: Accuracy | None  # how many of the held-out photos it takes for strange; None where none were held out


@dataclass(frozen=True, eq=False)
class Judges:
    """Photos that a head has not seen: its logits (N, C) at temperature 1, their classes (N,), how strange they are (N,)."""

    logits: Logits
    labels: Tensor
    scores: Tensor


@dataclass(frozen=True, eq=False)
class TrustDone:
    """The end."""

    step: int
    total: int
    trust: Trust


def trust(
    embedded: Embedded, head: Head, config: TrainConfig, *, on_all: bool = False, known: FoldsDone | None = None
) -> Generator[FoldStep | TrustDone, None, None]:
    """Give a head its temperature and its sense for the strange, from the photos that it was trained on.

    `on_all` says that these were all; then `known` spares the folds that `cross_validate` has gone through already.
    Raises BadFolder for a set that cannot be trained on.
    """
    check_trainable(embedded.folder)
    features, labels = tensors(embedded)
    parts = sides(embedded.folder, config)
    own = np.arange(len(labels)) if on_all else parts.train
    fold = out_of_fold(labels[own].numpy(), embedded.folder.groups[own], config.seed, alike=parts.leaky)
    task = _Task(features[own], labels[own], torch.from_numpy(fold), None if on_all else features[parts.held_out])
    if known and on_all:
        return _known(head, config, task, (known.logits[known.judged], labels[known.judged]))
    return _run(head, config, task)


def with_alarms(head: Head, test: Embedded) -> Head:
    """The head with the number of another set's photos, all of its own classes, that it takes for strange."""
    if head.novelty is None:
        return head
    scores = novelty.score(head.novelty, torch.from_numpy(test.features))
    alarms = Accuracy(int((scores > head.novelty.threshold).sum()), len(scores))
    return replace(head, facts={**head.facts, "strange": {"of_test": alarms.as_json()}})


def out_of_fold(labels: Indices, groups: Indices, seed: int, alike: bool = False) -> Indices:
    """The fold of each photo, (N,): FOLDS at most, near duplicates in one; -1 where its class would have no other photo.

    Where each class is one burst of the camera (`alike`), each is cut into FOLDS pieces in the order of its photos.
    """
    fold = np.full(len(labels), -1)
    if alike:
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            fold[members] = np.arange(len(members)) * FOLDS // len(members)
        return fold
    twins = len(np.unique(groups)) < len(groups)
    for number, (train, test) in enumerate(folds(labels, groups, FOLDS, seed, grouped=twins)):
        fold[test[np.isin(labels[test], labels[train])]] = number
    return fold


@dataclass(frozen=True, eq=False)
class _Task:
    """The photos that the head was trained on, the fold of each, and those that were held out from it."""

    features: Features
    labels: Tensor
    fold: Tensor
    held_out: Features | None


def _known(
    head: Head, config: TrainConfig, task: _Task, judged: tuple[Logits, Tensor]
) -> Generator[TrustDone, None, None]:
    yield TrustDone(1, 1, _trusted(head, config, task, judged))


def _run(head: Head, config: TrainConfig, task: _Task) -> Generator[FoldStep | TrustDone, None, None]:
    classes = len(head.classes)
    judged = torch.empty(0, classes), task.labels[:0]
    if bool((task.fold >= 0).any()):
        descent = BlindDescent(task, classes, config)
        for epoch in range(1, config.epochs + 1):
            for _ in descent.epoch():
                pass
            yield FoldStep(epoch, config.epochs)
        judged = descent.logits, task.labels[descent.judged]
    yield TrustDone(config.epochs, config.epochs, _trusted(head, config, task, judged))


def _trusted(head: Head, config: TrainConfig, task: _Task, judged: tuple[Logits, Tensor]) -> Trust:
    own = learn_novelty(task, room_of(head))
    alarms = None
    if own and task.held_out is not None:
        alarms = Accuracy(int((novelty.score(own, task.held_out) > own.threshold).sum()), len(task.held_out))
    return _made(head, judged, own, alarms, config.seed)


def trust_by(head: Head, learned: tuple[Features, Tensor], judges: Judges, seed: int) -> Trust:
    """Give a head whose network has changed what it had before: from photos that judged the change and did not make it.

    `learned` are the features (N, D) and classes (N,) of the photos that it was trained on, by the network as it is now.
    """
    features, labels = learned
    own, room = None, room_of(head)
    finite = bool(features.isfinite().all() and judges.scores.isfinite().all())
    if finite and len(judges.scores) and room >= 2 * features.shape[1]:
        own = _with_threshold(novelty.learn(features, labels, room), judges.scores)
    return _made(head, (judges.logits, judges.labels), own, None, seed)


def strangeness(learned: tuple[Features, Tensor], features: Features, head: Head) -> Tensor:
    """How strange photos (N, D) are to who knows those that were learned, (N,)."""
    return novelty.score(novelty.learn(*learned, room_of(head)), features)


def _made(head: Head, judged: tuple[Logits, Tensor], own: Novelty | None, alarms: Accuracy | None, seed: int) -> Trust:
    logits, truth = judged
    usable = len(truth) > 1 and bool(logits.isfinite().all())
    calibration = calibrate(logits.numpy(), truth.numpy(), seed) if usable else None
    facts: dict[str, object] = dict(head.facts)
    facts |= {"calibration": calibration.as_json()} if calibration else {}
    facts |= {"strange": {"of_held_out": alarms.as_json()}} if alarms else {}
    warmth = calibration.temperature if calibration else 1.0
    return Trust(replace(head, temperature=warmth, novelty=own, facts=facts), calibration, alarms)


def room_of(head: Head) -> int:
    """Bytes that photos may take in the head's file beside its other tensors."""
    classes, width = head.weight.shape
    return MAX_BYTES - HEADER - 4 * classes * (width + 1) - 2 * width * (classes + 1)


def learn_novelty(photos: Named, room: int) -> Novelty | None:
    """What is strange to those who know these photos, the threshold from out-of-fold scores; `room` is for novelty.learn.

    The threshold is the conformal one: of new photos like these at most `false_alarm` lie above it (Vovk et al., 2005). None
    for too few photos, for features that are not finite, or where not even one photo has room in the file.
    """
    features, labels, fold = photos.features, photos.labels, photos.fold
    numbers = [number for number in torch.unique(fold).tolist() if number >= 0]
    if not numbers or room < 2 * features.shape[1] or not bool(features.isfinite().all()):
        return None
    scores = torch.cat([_out_of(photos, number, room) for number in numbers])
    return _with_threshold(novelty.learn(features, labels, room), scores)


def _with_threshold(own: Novelty, scores: Tensor) -> Novelty:
    """`scores` (N,) are those of photos of its classes that it does not know."""
    count = len(scores)
    rank = min(count, math.ceil((count + 1) * (1 - FALSE_ALARMS)))
    return replace(own, threshold=float(scores.sort().values[rank - 1]), false_alarm=max(FALSE_ALARMS, 1 / (count + 1)))


def _out_of(photos: Named, number: int, room: int) -> Tensor:
    """The scores of one fold's photos by those of the others."""
    inside = photos.fold == number
    return novelty.score(novelty.learn(photos.features[~inside], photos.labels[~inside], room), photos.features[inside])
