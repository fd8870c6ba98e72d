from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from transferdemo.data.folder import read_folder, read_photos
from transferdemo.data.labelled import LabelledFolder
from transferdemo.errors import BadSetting

from .pictures import make_set, picture, prepared


@pytest.fixture
def folder(tmp_path: Path) -> LabelledFolder:
    """Two classes with one copy (cat/copy.png), one contradiction (cat/both.png, dog/both.png), one broken photo."""
    root = make_set(tmp_path / "set", {"cat": 3, "dog": 3})
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    for label in ("cat", "dog"):
        (root / label / "both.png").write_bytes(picture(77))
    (root / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return prepared(read_folder(root))[0]


def ids(folder: LabelledFolder, *names: str) -> list[int]:
    return [photo.id for name in names for photo in folder.photos if photo.name == name]


def aside(folder: LabelledFolder) -> dict[str, str]:
    return {photo.name: photo.aside for photo in folder.aside}


def test_the_quarantine_says_why(folder: LabelledFolder) -> None:
    reasons = aside(folder)
    assert sorted(reasons) == ["cat/both.png", "cat/copy.png", "dog/both.png", "dog/broken.png"]
    assert reasons["cat/copy.png"] == "It is an identical copy of cat/0.png."
    assert reasons["cat/both.png"] == reasons["dog/both.png"]
    assert "more than one class: cat/both.png, dog/both.png" in reasons["cat/both.png"]
    assert [bool(photo.thumbnail) for photo in folder.aside] == [True, True, True, False]
    assert len(folder.used) == len(folder.labels) == len(folder.groups) == len(folder.splits) == 6


def test_a_photo_comes_back_and_nothing_else_changes(folder: LabelledFolder) -> None:
    restored = folder.restore(ids(folder, "cat/copy.png"))
    assert "cat/copy.png" not in aside(restored) and len(restored.aside) == 3
    assert "cat/copy.png" in aside(folder)  # the old one is as it was
    copy, original = (next(p for p in restored.used if p.name == name) for name in ("cat/copy.png", "cat/0.png"))
    assert copy.group == original.group  # and it cannot leak over the split
    assert aside(restored.set_aside(ids(folder, "cat/copy.png")))["cat/copy.png"] == "You set it aside."


def test_what_cannot_be_opened_cannot_come_back(folder: LabelledFolder) -> None:
    with pytest.raises(BadSetting, match=r"dog/broken.png cannot come back.*damaged"):
        folder.restore(ids(folder, "dog/broken.png"))


def test_setting_aside_and_moving(folder: LabelledFolder) -> None:
    changed = folder.set_aside(ids(folder, "cat/1.png"), "Wrong light.").move(ids(folder, "cat/2.png"), "dog")
    assert aside(changed)["cat/1.png"] == "Wrong light."
    assert np.bincount(changed.labels).tolist() == [1, 4]
    assert [photo.label for photo in folder.photos if photo.name == "cat/2.png"] == ["cat"]
    new = changed.move(ids(folder, "cat/0.png"), "lynx\u202e")
    assert new.classes == ("cat", "dog", "lynx")
    assert new.move(ids(folder, "cat/0.png"), "DOG").classes == ("cat", "dog", "lynx")


def test_renaming_and_leaving_out(folder: LabelledFolder) -> None:
    changed = folder.rename("cat", " <b>tabby</b>\u200b ").leave_out("dog")
    assert changed.classes == ("<b>tabby</b>", "dog") and changed.used_classes == ("<b>tabby</b>",)
    assert changed.labels.tolist() == [0, 0, 0]
    assert changed.leave_out("dog", out=False).labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert changed.rename("dog", "DOG").left_out == {"DOG"}
    with pytest.raises(BadSetting, match="already a class dog"):
        folder.rename("cat", "Dog")
    for wrong in (lambda: folder.rename("cow", "x"), lambda: folder.leave_out("cow")):
        with pytest.raises(BadSetting, match="no class cow"):
            wrong()


def test_unknown_photos_are_refused(folder: LabelledFolder) -> None:
    for change in (folder.restore, folder.set_aside, lambda wrong: folder.move(wrong, "dog")):
        with pytest.raises(BadSetting, match="no longer in the set"):
            change([0, 999])


def test_adding_joins_classes_and_finds_copies_anew(folder: LabelledFolder) -> None:
    kept = folder.restore(ids(folder, "cat/copy.png")).set_aside(ids(folder, "dog/1.png"), "Blurred.")
    more, _ = prepared(read_photos({"CAT": [picture(0), picture(500)], "mug": [picture(600), picture(1_002)]}))
    joined = kept.add(more)
    assert joined.classes == ("cat", "dog", "mug")
    assert len({photo.id for photo in joined.photos}) == len(joined.photos) == 14
    reasons = aside(joined)
    assert "copy of" in reasons["CAT/photo 1"]
    assert "more than one class" in reasons["dog/2.png"] and "more than one class" in reasons["mug/photo 2"]
    assert reasons["dog/1.png"] == "Blurred." and "cat/copy.png" not in reasons
    assert "CAT/photo 2" not in reasons and "mug/photo 1" not in reasons


def test_adding_gives_new_groups_to_all(folder: LabelledFolder) -> None:
    brighter, _ = prepared(read_photos({"cat": [picture(0, "BMP", size=(44, 36))], "dog": [picture(900)]}))
    joined = folder.add(brighter)
    groups = {photo.name: photo.group for photo in joined.used}
    assert groups["cat/photo 1"] == groups["cat/0.png"]
    assert groups["dog/photo 1"] not in {group for name, group in groups.items() if name != "dog/photo 1"}
