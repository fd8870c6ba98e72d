"""What a head is compared with: guessing, raw pixels, the nearest class mean, and the same network with random weights.

All are judged on the photos that the head was judged on, or on a share of them where looking again costs time.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..backbones import Backbone
from ..data.labelled import LabelledPhoto
from ..data.records import Limits
from ..data.split import Indices
from ..types import Features
from .descent import Descent, Linear, standard
from .evaluate import Accuracy
from .features import CollectDone, CollectStep, Embedded, Vector, collect
from .paired import Paired, Right, paired
from .recipe import TrainConfig

RowName = Literal["chance", "pixels", "random", "mean", "head"]
SIDE = 16  # px: what is left of a photo for the row of raw pixels
TRAINED, JUDGED = 300, 200  # photos that the network with random weights looks at, at most


@dataclass(frozen=True, eq=False)
class Row:
    """One way of telling the classes apart. `at` (N,) says which used photos it was judged on."""

    name: RowName
    right: Right
    at: Indices
    trained_on: int

    @property
    def accuracy(self) -> Accuracy:
        """Right answers, with their interval."""
        return Accuracy(int(self.right.sum()), len(self.right))

    def against(self, other: Row) -> Paired:
        """This way compared with another, on the photos that judged both."""
        _, mine, theirs = np.intersect1d(self.at, other.at, return_indices=True)
        return paired(self.right[mine], other.right[theirs])


@dataclass(frozen=True, eq=False)
class Material:
    """Features (N, D) and labels (N,) of the used photos, and which of them train and judge."""

    features: Features
    labels: Tensor
    classes: int
    train: Indices
    held_out: Indices

    def row(self, name: RowName, answers: Tensor) -> Row:
        """A row from what was answered to the held-out photos."""
        right = (answers == self.labels[self.held_out]).numpy()
        return Row(name, right, self.held_out, len(self.train))

    def judged(self, name: RowName, linear: Linear) -> Row:
        """A row from a head on these features."""
        return self.row(name, linear.logits(self.features[self.held_out]).argmax(1))


def chance(material: Material) -> Row:
    """Always the class with the most photos in training; where all have as many, one in C."""
    counts = torch.bincount(material.labels[material.train], minlength=material.classes)
    return material.row("chance", counts.argmax().expand(len(material.held_out)))


def class_means(material: Material) -> Row:
    """The class whose mean of standardised features is nearest: transfer without any training."""
    mean, deviation = standard(material.features[material.train])
    features = (material.features - mean) / deviation
    own = [features[material.train][material.labels[material.train] == c].mean(0) for c in range(material.classes)]
    return material.row("mean", torch.cdist(features[material.held_out], torch.stack(own)).argmin(1))


def fitted(features: Features, labels: Tensor, classes: int, config: TrainConfig) -> Generator[None, None, Linear]:
    """Train to the end, and pause after each epoch."""
    descent = Descent(features, labels, classes, config)
    for _ in range(config.epochs):
        for _ in descent.epoch():
            pass
        yield
    return descent.linear


def trained(name: RowName, material: Material, config: TrainConfig) -> Generator[None, None, Row]:
    """A row from a head that is trained on this material now."""
    part = material.features[material.train], material.labels[material.train]
    return material.judged(name, (yield from fitted(*part, material.classes, config)))


def raw_pixels(photos: Sequence[LabelledPhoto]) -> Features:
    """(N, SIDE * SIDE * 3) in [0, 1] from the thumbnails of photos."""
    return torch.from_numpy(np.stack([_small(photo.thumbnail) for photo in photos]))


def _small(thumbnail: bytes) -> NDArray[np.float32]:
    with Image.open(io.BytesIO(thumbnail), formats=("JPEG",)) as image:
        image.draft("RGB", (SIDE, SIDE))
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels: NDArray[np.float32] = np.asarray(small, dtype=np.float32).ravel() / np.float32(255)
    return pixels


def look_again(
    embedded: Embedded, material: Material, network: Backbone, limits: Limits, known: Mapping[str, Vector]
) -> Generator[CollectStep, None, tuple[Material, Indices, Embedded]]:
    """Some of the photos through another network: its material, which used photos they are, and its set."""
    chosen = np.sort(
        np.concatenate(
            [_some(material.labels, material.train, TRAINED), _some(material.labels, material.held_out, JUDGED)]
        )
    )
    used = embedded.folder.used
    few = replace(embedded.folder, photos=tuple(used[i] for i in chosen))
    with closing(collect(few, network, embedded.fit, limits, known)) as events:
        for event in events:
            if isinstance(event, CollectDone):
                made = event.embedded
            else:
                yield event
    chosen = np.array([i for i in chosen if used[i].sha256 in made.vectors], dtype=np.int64)  # a file may have gone
    features = torch.from_numpy(np.stack([made.vectors[used[i].sha256] for i in chosen]))
    train, held_out = (np.flatnonzero(np.isin(chosen, part)) for part in (material.train, material.held_out))
    return Material(features, material.labels[chosen], material.classes, train, held_out), chosen, made


def _some(labels: Tensor, indices: Indices, most: int) -> Indices:
    """At most so many of the photos, each class as often as can be."""
    order = np.random.default_rng(0).permutation(indices)
    own, seen = labels[order].numpy(), np.zeros(len(order), dtype=np.int64)
    for label in np.unique(own):
        seen[own == label] = np.arange((own == label).sum())
    return order[np.argsort(seen, kind="stable")][:most]
