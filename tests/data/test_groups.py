from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from transferdemo.data.groups import NEAR, near_duplicates, phash

from .pictures import picture


def same(groups: np.ndarray) -> list[list[int]]:
    return sorted([np.flatnonzero(groups == group).tolist() for group in np.unique(groups)])


def flipped(value: int, bits: int) -> int:
    return value ^ ((1 << bits) - 1)


def test_four_bits_are_near_five_are_not() -> None:
    far = 0xF0F0F0F0F0F0F0F0
    hashes = np.array([0, flipped(0, NEAR), far, flipped(far, NEAR + 1)], dtype=np.uint64)
    assert same(near_duplicates(hashes, [""] * 4)) == [[0, 1], [2], [3]]


def test_a_chain_is_one_group() -> None:
    hashes = np.array([flipped(0, 4 * n) for n in (0, 2, 1, 3)], dtype=np.uint64)
    assert same(near_duplicates(hashes, [""] * 4)) == [[0, 1, 2, 3]]


def test_bursts_join_and_join_with_near_duplicates() -> None:
    hashes = np.array([0, 2**40 - 1, 1, 2**20 - 1, 2**64 - 1], dtype=np.uint64)
    assert same(near_duplicates(hashes, ["a", "a", "", "b", "b"])) == [[0, 1, 2], [3, 4]]


def test_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2**63, 150, dtype=np.uint64)
    noise = sum(np.uint64(1) << rng.integers(0, 64, (150, 10)).astype(np.uint64) for _ in range(2))
    hashes = rng.permutation((centres[:, None] ^ noise).ravel())
    groups = near_duplicates(hashes, [""] * len(hashes))
    expected = np.arange(len(hashes))
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= NEAR
    for _ in range(20):
        expected = np.where(near, expected[None], len(hashes)).min(axis=1)
    assert same(groups) == same(expected)
    assert 1 < len(same(groups)) < len(hashes)


@pytest.mark.parametrize("amount", [0, 1])
def test_few_photos(amount: int) -> None:
    assert near_duplicates(np.zeros(amount, dtype=np.uint64), [""] * amount).tolist() == [0] * amount


def test_thousands_of_photos_alike_are_one_group() -> None:
    rng = np.random.default_rng(1)
    one_bit = np.uint64(1) << rng.integers(0, 64, 3_000).astype(np.uint64)
    other_bit = np.uint64(1) << rng.integers(0, 64, 3_000).astype(np.uint64)
    assert len(same(near_duplicates(one_bit ^ other_bit, [""] * 3_000))) == 1


def test_a_photo_and_its_smaller_brighter_copy_are_near_others_are_not() -> None:
    def jpeg(seed: int, side: int, light: float) -> int:
        image = Image.open(io.BytesIO(picture(seed))).resize((side, side)).point(lambda value: value * light)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
        return phash(out.getvalue())

    near = np.array([jpeg(1, 128, 1), jpeg(1, 64, 0.9), jpeg(2, 128, 1), jpeg(3, 128, 1)], dtype=np.uint64)
    assert same(near_duplicates(near, [""] * 4)) == [[0, 1], [2], [3]]
