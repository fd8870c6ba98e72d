"""LabelledFolder: a training set after its pictures were opened, and what a person may change about it.

Every change returns a new LabelledFolder; nothing is deleted, neither here nor on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import BadSetting
from .groups import near_duplicates
from .names import clean_name, name_key
from .quarantine import BY_HAND, examine
from .records import Project, Source, SplitName


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo of a training set without its pixels: about 5 KB, so that ten thousand are nothing."""

    id: int
    label: str
    name: str  # its path within the set
    source: Source
    sha256: str  # of its bytes; features are kept by it
    thumbnail: bytes = b""  # JPEG, long side at most 128 px; empty when it could not be opened
    width: int = 0  # px, of the upright original
    height: int = 0
    phash: int = 0  # imagehash pHash, 64 bits
    pixels: str = ""  # digest of the decoded picture: two files with the same one are the same picture
    split: SplitName = ""
    burst: str = ""
    group: int = 0  # near duplicates and frames of one burst share it
    aside: str = ""  # why it is set aside, a sentence; empty: it is used
    readable: bool = True
    restored: bool = False  # a person wants it in, whatever the checks say


@dataclass(frozen=True, eq=False)
class LabelledFolder:
    """The photos of a training set with their classes, those that are set aside included."""

    photos: tuple[LabelledPhoto, ...]
    classes: tuple[str, ...]
    left_out: frozenset[str] = frozenset()  # classes that do not train
    skipped: dict[str, int] = field(default_factory=dict)  # reason -> files passed over
    notes: tuple[str, ...] = ()
    inferred: bool = False  # the classes were read from file names: ask the person
    project: Project | None = None

    @property
    def used(self) -> tuple[LabelledPhoto, ...]:
        """The photos that train and are tested on, in order."""
        return tuple(photo for photo in self.photos if not photo.aside and photo.label not in self.left_out)

    @property
    def aside(self) -> tuple[LabelledPhoto, ...]:
        """The photos in quarantine, each with its reason in `aside`."""
        return tuple(photo for photo in self.photos if photo.aside)

    @property
    def used_classes(self) -> tuple[str, ...]:
        """The classes that are not left out, also where no photo of one is left."""
        return tuple(name for name in self.classes if name not in self.left_out)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Return the index into `used_classes` of each used photo, (N,)."""
        place = {name: number for number, name in enumerate(self.used_classes)}
        return np.array([place[photo.label] for photo in self.used], dtype=np.int64)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Return the group of each used photo, (N,): near duplicates and bursts must stay on one side of a split."""
        return np.array([photo.group for photo in self.used], dtype=np.int64)

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """The split that the folder itself gave each used photo, empty texts where it gave none."""
        return tuple(photo.split for photo in self.used)

    def set_aside(self, ids: Collection[int], reason: str = BY_HAND) -> LabelledFolder:
        """Put photos into quarantine; raise BadSetting for an unknown id."""
        return self._change(ids, lambda photo: replace(photo, aside=photo.aside or reason, restored=False))

    def restore(self, ids: Collection[int]) -> LabelledFolder:
        """Take photos back from quarantine; raise BadSetting for an unknown id and for a photo that cannot be opened."""
        for photo in self._chosen(ids):
            if not photo.readable:
                raise BadSetting(f"{photo.name} cannot come back, because it cannot be opened. {photo.aside}")
        return self._change(ids, lambda photo: replace(photo, aside="", restored=True))

    def move(self, ids: Collection[int], label: str) -> LabelledFolder:
        """Put photos into another class, a new one if there is none of that name; raise BadSetting for an unknown id."""
        label = self._known(label) or clean_name(label)
        moved = self._change(ids, lambda photo: replace(photo, label=label))
        return moved if label in self.classes else replace(moved, classes=(*self.classes, label))

    def rename(self, old: str, new: str) -> LabelledFolder:
        """Give a class another name; raise BadSetting when there is no such class or another one has the name already."""
        old, new = self._class(old), clean_name(new)
        if (taken := self._known(new)) not in ("", old):
            raise BadSetting(f"There is already a class {taken}; move the photos there, or choose another name.")
        return replace(
            self,
            photos=tuple(replace(photo, label=new) if photo.label == old else photo for photo in self.photos),
            classes=tuple(new if name == old else name for name in self.classes),
            left_out=frozenset(new if name == old else name for name in self.left_out),
        )

    def leave_out(self, label: str, out: bool = True) -> LabelledFolder:
        """Let a class not train, or (out=False) train again; raise BadSetting when there is no such class."""
        label = self._class(label)
        return replace(self, left_out=self.left_out | {label} if out else self.left_out - {label})

    def add(self, other: LabelledFolder) -> LabelledFolder:
        """Join two sets: classes of one name become one, ids of `other` go on behind ours, copies are looked for again."""
        start = max((photo.id for photo in self.photos), default=-1) + 1
        names = {name: self._known(name) or name for name in other.classes}
        more = (replace(photo, id=photo.id + start, label=names[photo.label]) for photo in other.photos)
        classes = dict.fromkeys((*self.classes, *names.values()))
        skipped = Counter(self.skipped) + Counter(other.skipped)
        return replace(
            self,
            photos=checked((*self.photos, *more)),
            classes=tuple(classes),
            left_out=self.left_out | {names[name] for name in other.left_out},
            skipped=dict(skipped),
            notes=(*self.notes, *other.notes),
            inferred=self.inferred or other.inferred,
            project=self.project or other.project,
        )

    def _chosen(self, ids: Collection[int]) -> list[LabelledPhoto]:
        wanted = set(ids)
        chosen = [photo for photo in self.photos if photo.id in wanted]
        if len(chosen) < len(wanted):
            raise BadSetting("One of these photos is no longer in the set; choose again.")
        return chosen

    def _change(self, ids: Collection[int], change: Callable[[LabelledPhoto], LabelledPhoto]) -> LabelledFolder:
        changed = {photo.id: change(photo) for photo in self._chosen(ids)}
        return replace(self, photos=tuple(changed.get(photo.id, photo) for photo in self.photos))

    def _known(self, name: str) -> str:
        return next((known for known in self.classes if name_key(known) == name_key(name)), "")

    def _class(self, name: str) -> str:
        if name not in self.classes:
            raise BadSetting(f"There is no class {clean_name(str(name))}; choose one of the set.")
        return name


def checked(photos: tuple[LabelledPhoto, ...]) -> tuple[LabelledPhoto, ...]:
    """Return the photos with copies set aside anew and groups found anew; what a person decided stays."""
    reasons = examine(photos)
    readable = [photo for photo in photos if photo.readable]
    hashes = np.array([photo.phash for photo in readable], dtype=np.uint64)
    found = near_duplicates(hashes, [photo.burst for photo in readable])
    groups = dict(zip((photo.id for photo in readable), found.tolist(), strict=True))
    return tuple(replace(photo, aside=reasons.get(photo.id, ""), group=groups.get(photo.id, -1)) for photo in photos)
