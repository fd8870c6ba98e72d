from __future__ import annotations

import io
import pickle
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferdemo.data import prepare as module
from transferdemo.data.archive import read_set
from transferdemo.data.folder import Shot, read_folder, read_photos
from transferdemo.data.prepare import BATCH, PrepareDone, PrepareStep, fitted, prepare
from transferdemo.data.records import LOCAL, ZipSource
from transferdemo.decode import decode, fit_image
from transferdemo.errors import BadFolder, BadSetting
from transferdemo.types import InputSpec

from .pictures import SPEC, make_set, picture, prepared


def test_every_picture_comes_once_in_order_and_as_the_network_sees_it(tmp_path: Path) -> None:
    listing = read_folder(make_set(tmp_path / "set", {"cat": 40, "dog": 30}))
    folder, steps = prepared(listing)
    images = [image for step in steps for image in step.images]
    assert [id for step in steps for id in step.ids] == list(range(70))
    for entry, image, photo in zip(listing.entries, images, folder.photos, strict=True):
        assert np.array_equal(image, fit_image(decode(entry.source.read()), SPEC, "auto"))
        assert (photo.label, photo.name, photo.width, photo.height) == (entry.label, entry.name, 40, 32)
        assert photo.thumbnail.startswith(b"\xff\xd8")
    assert [hash for step in steps for hash in step.hashes] == [photo.sha256 for photo in folder.photos]
    assert folder.labels.tolist() == [0] * 40 + [1] * 30
    assert not folder.aside


def test_batches_are_always_cut_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)  # as slow as can be: news after every picture
    listing = read_folder(make_set(tmp_path / "set", {"cat": 40, "dog": 30}))
    steps = prepared(listing)[1]
    assert [len(step.images) for step in steps if step.images] == [BATCH, BATCH, 70 - 2 * BATCH]
    assert len(steps) > 60
    assert all(a.step <= b.step for a, b in pairwise(steps))
    assert {step.total for step in steps} == {70} and steps[-1].step == 70


def test_a_folder_its_zip_and_its_bytes_give_the_same_set(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 5, "dog": 4})
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set")
    given = {label: [Shot((root / label / f"{n}.png").read_bytes(), name=f"{n}.png") for n in range(amount)]
             for label, amount in (("cat", 5), ("dog", 4))}  # fmt: skip
    sets = [prepared(listing)[0] for listing in (read_folder(root), read_set(tmp_path / "set.zip"), read_photos(given))]
    for other in sets[1:]:
        for a, b in zip(sets[0].photos, other.photos, strict=True):
            assert replace(a, source=b.source) == b


def test_what_cannot_be_used_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "cat" / "broken.png").write_bytes(picture(9)[:200])
    (root / "cat" / "empty.jpg").touch()
    (root / "cat" / "tiny.png").write_bytes(picture(9, size=(7, 9)))
    (root / "dog" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    listing = read_folder(root)
    (root / "dog" / "2.png").unlink()  # between listing and opening
    folder, steps = prepared(listing)
    reasons = {photo.name: photo.aside for photo in folder.aside}
    assert sorted(reasons) == ["cat/broken.png", "cat/empty.jpg", "cat/tiny.png", "dog/2.png", "dog/photo.heic"]
    assert "damaged" in reasons["cat/broken.png"]
    assert "at least 8 pixels" in reasons["cat/tiny.png"]
    assert "HEIC" in reasons["dog/photo.heic"]
    assert "cannot be read" in reasons["dog/2.png"]
    assert sum(len(step.images) for step in steps) == len(folder.used) == 5
    assert steps[-1].step == steps[-1].total == 10


def test_an_unreadable_zip_entry_keeps_its_own_sentence(tmp_path: Path) -> None:
    make_set(tmp_path / "set", {"cat": 3, "dog": 3})
    path = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path, "set"))
    listing = read_set(path)
    source = next(entry.source for entry in listing.entries if entry.name == "dog/1.png")
    assert isinstance(source, ZipSource)
    with path.open("r+b") as file:
        file.seek(source.offset + 100)  # within the picture
        file.write(b"xx")
    folder, _ = prepared(listing)
    assert [(photo.name, "inside the zip" in photo.aside) for photo in folder.aside] == [("dog/1.png", True)]


def test_a_file_that_is_there_twice_is_embedded_once(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 3, "dog": 3})
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    folder, steps = prepared(read_folder(root))
    hashes = [hash for step in steps for hash in step.hashes]
    assert len(hashes) == len(set(hashes)) == 6
    assert {photo.sha256 for photo in folder.photos} == set(hashes)


def test_the_same_pixels_in_another_file_format_are_a_copy(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "dog" / "zero.bmp").write_bytes(picture(1_000, "BMP"))
    folder, _ = prepared(read_folder(root))
    assert [(photo.name, photo.aside) for photo in folder.aside] == [
        ("dog/zero.bmp", "It is an identical copy of dog/0.png.")
    ]


def test_bursts_and_near_duplicates_are_groups_and_stay() -> None:
    image = Image.open(io.BytesIO(picture(1, size=(64, 64))))
    out = io.BytesIO()
    image.point(lambda value: value * 0.9).save(out, "PNG")
    listing = read_photos(
        {"cat": [picture(1, size=(64, 64)), out.getvalue(), picture(2)], "dog": [Shot(picture(n), "b") for n in (3, 4)]}
    )
    folder, _ = prepared(listing)
    a, b, c, d, e = folder.groups
    assert a == b and d == e and len({a, c, d}) == 3
    assert len(folder.used) == 5


def test_the_same_pictures_for_another_view(tmp_path: Path) -> None:
    folder, _ = prepared(read_folder(make_set(tmp_path / "set", {"cat": 20, "dog": 20})))
    known = {photo.sha256 for photo in folder.photos[:5]}
    steps = list(fitted(folder, InputSpec(size=24, resize=24), known=known))
    assert [id for step in steps for id in step.ids] == list(range(5, 40))
    assert {image.shape for step in steps for image in step.images} == {(24, 24, 3)}
    assert list(fitted(folder, SPEC, known={photo.sha256 for photo in folder.photos})) == []


def test_closing_early_lets_go(tmp_path: Path) -> None:
    listing = read_folder(make_set(tmp_path / "set", {"cat": 60, "dog": 60}))
    events = prepare(listing, SPEC, limits=LOCAL)
    assert isinstance(next(events), PrepareStep)
    events.close()
    assert prepared(listing)[0].labels.tolist() == [0] * 60 + [1] * 60  # the pool is fit for the next one


def test_events_can_be_pickled(tmp_path: Path) -> None:
    listing = read_folder(make_set(tmp_path / "set", {"cat": 2, "dog": 2}))
    events = list(prepare(pickle.loads(pickle.dumps(listing)), SPEC, limits=LOCAL))
    again = pickle.loads(pickle.dumps(events))
    assert isinstance(again[-1], PrepareDone)
    assert again[-1].folder.photos == events[-1].folder.photos  # type: ignore[union-attr]


def test_checks_come_first(tmp_path: Path) -> None:
    listing = read_folder(make_set(tmp_path / "set", {"cat": 3, "dog": 3}))
    with pytest.raises(BadFolder, match="6 photos and at most 5"):
        next(prepare(listing, SPEC, limits=LOCAL.__class__(photos=5)))
    with pytest.raises(BadSetting, match="fit"):
        next(prepare(listing, SPEC, fit="stretch"))  # type: ignore[arg-type]


def test_a_photo_kept_is_small(tmp_path: Path) -> None:
    """Ten thousand of them must be nothing beside a network: pixels are never kept."""
    root = tmp_path / "set"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for number in range(20):
            (root / label / f"{number}.jpg").write_bytes(picture(number + 100 * len(label), "JPEG", (900, 700)))
    folder, _ = prepared(read_folder(root))
    assert len(pickle.dumps(folder)) / 40 < 8_000
