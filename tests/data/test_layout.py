from __future__ import annotations

import random
from collections import Counter

import pytest

from transferdemo.data.layout import NO_CLASS, NO_NAME, Found, arrange
from transferdemo.data.records import STRANGER, BytesSource, Limits, Listing
from transferdemo.errors import BadFolder


def arranged(paths: str | list[str], limits: Limits = STRANGER) -> Listing:
    names = paths.split() if isinstance(paths, str) else paths
    found = [Found(tuple(name.split("/")), BytesSource(name.encode())) for name in names]
    return arrange(found, Counter(), limits)


def rows(listing: Listing) -> list[tuple[str, str, str]]:
    return [(entry.label, entry.name, entry.split) for entry in listing.entries]


def test_one_folder_is_one_class() -> None:
    listing = arranged("cat/1.jpg cat/10.jpg cat/2.jpg dog/1.jpg")
    assert rows(listing) == [
        ("cat", "cat/1.jpg", ""),
        ("cat", "cat/2.jpg", ""),
        ("cat", "cat/10.jpg", ""),
        ("dog", "dog/1.jpg", ""),
    ]
    assert listing.classes == ("cat", "dog") and not listing.inferred


def test_the_order_of_the_files_does_not_matter() -> None:
    paths = [f"{label}/{n}.jpg" for label in ("b", "a", "C10", "c2") for n in range(12)]
    expected = rows(arranged(paths))
    assert rows(arranged(random.Random(1).sample(paths, len(paths)))) == expected


@pytest.mark.parametrize("wrapper", ["data/", "a/b/c/", "PetImages/", "train/", "test/"])
def test_wrapping_folders_are_looked_through(wrapper: str) -> None:
    listing = arranged([f"{wrapper}{label}/{n}.jpg" for label in ("Cat", "Dog") for n in range(3)])
    assert listing.classes == ("Cat", "Dog")
    assert {entry.split for entry in listing.entries} == {""}  # one side alone is no split
    assert listing.entries[0].name == "Cat/0.jpg"


def test_loose_pictures_beside_a_wrapper_are_counted() -> None:
    listing = arranged("set/preview.png set/data/cat/1.jpg set/data/dog/1.jpg top.jpg")
    assert listing.classes == ("cat", "dog")
    assert listing.skipped == {NO_CLASS: 2}


@pytest.mark.parametrize(
    "paths",
    [
        "train/cat/1.jpg train/dog/1.jpg validation/cat/2.jpg validation/dog/2.jpg test/cat/3.jpg test/dog/3.jpg",
        "x/training_set/training_set/cat/1.jpg x/training_set/training_set/dog/1.jpg x/test_set/test_set/cat/3.jpg "
        "x/test_set/test_set/dog/3.jpg x/valid/cat/2.jpg x/valid/dog/2.jpg",
        "cat/train/1.jpg cat/val/2.jpg cat/test/3.jpg dog/train/1.jpg dog/val/2.jpg dog/test/3.jpg",
    ],
)
def test_split_folders_are_the_split(paths: str) -> None:
    listing = arranged(paths)
    assert listing.classes == ("cat", "dog")
    assert [(entry.split, entry.name[-5]) for entry in listing.entries] == 2 * [
        ("train", "1"),
        ("val", "2"),
        ("test", "3"),
    ]


def test_what_lies_deeper_in_a_class_belongs_to_it() -> None:
    listing = arranged("pets/cats/persian/1.jpg pets/cats/siamese/a/2.jpg pets/dogs/3.jpg pets/dogs/pug/train/4.jpg")
    assert [(label, split) for label, _, split in rows(listing)] == [("cats", "")] * 2 + [("dogs", "")] * 2


def test_names_of_a_flat_folder_carry_the_class_and_ask_for_confirmation() -> None:
    paths = [f"images/{name}_{n}.jpg" for name in ("Abyssinian", "great_pyrenees") for n in (1, 12, 2)]
    listing = arranged([*paths, "images/readme.png"])
    assert listing.inferred
    assert listing.classes == ("Abyssinian", "great_pyrenees")
    assert [entry.name for entry in listing.entries][:3] == [
        "Abyssinian_1.jpg",
        "Abyssinian_2.jpg",
        "Abyssinian_12.jpg",
    ]
    assert listing.skipped == {NO_NAME: 1}


def test_the_form_of_oxford_pets_on_disk() -> None:
    images = [f"oxford/images/{name}_{n}.jpg" for name in ("Abyssinian", "beagle") for n in range(3)]
    trimaps = [path.replace("images", "annotations/trimaps").replace("jpg", "png") for path in images]
    listing = arranged(images + trimaps)
    assert listing.classes == ("Abyssinian", "beagle") and len(listing.entries) == 6
    assert listing.skipped == {"annotation": 6}


def test_flat_names_within_train_and_test() -> None:
    paths = [f"train/{label}.{n}.jpg" for label in ("cat", "dog") for n in range(4)]
    listing = arranged([*paths, "test1/1.jpg", "test1/2.jpg"])
    assert listing.classes == ("cat", "dog") and len(listing.entries) == 8
    assert listing.skipped == {NO_NAME: 2}


def test_camera_numbers_are_no_classes() -> None:
    assert arranged([f"mugs/IMG_{n}.jpg" for n in range(9)]).classes == ("mugs",)
    with pytest.raises(BadFolder, match="sub-folder for each class"):
        arranged([f"IMG_{n}.jpg" for n in range(9)])


def test_spellings_of_one_name_are_one_class_and_that_is_said() -> None:
    listing = arranged("Cat/1.jpg Cat/2.jpg cat/1.jpg dog/1.jpg Cafe\u0301/1.jpg caf\u00e9/2.jpg")
    assert [entry.label for entry in listing.entries].count("Cat") == 3
    assert len(listing.classes) == 3 and len(listing.notes) == 2
    assert "Cat and cat were taken as one class" in " ".join(listing.notes)


def test_hostile_names_stay_text() -> None:
    listing = arranged(["<img onerror=alert(1)>/1.jpg", "a\u202eb/1.jpg", "\u200b/1.jpg", "x" * 200 + "/1.jpg"])
    assert set(listing.classes) == {"<img onerror=alert(1)>", "ab", "unnamed", "x" * 64}
    assert all("\u202e" not in entry.name for entry in listing.entries)


def test_what_the_browser_left_out_is_counted_too() -> None:
    listing = arranged("cat/1.jpg dog/1.jpg dog/2.jpg x.png").with_skipped({NO_CLASS: 2, "not a picture": 3})
    assert listing.skipped == {NO_CLASS: 3, "not a picture": 3}
    assert len(listing.entries) == 3


def test_no_pictures_too_many_classes_too_many_photos() -> None:
    with pytest.raises(BadFolder, match="no pictures"):
        arranged([])
    with pytest.raises(BadFolder, match="51 classes and at most 50"):
        arranged([f"{n}/1.jpg" for n in range(51)])
    with pytest.raises(BadFolder, match=r"2,001 photos and at most 2,000.*--local"):
        arranged([f"{n % 2}/{n}.jpg" for n in range(2001)])
