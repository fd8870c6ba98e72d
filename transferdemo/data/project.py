"""A saved project: the photos in class folders, head.safetensors and project.json in one zip that the zip door opens."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from ..errors import BadFile, BadImage
from .labelled import LabelledFolder, LabelledPhoto
from .layout import Found, listing
from .names import PICTURE_ENDINGS, clean_name, shown_path, split_of, unique_names
from .quarantine import by_hand
from .records import STRANGER, Entry, Limits, Listing, Project, SplitName

FORMAT = "transferdemo-project"
PROJECT, HEAD = "project.json", "head.safetensors"
HEAD_BYTES = 64_000_000
_RESTORED = "restored"
_DAMAGED = (
    "The project file in this zip is damaged; save the project again, or remove project.json to use only the photos."
)


@dataclass(frozen=True)
class Saved:
    """What project.json says, checked; `prefix` is the folder of the zip that it stands in."""

    prefix: tuple[str, ...]
    classes: dict[str, str]  # folder -> name
    photos: dict[str, dict[str, Any]]  # path below the prefix -> name, split, burst, mark
    project: Project


def write_project(path: Path, folder: LabelledFolder, project: Project, limits: Limits = STRANGER) -> int:
    """Write the project zip to `path`, photos as they were given, and return how many photos could not be read any more.

    The file appears whole or not at all. Raise BadFile when it would be too large to be opened again.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            lost = _write(ZipFile(file, "w", ZIP_STORED), folder, project)
            file.flush()
            os.fsync(file.fileno())
        if os.path.getsize(part) > limits.zip_bytes:
            raise BadFile(
                f"The project would be larger than {limits.zip_bytes / 1e6:,.0f} MB, which cannot be opened again here; "
                f"leave out a class or some photos.{limits.hint}"
            )
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)
    return lost


def _write(archive: ZipFile, folder: LabelledFolder, project: Project) -> int:
    folders = dict(zip(folder.classes, _folder_names(folder.classes), strict=True))
    photos: dict[str, dict[str, object]] = {}
    with archive:
        for photo, place in _numbered(folder.photos, folders):
            try:
                archive.writestr(place, photo.source.read())
            except BadImage:
                continue
            photos[place] = {"name": photo.name, "split": photo.split, "burst": photo.burst, "mark": _mark(photo)}
        classes = [
            {"folder": folders[name], "name": name, "left_out": name in folder.left_out} for name in folder.classes
        ]
        facts = {"format": FORMAT, "version": 1, "classes": classes, "photos": photos}
        text = json.dumps({**facts, "settings": project.settings, "runs": list(project.runs)}, allow_nan=False)
        archive.writestr(PROJECT, text, ZIP_DEFLATED)
        if project.head is not None:
            archive.writestr(HEAD, project.head)
    return len(folder.photos) - len(photos)


def _folder_names(classes: tuple[str, ...]) -> list[str]:
    """Names that every system can unpack: no separators, no name that Windows keeps or that means a split."""
    plain = (re.sub(r'[\\/:*?"<>|]', "_", clean_name(name)).strip(". ") or "class" for name in classes)
    kept = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d|__macosx)(\..*)?")
    return unique_names(f"class {name}" if kept.fullmatch(name) or split_of(name) else name for name in plain)


def _numbered(photos: tuple[LabelledPhoto, ...], folders: Mapping[str, str]) -> Iterator[tuple[LabelledPhoto, str]]:
    counts: Counter[str] = Counter()
    for photo in photos:
        counts[photo.label] += 1
        ending = PurePosixPath(photo.name).suffix.casefold()
        yield (
            photo,
            f"{folders[photo.label]}/{counts[photo.label]:05d}{ending if ending in PICTURE_ENDINGS else '.jpg'}",
        )


def _mark(photo: LabelledPhoto) -> str:
    return _RESTORED if photo.restored else photo.aside if photo.readable and by_hand(photo.aside) else ""


def read_saved(archive: ZipFile, limits: Limits) -> Saved | None:
    """Return what a project's zip says of itself, None for any other zip; raise BadFile when it is damaged."""
    places = [PurePosixPath(name) for name in archive.namelist() if PurePosixPath(name).name == PROJECT]
    place = min(places, key=lambda path: len(path.parts), default=None)
    if place is None or len(place.parts) > 2:
        return None
    facts = _json(_member(archive, str(place), 2_000_000 + 1_000 * limits.photos))
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        return None
    head = str(place.with_name(HEAD))
    return _checked(facts, place.parts[:-1], _member(archive, head, HEAD_BYTES) if head in archive.namelist() else None)


def _member(archive: ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise BadFile(_DAMAGED)
    return archive.read(name)


def _json(text: bytes) -> object:
    def refuse(constant: str) -> object:
        raise ValueError(constant)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadFile(_DAMAGED) from error


def _checked(facts: dict[str, Any], prefix: tuple[str, ...], head: bytes | None) -> Saved:
    try:
        classes = {_text(row["folder"]): _text(row["name"]) for row in facts["classes"]}
        left_out = tuple(clean_name(_text(row["name"])) for row in facts["classes"] if row.get("left_out") is True)
        photos = {_text(place): dict(row) for place, row in facts["photos"].items()}
        settings, runs = dict(facts.get("settings", {})), tuple(dict(run) for run in facts.get("runs", []))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFile(_DAMAGED) from error
    return Saved(prefix, classes, photos, Project(settings, runs, left_out, head))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def listing_of(saved: Saved, found: list[Found], skipped: Counter[str], limits: Limits) -> Listing:
    """Return the training set of a project: its own names, splits, bursts and marks; photos added to the zip count too."""
    skipped.subtract({"not a picture": 1 + (saved.project.head is not None)})
    entries = [entry for file in found if (entry := _entry(saved, file)) is not None]
    result = listing(entries, +skipped, limits)
    return Listing(result.entries, result.classes, result.skipped, result.notes, project=saved.project)


def _entry(saved: Saved, file: Found) -> Entry | None:
    place = file.parts[len(saved.prefix) :]
    if file.parts[: len(saved.prefix)] != saved.prefix or len(place) < 2:
        return None
    facts = saved.photos.get("/".join(place), {})
    name, burst, mark = (value if isinstance(value := facts.get(key), str) else "" for key in ("name", "burst", "mark"))
    return Entry(
        file.source,
        saved.classes.get(place[0], place[0]),
        shown_path([name] if name else place),
        _split(facts.get("split")),
        burst[:100],
        mark[:200],
    )


def _split(value: object) -> SplitName:
    return value if value in ("train", "val", "test") else ""
