from __future__ import annotations

import numpy as np
import pytest

from transferdemo.data.split import Split, folds, split
from transferdemo.errors import BadSetting


def check(parts: Split, labels: np.ndarray) -> None:
    """Every photo is on exactly one side, and every class trains."""
    together = np.concatenate([parts.train, parts.held_out, parts.test])
    assert sorted(together.tolist()) == list(range(len(labels)))
    assert set(labels[parts.train]) == set(labels)


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_every_class_is_held_out(seed: int) -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    parts = split(labels, np.arange(160), 0.2, seed)
    check(parts, labels)
    assert np.bincount(labels[parts.held_out]).tolist() == [20, 10, 2]
    assert not parts.leaky


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 40, 300)
    labels = groups % 3
    parts = split(labels, groups, 0.2, seed)
    check(parts, labels)
    assert not set(groups[parts.train]) & set(groups[parts.held_out])
    assert 0.1 < len(parts.held_out) / 300 < 0.3
    assert set(labels[parts.held_out]) == {0, 1, 2}


def test_the_seed_decides() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (split(labels, np.arange(100), 0.2, seed).held_out.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_given_split_is_taken_as_it_is() -> None:
    labels, groups = np.array([0, 1, 0, 1, 0, 1]), np.zeros(6)
    sides = ("train", "train", "val", "val", "test", "test")
    parts = split(labels, groups, given=sides)  # type: ignore[arg-type]
    assert [x.tolist() for x in (parts.train, parts.held_out, parts.test)] == [[0, 1], [2, 3], [4, 5]]
    parts = split(labels, groups, given=("train", "train", "test", "test", "test", "train"))
    assert [x.tolist() for x in (parts.train, parts.held_out, parts.test)] == [[0, 1, 5], [2, 3, 4], []]
    assert len(split(labels, np.arange(6), given=("",) * 6).held_out)


def test_a_class_of_one_group_or_one_photo_only_trains() -> None:
    labels = np.array([0] * 20 + [1] * 20 + [2] * 20 + [3])
    groups = np.array([*range(40), *[40] * 20, 41])
    for seed in range(5):
        parts = split(labels, groups, 0.2, seed)
        check(parts, labels)
        assert set(labels[parts.held_out]) == {0, 1}
        assert not parts.leaky


def test_one_burst_a_class_holds_out_the_last_frames_and_says_so() -> None:
    labels = np.repeat([0, 1], 10)
    parts = split(labels, labels, 0.2)
    check(parts, labels)
    assert parts.held_out.tolist() == [8, 9, 18, 19] and parts.leaky


@pytest.mark.parametrize("labels", [[], [0], [0, 1], [0, 0], [0, 0, 1], [0, 0, 1, 1]])
def test_tiny_sets(labels: list[int]) -> None:
    parts = split(labels, np.arange(len(labels)))
    check(parts, np.array(labels, dtype=int))


def test_a_group_that_spans_classes_stays_whole() -> None:
    labels = np.tile([0, 1], 30)
    groups = np.arange(60) // 2
    parts = split(labels, groups)
    assert not set(groups[parts.train]) & set(groups[parts.held_out])


def test_settings_are_checked() -> None:
    for share in (0.0, 0.6, float("nan"), True, "0.2"):
        with pytest.raises(BadSetting):
            split([0, 1], [0, 1], share)  # type: ignore[arg-type]
    with pytest.raises(BadSetting):
        split([0, 1], [0, 1], seed=-1)
    with pytest.raises(BadSetting):
        folds([0, 1], [0, 1], 1, 0, True)


@pytest.mark.parametrize("grouped", [True, False])
def test_folds_test_every_photo_once(grouped: bool) -> None:
    labels, groups = np.repeat([0, 1, 2], 20), np.arange(60) // 4
    pairs = folds(labels, groups, 5, 0, grouped)
    assert len(pairs) == 5
    assert sorted(np.concatenate([test for _, test in pairs]).tolist()) == list(range(60))
    torn = sum(bool(set(groups[train]) & set(groups[test])) for train, test in pairs)
    assert torn == (0 if grouped else 5)
    for train, test in pairs:
        assert sorted([*train, *test]) == list(range(60))


def test_random_folds_are_those_of_a_bare_loop() -> None:
    from sklearn.model_selection import StratifiedKFold

    labels = np.repeat([0, 1, 2], 20)
    bare = StratifiedKFold(5, shuffle=True, random_state=3).split(labels, labels)
    for (train, test), (bare_train, bare_test) in zip(folds(labels, labels, 5, 3, False), bare, strict=True):
        assert train.tolist() == bare_train.tolist() and test.tolist() == bare_test.tolist()


def test_fewer_folds_where_there_are_fewer_groups() -> None:
    assert len(folds([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], 5, 0, True)) == 3
    assert folds([0, 1], [0, 1], 5, 0, True) == []
    assert folds([], [], 5, 0, False) == []
