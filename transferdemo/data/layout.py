"""From the paths of a training set to its classes and splits. Pure: nothing is opened here.

What is looked through, in this order: wrapping folders, train/val/test folders, class folders; where there are none, the
file names (`Abyssinian_12.jpg`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..errors import BadFolder
from .names import class_in_name, name_key, natural_key, shown_path, split_of, unique_names
from .records import Entry, Limits, Listing, Source, SplitName

_IMAGES = {"images", "jpegimages"}
_ANNOTATIONS = {"annotations", "trimaps", "masks", "labels", "segmentations"}
_SPLITS: tuple[SplitName, ...] = ("train", "val", "test", "")
NO_CLASS = "outside every class folder"
NO_NAME = "no class in its name"
_NO_PICTURES = "There are no pictures in it; choose a folder with one sub-folder of photos for each class."
_NO_CLASSES = (
    "Neither sub-folders nor file names say what is what; make one sub-folder for each class, "
    "or name the files like cat_1.jpg, dog_1.jpg."
)


@dataclass
class Node:
    """A folder with pictures somewhere below."""

    name: str
    files: list[Found] = field(default_factory=list)
    folders: dict[str, Node] = field(default_factory=dict)

    def below(self) -> list[Found]:
        """Return all files of the folder and of those in it."""
        return self.files + [found for folder in self.folders.values() for found in folder.below()]


@dataclass(frozen=True)
class Found:
    """A file that may be a picture, and the parts of its path within the set."""

    parts: tuple[str, ...]
    source: Source


@dataclass(frozen=True)
class _Labelled:
    found: Found
    label: str
    split: SplitName = ""


class _Reader:
    """Walks the tree and notes what it passes over."""

    def __init__(self, skipped: Counter[str]) -> None:
        self.skipped = skipped
        self.inferred = False

    def read(self, node: Node) -> list[_Labelled]:
        """Return the pictures below `node` with class and split; looks through wrapping folders."""
        folders = self._without_annotations(node)
        splits = [split_of(folder.name) for folder in folders]
        if folders and all(splits):
            self._pass_over(node.files)
            parts = zip(folders, splits, strict=True)
            return [_Labelled(x.found, x.label, split) for folder, split in parts for x in self.read(folder)]
        if len(folders) == 1 and (folders[0].folders or not node.files):
            self._pass_over(node.files)
            return self.read(folders[0])
        if folders:
            self._pass_over(node.files)
            return [labelled for folder in folders for labelled in _one_class(folder)]
        return self._from_names(node)

    def _from_names(self, node: Node) -> list[_Labelled]:
        named = [(found, class_in_name(found.parts[-1])) for found in node.files]
        good = [_Labelled(found, label) for found, label in named if label]
        classes = {name_key(labelled.label) for labelled in good}
        if len(classes) < 2 or len(good) < max(2 * len(classes), len(named) / 2):
            label = "" if split_of(node.name) else node.name
            return [_Labelled(found, label) for found in node.files]
        self.inferred = True
        self._pass_over([found for found, label in named if not label], NO_NAME)
        return good

    def _without_annotations(self, node: Node) -> list[Node]:
        """The folders of `node`; beside a folder of images, folders of masks and boxes are no classes."""
        if not _IMAGES & {name.casefold() for name in node.folders}:
            return list(node.folders.values())
        extra = [folder for name, folder in node.folders.items() if name.casefold() in _ANNOTATIONS]
        self._pass_over([found for folder in extra for found in folder.below()], "annotation")
        return [folder for folder in node.folders.values() if folder not in extra]

    def _pass_over(self, files: list[Found], reason: str = NO_CLASS) -> None:
        if files:
            self.skipped[reason] += len(files)


def _one_class(folder: Node) -> list[_Labelled]:
    """All pictures below a class folder; its own train/val/test folders are the split, deeper ones do not count."""
    inner = {name: split_of(name) for name in folder.folders}
    if not folder.files and inner and all(inner.values()):
        return [
            _Labelled(found, folder.name, inner[name]) for name, sub in folder.folders.items() for found in sub.below()
        ]
    return [_Labelled(found, folder.name) for found in folder.below()]


def arrange(found: Iterable[Found], skipped: Counter[str], limits: Limits) -> Listing:
    """Return the training set that these files form; raise BadFolder when there are none, too many, or no classes."""
    files = sorted(found, key=lambda file: natural_key("/".join(file.parts)))
    if not files:
        raise BadFolder(_NO_PICTURES)
    reader = _Reader(skipped)
    labelled = reader.read(_tree(files))
    named = [item for item in labelled if item.label]
    if not named:
        raise BadFolder(_NO_CLASSES)
    if len(named) < len(labelled):
        skipped[NO_NAME] += len(labelled) - len(named)
    above = _common([item.found.parts[:-1] for item in named])
    entries = (Entry(x.found.source, x.label, shown_path(x.found.parts[above:]), x.split) for x in named)
    return listing(entries, skipped, limits, inferred=reader.inferred)


def listing(entries: Iterable[Entry], skipped: Counter[str], limits: Limits, *, inferred: bool = False) -> Listing:
    """Return a Listing in natural order whose classes are cleaned and merged by `name_key`; raise BadFolder over the limits."""
    entries = list(entries)
    spellings: dict[str, Counter[str]] = {}  # by the key of a class
    for label, amount in Counter(entry.label for entry in entries).items():
        spellings.setdefault(name_key(label), Counter())[label] = amount
    check_amounts(len(spellings), len(entries), limits)
    keys = sorted(spellings, key=natural_key)
    classes = unique_names(_commonest(spellings[key]) for key in keys)
    place = {label: number for number, key in enumerate(keys) for label in spellings[key]}
    sides = {entry.split for entry in entries}
    whole = len(sides) > 1 and "" not in sides  # only then it is a split; else `split` draws one
    order = {name: number for number, name in enumerate(classes)}
    named = [replace(e, label=classes[place[e.label]], split=e.split if whole else "") for e in entries]
    named.sort(key=lambda entry: (order[entry.label], _SPLITS.index(entry.split)))  # stable
    notes = tuple(
        _merged(spellings[key], name) for key, name in zip(keys, classes, strict=True) if len(spellings[key]) > 1
    )
    return Listing(tuple(named), tuple(classes), dict(skipped), notes, inferred)


def check_amounts(classes: int, photos: int, limits: Limits) -> None:
    """Raise BadFolder when there are more classes or photos than the limits allow."""
    if classes > limits.classes:
        raise BadFolder(
            f"These are {classes} classes and at most {limits.classes} are taken; leave some out.{limits.hint}"
        )
    if photos > limits.photos:
        raise BadFolder(
            f"These are {photos:,} photos and at most {limits.photos:,} are taken; leave some out.{limits.hint}"
        )


def _commonest(spellings: Counter[str]) -> str:
    return max(sorted(spellings), key=lambda name: spellings[name])


def _merged(spellings: Counter[str], shown: str) -> str:
    return f"{' and '.join(sorted(spellings))} were taken as one class, {shown}."


def _common(folders: list[tuple[str, ...]]) -> int:
    """How many folders all the paths begin with."""
    levels = (len(set(names)) > 1 for names in zip(*folders, strict=False))
    return next((depth for depth, differ in enumerate(levels) if differ), min(map(len, folders)))


def _tree(files: list[Found]) -> Node:
    root = Node("")
    for file in files:
        node = root
        for part in file.parts[:-1]:
            node = node.folders.setdefault(part, Node(part))
        node.files.append(file)
    return root
