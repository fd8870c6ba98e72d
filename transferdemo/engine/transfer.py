"""How much came from transfer? The head beside guessing, raw pixels, a network that has learned nothing and class means.

With it goes the accuracy against the number of photos a class, so that it shows whether more of them would help.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..backbones import Backbone, load_random
from ..data.records import STRANGER, Limits
from ..data.split import Indices
from ..types import Head
from .baselines import (
    Material,
    Row,
    RowName,
    chance,
    class_means,
    fitted,
    look_again,
    raw_pixels,
    trained,
)
from .descent import Linear
from .evaluate import check_same_network
from .features import Embedded, Vector
from .paired import Right
from .recipe import TrainConfig, check_sides, check_trainable, sides, tensors

T = TypeVar("T")
ORDER: tuple[RowName, ...] = ("chance", "pixels", "random", "mean", "head")
SIZES = (1, 2, 5, 10)  # photos a class
DRAWS = 5
SURE = 1.64  # standard errors: nineteen in twenty, to one side
WORTH = 0.01  # an accuracy that photos twice as many would have to bring


@dataclass(frozen=True, eq=False)
class Point:
    """Accuracy of heads that were trained on so many photos a class; one draw of photos each."""

    each: int
    accuracies: tuple[float, ...]
    rights: tuple[Right, ...]

    @property
    def mean(self) -> float:
        """In [0, 1], over the draws."""
        return float(np.mean(self.accuracies))


@dataclass(frozen=True, eq=False)
class Transfer:
    """What was found so far. A row may be missing: of a set without pictures those that need them."""

    rows: tuple[Row, ...] = ()
    curve: tuple[Point, ...] = ()  # by photos a class; the last is all of them, the one before half of them
    pictures: bool = True

    def row(self, name: RowName) -> Row | None:
        """The row called so, if there is one."""
        return next((row for row in self.rows if row.name == name), None)

    def with_row(self, row: Row) -> Transfer:
        """With one more row, in the order of ORDER."""
        rows = sorted((*self.rows, row), key=lambda r: ORDER.index(r.name))
        return replace(self, rows=tuple(rows))

    def as_json(self) -> dict[str, object]:
        """For the command's last line."""
        return {
            "transfer": {row.name: row.accuracy.share for row in self.rows},
            "transfer_intervals": {row.name: list(row.accuracy.interval) for row in self.rows},
            "transfer_photos": {row.name: [row.trained_on, row.accuracy.count] for row in self.rows},
            "curve": [
                {"photos": p.each, "accuracy": p.mean, "low": min(p.accuracies), "high": max(p.accuracies)}
                for p in self.curve
            ],
            "transfer_says": says(self),
        }


@dataclass(frozen=True, eq=False)
class TransferStep:
    """`step` of `total` heads and photos are done."""

    step: int
    total: int
    found: Transfer


@dataclass(frozen=True, eq=False)
class TransferDone:
    """The comparison, complete. `random` are features by the network with random weights: keep them for the next time."""

    step: int
    total: int
    found: Transfer
    random: Embedded | None = None


def compare(
    embedded: Embedded,
    head: Head,
    config: TrainConfig,
    backbone: Backbone | None = None,
    limits: Limits = STRANGER,
    known: Mapping[str, Vector] | None = None,
) -> Generator[TransferStep | TransferDone, None, None]:
    """Compare a head with what needs no transfer, on the photos held out from its training (`config` says which).

    Without `backbone`, the head's own, or without pictures, the row of random weights is left out. `known` are features that
    `load_random(backbone)` computed before. Raises BadFolder for a set that cannot be trained on or is of another network.
    """
    check_trainable(embedded.folder)
    check_same_network(head, embedded)
    features, labels = tensors(embedded)
    parts = sides(embedded.folder, config)
    check_sides(embedded.folder.used_classes, labels, features, parts)
    material = Material(features, labels, len(embedded.folder.used_classes), parts.train, parts.held_out)
    config = replace(config, average=1, augment="none")
    run = _Run(embedded, config, material, Linear(head.weight, head.bias))
    return run.events(backbone if run.found.pictures else None, limits, known or {})


class _Run:
    """The parts of a comparison, the quick ones first."""

    def __init__(self, embedded: Embedded, config: TrainConfig, material: Material, linear: Linear) -> None:
        self.embedded, self.config, self.material, self.linear = embedded, config, material, linear
        self.plan = _draws(material)
        seen = embedded.pictures and all(photo.thumbnail for photo in embedded.folder.used)
        self.found, self.step = Transfer(pictures=seen), 0
        self.total = config.epochs * (len(self.plan) + 1)

    def events(
        self, backbone: Backbone | None, limits: Limits, known: Mapping[str, Vector]
    ) -> Generator[TransferStep | TransferDone, None, None]:
        for row in (chance(self.material), class_means(self.material), self.material.judged("head", self.linear)):
            self.found = self.found.with_row(row)
        yield self._now()
        if self.found.pictures:
            pixels = replace(self.material, features=raw_pixels(self.embedded.folder.used))
            self.found = self.found.with_row((yield from self._counted(trained("pixels", pixels, self.config))))
            yield self._now()
        yield from self._curve()
        random = (yield from self._random(backbone, limits, known)) if backbone else None
        yield TransferDone(self.total, self.total, self.found, random)

    def _now(self) -> TransferStep:
        return TransferStep(self.step, self.total, self.found)

    def _counted(self, work: Generator[None, None, T]) -> Generator[TransferStep, None, T]:
        try:
            while True:
                next(work)
                self.step = min(self.step + 1, self.total)
                yield self._now()
        except StopIteration as end:
            result: T = end.value
            return result

    def _curve(self) -> Generator[TransferStep, None, None]:
        made: dict[int, list[Right]] = {}
        for each, chosen in self.plan:
            part = self.material.features[chosen], self.material.labels[chosen]
            linear = yield from self._counted(fitted(*part, self.material.classes, self.config))
            made.setdefault(each, []).append(self.material.judged("head", linear).right)
        head = self.material.judged("head", self.linear)
        points = [_point(each, rights) for each, rights in sorted(made.items())]
        self.found = replace(self.found, curve=(*points, _point(_each(self.material), [head.right])))
        yield self._now()

    def _random(
        self, backbone: Backbone, limits: Limits, known: Mapping[str, Vector]
    ) -> Generator[TransferStep, None, Embedded]:
        network, before = load_random(backbone), self.step
        made: Embedded
        with closing(look_again(self.embedded, self.material, network, limits, known)) as looking:
            try:
                while True:
                    event = next(looking)
                    self.total = max(self.total, before + event.total + self.config.epochs)
                    self.step = before + event.step
                    yield self._now()
            except StopIteration as end:
                few, chosen, made = end.value
        row = yield from self._counted(trained("random", few, self.config))
        self.found = self.found.with_row(replace(row, at=chosen[row.at]))
        return made


def _each(material: Material) -> int:
    """Photos a class in training, on average."""
    return max(1, round(len(material.train) / material.classes))


def _draws(material: Material) -> list[tuple[int, Indices]]:
    """(photos a class, which photos) of every head of the curve but the last: SIZES, and half, DRAWS times each.

    A class with fewer photos gives what it has; half means half of each class.
    """
    every = _each(material)
    half, random = max(1, every // 2), np.random.default_rng(0)
    own = [material.train[(material.labels[material.train] == c).numpy()] for c in range(material.classes)]
    draws: list[tuple[int, Indices]] = []
    for each in sorted({size for size in SIZES if size < every} | ({half} if half < every else set())):
        for _ in range(DRAWS):
            sizes = [max(1, len(photos) // 2) if each == half else each for photos in own]
            chosen = [random.permutation(photos)[:size] for photos, size in zip(own, sizes, strict=True)]
            draws.append((each, np.concatenate(chosen)))
    return draws


def _point(each: int, rights: list[Right]) -> Point:
    return Point(each, tuple(float(right.mean()) for right in rights), tuple(rights))


def says(found: Transfer) -> str:
    """What follows, in a sentence or two: whether transfer helped, and whether more photos would."""
    return f"{_helped(found)} {_more(found)}".strip()


WITHOUT = {"chance": "guessing", "pixels": "raw pixels", "random": "the same network with random weights"}


def _helped(found: Transfer) -> str:
    head = found.row("head")
    others = [row for row in found.rows if row.name in WITHOUT]
    if head is None or not others:
        return ""
    best = max(others, key=lambda row: row.accuracy.share)
    beside = f"{_percent(head.accuracy.share)} against {_percent(best.accuracy.share)} by {WITHOUT[best.name]}"
    if not found.pictures:
        return (
            f"The head learned something: {beside}."
            if head.against(best).better
            else f"No better than guessing: {beside}."
        )
    if all(head.against(row).better for row in others):
        return f"Transfer helped: {beside}."
    return f"Transfer did not help beyond chance: {beside}."


def _more(found: Transfer) -> str:
    if len(found.curve) < 2:
        return ""
    half, every = found.curve[-2:]
    each = every.rights[0].astype(float) - np.mean(half.rights, axis=0)
    gain, error = float(each.mean()), float(each.std() / max(1, len(each)) ** 0.5)
    with_half = f"with half of the photos it was {_percent(half.mean)}"
    if gain > WORTH and gain > SURE * error:
        return f"More photos would help: {with_half}."
    if gain + SURE * error < 2 * WORTH:
        return f"More photos like these would hardly help: {with_half}."
    return f"Whether more photos would help, {len(each)} held-out photos cannot say: {with_half}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
