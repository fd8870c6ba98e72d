"""How strong is a head: its accuracy under attack, over the number of grey levels that the attack may change."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch

from ..device import gradient_batch
from ..errors import BadSetting
from ..heads import Classifier
from ..types import Image8, check_number
from .goal import Goal, glance, look
from .levels import to_levels
from .methods import Cube
from .verdict import classify_alone

STEPS = 10  # gradients a photo and epsilon at most
MAX_EPSILON = 64


@dataclass(frozen=True)
class Curve:
    """How many of `photos` are still named rightly when every value may change by so many grey levels of 255."""

    epsilons: tuple[int, ...]
    right: tuple[int, ...]  # so far; shorter than `epsilons` while the job runs
    photos: int

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Shares in [0, 1], one for each epsilon that is done. What no attack was found for may still have one."""
        return tuple(count / self.photos for count in self.right)


@dataclass(frozen=True)
class RobustnessStep:
    """After one step of the photos that are attacked together; steps that were not needed are skipped."""

    step: int
    total: int
    curve: Curve


@dataclass(frozen=True)
class RobustnessDone:
    """The whole curve."""

    step: int
    total: int
    curve: Curve


RobustnessEvent: TypeAlias = "RobustnessStep | RobustnessDone"


def robustness(
    classifier: Classifier, images: Sequence[Image8], labels: Sequence[int], epsilons: Sequence[int] = tuple(range(9))
) -> Generator[RobustnessEvent, None, None]:
    """Accuracy under PGD (arXiv:1706.06083) in the L-infinity ball, on the 8-bit grid, for each of `epsilons` (rising).

    `images`: (S, S, 3) at the network's input size. A photo that fell at one epsilon has fallen for all larger ones.
    Raises BadSetting before the first event.
    """
    _check(classifier, images, labels, epsilons)
    standing = [i for i, image in enumerate(images) if classify_alone(classifier, image).index == labels[i]]
    size = gradient_batch(classifier.device)
    total, right = len(epsilons) * len(images), list[int]()
    for number in range(len(epsilons)):
        curve, held = Curve(tuple(epsilons), tuple(right), len(images)), list[int]()
        for start in range(0, len(standing), size):
            group = standing[start : start + size]
            event = RobustnessStep(number * len(images) + start, total, curve)
            fallen = yield from _attacked(classifier, [images[i] for i in group], [labels[i] for i in group], event)
            held += [i for i, fell in zip(group, fallen, strict=True) if not fell]
        standing = held
        right.append(len(standing))
    yield RobustnessDone(total, total, Curve(tuple(epsilons), tuple(right), len(images)))


def _attacked(
    classifier: Classifier, images: Sequence[Image8], labels: Sequence[int], event: RobustnessStep
) -> Generator[RobustnessStep, None, list[bool]]:
    """Which photos fall at the epsilon that `event` stands at; it is yielded after each gradient."""
    epsilon = event.curve.epsilons[len(event.curve.right)]
    clean = to_levels(images, classifier.device)
    goal = Goal(torch.tensor(labels, device=classifier.device), len(classifier.classes), None)
    method, change = Cube(clean, epsilon, STEPS), torch.zeros_like(clean)
    fallen = torch.zeros(len(images), dtype=torch.bool, device=classifier.device)
    for _ in range(STEPS if epsilon else 0):
        seen = look(classifier, goal, clean, change)
        fallen |= seen.slack >= 0
        if fallen.all():
            break
        change = method.next(seen)
        yield event
    fallen |= glance(classifier, goal, clean, change).slack >= 0
    return [bool(fell) for fell in fallen.tolist()]


def _check(classifier: Classifier, images: Sequence[Image8], labels: Sequence[int], epsilons: Sequence[int]) -> None:
    size = classifier.spec.size
    if not images or len(labels) != len(images):
        raise BadSetting("Give at least one photo, and the class of each.")
    if any(image.shape != (size, size, 3) or image.dtype != np.uint8 for image in images):
        raise BadSetting(f"An attack needs the picture that the network sees: {size} x {size} pixels, 8-bit RGB.")
    for label in labels:
        check_number("label", label, 0, len(classifier.classes) - 1, whole=True)
    for epsilon in epsilons:
        check_number("epsilon", epsilon, 0, MAX_EPSILON, whole=True)
    if not epsilons or any(a >= b for a, b in pairwise(epsilons)):
        raise BadSetting("The grey levels of the curve must rise, for example 0, 1, 2, 4, 8.")
