"""Folders of the person's own computer, and photos given one by one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadFolder
from .layout import Found, arrange, listing
from .names import clean_name, stray
from .records import LOCAL, STRANGER, BytesSource, Entry, FileSource, Limits, Listing


@dataclass(frozen=True)
class Shot:
    """A photo from the camera or an upload; frames of one burst share `burst` and stay on one side of the split."""

    data: bytes | Path
    burst: str = ""
    name: str = ""


def read_folder(path: str | Path, limits: Limits = LOCAL) -> Listing:
    """Return the training set in a folder, one sub-folder a class, without opening a picture.

    Raise BadFolder when it is not a folder, is over the limits, or shows no classes.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise BadFolder(f"There is no folder {root}; give the path of a folder with one sub-folder for each class.")
    skipped: Counter[str] = Counter()
    return arrange(_pictures(root.absolute(), skipped, limits), skipped, limits)


def _pictures(root: Path, skipped: Counter[str], limits: Limits) -> Iterator[Found]:
    for seen, path in enumerate(_files(root, skipped)):
        if seen >= limits.entries:
            raise BadFolder(f"There are more than {limits.entries:,} files in it; choose the folder with the photos.")
        parts = _wrapped(root, path)
        reason = stray(parts[1:])
        if reason:
            skipped[reason] += 1
        else:
            yield Found(parts, FileSource(path))


def _wrapped(root: Path, path: Path) -> tuple[str, ...]:
    """The path from the chosen folder itself on, so that a folder of one class keeps its name."""
    return (root.name or "folder", *path.relative_to(root).parts)


def _files(root: Path, skipped: Counter[str]) -> Iterator[Path]:
    """Yield the regular files below `root`; linked folders are entered, each folder once, so that no loop traps us."""
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        skipped["folder that cannot be read"] += 1

    for here, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(here, name)).is_file())


def read_photos(photos: Mapping[str, Sequence[bytes | Path | Shot]], limits: Limits = STRANGER) -> Listing:
    """Return the training set of photos that a person gave to named classes; raise BadFolder over the limits."""
    entries = []
    for label, given in photos.items():
        for number, shot in enumerate((_shot(photo) for photo in given), start=1):
            source = BytesSource(shot.data) if isinstance(shot.data, bytes) else FileSource(shot.data)
            fallback = f"photo {number}" if isinstance(shot.data, bytes) else shot.data.name
            entries.append(Entry(source, label, f"{clean_name(label)}/{shot.name or fallback}", burst=shot.burst))
    if not entries:
        raise BadFolder("There are no photos yet; record some or add files.")
    return listing(entries, Counter(), limits)


def _shot(photo: bytes | Path | Shot) -> Shot:
    return photo if isinstance(photo, Shot) else Shot(photo)
