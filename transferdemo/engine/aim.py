"""What to fool a network into: a target by its name, and the one that is offered first."""

from __future__ import annotations

from ..heads import CATS, DOGS, find_classes, groups
from ..types import Head

ANYTHING = "anything"  # untargeted; "anything else" means the same


def aim(head: Head, name: str) -> tuple[int, ...] | None:
    """The classes meant by `name`: a name, an index, a group such as "any cat"; None for "anything" that is wrong.

    Raises BadSetting for a class that the head lacks.
    """
    wanted = str(name).strip()
    if wanted.lower() in (ANYTHING, f"{ANYTHING} else") and wanted not in head.classes:
        return None
    return find_classes(head, wanted)


def opposite(head: Head, index: int) -> str:
    """The name of the target that is offered for a picture called `index`: a dog for a cat, a cat for a dog, else anything."""
    if groups(head):
        return "any cat" if index in DOGS else "any dog" if index in CATS else ANYTHING
    other = {"cat": "dog", "dog": "cat"}.get(head.classes[index].lower())
    names = {name.lower(): name for name in head.classes}
    return names.get(other or "", ANYTHING)
