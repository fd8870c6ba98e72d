"""What is on this photo? The best classes, and whether it is a dog, a cat or neither."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from .. import novelty
from ..decode import Opened, fit_image, lost_share
from ..device import synchronise
from ..embed import embed
from ..errors import BadImage
from ..heads import CATS, DOGS, Classifier, is_imagenet
from ..images import Source, open_many, to_pixels
from ..types import Features, Fit, Head, Image8, Photo
from .together import embed_together

Word: TypeAlias = Literal["dog", "cat", "neither"]
PETS_TOGETHER = 0.1  # dog and cat probabilities together; below, the photo shows neither
NOT_YOURS = "not one of yours"
TOP = 5
THUMBNAIL = 96  # px
FEW = 32  # pictures up to which the exported network is not worth its making
BATCH, SECONDS = 32, 0.25


@dataclass(frozen=True)
class Score:
    """One class and its probability in [0, 1]."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Verdict:
    """Dog, cat or neither, and the two probabilities it was read from."""

    word: Word
    dog: float
    cat: float


@dataclass(frozen=True)
class Oddness:
    """How far a photo is from those that the head learned from (novelty.score), and from where on that is strange."""

    score: float
    threshold: float
    false_alarm: float  # share of photos like its own that are strange to it too


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of one picture, and what it saw of it."""

    name: str
    scores: tuple[Score, ...]  # best first
    probabilities: NDArray[np.float32]  # (C,)
    imagenet: Verdict | None  # from ImageNet's classes summed; None where the head has others
    pets: Verdict | None  # the same question put to a head that was trained on cats and dogs; None where there is none
    seen: Image8  # (S, S, 3): what went into the network
    lost: float  # share of the picture that the crop left out
    exact: bool  # it went in pixel for pixel
    milliseconds: float
    odd: Oddness | None = None  # None where the head has no sense for it

    @property
    def strange(self) -> bool:
        """Whether the photo is unlike all that the head learned from; `scores` are what it would have said."""
        return self.odd is not None and self.odd.score > self.odd.threshold

    @property
    def verdict(self) -> str:
        """Dog, cat or neither where the question makes sense, "not one of yours", or else the best class.

        Neither when ImageNet's dogs and cats have less than 0.1 together; else the trained head decides where there is one.
        """
        if self.imagenet is None:
            return NOT_YOURS if self.strange else self.scores[0].name
        return (self.pets if self.pets and self.imagenet.word != "neither" else self.imagenet).word


@dataclass(frozen=True, eq=False)
class ClassifyStep:
    """One of many pictures: its prediction, or why there is none."""

    step: int
    total: int
    name: str
    prediction: Prediction | None
    error: str | None = None
    thumbnail: bytes | None = None  # JPEG


@dataclass(frozen=True)
class ClassifyDone:
    """All pictures have been answered."""

    step: int
    total: int
    failed: int


def classify(
    classifier: Classifier, photo: Photo, fit: Fit = "auto", pets: Head | None = None, top: int = TOP
) -> Prediction:
    """Name what is on one photo. `pets` is a head with the classes "dog" and "cat" on the same network.

    Raises BadImage when `fit` is exact and the picture has another size.
    """
    start = time.perf_counter()
    seen = fit_image(photo.image8, classifier.spec, fit)
    features = embed_together(classifier.backbone, seen)
    synchronise(classifier.device)
    height, width = photo.image8.shape[:2]
    exact = fit != "crop" and width == height == len(seen)
    shape = _Shape(photo.name, seen, lost_share(photo.image8, classifier.spec, fit), exact)
    answer = _Reader(classifier, pets, top)
    prediction = answer.read(features, [shape], start)[0]
    return prediction


def classify_many(
    classifier: Classifier, sources: Sequence[Source], fit: Fit = "auto", pets: Head | None = None, top: int = TOP
) -> Generator[ClassifyStep | ClassifyDone, None, None]:
    """Name what is on each of many pictures, in the order given; one that cannot be read is reported and the others go on."""
    answer = _Reader(classifier, pets, top)
    step = failed = 0
    for group in _groups(open_many(sources, classifier.spec, fit, THUMBNAIL)):
        start = time.perf_counter()
        images = [o.image8 for o in group if isinstance(o, Opened)]
        features = _embed_few(classifier, images) if len(sources) <= FEW else embed(classifier.backbone, images)
        shapes = [
            _Shape(o.name, o.image8, 0.0, fit != "crop" and o.width == o.height == len(o.image8))
            for o in group
            if isinstance(o, Opened)
        ]
        predictions = iter(answer.read(features, shapes, start))
        for opened in group:
            step += 1
            failed += isinstance(opened, BadImage)
            yield _step(step, len(sources), sources[step - 1], opened, predictions)
    yield ClassifyDone(step, len(sources), failed)


def by_classes(row: NDArray[np.float32]) -> Verdict:
    """The verdict of ImageNet's classes (row: (1000,) probabilities).

    118 dog classes stand against 5 cat classes, so the plain sums favour dogs; each sum is divided by the number of its
    classes, and both are scaled back to what they were together. On cats_dogs/train that is right for 98.2 % instead of 92.0 %.
    """
    together = float(row[DOGS].sum() + row[CATS].sum())
    dog, cat = float(row[DOGS].mean()), float(row[CATS].mean())
    scale = together / max(dog + cat, 1e-12)
    return verdict_of(dog * scale, cat * scale)


def verdict_of(dog: float, cat: float) -> Verdict:
    """Neither when both are below 0.1 together, else the larger."""
    return Verdict("neither" if dog + cat < PETS_TOGETHER else "dog" if dog > cat else "cat", dog, cat)


@dataclass(frozen=True, eq=False)
class _Shape:
    name: str
    seen: Image8
    lost: float
    exact: bool


class _Reader:
    """Turns features into predictions for one classifier."""

    def __init__(self, classifier: Classifier, pets: Head | None, top: int) -> None:
        self.classifier, self.top = classifier, top
        self.imagenet = is_imagenet(classifier.head)
        self.pets = Classifier(classifier.backbone, pets) if pets and self.imagenet else None

    def read(self, features: Features, shapes: Sequence[_Shape], start: float) -> list[Prediction]:
        rows = _probabilities(self.classifier, features)
        pets = _probabilities(self.pets, features) if self.pets else [None] * len(rows)
        odd = _oddness(self.classifier.head, features)
        each = (time.perf_counter() - start) * 1000 / max(len(shapes), 1)
        answers = [self._one(row, pet, shape, each) for row, pet, shape in zip(rows, pets, shapes, strict=True)]
        return [replace(answer, odd=one) for answer, one in zip(answers, odd, strict=True)]

    def _one(
        self, row: NDArray[np.float32], pet: NDArray[np.float32] | None, shape: _Shape, milliseconds: float
    ) -> Prediction:
        best = np.argsort(-row, kind="stable")[: self.top]
        scores = tuple(Score(int(i), self.classifier.classes[i], float(row[i])) for i in best)
        own = by_classes(row) if self.imagenet else None
        return Prediction(
            shape.name, scores, row, own, self._pets(pet), shape.seen, shape.lost, shape.exact, milliseconds
        )  # fmt: skip

    def _pets(self, row: NDArray[np.float32] | None) -> Verdict | None:
        if row is None or self.pets is None:
            return None
        by_name = dict(zip(self.pets.classes, row.tolist(), strict=True))
        return verdict_of(by_name["dog"], by_name["cat"])


def _embed_few(classifier: Classifier, images: Sequence[Image8]) -> Features:
    with torch.no_grad():
        return (
            classifier.embed(to_pixels(images).to(classifier.device))
            if images
            else torch.empty(0, classifier.backbone.width)
        )


def _probabilities(classifier: Classifier, features: Features) -> NDArray[np.float32]:
    """(N, D) -> (N, C) on the CPU."""
    with torch.no_grad():
        result: NDArray[np.float32] = classifier.logits(features.to(classifier.device)).softmax(1).cpu().numpy()
    return result


def _oddness(head: Head, features: Features) -> list[Oddness | None]:
    """(N, D) -> how strange each is to the head."""
    own = head.novelty
    if own is None:
        return [None] * len(features)
    with torch.no_grad():
        return [Oddness(each, own.threshold, own.false_alarm) for each in novelty.score(own, features).tolist()]


def _groups(opened: Iterable[Opened | BadImage]) -> Iterator[list[Opened | BadImage]]:
    """Batches of at most 32 pictures, smaller where the next one is slow to come."""
    group: list[Opened | BadImage] = []
    due = time.monotonic() + SECONDS
    for one in opened:
        group.append(one)
        if len(group) == BATCH or time.monotonic() > due:
            yield group
            group, due = [], time.monotonic() + SECONDS
    if group:
        yield group


def _step(
    step: int, total: int, source: Source, opened: Opened | BadImage, predictions: Iterator[Prediction]
) -> ClassifyStep:
    if isinstance(opened, BadImage):
        name = source[0] if isinstance(source, tuple) else getattr(source, "name", "photo")
        return ClassifyStep(step, total, name, None, str(opened))
    return ClassifyStep(step, total, opened.name, next(predictions), None, opened.thumbnail)
