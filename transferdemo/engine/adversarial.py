"""Fool: change a photo as little as possible until the network says something else, proved on the saved file.

A picture counts as fooling only when its 8-bit PNG, written, read back and classified anew in float32, says so.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from ..device import gradient_batch
from ..errors import BadSetting
from ..heads import Classifier
from ..types import Image8, check_choice, check_number
from . import methods
from .goal import Goal, Look, glance, look
from .levels import to_images, to_levels
from .verdict import Answer, Result, classify_alone, judge

MethodName = Literal["smallest", "pgd-linf", "pgd-l2", "fgsm", "lesson"]
METHODS: tuple[str, ...] = get_args(MethodName)
EPSILON = {"pgd-linf": (1, 64, 4), "fgsm": (1, 64, 4), "pgd-l2": (0.01, 50, 1.0)}  # from, to, default
MAX_STEPS, MAX_TV, MAX_CONFIDENCE = 1000, 100.0, 0.99
SOFTNESS, HARDENED = 0.2, 0.4  # of the goal's lead, in logits: from 1 to this, within this share of the steps
PATIENCE, WORTHWHILE = 45, 0.005  # stop when so many steps have shrunk nothing by more than this share


@dataclass(frozen=True)
class AttackConfig:
    """What to reach and how. Raises BadSetting for what is out of range.

    `targets`: any of these classes counts; None: anything but what the clean photo is called. `epsilon`: whole grey levels
    of 255 for pgd-linf and fgsm, L2 in [0, 1] units for pgd-l2; the others have none. `tv`: weight of the total variation
    of the change, smooth instead of noise. `confidence`: the probability that the targets must reach; 0: being first is enough.
    """

    targets: tuple[int, ...] | None = None
    method: MethodName = "smallest"
    epsilon: float | None = None  # None: the method's default
    steps: int = 100  # gradients at most, a photo; fgsm takes one
    tv: float = 0.0
    confidence: float = 0.0

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_number("steps", self.steps, 1, MAX_STEPS, whole=True)
        check_number("tv", self.tv, 0, MAX_TV)
        check_number("confidence", self.confidence, 0, MAX_CONFIDENCE)
        if self.targets is not None:
            if not isinstance(self.targets, tuple) or not self.targets:
                raise BadSetting("Choose at least one class as the target, or none at all for anything else.")
            for target in self.targets:
                check_number("target", target, 0, 1e6, whole=True)
        if self.method in EPSILON and self.epsilon is not None:
            low, high, _ = EPSILON[self.method]
            check_number("epsilon", self.epsilon, low, high, whole=low == 1)

    @property
    def strength(self) -> float:
        """Epsilon, or the method's default; 0 for a method that has none."""
        if self.method not in EPSILON:
            return 0.0
        return float(EPSILON[self.method][2] if self.epsilon is None else self.epsilon)

    @property
    def gradients(self) -> int:
        """How many gradients a photo takes at most."""
        return 1 if self.method == "fgsm" else self.steps


@dataclass(frozen=True, eq=False)
class PhotoState:
    """The best picture of one photo so far: what Stop keeps, and `judge` judges."""

    photo: int  # which of the photos given
    image8: Image8  # (S, S, 3)
    found: bool
    l2: float  # [0, 1] units over all values
    linf_levels: float
    original: float  # probability of the class that the clean photo has
    target: float  # probability of the targets together
    low: float  # smallest and largest value before the range was cut to [0, 1]
    high: float


@dataclass(frozen=True, eq=False)
class AttackStep:
    """After one gradient of the photos that are attacked together."""

    step: int
    total: int
    photos: tuple[PhotoState, ...]


@dataclass(frozen=True, eq=False)
class AttackDone:
    """One result a photo, in the order given."""

    step: int
    total: int
    results: tuple[Result, ...]


AttackEvent: TypeAlias = "AttackStep | AttackDone"


def attack(
    classifier: Classifier, images: Sequence[Image8], config: AttackConfig
) -> Generator[AttackEvent, None, None]:
    """Fool `classifier` with each picture, (S, S, 3) at its input size; the search is deterministic.

    Raises BadSetting before the first event: a target that the head lacks, a photo that is called so already.
    """
    before = _check(classifier, images, config)
    size = gradient_batch(classifier.device)
    groups = [range(i, min(i + size, len(images))) for i in range(0, len(images), size)]
    total, results = config.gradients * len(groups), list[Result]()
    for number, group in enumerate(groups):
        search = _Search(classifier, [images[i] for i in group], [before[i] for i in group], config)
        while not search.finished:
            search.advance()
            yield AttackStep(number * config.gradients + search.step, total, search.states(group.start))
        results += search.results()
    yield AttackDone(total, total, tuple(results))


def _check(classifier: Classifier, images: Sequence[Image8], config: AttackConfig) -> list[Answer]:
    """The class of each clean picture; raises BadSetting where there is nothing to attack."""
    size, classes = classifier.spec.size, classifier.classes
    if not images:
        raise BadSetting("Choose a photo to attack first.")
    if any(image.shape != (size, size, 3) or image.dtype != np.uint8 for image in images):
        raise BadSetting(f"An attack needs the picture that the network sees: {size} x {size} pixels, 8-bit RGB.")
    if len(classes) < 2:
        raise BadSetting("A head with one class always says the same; attack a head with two or more.")
    for target in config.targets or ():
        if target >= len(classes):
            raise BadSetting(f"This head has no class {target}; choose one from 0 to {len(classes) - 1}.")
    if config.targets is not None and len(set(config.targets)) == len(classes):
        raise BadSetting("Every class of this head is a target, so any answer would do; choose fewer.")
    before = [classify_alone(classifier, image) for image in images]
    for number, answer in enumerate(before, 1):
        if config.targets is not None and answer.index in config.targets:
            which = "This photo" if len(images) == 1 else f"Photo {number}"
            raise BadSetting(f"{which} is {classes[answer.index]} for the network already; choose another target.")
    return before


class _Search:
    """The loop around a method for a few photos at once, and the best change of each."""

    def __init__(
        self, classifier: Classifier, images: Sequence[Image8], before: Sequence[Answer], config: AttackConfig
    ) -> None:
        self.classifier, self.images, self.before, self.config = classifier, images, before, config
        self.clean = to_levels(images, classifier.device)
        original = torch.tensor([answer.index for answer in before], device=classifier.device)
        self.goal = Goal(original, len(classifier.classes), config.targets, config.confidence)
        self.method = methods.start(config.method, self.clean, config.strength, config.gradients)
        self.change = torch.zeros_like(self.clean)
        self.score = self.clean.new_full((len(images),), -torch.inf)
        self.best: dict[str, Tensor] = {}
        self.step, self.seconds = 0, 0.0
        self.used = torch.zeros_like(original)  # gradients that count for each photo
        self.mark, self.marked = self.score, torch.zeros_like(original)  # the score that was last much better, and when

    @property
    def finished(self) -> bool:
        """Whether the steps are used up, or all photos are done."""
        return self.step == self.config.gradients or bool(self._done().all())

    def _done(self) -> Tensor:
        """The photos (N,) whose goal is met and for which more steps would not help; company does not change them."""
        if self.step == 0 or (self.config.method != "smallest" and self.config.confidence == 0):
            return torch.zeros_like(self.marked, dtype=torch.bool)
        met = self.best["slack"] >= 0
        return met & (self.step - self.marked >= PATIENCE) if self.config.method == "smallest" else met

    def advance(self) -> None:
        """One gradient, and the change that follows from it; after the last one a glance at that change too."""
        began = time.perf_counter()
        running = ~self._done()
        seen = look(self.classifier, self.goal, self.clean, self.change, softness=self._softness(), tv=self.config.tv)
        self._keep(seen, running)
        self.change = self.method.next(seen)
        self.step += 1
        self.used += running
        if self.step == self.config.gradients:
            self._keep(glance(self.classifier, self.goal, self.clean, self.change), running)
        self.seconds += time.perf_counter() - began

    def _softness(self) -> float:
        """All other classes count at first, the nearest ones in the end; a probability always counts them all."""
        if self.config.method != "smallest" or self.config.confidence > 0:
            return 1.0
        return max(SOFTNESS, 1 - (1 - SOFTNESS) * self.step / (HARDENED * self.config.gradients))

    def _keep(self, seen: Look, running: Tensor) -> None:
        score = self.method.score(seen)
        better = running & (score > self.score)
        for name in ("change", "slack", "target", "original"):
            new, old = getattr(seen, name), self.best.get(name, getattr(seen, name))
            self.best[name] = torch.where(better.view(-1, *[1] * (new.ndim - 1)), new, old)
        self.score = torch.where(better, score, self.score)
        much = self.score > self.mark + WORTHWHILE * self.mark.abs().clamp_max(1e9)
        self.mark, self.marked = torch.where(much, self.score, self.mark), torch.where(much, self.step, self.marked)

    def states(self, first: int) -> tuple[PhotoState, ...]:
        """The best picture of each photo; `first` is the number of the first one."""
        change, reached = self.best["change"], self.clean + self.best["change"]
        low, high = reached.aminmax(dim=1)
        columns = (
            self.best["slack"] >= 0,
            change.norm(dim=1) / 255,
            change.abs().amax(1),
            self.best["original"],
            self.best["target"],
            low / 255,
            high / 255,
        )
        rows = zip(to_images(reached), *(column.tolist() for column in columns), strict=True)
        return tuple(PhotoState(first + i, *row) for i, row in enumerate(rows))

    def results(self) -> list[Result]:
        """Each best picture, judged by its file."""
        return [
            dataclasses.replace(
                judge(self.classifier, clean, state.image8, self.config.targets, before),
                low=state.low,
                high=state.high,
                gradients=used,
                seconds=self.seconds / len(self.images),
            )
            for clean, before, state, used in zip(
                self.images, self.before, self.states(0), self.used.tolist(), strict=True
            )
        ]
