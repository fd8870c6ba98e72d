"""Zips: read in place, entry by entry, never extracted. A strange zip is refused whole, a strange entry is passed over."""

from __future__ import annotations

import mmap
import re
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from ..errors import BadFile, BadFolder
from . import project
from .folder import read_folder
from .layout import Found, arrange
from .names import stray
from .records import STRANGER, Limits, Listing, ZipSource

_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error, OSError)
_UNSAFE = "unsafe name"


def read_set(path: str | Path, limits: Limits = STRANGER) -> Listing:
    """Return the training set at `path`, a folder or a zip; raise BadFolder or BadFile."""
    path = Path(path).expanduser()
    return read_zip(path, limits) if path.is_file() else read_folder(path, limits)


def read_zip(path: str | Path, limits: Limits = STRANGER) -> Listing:
    """Return the training set in a zip, one folder a class, without unpacking a picture; a saved project is one too.

    Raise BadFile when it is no zip, protected, over the limits or made to deceive, BadFolder when it shows no classes.
    """
    path = Path(path)
    _check_file(path, limits)
    try:
        with ZipFile(path) as archive:
            infos = archive.infolist()
            _check_entries(infos, path.stat().st_size)
            saved = project.read_saved(archive, limits)
    except _BROKEN as error:
        raise BadFile("This zip is damaged or not a zip; pack the photos again and try once more.") from error
    skipped: Counter[str] = Counter()
    found = list(_pictures(path, infos, skipped))
    total = sum(file.source.size for file in found if isinstance(file.source, ZipSource))
    if total > limits.read_bytes:
        raise BadFile(
            f"The photos in this zip unpack to {_megabytes(total)} and at most {_megabytes(limits.read_bytes)} "
            f"are read; make them smaller.{limits.hint}"
        )
    if saved is not None:
        return project.listing_of(saved, found, skipped, limits)
    try:
        return arrange(found, skipped, limits)
    except BadFolder as error:
        if not found and skipped[_UNSAFE]:
            raise BadFile("The names in this zip point outside it; pack the photos again from their folder.") from error
        raise


def _check_file(path: Path, limits: Limits) -> None:
    """Refuse by size and by the number of entries before the directory of the zip is built in memory."""
    try:
        size = path.stat().st_size
        if size > limits.zip_bytes:
            raise BadFile(
                f"This zip has {_megabytes(size)} and at most {_megabytes(limits.zip_bytes)} are taken; "
                f"make the photos smaller or fewer.{limits.hint}"
            )
        if not zipfile.is_zipfile(path):
            raise BadFile("This is not a zip; pack the folder of photos as a .zip and try again.")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            entries = _count(content, b"PK\x01\x02", limits.entries)
    except OSError as error:
        raise BadFile("This zip cannot be read; give it again.") from error
    if entries > limits.entries:
        raise BadFile(
            f"This zip has more than {limits.entries:,} files; pack only the folder with the photos.{limits.hint}"
        )


def _count(content: mmap.mmap, mark: bytes, most: int) -> int:
    count, place = 0, content.find(mark)
    while place >= 0 and count <= most:
        count, place = count + 1, content.find(mark, place + 1)
    return count


def _check_entries(infos: list[ZipInfo], size: int) -> None:
    files = [info for info in infos if not info.filename.endswith("/")]
    if any(info.flag_bits & _ENCRYPTED for info in files):
        raise BadFile("This zip is protected by a password; pack the photos again without one.")
    if any(info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for info in files):
        raise BadFile("This zip is packed in an unusual way; pack the photos again as an ordinary zip.")
    offsets = {info.header_offset for info in files}
    if len(offsets) < len(files) or sum(info.compress_size for info in files) > size:
        raise BadFile("The files in this zip lie over each other, as in a zip bomb; pack the photos again.")


def _pictures(path: Path, infos: list[ZipInfo], skipped: Counter[str]) -> Iterator[Found]:
    for info in infos:
        name = _readable(info)
        if name.endswith("/"):
            continue
        parts = PurePosixPath(name).parts
        reason = _unsafe(name, info) or stray(parts)
        if reason:
            skipped[reason] += 1
        else:
            yield Found(parts, _source(path, info))


def _readable(info: ZipInfo) -> str:
    """The entry's name with `/` between folders; macOS writes UTF-8 without saying so, and zipfile reads that as cp437."""
    name = info.filename
    if not info.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _unsafe(name: str, info: ZipInfo) -> str:
    if stat.S_ISLNK(info.external_attr >> 16):
        return "link"
    parts = name.split("/")
    return _UNSAFE if not name or name[0] == "/" or ".." in parts or re.match("[A-Za-z]:", name) else ""


def _source(path: Path, info: ZipInfo) -> ZipSource:
    deflated = info.compress_type == ZIP_DEFLATED
    return ZipSource(path, info.header_offset, info.compress_size, info.file_size, info.CRC, deflated)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
