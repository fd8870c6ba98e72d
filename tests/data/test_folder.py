from __future__ import annotations

import os
from pathlib import Path

import pytest

from transferdemo.data.folder import Shot, read_folder, read_photos
from transferdemo.data.records import MAX_BYTES, STRANGER
from transferdemo.errors import BadFolder, BadImage

from .pictures import make_set, picture


def test_a_messy_folder_is_read_and_left_as_it_was(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 3, "dog": 2})
    for stray in ("cat/a.mat", "cat/.DS_Store", "dog/Thumbs.db", "readme.txt", "loose.png"):
        (root / stray).write_bytes(b"x")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    listing = read_folder(root)
    assert [entry.name for entry in listing.entries] == [
        "cat/0.png",
        "cat/1.png",
        "cat/2.png",
        "dog/0.png",
        "dog/1.png",
    ]
    assert listing.entries[0].source.read() == picture(0)
    assert listing.skipped == {"not a picture": 2, "hidden or system file": 2, "outside every class folder": 1}
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_the_folder_may_be_hidden_itself_and_given_relatively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_set(tmp_path / ".cache" / "set", {"cat": 1, "dog": 1})
    monkeypatch.chdir(tmp_path / ".cache" / "set")
    assert read_folder(".").classes == ("cat", "dog")
    assert read_folder("cat").classes == ("cat",)


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 2})
    make_set(tmp_path / "elsewhere", {"dog": 2})
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (root / "dog" / "loop").symlink_to(root)
    listing = read_folder(root)
    assert sorted(entry.name for entry in listing.entries) == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hold_us_up(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 1, "dog": 1})
    os.mkfifo(root / "cat" / "pipe.png")
    assert len(read_folder(root).entries) == 2


def test_sentences(tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match="There is no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(BadFolder, match="no pictures"):
        read_folder(tmp_path)
    root = make_set(tmp_path / "set", {"cat": 3, "dog": 2})
    with pytest.raises(BadFolder, match="more than 4 files"):
        read_folder(root, STRANGER.__class__(entries=4))


def test_a_file_that_goes_away_or_is_too_large_leaves_a_sentence(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 2})
    first, second = (entry.source for entry in read_folder(root).entries)
    (root / "cat" / "0.png").unlink()
    with pytest.raises(BadImage, match="cannot be read"):
        first.read()
    with (root / "cat" / "1.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(BadImage, match="over 20 MB"):
        second.read()


def test_photos_from_the_camera_and_from_files(tmp_path: Path) -> None:
    file = tmp_path / "mug.png"
    file.write_bytes(picture(3))
    listing = read_photos(
        {
            "../x": [Shot(picture(1), "burst 1"), Shot(picture(2), "burst 1")],
            "<b>mug</b>": [file, picture(4)],
            "empty": [],
        }
    )
    assert listing.classes == ("../x", "<b>mug</b>")
    assert [entry.burst for entry in listing.entries] == ["burst 1", "burst 1", "", ""]
    assert [entry.source.read() for entry in listing.entries] == [picture(n) for n in (1, 2, 3, 4)]
    assert listing.entries[2].name == "<b>mug</b>/mug.png"
    with pytest.raises(BadFolder, match="no photos yet"):
        read_photos({"a": [], "b": []})


def test_the_shared_sets(shared: Path) -> None:
    data = shared / "data"
    assert len(read_folder(data / "pets37").classes) == 37
    sides = [entry.split for entry in read_folder(data / "cats_dogs").entries]
    assert sides.count("train") == 1000 and sides.count("test") == 500
    assert {entry.split for entry in read_folder(data / "cats_dogs" / "train").entries} == {""}
    with pytest.raises(BadFolder, match=r"sub-folder|no pictures"):
        read_folder(shared / "weights")
