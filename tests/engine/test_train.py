"""Training: it learns, is repeatable beside others, keeps the best; each choice does what it says, bad sets get a sentence."""

from __future__ import annotations

import dataclasses
import io
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from transferdemo.data import prepare as prepare_module
from transferdemo.data.folder import read_folder, read_photos
from transferdemo.engine import features as features_module
from transferdemo.engine import tricks
from transferdemo.engine.descent import Descent, fit
from transferdemo.engine.features import CollectDone, CollectStep, Embedded, FeatureCache, collect, embed_photo
from transferdemo.engine.recipe import settings
from transferdemo.engine.train import TrainConfig, TrainDone, TrainStep, train
from transferdemo.errors import BadFolder, BadSetting
from transferdemo.head_file import encode_head, read_head
from transferdemo.heads import Classifier
from transferdemo.images import encode_png
from transferdemo.types import Head

Clouds = Callable[..., Embedded]


def drained(embedded: Embedded, **settings: Any) -> tuple[list[TrainStep], TrainDone]:
    *steps, done = train(embedded, TrainConfig(**settings))
    assert isinstance(done, TrainDone) and all(isinstance(step, TrainStep) for step in steps)
    return list({step.step: step for step in steps}.values()), done  # type: ignore[union-attr, return-value]


def same(a: Head, b: Head) -> bool:
    return torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias)


def test_it_learns_step_by_step(clouds: Clouds) -> None:
    steps, done = drained(clouds(), epochs=10)
    assert [step.step for step in steps] == list(range(11)) and {step.total for step in steps} == {10}
    assert steps[0].train_loss == pytest.approx(np.log(3), abs=1e-5)
    assert steps[-1].train_loss < 0.2 * steps[0].train_loss
    assert steps[-1].held_out_accuracy > 0.9
    assert same(done.head, steps[-1].head) and done.head.facts["settings"]["epochs"] == 10


def test_the_head_works_on_features_as_they_are(clouds: Clouds) -> None:
    embedded = clouds()
    moved = dataclasses.replace(embedded, vectors={k: 100 + 7 * v for k, v in embedded.vectors.items()})
    steps, done = drained(moved)
    logits = torch.from_numpy(moved.features[done.split.held_out]) @ done.head.weight.T + done.head.bias
    right = (logits.argmax(1).numpy() == moved.folder.labels[done.split.held_out]).mean()
    assert right == pytest.approx(steps[-1].held_out_accuracy) and right > 0.9
    again = read_head(encode_head(done.head))
    assert same(again, done.head) and again.facts == done.head.facts


def test_same_seed_same_head_bit_for_bit_also_while_others_train(clouds: Clouds) -> None:
    embedded, stop = clouds(), threading.Event()

    def others() -> None:
        while not stop.is_set():
            torch.manual_seed(1)
            fit(torch.randn(50, 8), torch.arange(50) % 2, 2, TrainConfig(epochs=1))

    alone = drained(embedded, seed=3)[1].head
    state = torch.random.get_rng_state()
    threads = [threading.Thread(target=others) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        beside = [drained(embedded, seed=3)[1].head for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    torch.random.set_rng_state(state)
    assert all(same(alone, head) for head in beside)
    assert not same(alone, drained(embedded, seed=4)[1].head)


def test_stop_keeps_the_head_and_leaves_gradients_on(clouds: Clouds) -> None:
    events = train(clouds(), TrainConfig(epochs=500))
    event = next(events)
    while event.step < 3:
        event = next(events)
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    events.close()
    assert isinstance(event, TrainStep) and event.head.weight.abs().sum() > 0
    assert not event.head.weight.requires_grad


def test_the_bars_of_a_photo_move(clouds: Clouds) -> None:
    embedded = clouds()
    events = list(train(embedded, TrainConfig(epochs=3), photo=embedded.features[0]))
    bars = [event.standing for event in events if isinstance(event, TrainStep)]
    assert all(sum(bar) == pytest.approx(1, abs=1e-5) for bar in bars if bar)
    assert bars[0] == pytest.approx((1 / 3,) * 3, abs=1e-5) and bars[-1] and bars[-1][0] > 0.8


def test_events_and_config_can_be_pickled(clouds: Clouds) -> None:
    for event in train(clouds(), TrainConfig(epochs=1)):
        assert pickle.loads(pickle.dumps(event)).step == event.step
    config = TrainConfig(epochs=7, optimizer="adam")
    assert pickle.loads(pickle.dumps(config)) == config
    assert TrainConfig.from_settings({**settings(config), "unknown": 1}).rate == config.rate


@pytest.mark.parametrize("rate", [1e3, 30.0])
def test_a_loss_that_runs_away_ends_with_the_best_head_and_a_sentence(clouds: Clouds, rate: float) -> None:
    embedded = clouds(apart=0.5)
    steps, done = drained(embedded, epochs=50, learning_rate=rate)
    assert done.step < 50 and "learning rate" in done.note
    assert done.head.weight.isfinite().all()
    best = min(steps, key=lambda step: step.train_loss if np.isfinite(step.train_loss) else np.inf)
    assert same(done.head, best.head)


def test_features_that_are_not_numbers_end_it_with_a_finite_head(clouds: Clouds) -> None:
    embedded = clouds()
    embedded.vectors["sha 0"][0] = np.nan  # type: ignore[index]
    done = drained(embedded, epochs=5, standardise=False, seed=1)[1]
    assert done.note and done.head.weight.isfinite().all()


def test_early_stopping_keeps_the_head_with_the_lowest_held_out_loss(clouds: Clouds) -> None:
    embedded = clouds(classes=2, each=12, width=64, apart=1.0)
    steps, done = drained(embedded, epochs=300, weight_decay=0, patience=5, decay="none")
    best = min(steps, key=lambda step: step.held_out_loss)
    assert done.step < 300 and "held-out loss" in done.note
    assert same(done.head, best.head) and best.step == done.step - 5
    assert not drained(embedded, epochs=30, weight_decay=0, decay="none")[1].note


@pytest.mark.parametrize("name", tricks.OPTIMIZER_NAMES)
def test_every_optimiser_learns_at_its_own_rate(clouds: Clouds, name: Any) -> None:
    steps, _ = drained(clouds(), optimizer=name, epochs=20)
    assert steps[-1].train_loss < 0.3 and steps[-1].held_out_accuracy > 0.9


def test_decays_fall_as_they_say() -> None:
    for name, decay in tricks.DECAYS.items():
        shares = [decay(done) for done in np.linspace(0, 1, 11)]
        assert shares[0] == 1 and all(0 <= share <= 1 for share in shares)
        assert (shares[-1] == 1) if name == "none" else (shares[-1] <= 0.011 and shares == sorted(shares, reverse=True))


def test_first_weights_are_drawn_as_they_say() -> None:
    width, classes = 400, 50
    made = {
        name: init(torch.empty(classes, width), torch.Generator().manual_seed(0)) for name, init in tricks.INITS.items()
    }
    deviations = {
        "zeros": 0,
        "normal": 1,
        "lecun": width**-0.5,
        "uniform": (3 * width) ** -0.5,
        "xavier": (2 / 450) ** 0.5,
    }
    assert made.keys() == deviations.keys()
    for name, weight in made.items():
        assert float(weight.std()) == pytest.approx(deviations[name], rel=0.02)
    again = tricks.INITS["normal"](torch.empty(classes, width), torch.Generator().manual_seed(0))
    assert torch.equal(again, made["normal"])


def test_weight_decay_shrinks_the_weights_and_smoothing_the_confidence(clouds: Clouds) -> None:
    norms = [float(drained(clouds(), weight_decay=decay)[1].head.weight.norm()) for decay in (0.0, 1.0)]
    assert norms[1] < 0.7 * norms[0]
    losses = [drained(clouds(), label_smoothing=share)[0][-1].train_loss for share in (0.0, 0.3)]
    assert losses[1] > 2 * losses[0]


def test_class_weights_give_a_small_class_its_say(embedded_of: Callable[..., Embedded]) -> None:
    random = np.random.default_rng(0)
    features = np.concatenate([random.normal(0, 1, (200, 2)), random.normal(1, 1, (10, 2))])
    labels = torch.tensor([0] * 200 + [1] * 10)
    found = [
        (fit(torch.from_numpy(features).float(), labels, 2, TrainConfig(class_weights=on)).logits(
            torch.from_numpy(features[200:]).float()).argmax(1) == 1).sum() for on in (False, True)
    ]  # fmt: skip
    assert found[1] > found[0] + 3


def test_standardising_is_a_choice(clouds: Clouds) -> None:
    embedded = clouds()
    scaled = dataclasses.replace(embedded, vectors={k: v * np.float32(1e-3) for k, v in embedded.vectors.items()})
    losses = [drained(scaled, standardise=on)[0][-1].train_loss for on in (True, False)]
    assert losses[0] < 0.2 and losses[1] > 1.0


def test_two_photos_a_class_are_enough(embedded_of: Callable[..., Embedded]) -> None:
    embedded = embedded_of(np.eye(4), ["mug", "mug", "pen", "pen"])
    steps, done = drained(embedded)
    assert len(done.split.held_out) >= 1 and steps[-1].train_loss < 0.1


def test_a_split_that_the_folder_has_is_kept(clouds: Clouds) -> None:
    embedded = clouds(each=10)
    photos = tuple(
        dataclasses.replace(photo, split="test" if photo.id % 10 == 0 else "train") for photo in embedded.folder.photos
    )
    _, done = drained(embedded.with_folder(dataclasses.replace(embedded.folder, photos=photos)))
    assert done.split.held_out.tolist() == [0, 10, 20]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0), ("epochs", 1.5), ("epochs", True), ("epochs", float("nan")), ("learning_rate", -1.0),
        ("learning_rate", float("inf")), ("learning_rate", "fast"), ("seed", -1), ("batch_size", 0), ("optimizer", "lbfgs"),
        ("decay", None), ("init", "ones"), ("standardise", 1), ("weight_decay", -0.1), ("label_smoothing", 1.0),
        ("class_weights", "yes"), ("patience", -1), ("held_out", 0.9),
    ],
)  # fmt: skip
def test_bad_settings_get_a_sentence(setting: str, value: object) -> None:
    with pytest.raises(BadSetting, match=r"\.$"):
        TrainConfig(**{setting: value})


def test_sets_that_cannot_be_trained_on_get_a_sentence(clouds: Clouds, embedded_of: Callable[..., Embedded]) -> None:
    cases = {
        "only one class": clouds(classes=1),
        "only one photo": embedded_of(np.eye(3), ["mug", "mug", "pen"]),
        "no photos that can be used": clouds().with_folder(clouds().folder.set_aside(range(20))),
        "look the same": embedded_of(np.ones((8, 3)), ["mug", "pen"] * 4),
        "no photo in the training part": embedded_of(
            np.eye(6), ["a", "a", "b", "b", "c", "c"], splits=["train", "test", "train", "test", "test", "test"]
        ),
        "set aside": clouds().with_folder(clouds().folder.set_aside(range(60))),
    }
    for words, embedded in cases.items():
        with pytest.raises(BadFolder, match=words):
            train(embedded)


# From here on with pictures.


def picture(colour: tuple[int, int, int], seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(-40, 40, (24, 24, 3))
    return encode_png(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def shots(each: int = 6) -> dict[str, list[bytes]]:
    colours = {"red": (200, 60, 60), "blue": (60, 60, 200)}
    return {
        name: [picture(colour, 100 * n + i) for i in range(each)] for n, (name, colour) in enumerate(colours.items())
    }


def collected(*args: Any, **kwargs: Any) -> CollectDone:
    *steps, done = collect(*args, **kwargs)
    assert isinstance(done, CollectDone) and all(isinstance(step, CollectStep) for step in steps)
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    return done


def test_photos_become_features_once(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    given, cache = shots(), FeatureCache()
    first = collected(read_photos(given), toy.backbone)
    assert first.new == 12 and first.embedded.features.shape == (12, 3)
    cache.keep(first.embedded)
    known = cache.known(toy.backbone, "auto")
    assert collected(read_photos(given), toy.backbone, known=known).new == 0
    given["red"].append(picture((200, 60, 60), 999))
    assert collected(read_photos(given), toy.backbone, known=known).new == 1
    assert len(cache.known(toy.backbone, "pad")) == 0
    aside = first.embedded.folder.set_aside([0])
    assert len(first.embedded.with_folder(aside).features) == 11
    monkeypatch.setattr(features_module, "embed", None)  # whoever embeds now, fails
    back = collected(aside.restore([0]), toy.backbone, known=known)
    assert back.new == 0 and np.array_equal(back.embedded.features, first.embedded.features)


def test_the_order_and_the_chunks_change_no_feature(toy: Classifier) -> None:
    given = shots(20)
    one, two = (collected(read_photos(given), toy.backbone).embedded for _ in range(2))
    assert np.array_equal(one.features, two.features)
    single = [embed_photo(toy.backbone, np.asarray(Image.open(io.BytesIO(data)))) for data in given["blue"][:3]]
    assert np.allclose(single, one.features[:3], atol=1e-5)


def test_progress_never_falls_back(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_module, "SECONDS", 0.0)  # news after every photo
    steps = [event.step for event in collect(read_photos(shots(40)), toy.backbone)]
    assert steps == sorted(steps) and steps[-1] == 80 and len(steps) > 40


def test_a_cache_is_bounded(toy: Classifier) -> None:
    done = collected(read_photos(shots()), toy.backbone).embedded
    cache = FeatureCache(limit=13 * 3 * 4)
    cache.keep(done)
    cache.keep(dataclasses.replace(done, fit="pad"))
    assert cache.bytes <= cache.limit and len(cache.known(toy.backbone, "pad")) == 12
    assert pickle.loads(pickle.dumps(cache)).bytes == cache.bytes


def test_sets_of_pictures_that_cannot_be_used_get_a_sentence(toy: Classifier) -> None:
    alike = picture((9, 9, 9), 0)
    cases = {
        "can be opened": {"mug": [b"broken 1", b"broken 2"], "pen": [b"broken 3"]},
        "the same picture": {"mug": [alike, alike], "pen": [alike]},
    }
    for words, photos in cases.items():
        embedded = collected(read_photos(photos), toy.backbone).embedded
        with pytest.raises(BadFolder, match=words):
            train(embedded)
    with pytest.raises(BadFolder, match="51 classes"):
        collect(read_photos({f"class {i}": [b"x"] for i in range(51)}), toy.backbone)


def test_sets_join(toy: Classifier) -> None:
    given = shots(4)
    one = collected(read_photos(given), toy.backbone).embedded
    two = collected(read_photos({"green": [picture((60, 200, 60), i) for i in range(4)]}), toy.backbone).embedded
    joined = one.add(two)
    assert joined.features.shape == (12, 3) and joined.folder.classes == ("blue", "red", "green")
    assert drained(joined)[0][-1].train_accuracy == 1
    with pytest.raises(BadFolder, match="another network"):
        one.add(dataclasses.replace(two, digest="other"))


def test_it_is_as_good_as_logistic_regression(shared: Path) -> None:
    """On photos, with the folds' chance taken out: the same training and held-out photos for both."""
    from transferdemo.backbones import load_backbone

    embedded = collected(read_folder(shared / "data" / "clothing"), load_backbone()).embedded
    ours, theirs = [], []
    for seed in range(2):
        steps, done = drained(embedded, seed=seed)
        train_part, held_out = done.split.train, done.split.held_out
        scaler = StandardScaler().fit(embedded.features[train_part])
        peer = LogisticRegression(C=0.01, max_iter=200)
        peer.fit(scaler.transform(embedded.features[train_part]), embedded.folder.labels[train_part])
        theirs.append(peer.score(scaler.transform(embedded.features[held_out]), embedded.folder.labels[held_out]))
        ours.append(steps[-1].held_out_accuracy)
    assert np.mean(ours) > np.mean(theirs) - 0.01 and np.mean(ours) > 0.7


def test_a_large_width_does_not_run_away() -> None:
    """One learning rate suits networks of any width: 4,096 features as VGG has them."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 5
    features = torch.randn(200, 4096, generator=random) + 3 * torch.randn(1, 4096, generator=random) * torch.randn(
        200, 1, generator=random
    )
    descent, losses = Descent(features, labels, 5, TrainConfig()), []
    for _ in range(20):
        for _ in descent.epoch():
            pass
        losses.append(float(torch.nn.functional.cross_entropy(descent.linear.logits(features), labels)))
    assert losses[-1] < 0.1 and max(losses) < 10
