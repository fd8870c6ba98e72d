"""What the doors of data/ hand on: where a picture's bytes are, what it is called, and how many there may be."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ..decode import MAX_BYTES, NO_FILE, TOO_MANY_BYTES
from ..errors import BadImage

SplitName = Literal["", "train", "val", "test"]  # "": nobody has said, so `split` will

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field


@dataclass(frozen=True)
class Limits:
    """How much may come in at once; sizes in bytes. `STRANGER` is for the page, `LOCAL` for a person's own computer."""

    classes: int = 50
    photos: int = 2_000
    zip_bytes: int = 100_000_000
    entries: int = 4_000
    read_bytes: int = 500_000_000  # of all pictures of a zip, unpacked
    hint: str = " Or start the program on your own computer with --local, which lifts this limit."


STRANGER = Limits()
LOCAL = Limits(1_000, 200_000, 100_000_000_000, 1_000_000, 1_000_000_000_000, hint="")


@dataclass(frozen=True, slots=True)
class FileSource:
    """A picture that is a file."""

    path: Path

    def read(self) -> bytes:
        """Return the file's bytes; raise BadImage when it has gone or is larger than 20 MB."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise BadImage(NO_FILE) from error
        return _sized(data)


@dataclass(frozen=True, slots=True)
class ZipSource:
    """A picture inside a zip, found by its place, so that entries of one name stay apart and reading one costs one seek."""

    archive: Path
    offset: int  # of the local header
    packed: int  # bytes in the archive
    size: int  # bytes unpacked, as the archive says; more is never unpacked
    crc: int
    deflated: bool

    def read(self) -> bytes:
        """Return the entry's bytes; raise BadImage when it is damaged, lies about its size, or is larger than 20 MB."""
        if self.size > MAX_BYTES:
            raise BadImage(TOO_MANY_BYTES)
        try:
            data = self._unpack()
        except (OSError, struct.error, zlib.error) as error:
            raise BadImage("This picture cannot be read from the zip: give the zip again.") from error
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise BadImage("This picture is damaged inside the zip: pack the zip again.")
        return data

    def _unpack(self) -> bytes:
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            if signature != b"PK\x03\x04":
                raise zlib.error("no local header")
            file.seek(name + extra, 1)
            packed = file.read(min(self.packed, MAX_BYTES + 1_000_000))
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, self.size + 1) if self.deflated else packed


@dataclass(frozen=True, slots=True)
class BytesSource:
    """A picture that is in memory: a camera frame, an upload, a digit."""

    data: bytes

    def read(self) -> bytes:
        """Return the bytes; raise BadImage when there are more than 20 MB."""
        return _sized(self.data)


Source: TypeAlias = FileSource | ZipSource | BytesSource


def _sized(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise BadImage(TOO_MANY_BYTES)
    return data


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a training set, not opened yet. `name` is what people see: its path within the set."""

    source: Source
    label: str
    name: str
    split: SplitName = ""
    burst: str = ""  # frames of one camera burst share a text here
    mark: str = ""  # from a project: "restored", or the reason for which a person set it aside


@dataclass(frozen=True)
class Project:
    """What a saved project holds beside its photos: settings, runs and their curves (JSON), the head's file."""

    settings: dict[str, object] = field(default_factory=dict)
    runs: tuple[dict[str, object], ...] = ()
    left_out: tuple[str, ...] = ()
    head: bytes | None = None


@dataclass(frozen=True)
class Listing:
    """A training set as it was found, before any picture is opened."""

    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)  # reason -> how many files were passed over
    notes: tuple[str, ...] = ()  # what was understood on the way, a sentence each
    inferred: bool = False  # the classes were read from file names: ask the person whether they are right
    project: Project | None = None

    def with_skipped(self, counts: Mapping[str, int]) -> Listing:
        """The same set with more files passed over, as when the browser left some out: reason -> how many."""
        return replace(self, skipped=dict(Counter(self.skipped) + Counter(counts)))
