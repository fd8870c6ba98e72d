"""Which photos are set aside, and why, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

BY_HAND = "You set it aside."
_COPY = "It is an identical copy of "
_TWO_CLASSES = "The same picture is in more than one class: "


class Examined(Protocol):
    """What is looked at in a photo."""

    @property
    def id(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def pixels(self) -> str: ...
    @property
    def readable(self) -> bool: ...
    @property
    def restored(self) -> bool: ...
    @property
    def aside(self) -> str: ...


def examine(photos: Iterable[Examined]) -> dict[int, str]:
    """Return id -> reason for the photos to set aside: unreadable ones, copies, and one picture under two classes.

    Of identical copies in one class the first stays. What a person set aside stays so, what a person restored is left alone.
    """
    reasons: dict[int, str] = {}
    alike: dict[str, list[Examined]] = {}
    pixels: dict[str, str] = {}
    for photo in photos:
        if photo.restored or not by_hand(photo.aside):
            digest = pixels.setdefault(photo.sha256, photo.pixels)  # made once a file: it depends on the view a little
            alike.setdefault(digest, []).append(photo)
        else:
            reasons[photo.id] = photo.aside
    for same in alike.values():
        reasons.update(_copies(same))
    return reasons


def by_hand(aside: str) -> bool:
    """Whether a reason comes from a person (or from the decoder), not from the search for copies, which is made anew."""
    return bool(aside) and not aside.startswith((_COPY, _TWO_CLASSES))


def _copies(same: list[Examined]) -> dict[int, str]:
    if len({photo.label for photo in same}) > 1:
        places = ", ".join(photo.name for photo in same[:4])
        return {
            photo.id: f"{_TWO_CLASSES}{places}. Restore it in the right one." for photo in same if not photo.restored
        }
    return {photo.id: f"{_COPY}{same[0].name}." for photo in same[1:] if not photo.restored}
