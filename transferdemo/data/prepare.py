"""Open a listing's pictures, in children and ahead of the caller, while the caller embeds what came before."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ..decode import Opened
from ..errors import BadImage
from ..images import open_many
from ..types import Fit, Image8, InputSpec
from .groups import phash
from .labelled import LabelledFolder, LabelledPhoto, checked
from .layout import check_amounts
from .records import STRANGER, Entry, FileSource, Limits, Listing, Source

BATCH = 32  # pictures a step, always as many while they last, so that the same set gives the same features bit for bit
THUMBNAIL = 128  # px, the long side
SECONDS = 0.25  # between two steps at most, as far as one picture's time allows


@dataclass(frozen=True, eq=False)
class PrepareStep:
    """`step` of `total` photos were looked at. `images` are new pictures for the network, none when a step is only news.

    Each is (size, size, 3) uint8. `hashes` are the SHA-256 of their files: keep features by it, because a file that is
    in the set twice comes once. `ids` are the photos' ids.
    """

    step: int
    total: int
    images: tuple[Image8, ...] = ()
    hashes: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class PrepareDone:
    """The training set; every photo in it that is readable had its picture in a step."""

    step: int
    total: int
    folder: LabelledFolder


PrepareEvent: TypeAlias = PrepareStep | PrepareDone


def prepare(
    listing: Listing, spec: InputSpec, fit: Fit = "auto", limits: Limits = STRANGER
) -> Generator[PrepareEvent, None, None]:
    """Open every picture once and yield those that the network should see in batches, then the LabelledFolder.

    Raise BadFolder when there are more photos or classes than `limits` allows, BadSetting for an unknown fit.
    """
    check_amounts(len(listing.classes), len(listing.entries), limits)
    photos: list[LabelledPhoto] = []
    batch = _Batch(len(listing.entries))
    with closing(_opened((entry.source for entry in listing.entries), spec, fit)) as opened:
        for number, (entry, picture) in enumerate(zip(listing.entries, opened, strict=True)):
            photos.append(_photo(number, entry, picture))
            yield from batch.add(number, picture)
    yield from batch.rest()
    yield PrepareDone(batch.total, batch.total, _folder(listing, tuple(photos)))


def fitted(
    folder: LabelledFolder, spec: InputSpec, fit: Fit = "auto", known: Container[str] = frozenset()
) -> Generator[PrepareStep, None, None]:
    """Open a set's pictures again for another view and yield them in batches, without files whose SHA-256 is in `known`.

    A file that has gone since comes in no step.
    """
    wanted = list(
        {photo.sha256: photo for photo in folder.photos if photo.readable and photo.sha256 not in known}.values()
    )
    batch = _Batch(len(wanted))
    with closing(_opened((photo.source for photo in wanted), spec, fit)) as opened:
        for photo, picture in zip(wanted, opened, strict=True):
            yield from batch.add(photo.id, picture)
    yield from batch.rest()


@dataclass
class _Batch:
    """Gathers new pictures until there are BATCH of them, and gives news when that takes long."""

    total: int
    step: int = 0
    pictures: list[tuple[int, Opened]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    last: float = field(default_factory=time.monotonic)

    def add(self, id: int, picture: Opened | BadImage) -> Iterator[PrepareStep]:
        self.step += 1
        if isinstance(picture, Opened) and picture.sha256 not in self.seen:
            self.seen.add(picture.sha256)
            self.pictures.append((id, picture))
        if len(self.pictures) == BATCH:
            yield from self.rest()
        elif time.monotonic() - self.last >= SECONDS:
            self.last = time.monotonic()
            yield PrepareStep(self.step, self.total)

    def rest(self) -> Iterator[PrepareStep]:
        if self.pictures:
            ids, opened = zip(*self.pictures, strict=True)
            self.pictures = []
            images, hashes = tuple(x.image8 for x in opened), tuple(x.sha256 for x in opened)
            yield PrepareStep(self.step, self.total, images, hashes, ids)
            self.last = time.monotonic()


def _opened(sources: Iterable[Source], spec: InputSpec, fit: Fit) -> Generator[Opened | BadImage, None, None]:
    """Like `open_many`, over our sources: what cannot even be read is a BadImage in its place."""
    unread: dict[int, BadImage] = {}

    def readable() -> Iterator[bytes | Path]:
        for number, source in enumerate(sources):
            try:
                yield source.path if isinstance(source, FileSource) else source.read()
            except BadImage as error:
                unread[number] = error
                yield b""

    for number, picture in enumerate(open_many(readable(), spec, fit, THUMBNAIL)):
        yield unread.pop(number, picture)


def _photo(id: int, entry: Entry, picture: Opened | BadImage) -> LabelledPhoto:
    given = (id, entry.label, entry.name, entry.source)
    if isinstance(picture, BadImage):
        return LabelledPhoto(
            *given, sha256="", split=entry.split, burst=entry.burst, aside=str(picture), readable=False
        )
    thumbnail = picture.thumbnail or b""
    restored = entry.mark == "restored"
    return LabelledPhoto(
        *given,
        picture.sha256,
        thumbnail,
        picture.width,
        picture.height,
        phash(thumbnail),
        _digest(picture, thumbnail),
        split=entry.split,
        burst=entry.burst,
        aside="" if restored else entry.mark,
        restored=restored,
    )


def _digest(picture: Opened, thumbnail: bytes) -> str:
    size = f"{picture.width}x{picture.height}".encode()
    return hashlib.sha256(b"".join((size, thumbnail, picture.image8.tobytes()))).hexdigest()


def _folder(listing: Listing, photos: tuple[LabelledPhoto, ...]) -> LabelledFolder:
    left_out = frozenset(listing.project.left_out if listing.project else ()) & frozenset(listing.classes)
    return LabelledFolder(
        checked(photos), listing.classes, left_out, listing.skipped, listing.notes, listing.inferred, listing.project
    )
