from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from transferdemo.data.archive import read_zip
from transferdemo.data.folder import Shot, read_folder, read_photos
from transferdemo.data.labelled import LabelledFolder
from transferdemo.data.project import write_project
from transferdemo.data.records import STRANGER, Project
from transferdemo.errors import BadFile, DemoError

from .pictures import make_set, picture, prepared

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "../x",
    "a/b\\c",
    "CON",
    "train",
    "\U0001f431",
    "x" * 200,
    "\u05db\u05dc\u05d1",
)
PROJECT = Project({"epochs": 20, "rate": 0.01}, ({"accuracy": [0.5, 0.9], "seed": 1},), head=b"head file")


@pytest.fixture
def folder(tmp_path: Path) -> LabelledFolder:
    root = make_set(tmp_path / "set", {"cat": 4, "dog": 3})
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    (root / "dog" / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    return prepared(read_folder(root))[0]


def facts(folder: LabelledFolder) -> list[tuple[object, ...]]:
    rows = ((p.label, p.name, p.split, p.burst, p.sha256, p.aside, p.restored) for p in folder.photos)
    return sorted(rows, key=str)


def saved(path: Path, folder: LabelledFolder, project: Project = PROJECT) -> LabelledFolder:
    assert write_project(path, folder, project) == 0
    return prepared(read_zip(path))[0]


def test_a_project_comes_back_as_it_was(tmp_path: Path, folder: LabelledFolder) -> None:
    ids = {photo.name: photo.id for photo in folder.photos}
    changed = (
        folder.restore([ids["cat/copy.png"]]).set_aside([ids["dog/1.png"]], "Blurred.").move([ids["cat/3.png"]], "mug")
    )
    changed = changed.rename("cat", "tabby <b>").leave_out("dog")
    again = saved(tmp_path / "project.zip", changed)
    assert facts(again) == facts(changed)
    assert again.classes == ("dog", "mug", "tabby <b>") and again.left_out == {"dog"}
    assert again.project == replace(PROJECT, left_out=("dog",))
    assert again.skipped == {}


def test_given_splits_and_bursts_come_back(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for side, start in (("train", 0), ("val", 10), ("test", 20)):
        for label in ("cat", "dog"):
            (root / side / label).mkdir(parents=True)
            (root / side / label / "1.png").write_bytes(picture(start + len(root.name) * (label == "cat")))
    folder, _ = prepared(read_folder(root))
    assert facts(saved(tmp_path / "a.zip", folder)) == facts(folder)
    assert set(folder.splits) == {"train", "val", "test"}
    burst, _ = prepared(read_photos({"a": [Shot(picture(n), "one") for n in range(3)], "b": [picture(9)]}))
    assert facts(saved(tmp_path / "b.zip", burst)) == facts(burst)


def test_names_in_the_zip_are_safe_and_the_classes_keep_theirs(tmp_path: Path) -> None:
    folder, _ = prepared(read_photos({name: [picture(2 * n), picture(2 * n + 1)] for n, name in enumerate(HOSTILE)}))
    again = saved(tmp_path / "a.zip", folder)
    assert set(again.classes) == set(folder.classes) and len(again.classes) == len(HOSTILE)
    assert facts(again) == facts(folder)
    with ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "unpacked")
    assert all(name.isprintable() and ".." not in name and "\\" not in name for name in names)
    assert len({name.casefold() for name in names}) == len(names)
    plain = read_folder(tmp_path / "unpacked")  # any other program finds one folder a class
    assert len(plain.classes) == len(HOSTILE) and len(plain.entries) == 2 * len(HOSTILE)
    assert all(entry.name.rsplit("/", 1)[-1][:5].isdigit() for entry in plain.entries)


def test_photos_added_to_an_unpacked_project_count(tmp_path: Path, folder: LabelledFolder) -> None:
    write_project(tmp_path / "a.zip", folder, PROJECT)
    with ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("cat/new.png", picture(50))
        archive.writestr("mug/1.png", picture(51))
    with ZipFile(tmp_path / "a.zip") as archive, ZipFile(tmp_path / "b.zip", "w") as wrapped:
        for name in archive.namelist():
            wrapped.writestr(f"my project/{name}", archive.read(name))
    listing = read_zip(tmp_path / "b.zip")
    assert listing.classes == ("cat", "dog", "mug")
    assert len(listing.entries) == len(folder.photos) + 2
    assert listing.project is not None and listing.project.head == b"head file"


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path, folder: LabelledFolder) -> None:
    target = tmp_path / "out" / "a.zip"
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    with pytest.raises(BadFile, match="opened again"):
        write_project(target, folder, PROJECT, replace(STRANGER, zip_bytes=1_000))
    with pytest.raises(ValueError, match="JSON"):
        write_project(target, folder, replace(PROJECT, settings={"rate": float("nan")}))
    assert os.listdir(target.parent) == ["a.zip"] and target.read_bytes() == b"the old one"


def test_a_photo_that_has_gone_is_counted(tmp_path: Path, folder: LabelledFolder) -> None:
    (tmp_path / "set" / "cat" / "1.png").unlink()
    assert write_project(tmp_path / "a.zip", folder, PROJECT) == 1
    assert len(read_zip(tmp_path / "a.zip").entries) == len(folder.photos) - 1


def rewritten(path: Path, change: dict[str, Any] | bytes) -> Path:
    """The project at `path` with other facts, or other bytes as project.json."""
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if isinstance(change, bytes):
        files["project.json"] = change
    else:
        files["project.json"] = json.dumps(json.loads(files["project.json"]) | change).encode()
    with ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_unknown_keys_are_ignored(tmp_path: Path, folder: LabelledFolder) -> None:
    write_project(tmp_path / "a.zip", folder, PROJECT)
    listing = read_zip(rewritten(tmp_path / "a.zip", {"later": [1, {"x": None}], "version": 2}))
    assert len(listing.entries) == len(folder.photos) and listing.project is not None


@pytest.mark.parametrize(
    "change",
    [
        b"{",
        b"[" * 100_000,
        b'{"format": "transferdemo-project", "runs": [NaN]}',
        b'{"format": "transferdemo-project"}',
        b" " * 5_000_000,
        {"classes": 3},
        {"classes": [{"folder": "cat"}]},
        {"classes": [{"folder": ["cat"], "name": "x"}]},
        {"photos": []},
        {"photos": {"cat/00001.png": 7}},
        {"settings": [1]},
        {"runs": {"a": 1}},
        {"runs": [3]},
    ],
)
def test_a_damaged_project_is_refused(tmp_path: Path, folder: LabelledFolder, change: dict[str, Any] | bytes) -> None:
    write_project(tmp_path / "a.zip", folder, PROJECT)
    with pytest.raises(BadFile, match="project file in this zip is damaged"):
        read_zip(rewritten(tmp_path / "a.zip", change))


@pytest.mark.parametrize(
    "change",
    [
        {"photos": {"cat/00001.png": {"name": 7, "split": ["train"], "burst": None, "mark": {}}}},
        {"photos": {"../../etc/passwd": {"name": "x"}}},
        {"classes": [{"folder": "cat", "name": "\u202e<script>" + "x" * 500}, {"folder": "dog", "name": "DOG"}]},
        {"classes": [{"folder": "cat", "name": "dog"}]},
    ],
)
def test_odd_facts_do_no_harm(tmp_path: Path, folder: LabelledFolder, change: dict[str, Any]) -> None:
    write_project(tmp_path / "a.zip", folder, PROJECT)
    listing = read_zip(rewritten(tmp_path / "a.zip", change))
    assert len(listing.entries) == len(folder.photos)
    assert all(0 < len(name) <= 64 and "\u202e" not in name for name in listing.classes)
    assert all(isinstance(entry.name, str) and entry.split == "" for entry in listing.entries)


def test_somebody_elses_project_json_is_a_stray_file(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("project.json", b'{"name": "web shop"}')
        for label in ("cat", "dog"):
            archive.writestr(f"{label}/1.png", picture(len(label)))
    listing = read_zip(tmp_path / "a.zip")
    assert listing.project is None and listing.skipped == {"not a picture": 1}


def test_a_head_that_is_too_large_is_refused(
    tmp_path: Path, folder: LabelledFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transferdemo.data.project.HEAD_BYTES", 5)
    write_project(tmp_path / "a.zip", folder, PROJECT)
    with pytest.raises(DemoError):
        read_zip(tmp_path / "a.zip")
