"""Which photos train and which judge. Near duplicates and frames of one burst (groups) stay on one side."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..types import check_number
from .records import SplitName

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of photos: `train` learns, `held_out` judges each epoch, `test` (may be empty) judges once at the end."""

    train: Indices
    held_out: Indices
    test: Indices
    leaky: bool = False  # one group is on both sides, for want of more groups: the accuracy flatters


def split(
    labels: ArrayLike, groups: ArrayLike, share: float = 0.2, seed: int = 0, given: Sequence[SplitName] = ()
) -> Split:
    """Return the split of N photos, stratified by `labels` (N,) with whole `groups` (N,) on one side.

    `given` is the split that the folder came with, if it did: then it is taken as it is, `val` as held-out and `test` as
    test; without `val`, `test` is held out. Else about `share` is held out; a class of one group only trains. Where
    fewer than two classes could be judged (one camera burst each), the last photos of each class are held out and the
    split is `leaky`. Raise BadSetting for a share outside 0.05 to 0.5.
    """
    check_number("share", share, 0.05, 0.5)
    check_number("seed", seed, 0, 2**32 - 1, whole=True)
    classes, units = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64)
    if given and set(given) & {"val", "test"} and "train" in given:
        return _as_given(np.asarray(given))
    held_out = _held_out(classes.tobytes(), units.tobytes(), share, seed).copy()
    leaky = len(np.unique(classes[held_out])) < min(2, len(np.unique(classes)))
    if leaky:
        held_out = _last_of_each(classes, share)
    return Split(np.setdiff1d(np.arange(len(classes)), held_out), held_out, np.zeros(0, dtype=np.int64), leaky)


def folds(labels: ArrayLike, groups: ArrayLike, k: int, seed: int, grouped: bool) -> list[tuple[Indices, Indices]]:
    """Return k pairs (train, test) of indices, stratified; `grouped` keeps groups whole, else each photo is on its own.

    There are fewer pairs when no class has k photos (or the set k groups), none when not even 2.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    check_number("k", k, 2, 100, whole=True)
    classes, units = np.asarray(labels, dtype=np.int64), np.asarray(groups, dtype=np.int64)
    most = int(np.bincount(classes).max(initial=0))
    k = min(k, most, len(np.unique(units)) if grouped else most)
    if k < 2:
        return []
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    with warnings.catch_warnings():  # scikit-learn warns of classes with fewer than k photos; the report says it
        warnings.simplefilter("ignore", UserWarning)
        pairs = kind(k, shuffle=True, random_state=seed).split(np.zeros(len(classes)), classes, units)
        return [(train.astype(np.int64), test.astype(np.int64)) for train, test in pairs]


def _as_given(given: NDArray[np.str_]) -> Split:
    """A photo without a split trains."""
    held_out, test = (np.flatnonzero(given == side) for side in ("val", "test"))
    train = np.setdiff1d(np.arange(len(given)), np.concatenate([held_out, test]))
    return Split(train, held_out, test) if len(held_out) else Split(train, test, held_out)


@functools.lru_cache(maxsize=8)
def _held_out(labels: bytes, units: bytes, share: float, seed: int) -> Indices:
    """One fold of about `share`, without the classes that it would take whole; kept, for a run asks for it three times."""
    classes, groups = np.frombuffer(labels, dtype=np.int64), np.frombuffer(units, dtype=np.int64)
    pairs = folds(classes, groups, round(1 / share), seed, grouped=True)
    if not pairs:
        return np.zeros(0, dtype=np.int64)
    train, held_out = min(
        pairs, key=lambda pair: (len(set(classes) - set(classes[pair[0]])), _missing(classes, pair[1]))
    )
    lost = np.setdiff1d(classes[held_out], classes[train])
    kept = np.isin(groups[held_out], groups[held_out][np.isin(classes[held_out], lost)])
    return held_out[~kept]


def _last_of_each(classes: Indices, share: float) -> Indices:
    """The last photos of each class, at least one where it has two: far from the first frames of a burst."""
    members = [np.flatnonzero(classes == label) for label in np.unique(classes)]
    tails = [own[len(own) - max(1, round(share * len(own))) :] for own in members if len(own) > 1]
    return np.sort(np.concatenate(tails)) if tails else np.zeros(0, dtype=np.int64)


def _missing(classes: Indices, held_out: Indices) -> int:
    return len(set(classes.tolist()) - set(classes[held_out].tolist()))
