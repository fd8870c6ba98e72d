from __future__ import annotations

import random

import pytest

from transferdemo.data.names import class_in_name, clean_name, name_key, natural_key, split_of, stray, unique_names


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("  great   pyrenees \n", "great pyrenees"),
        ("a\u202egpj.exe", "agpj.exe"),  # right-to-left override
        ("\u200bcat\u200d\ufeff", "cat"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("../x", "../x"),
        ("\U0001f431 mugs", "\U0001f431 mugs"),
        ("\x00\u202e", "unnamed"),
        ("\u05db\u05dc\u05d1", "\u05db\u05dc\u05d1"),
    ],
)
def test_a_name_is_cleaned_but_stays_text(given: str, shown: str) -> None:
    assert clean_name(given) == shown


def test_a_long_name_is_cut_and_stays_apart_from_its_like() -> None:
    first, second = unique_names(["x" * 200, "x" * 199 + "y"])
    assert len(first) == 64 and len(second) <= 64
    assert first != second


def test_case_and_accents_make_no_second_class() -> None:
    assert name_key("Caf\u00e9") == name_key("cafe\u0301") == name_key("CAF\u00c9")
    assert name_key("cafe") != name_key("caf\u00e9")


def test_natural_order_does_not_depend_on_the_order_given() -> None:
    names = ["cat.1.jpg", "cat.2.jpg", "cat.10.jpg", "cat.100.jpg", "Dog 1", "dog 2", "10", "9" * 5000]
    expected = sorted(names, key=natural_key)
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == expected
    assert expected.index("cat.2.jpg") < expected.index("cat.10.jpg") < expected.index("cat.100.jpg")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Training", "training_set", "TRAIN-images", "trainval")),
        *((name, "val") for name in ("val", "valid", "validation", "Validation_data", "dev")),
        *((name, "test") for name in ("test", "Testing", "test_set", "test1")),
        *((name, "") for name in ("trains", "tester", "valley", "cat", "contest", "", "attest")),
    ],
)
def test_split_folders_are_known_by_name(name: str, split: str) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("Abyssinian_12.jpg", "Abyssinian"),
        ("great_pyrenees_3.jpg", "great_pyrenees"),
        ("cat.4002.jpg", "cat"),
        ("my mug (7).png", "my mug"),
        ("t-shirt-08.webp", "t-shirt"),
        ("0284_Siamese_cat.jpg", ""),
        ("12.jpg", ""),
        ("_12.jpg", ""),
        ("d794c5f1-e227-4007-ba34-8192faba5a05.jpg", ""),
    ],
)
def test_the_class_is_the_text_before_the_last_number(file: str, label: str) -> None:
    assert class_in_name(file) == label


@pytest.mark.parametrize(
    "path", ["a/.DS_Store", "__MACOSX/a/1.jpg", "a/._1.jpg", "a/Thumbs.db", "a/1.mat", "a/b.zip", ".git/1.png"]
)
def test_strays_are_passed_over(path: str) -> None:
    assert stray(tuple(path.split("/")))


@pytest.mark.parametrize("path", ["a/1.JPG", "a/b/c/2.jpeg", "x.webp", "a/photo.HEIC"])
def test_pictures_are_not(path: str) -> None:
    assert not stray(tuple(path.split("/")))
