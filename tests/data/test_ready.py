from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferdemo.data import ready
from transferdemo.data.ready import data_folder, digits, download_pets, oxford_pets
from transferdemo.data.records import STRANGER, Limits
from transferdemo.decode import decode
from transferdemo.errors import BadFolder, BadSetting
from transferdemo.hub import DownloadDone, DownloadStep

from .pictures import picture

BREEDS = ("Abyssinian", "american_bulldog", "Bengal")  # in the file: cats begin with a capital


def pets_on_disk(root: Path, trainval: int = 4, test: int = 3) -> Path:
    """A small set in the form of Oxford-IIIT Pet, its .mat strays and false endings included."""
    images, annotations = root / "oxford-iiit-pet" / "images", root / "oxford-iiit-pet" / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir()
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    for label, breed in enumerate(BREEDS, start=1):
        species = 1 if breed[0].isupper() else 2
        for number in range(trainval + test):
            name = f"{breed}_{number + 1}"
            (images / f"{name}.jpg").write_bytes(picture(100 * label + number, "PNG" if number == 1 else "JPEG"))
            lists["trainval" if number < trainval else "test"].append(f"{name} {label} {species} {label}")
    (images / f"{BREEDS[0]}_100.mat").write_bytes(b"MATLAB")
    for name, lines in lists.items():
        (annotations / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_breeds_with_the_official_split(tmp_path: Path) -> None:
    listing = oxford_pets(pets_on_disk(tmp_path))
    assert listing.classes == ("Abyssinian", "American Bulldog", "Bengal")
    assert [entry.split for entry in listing.entries[:7]] == ["train"] * 4 + ["test"] * 3
    assert all(decode(entry.source.read()).shape == (32, 40, 3) for entry in listing.entries)
    assert len(listing.entries) == 21 and not listing.notes


def test_cats_and_dogs_of_the_same_set(tmp_path: Path) -> None:
    listing = oxford_pets(pets_on_disk(tmp_path), "binary-category")
    assert listing.classes == ("Cat", "Dog")
    assert {entry.name.split("_")[0] for entry in listing.entries if entry.label == "Cat"} == {"Abyssinian", "Bengal"}
    with pytest.raises(BadSetting):
        oxford_pets(tmp_path, "segmentation")  # type: ignore[arg-type]


def test_a_stated_part_keeps_every_class_and_both_sides(tmp_path: Path) -> None:
    root = pets_on_disk(tmp_path, trainval=20, test=20)
    listing = oxford_pets(root, limits=Limits(photos=60))
    assert listing.notes == ("60 of its 120 photos, drawn evenly from every class.",)
    counts = {(label, side): sum((e.label, e.split) == (label, side) for e in listing.entries)
              for label in listing.classes for side in ("train", "test")}  # fmt: skip
    assert set(counts.values()) == {10}
    assert listing == oxford_pets(root, limits=Limits(photos=60)) != oxford_pets(root, limits=Limits(photos=60), seed=1)


def test_a_set_that_is_not_here_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match="download them first"):
        oxford_pets(tmp_path)
    root = pets_on_disk(tmp_path)
    (root / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("what is this\n")
    with pytest.raises(BadFolder, match="damaged"):
        oxford_pets(root)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served on the loopback address, from which torchvision's table takes both archives."""
    from torchvision.datasets import OxfordIIITPet

    folder, source = tmp_path / "served", pets_on_disk(tmp_path / "source")
    folder.mkdir()
    sums = []
    for name in ("images", "annotations"):
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(source / "oxford-iiit-pet" / name, name)
        sums.append(hashlib.md5((folder / f"{name}.tar.gz").read_bytes(), usedforsecurity=False).hexdigest())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        names = ("images.tar.gz", "annotations.tar.gz")
        monkeypatch.setattr(
            OxfordIIITPet, "_RESOURCES", [(f"{base}/{n}", md5) for n, md5 in zip(names, sums, strict=True)]
        )
        yield folder
        server.shutdown()


def test_the_download_ends_with_the_set(tmp_path: Path, mirror: Path) -> None:
    root = tmp_path / "new" / "data"
    *steps, done = download_pets(root)
    assert all(isinstance(step, DownloadStep) for step in steps) and len(steps) > 3
    assert isinstance(done, DownloadDone) and done.path == root / "oxford-iiit-pet"
    assert len(oxford_pets(root).entries) == 21
    assert [path.name for path in root.iterdir()] == ["oxford-iiit-pet"]
    assert [type(event) for event in download_pets(root)] == [DownloadDone]  # it is there


def test_a_stopped_download_leaves_nothing(tmp_path: Path, mirror: Path) -> None:
    with closing(download_pets(tmp_path / "data")) as events:
        next(events)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("fault", ["gone", "wrong", "cut", "no tar"])
def test_a_bad_download_says_so_leaves_nothing_and_can_be_tried_again(tmp_path: Path, mirror: Path, fault: str) -> None:
    archive = mirror / "images.tar.gz"
    good = archive.read_bytes()
    archive.unlink()
    if fault != "gone":
        archive.write_bytes({"wrong": b"x" + good, "cut": good[:-9], "no tar": b"<html>"}[fault])
    with pytest.raises(BadFolder, match="download"):
        list(download_pets(tmp_path / "data"))
    assert list((tmp_path / "data").iterdir()) == []
    archive.write_bytes(good)
    list(download_pets(tmp_path / "data"))
    assert len(oxford_pets(tmp_path / "data").entries) == 21


def test_no_internet_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import OxfordIIITPet

    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", [("http://127.0.0.1:9/images.tar.gz", "0" * 32)])
    with pytest.raises(BadFolder, match="check the internet connection"):
        list(download_pets(tmp_path))


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("../../evil.txt")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(tarfile.TarError):
        list(ready._unpack(archive, tmp_path / "deep" / "set"))
    assert not (tmp_path / "evil.txt").exists()


def test_digits_are_pictures_of_their_numbers() -> None:
    listing = digits(STRANGER)
    assert listing.classes == tuple("0123456789") and len(listing.entries) == 1797
    for entry in listing.entries[::300]:
        image = Image.open(io.BytesIO(entry.source.read()))
        assert image.size == (128, 128)
    zero = np.asarray(Image.open(io.BytesIO(listing.entries[0].source.read())).convert("L"))
    assert zero[64, 64] < 60 < zero[20:108, 64].max()  # a ring: dark in the middle


def test_where_the_sets_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERDEMO_DATA", "/srv/sets")
    assert data_folder() == Path("/srv/sets")
    monkeypatch.delenv("TRANSFERDEMO_DATA")
    assert data_folder().name == "transferdemo"
