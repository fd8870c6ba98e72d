"""Names that people and zips give: cleaned, put in natural order, and read for a class or a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from .records import SplitName

NAME_LENGTH = 64
DEPTH = 32  # folders within folders
PICTURE_ENDINGS = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".heic", ".heif", ".avif", ".tif", ".tiff"]
)  # the last five get a sentence
_SPLIT = re.compile(
    r"(?:(train(?:ing|val)?)|(val(?:id(?:ation)?)?|dev)|test(?:ing)?)(?:[ _-]?(?:set|data|images|photos|split|[0-9]))?"
)
_NUMBERED = re.compile(r"(.+?)[ _.-]+\(?\d+\)?")  # Abyssinian_12, cat.4002, great_pyrenees_3, "cat (7)"


def clean_name(name: str) -> str:
    """Return `name` as it may be shown: NFC, no control, direction or zero-width characters, 1 to 64 characters.

    Markup stays what it is, text; the page escapes it.
    """
    return _visible(name)[:NAME_LENGTH].strip() or "unnamed"


def shown_path(parts: Iterable[str]) -> str:
    """Return a path as it may be shown: each part without invisible characters, the last 200 characters of it all."""
    return "/".join(_visible(part) for part in parts)[-200:]


def name_key(name: str) -> str:
    """Return what two names must share to be one class: upper and lower case and the form of accents do not count."""
    return unicodedata.normalize("NFC", _visible(name).casefold())


def _visible(name: str) -> str:
    if name.isascii() and name.isprintable():
        return re.sub(" +", " ", name).strip()
    spaced = re.sub(r"\s+", " ", unicodedata.normalize("NFC", name))
    return "".join(c for c in spaced if unicodedata.category(c)[0] != "C").strip()


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a sorting key by which `2.jpg` comes before `10.jpg`."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(bool(i % 2), int(part) if i % 2 and len(part) < 20 else 0, part) for i, part in enumerate(parts)], name


def unique_names(names: Iterable[str]) -> list[str]:
    """Return cleaned names, no two alike: a name that is there already gets a number."""
    taken: set[str] = set()
    result = []
    for name in names:
        unique, number = clean_name(name), 2
        while name_key(unique) in taken:
            unique = f"{clean_name(name)[: NAME_LENGTH - 8]} ({number})"
            number += 1
        taken.add(name_key(unique))
        result.append(unique)
    return result


def split_of(folder: str) -> SplitName:
    """Return the split that a folder's name stands for (`train`, `validation`, `test_set`, ...), or an empty text."""
    match = _SPLIT.fullmatch(folder.casefold())
    if match is None:
        return ""
    return "train" if match[1] else "val" if match[2] else "test"


def class_in_name(file_name: str) -> str:
    """Return the text before the last separator and number (`cat.4002.jpg` -> `cat`), or an empty text."""
    match = _NUMBERED.fullmatch(PurePosixPath(file_name).stem)
    return match[1].strip() if match else ""


def stray(parts: tuple[str, ...]) -> str:
    """Return why the file at this path is passed over, or an empty text when it may be a picture."""
    if any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1].casefold() == "thumbs.db":
        return "hidden or system file"
    if len(parts) > DEPTH:
        return "too many folders within folders"
    ending = PurePosixPath(parts[-1]).suffix.casefold()
    if ending == ".zip":
        return "zip within"
    return "" if ending in PICTURE_ENDINGS else "not a picture"
