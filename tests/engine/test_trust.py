"""How far to trust a head: temperature and calibration error are right, folds are blind, false alarms are as promised."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from transferdemo import novelty
from transferdemo.engine import calibration
from transferdemo.engine.blind import BlindDescent
from transferdemo.engine.descent import fit
from transferdemo.engine.evaluate import cross_validate
from transferdemo.engine.features import Embedded
from transferdemo.engine.ready import read_set_features
from transferdemo.engine.recipe import TrainConfig
from transferdemo.engine.train import train
from transferdemo.engine.trust import TrustDone, learn_novelty, out_of_fold, trust, with_alarms
from transferdemo.errors import BadFolder
from transferdemo.head_file import encode_head, read_head

Clouds = Callable[..., Embedded]


def last(events: Any) -> Any:
    *_, done = events
    return done


def answers(count: int = 600, scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 4) that are honest at scale 1, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, 4))
    labels = np.array([random.choice(4, p=row) for row in softmax(logits, axis=1)])
    return scale * logits, labels


def test_the_temperature_undoes_a_scale_and_leaves_honest_logits_alone() -> None:
    for scale in (5.0, 0.2):
        logits, labels = answers(scale=scale)
        assert calibration.temperature(logits, labels) == pytest.approx(scale, rel=0.2)
    assert [calibration.temperature(*answers(seed=seed)) for seed in range(12)].count(1.0) >= 10


def test_the_temperature_is_scikit_learns() -> None:
    class Given(ClassifierMixin, BaseEstimator):
        """A classifier whose scores are its input."""

        def fit(self, x: np.ndarray, y: np.ndarray) -> Given:
            self.classes_ = np.unique(y)
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.argmax(1)

        def decision_function(self, x: np.ndarray) -> np.ndarray:
            return x

    logits, labels = answers(scale=3.0)
    theirs = CalibratedClassifierCV(FrozenEstimator(Given().fit(logits, labels)), method="temperature")
    theirs.fit(logits, labels)
    ours = softmax(logits / calibration.temperature(logits, labels), axis=1)
    assert np.allclose(theirs.predict_proba(logits), ours, atol=1e-3)


def test_the_calibration_error_is_the_mean_gap_of_equal_bins() -> None:
    place = np.arange(300)
    sure = np.where(place < 150, 0.6, 0.9)
    right = np.where(place < 150, place % 5 < 2, place % 2 < 1).astype(float)  # 40 % of the first, 50 % of the second
    assert calibration.equal_mass_error(sure, right) == pytest.approx((0.2 + 0.4) / 2, abs=0.01)
    logits, labels = answers(2000, scale=4.0)
    found = calibration.calibrate(logits, labels)
    assert found.after.value < 0.5 * found.before.value and found.loss_after < found.loss_before
    low, high = found.before.interval
    assert 0 <= low <= found.before.value <= high <= 1 and high - low < 0.1
    assert found.after.interval[1] < low


def test_a_blind_head_is_the_head_of_a_fold(clouds: Clouds) -> None:
    embedded = clouds(classes=3, each=30, apart=1.5)
    features, labels = torch.from_numpy(embedded.features), torch.from_numpy(embedded.folder.labels)
    fold = torch.from_numpy(out_of_fold(labels.numpy(), np.arange(90), 0))
    assert sorted(torch.bincount(fold).tolist()) == [18] * 5
    config = TrainConfig(epochs=8, standardise=False, batch_size=90)  # whole batches: then the order says nothing
    descent = BlindDescent(_Photos(features, labels, fold), 3, config)
    for _ in range(config.epochs):
        for _ in descent.epoch():
            pass
    for number in range(5):
        inside = fold == number
        alone = fit(features[~inside], labels[~inside], 3, config).logits(features[inside])
        assert torch.allclose(descent.logits[fold[descent.judged] == number], alone, atol=1e-3)


@dataclasses.dataclass
class _Photos:
    features: torch.Tensor
    labels: torch.Tensor
    fold: torch.Tensor


def test_no_head_has_seen_what_it_judges(clouds: Clouds) -> None:
    """Labels without sense cannot be known out of fold, and the temperature says so: the surer, the more it takes away."""
    embedded = clouds(classes=2, each=60, width=64, apart=0.0)
    config = TrainConfig(epochs=100, weight_decay=0, decay="none")
    done = last(trust(embedded, last(train(embedded, config)).head, config))
    found = done.trust.calibration
    assert found.temperature > 3 and found.after.value < 0.5 * found.before.value


def test_near_duplicates_stay_in_one_fold_and_bursts_are_cut() -> None:
    labels, groups = np.arange(60) % 3, np.arange(60) // 6
    fold = out_of_fold(labels, groups, 0)
    assert all(len(set(fold[groups == group])) == 1 for group in range(10)) and (fold >= 0).all()
    alone = out_of_fold(np.array([0] * 20 + [1] * 20), np.array([0] * 20 + [*range(1, 21)]), 0)
    assert (alone[:20] == -1).all() and (alone[20:] >= 0).all()  # no head could know the first class
    cut = out_of_fold(np.repeat([0, 1], 20), np.repeat([0, 1], 20), 0, alike=True)
    assert cut.tolist() == [*np.repeat(range(5), 4)] * 2


def test_false_alarms_are_as_promised_and_strangers_are_caught(clouds: Clouds) -> None:
    shares, caught = [], []
    for seed in range(5):
        embedded = clouds(classes=4, each=60, width=32, apart=8.0, seed=seed)
        config = TrainConfig(epochs=3, seed=seed)
        done = last(trust(embedded, last(train(embedded, config)).head, config))
        assert isinstance(done, TrustDone) and done.trust.alarms is not None
        shares.append(done.trust.alarms.share)
        own = done.trust.head.novelty
        others = torch.from_numpy(clouds(classes=4, each=30, width=32, apart=8.0, seed=100 + seed).features)
        caught.append(float((novelty.score(own, others) > own.threshold).float().mean()))
        assert own.false_alarm == 0.05 and read_head(encode_head(done.trust.head)).novelty.threshold == own.threshold
    assert 0.005 < np.mean(shares) < 0.1 and np.mean(caught) > 0.9


def test_few_photos_promise_no_more_than_they_can(clouds: Clouds) -> None:
    photos = _Photos(torch.randn(8, 16), torch.arange(8) % 2, torch.arange(8) % 4)
    own = learn_novelty(photos, 10_000)
    assert own is not None and own.false_alarm == pytest.approx(1 / 9)
    assert learn_novelty(photos, 10) is None
    assert learn_novelty(dataclasses.replace(photos, features=torch.full((8, 16), float("nan"))), 10_000) is None
    assert learn_novelty(dataclasses.replace(photos, fold=torch.full((8,), -1)), 10_000) is None
    with pytest.raises(BadFolder):
        trust(clouds(classes=1), None, TrainConfig())  # type: ignore[arg-type]


def test_folds_that_are_there_already_are_not_trained_again(clouds: Clouds) -> None:
    embedded, config = clouds(apart=1.0), TrainConfig(epochs=5)
    head, known = last(train(embedded, config)).head, last(cross_validate(embedded, config))
    events = list(trust(embedded, head, config, on_all=True, known=known))
    assert len(events) == 1 and events[0].trust.alarms is None
    assert events[0].trust.calibration.photos == 60
    assert with_alarms(events[0].trust.head, clouds(apart=1.0)).facts["strange"]["of_test"]["photos"] == 60


def test_breeds_that_it_does_not_know_are_stranger() -> None:
    """30 of the 37 breeds are learned; of photos held out of these and photos of the other seven, which are stranger?"""
    embedded = read_set_features("pets37")
    features, labels = torch.from_numpy(embedded.features), torch.from_numpy(embedded.folder.labels)
    areas = []
    for draw in range(5):
        known = torch.randperm(37, generator=torch.Generator().manual_seed(draw))[7:]
        inside = torch.isin(labels, known)
        held_out = inside & (torch.arange(len(labels)) % 5 == draw)
        own = novelty.learn(features[inside & ~held_out], labels[inside & ~held_out])
        judged = held_out | ~inside
        areas.append(roc_auc_score(~inside[judged], novelty.score(own, features[judged])))
    assert np.mean(areas) > 0.85
