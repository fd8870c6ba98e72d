"""Experiments: each trick does what it says on a toy, the comparison is paired and honest, bad values get a sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.test_transfer import coloured
from transferdemo.engine.augment import VIEWS, ViewsDone, closer, collect_views, mirrored
from transferdemo.engine.descent import Average, Descent, fit
from transferdemo.engine.experiment import TRICKS, ExperimentDone, Variant, experiment, run_variant
from transferdemo.engine.features import Embedded
from transferdemo.engine.hidden import Dropout, HiddenConfig, HiddenDescent
from transferdemo.engine.recipe import TrainConfig, training_part
from transferdemo.engine.train import TrainDone, train
from transferdemo.errors import BadFolder, BadSetting
from transferdemo.heads import Classifier
from transferdemo.types import Head

Clouds = Callable[..., Embedded]
BASE = TrainConfig(epochs=8)


def head_of(embedded: Embedded, config: TrainConfig = BASE) -> Head:
    *_, done = train(embedded, config)
    assert isinstance(done, TrainDone)
    return done.head


def tried(embedded: Embedded, name: str, base: TrainConfig = BASE) -> ExperimentDone:
    *_, done = experiment(embedded, head_of(embedded, base), base, name)
    assert isinstance(done, ExperimentDone)
    return done


def test_every_trick_is_done_beside_the_last_run(clouds: Clouds) -> None:
    embedded = clouds(classes=3, each=20)
    head = head_of(embedded)
    for name in TRICKS:
        if name in ("momentum", "decay-cosine", "init-zeros"):
            with pytest.raises(BadSetting, match="did that already"):
                experiment(embedded, head, BASE, name)
        elif name == "augment":
            with pytest.raises(BadFolder, match="give photos"):
                experiment(embedded, head, BASE, name)
        else:
            *steps, done = experiment(embedded, head, BASE, name)
            assert isinstance(done, ExperimentDone) and steps[-1].step <= steps[-1].total
            assert done.before.count == done.accuracy.count == done.paired.count == 12
            assert done.accuracy.right - done.before.right == done.paired.gained - done.paired.lost


def test_the_bad_first_weights_are_bad_and_a_harmless_change_is_said_to_be_none(clouds: Clouds) -> None:
    embedded = clouds(classes=10, each=20, width=256, apart=5)
    bad, harmless = tried(embedded, "init-normal"), tried(embedded, "decay-none")
    assert bad.paired.worse and bad.says.startswith("Worse by")
    assert not (harmless.paired.better or harmless.paired.worse)
    assert harmless.says.startswith(("No difference beyond chance", "The same answers"))


def test_what_ran_away_is_said(clouds: Clouds) -> None:
    base = TrainConfig(epochs=8, learning_rate=900.0, weight_decay=1.0)
    *_, done = run_variant(clouds(), head_of(clouds()), BASE, Variant("fast", base))
    assert isinstance(done, ExperimentDone) and "ran away" in done.says


def test_the_mean_of_five_heads_is_their_mean(clouds: Clouds) -> None:
    embedded = clouds()
    part = training_part(embedded, np.arange(60), BASE)
    config = dataclasses.replace(BASE, average=5, init="xavier", epochs=1)
    alone = [fit(*part, 3, dataclasses.replace(config, average=1, seed=seed)) for seed in range(5)]
    together = fit(*part, 3, config)
    assert torch.equal(together.weight, torch.stack([x.weight for x in alone]).mean(0))
    assert not torch.equal(alone[0].weight, alone[1].weight)
    one = Average(*part, 3, BASE)
    assert torch.equal(one.linear.weight, Descent(*part, 3, BASE).linear.weight)


def test_views_are_what_they_are_called(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(mirrored(picture)[:, 0], picture[:, -1])
    flat = np.zeros((8, 8, 3), np.uint8)
    flat[1:7, 1:7] = 200
    assert closer(flat).shape == (8, 8, 3) and closer(flat).min() > 150
    embedded = coloured(toy.backbone, each=6)
    *steps, done = collect_views(embedded, embedded.folder.used, "flip-crop", toy.backbone)
    assert isinstance(done, ViewsDone) and steps[-1].step == 12
    views = done.embedded.views["flip-crop"]
    assert len(views) == 12 and all(v.shape == (2, 3) for v in views.values())
    for sha, own in views.items():  # channel means do not change when a picture is mirrored
        assert np.allclose(own[0], embedded.vectors[sha], atol=1e-5) and not np.allclose(own[1], own[0], atol=1e-6)
    monkeypatch.setattr("transferdemo.engine.augment.embed", None)  # whoever embeds now, fails
    *_, again = collect_views(done.embedded, embedded.folder.used, "flip-crop", toy.backbone)
    assert isinstance(again, ViewsDone)


def test_augmented_training_learns_from_views_and_is_judged_on_photos(clouds: Clouds, toy: Classifier) -> None:
    embedded, augmented = clouds(), TrainConfig(augment="flip", epochs=3)
    with pytest.raises(BadFolder, match="Other views"):
        train(embedded, augmented)
    views = {sha: np.stack([10 + vector]) for sha, vector in embedded.vectors.items()}
    embedded = dataclasses.replace(embedded, views={"flip": views})
    features, labels = training_part(embedded, np.array([0, 59]), augmented)
    assert labels.tolist() == [0, 2, 0, 2] and torch.equal(features[2:], features[:2] + 10)
    assert len(training_part(embedded, np.array([0, 59]), BASE)[1]) == 2
    assert head_of(embedded, augmented).facts["settings"]["augment"] == "flip"
    seen = coloured(toy.backbone)
    *steps, done = experiment(seen, head_of(seen), BASE, "augment", toy.backbone)
    assert isinstance(done, ExperimentDone) and done.accuracy.share == 1
    assert set(VIEWS) == {"none", "flip", "crop", "flip-crop"} and {s.total for s in steps} == {24, 8}


def xor(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    return points, (points[:, 0] * points[:, 1] > 0).long()


def hidden(epochs: int = 30, **settings: Any) -> HiddenDescent:
    descent = HiddenDescent(
        *xor(), 2, TrainConfig(epochs=epochs, optimizer="adam", weight_decay=0.0), HiddenConfig(**settings)
    )
    for _ in range(epochs):
        for _ in descent.epoch():
            pass
    return descent


def test_a_hidden_layer_learns_what_a_linear_head_cannot() -> None:
    points, labels = xor()
    straight = fit(points, labels, 2, TrainConfig()).logits(points).argmax(1) == labels
    bent = hidden().logits(points).argmax(1) == labels
    assert straight.float().mean() < 0.7 < 0.9 < bent.float().mean()
    assert torch.equal(hidden(3).logits(points), hidden(3).logits(points))


def test_dropout_silences_its_share_in_training_only() -> None:
    layer = Dropout(0.25, torch.Generator().manual_seed(0))
    ones = torch.ones(100, 100)
    silent = (layer(ones) == 0).float().mean()
    assert 0.23 < silent < 0.27 and layer(ones).mean() == pytest.approx(1, abs=0.03)
    assert torch.equal(layer.eval()(ones), ones)
    points, _ = xor()
    assert torch.equal(hidden(2, dropout=0.5).logits(points), hidden(2, dropout=0.5).logits(points))
    assert not torch.equal(hidden(2, dropout=0.5).logits(points), hidden(2).logits(points))


def test_batch_norm_standardises_the_units() -> None:
    descent = hidden(2, batch_norm=True)
    inside: list[torch.Tensor] = []
    descent.net[1].register_forward_hook(lambda module, args, out: inside.append(out))
    descent.forward(descent.features)
    spread = ((inside[0] - descent.net[1].bias) / descent.net[1].weight).std(0)
    assert float(spread.mean().detach()) == pytest.approx(1, abs=0.05)


def test_a_clipped_step_is_no_longer_than_asked() -> None:
    plain = TrainConfig(optimizer="sgd", learning_rate=1.0, weight_decay=0.0, decay="none", batch_size=200, epochs=1)
    moved = []
    for clip in (0.0, 0.01):
        descent = HiddenDescent(*xor(), 2, plain, HiddenConfig(clip=clip))
        before = torch.nn.utils.parameters_to_vector(descent.net.parameters()).detach().clone()
        list(descent.epoch())
        after = torch.nn.utils.parameters_to_vector(descent.net.parameters()).detach()
        moved.append(float((after - before).norm()))
    assert moved[1] == pytest.approx(0.01, rel=0.01) and moved[0] > 0.02


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (HiddenConfig, {"width": 0}), (HiddenConfig, {"width": 1.5}), (HiddenConfig, {"dropout": 1.0}),
        (HiddenConfig, {"dropout": float("nan")}), (HiddenConfig, {"clip": -1}), (HiddenConfig, {"batch_norm": 1}),
        (TrainConfig, {"augment": "rotate"}), (TrainConfig, {"average": 0}), (TrainConfig, {"average": True}),
    ],
)  # fmt: skip
def test_bad_values_get_a_sentence(kind: type, settings: dict[str, object]) -> None:
    with pytest.raises(BadSetting, match=r"\.$"):
        kind(**settings)


def test_an_unknown_experiment_gets_a_sentence(clouds: Clouds) -> None:
    with pytest.raises(BadSetting, match="experiment must be one of"):
        experiment(clouds(), head_of(clouds()), BASE, "magic")
