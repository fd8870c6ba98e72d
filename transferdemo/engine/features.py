"""A training set becomes features: each photo is decoded once, passes the network once, and is known from then on.

While the network embeds one batch, the decoding children open the next.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..backbones import Backbone
from ..data.labelled import LabelledFolder
from ..data.layout import check_amounts
from ..data.prepare import BATCH, PrepareDone, PrepareEvent, PrepareStep, fitted, prepare
from ..data.records import STRANGER, Limits, Listing
from ..decode import fit_image
from ..embed import embed
from ..errors import BadFolder
from ..types import FITS, Fit, Image8, check_choice

Vector = NDArray[np.float32]  # (D,): the features of one photo
Vectors = NDArray[np.float32]  # (V, D): those of its other views
CHUNK_SECONDS = 0.2  # a step of embedding on a CPU takes about as long
LEAST_CHUNK = 4  # photos a step: fewer cost a busy machine more than they would say


@dataclass(frozen=True, eq=False)
class Embedded:
    """A training set with the features of its photos, those in quarantine included, so that these can come back.

    `vectors` are by SHA-256 of the photo's file, `views` by the name of an augmentation and then by it. `pictures` is False for
    a ready set, which has features and no photos.
    """

    folder: LabelledFolder
    vectors: Mapping[str, Vector]
    backbone: str  # timm's full tag
    digest: str  # of its weights
    fit: Fit = "auto"
    pictures: bool = True
    views: Mapping[str, Mapping[str, Vectors]] = field(default_factory=dict)

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of the used photos, (N, D), in the order of `folder.used`."""
        return np.stack([self.vectors[photo.sha256] for photo in self.folder.used])

    @property
    def missing(self) -> tuple[int, ...]:
        """The ids of used photos without features; `collect(folder, …, known=vectors)` embeds them."""
        return tuple(photo.id for photo in self.folder.used if photo.sha256 not in self.vectors)

    def with_folder(self, folder: LabelledFolder) -> Embedded:
        """The same features under a folder that a person has changed: classes, quarantine."""
        return replace(self, folder=folder)

    def add(self, other: Embedded) -> Embedded:
        """Join two sets of one network and fit. Raises BadFolder when they are of different ones."""
        if (self.backbone, self.digest, self.fit) != (other.backbone, other.digest, other.fit):
            raise BadFolder(
                "These photos were prepared for another network; choose the network first, then add photos."
            )
        vectors = {**self.vectors, **other.vectors}
        return replace(
            self, folder=self.folder.add(other.folder), vectors=vectors, pictures=self.pictures and other.pictures
        )


@dataclass
class FeatureCache:
    """What a visitor's photos were to each network, up to `limit` bytes; what was not used for longest goes first."""

    limit: int = 128_000_000
    _views: OrderedDict[tuple[str, Fit], dict[str, Vector]] = field(default_factory=OrderedDict)

    def known(self, backbone: Backbone, fit: Fit) -> Mapping[str, Vector]:
        """The features of this network and fit, by SHA-256 of the photo's file."""
        return self._views.get((backbone.digest, fit), {})

    def keep(self, embedded: Embedded) -> None:
        """Remember a set's features beside those that are there already."""
        key = (embedded.digest, embedded.fit)
        self._views[key] = {**self._views.pop(key, {}), **embedded.vectors}
        while len(self._views) > 1 and self.bytes > self.limit:
            self._views.popitem(last=False)
        if self.bytes > self.limit:
            self._views[key] = dict(embedded.vectors)

    @property
    def bytes(self) -> int:
        """What is held."""
        return sum(vector.nbytes for view in self._views.values() for vector in view.values())


@dataclass(frozen=True)
class CollectStep:
    """`step` of `total` photos were opened, and embedded where they are new."""

    step: int
    total: int
    embedded: int  # photos that went through the network so far
    seconds_left: float | None  # None: too early to say


@dataclass(frozen=True, eq=False)
class CollectDone:
    """The set with its features. `decode` and `embed` are seconds that were spent waiting for either."""

    step: int
    total: int
    embedded: Embedded
    new: int  # photos that went through the network
    decode: float
    embed: float


def collect(
    source: Listing | LabelledFolder,
    backbone: Backbone,
    fit: Fit = "auto",
    limits: Limits = STRANGER,
    known: Mapping[str, Vector] | None = None,
) -> Generator[CollectStep | CollectDone, None, None]:
    """Open and embed a set; what is in `known` (features by SHA-256, of this network and fit) is not embedded again.

    Given a LabelledFolder instead of a Listing, only photos that are not in `known` are opened again. Raises BadFolder for
    more photos or classes than `limits` allows, BadSetting for an unknown fit, OutOfMemory.
    """
    check_choice("fit", fit, FITS)
    if isinstance(source, Listing):
        check_amounts(len(source.classes), len(source.entries), limits)
    else:
        check_amounts(len(source.used_classes), len(source.photos), limits)
    return _collect(source, backbone, fit, limits, dict(known or {}))


def _collect(
    source: Listing | LabelledFolder, backbone: Backbone, fit: Fit, limits: Limits, vectors: dict[str, Vector]
) -> Generator[CollectStep | CollectDone, None, None]:
    work, step, total = Work(backbone, vectors), 0, 0
    with closing(opened(source, backbone, fit, limits, vectors)) as events:
        for event in work.waiting(events):
            total = event.total
            if isinstance(event, PrepareDone):
                source = event.folder
                break
            for done in work.embed(event):
                step = max(step, done)  # some were opened ahead, which counted as news
                yield CollectStep(step, total, work.new, work.seconds_left(step, total))
    folder = without_gone(source, vectors)
    own = {photo.sha256: vectors[photo.sha256] for photo in folder.photos if photo.sha256 in vectors}
    result = Embedded(folder, own, backbone.tag, backbone.digest, fit)
    yield CollectDone(total, total, result, work.new, work.decode_seconds, work.embed_seconds)


def opened(
    source: Listing | LabelledFolder, backbone: Backbone, fit: Fit, limits: Limits, known: Collection[str]
) -> Generator[PrepareEvent, None, None]:
    """Open a set for a network; of a LabelledFolder only what is not `known`, by SHA-256."""
    if isinstance(source, Listing):
        yield from prepare(source, backbone.spec, fit, limits)
    else:
        yield from fitted(source, backbone.spec, fit, frozenset(known))


def without_gone(source: Listing | LabelledFolder, vectors: Mapping[str, Vector]) -> LabelledFolder:
    """The folder with photos set aside whose files were there once and are gone now."""
    if isinstance(source, Listing):
        raise RuntimeError("prepare ended without its folder")
    gone = [photo.id for photo in source.used if photo.sha256 not in vectors]
    return source.set_aside(gone, "Its file is no longer there.") if gone else source


class Work:
    """Embeds batches in chunks of about CHUNK_SECONDS, and knows where the time went."""

    def __init__(self, backbone: Backbone, vectors: dict[str, Vector]) -> None:
        self.backbone, self.vectors = backbone, vectors
        self.new, self.chunk = 0, LEAST_CHUNK if backbone.mean.device.type == "cpu" else 1_000_000
        self.decode_seconds = self.embed_seconds = 0.0
        self._began = time.monotonic()

    def waiting(self, events: Iterator[PrepareEvent]) -> Iterator[PrepareEvent]:
        """Pass the events on and count the seconds until each comes."""
        while True:
            began = time.monotonic()
            event = next(events, None)
            self.decode_seconds += time.monotonic() - began
            if event is None:
                return
            yield event

    def embed(self, event: PrepareStep) -> Iterator[int]:
        """Embed a batch's new pictures and yield, after each chunk, how many photos of the set are done."""
        todo = [(sha, image) for sha, image in zip(event.hashes, event.images, strict=True) if sha not in self.vectors]
        while todo:
            chunk, todo = todo[: self.chunk], todo[self.chunk :]
            self._timed(chunk)
            if todo:
                yield event.step - len(todo)
        yield event.step

    def _timed(self, chunk: list[tuple[str, Image8]]) -> None:
        began = time.monotonic()
        features = embed(self.backbone, [image for _, image in chunk]).numpy()
        self.vectors.update(zip((sha for sha, _ in chunk), features, strict=True))
        seconds = time.monotonic() - began
        self.embed_seconds += seconds
        if len(chunk) == self.chunk:
            self.chunk = max(LEAST_CHUNK, min(2 * self.chunk, BATCH, int(self.chunk * CHUNK_SECONDS / seconds)))
        self.new += len(chunk)

    def seconds_left(self, step: int, total: int) -> float | None:
        """By the photos done so far; None before the first second."""
        passed = time.monotonic() - self._began
        return passed / step * (total - step) if step and passed > 1 else None


def embed_photo(backbone: Backbone, image8: Image8, fit: Fit = "auto") -> Vector:
    """The features of one picture of any size, (D,): what a training run needs to move its bars."""
    vector: Vector = embed(backbone, [fit_image(image8, backbone.spec, fit)])[0].numpy()
    return vector
