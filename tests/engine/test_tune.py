"""Fine-tuning: the cut is exact in any family, only the last stage changes, a loss that got worse is never accepted."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from transferdemo import novelty
from transferdemo.backbones import Backbone, Found, build, digest, fold, resolve
from transferdemo.data.folder import read_photos
from transferdemo.engine import maps as maps_module
from transferdemo.engine.classify import classify_many
from transferdemo.engine.cut import cut
from transferdemo.engine.evaluate import accuracy_on, report
from transferdemo.engine.features import CollectDone, Embedded, collect
from transferdemo.engine.last_stage import FineTuneConfig
from transferdemo.engine.maps import MapsStep
from transferdemo.engine.recipe import TrainConfig
from transferdemo.engine.train import train
from transferdemo.engine.tune import FineTuneDone, FineTuneStep, Judged, fine_tune, judged
from transferdemo.errors import BadFile, BadFolder, BadSetting
from transferdemo.head_file import encode_head, read_head
from transferdemo.heads import Classifier, check_fits, digest_of, tuned
from transferdemo.images import encode_png, open_photo, to_pixels
from transferdemo.types import Head
from transferdemo.ui import teach_tune
from transferdemo.ui.teach_state import Lesson

SIZE = 32


class SmallNet(nn.Module):
    """A network with timm's face: a stem and two stages, each a convolution with batch norm at half the size."""

    num_classes, num_features, head_hidden_size = 4, 12, 12
    pretrained_cfg = {  # noqa: RUF012
        "input_size": (3, SIZE, SIZE), "crop_pct": 1.0, "interpolation": "bilinear", "mean": (0.5,) * 3, "std": (0.25,) * 3,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        widths = (3, 6, 8, 12)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in itertools.pairwise(widths)
            )
        )
        self.fc = nn.Linear(12, 4)
        self.feature_info = [{"module": f"stages.{i}", "reduction": 2 ** (i + 1)} for i in range(3)]
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
        for norm in (stage[1] for stage in self.stages):
            norm.running_mean = 0.1 * torch.randn(norm.running_mean.shape, generator=generator)
            norm.weight.data.abs_().add_(0.5)
        self.eval().requires_grad_(False)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.stages(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        means = x.mean((2, 3))
        return means if pre_logits else self.fc(means)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        return self.fc


def small_backbone() -> Backbone:
    net = SmallNet()
    spec = dataclasses.replace(resolve("resnet18"), tag="toy.test", title="Toy")
    backbone = Backbone(net, spec, Found(Path("toy"), "nowhere"), digest(net.state_dict()))
    fold(net, SIZE)
    return backbone


def stripes(each: int, label: int, random: np.random.Generator) -> list[bytes]:
    """Stripes of one of two widths at any place and in any colour: means of channels cannot tell them apart."""
    pictures = []
    for _ in range(each):
        wave = np.sin((np.arange(SIZE) + random.uniform(0, 9)) * (0.6 if label else 1.6))
        picture = 128 + 80 * wave[None, :, None] * random.uniform(0.5, 1, 3) + random.normal(0, 25, (SIZE, SIZE, 3))
        pictures.append(encode_png(picture.clip(0, 255).astype(np.uint8)))
    return pictures


@pytest.fixture(scope="module")
def taught() -> tuple[Backbone, Embedded, Head]:
    """A small network, a set of two classes and the head that was trained on it."""
    random = np.random.default_rng(0)
    photos = {name: stripes(40, label, random) for label, name in enumerate(("fine", "wide"))}
    backbone = small_backbone()
    *_, done = collect(read_photos(photos), backbone)
    assert isinstance(done, CollectDone)
    *_, trained = train(done.embedded)
    return backbone, done.embedded, trained.head


def drained(taught: tuple[Backbone, Embedded, Head], **settings: Any) -> tuple[list[Any], FineTuneDone]:
    *steps, done = fine_tune(
        *taught,
        FineTuneConfig(**{"epochs": 12, "learning_rate": 0.03, "batch_size": 8, "label_smoothing": 0.0, **settings}),
    )
    assert isinstance(done, FineTuneDone)
    return steps, done


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
def test_any_family_is_cut_before_its_last_stage(name: str) -> None:
    """Random weights; `cut` itself compares the halves with the whole, and only what follows the cut may learn."""
    torch.manual_seed(0)
    spec = dataclasses.replace(resolve("resnet18"), tag=name, title=name)
    backbone = Backbone(build(spec), spec, Found(Path("toy"), "nowhere"), "0")
    fold(backbone.net, backbone.spec.size)
    halves = cut(backbone)
    names = list(halves.tail.learnable())
    every = [n for n, _ in backbone.net.named_parameters()]
    assert 0 < len(names) < len(every)
    assert not any(n.startswith(f"{halves.place}.") for n in names)
    assert len(halves.shape) in (2, 3) and halves.bytes == 2 * np.prod(halves.shape)


def test_a_network_that_shows_no_stages_gets_a_sentence(toy: Classifier) -> None:
    with pytest.raises(BadSetting, match="cannot be cut"):
        cut(toy.backbone)


def test_it_learns_what_the_frozen_network_does_not_show(taught: tuple[Backbone, Embedded, Head]) -> None:
    backbone, _, head = taught
    original = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    steps, done = drained(taught)
    numbers = [step.step for step in steps]
    assert numbers == sorted(numbers) and {step.total for step in steps} == {done.total} and done.step == done.total
    assert isinstance(steps[0], MapsStep) and isinstance(steps[-1], FineTuneStep) and steps[-1].epoch == 12
    last = done.last
    assert (
        last.accepted and last.after.loss < 0.8 * last.before.loss and done.report.held_out.share == last.after.accuracy
    )
    assert set(last.head.changed) == {"stages.2.0.weight", "stages.2.0.bias"} and last.head.digest == head.digest
    assert all(torch.equal(original[name], tensor) for name, tensor in backbone.state_dict().items())
    assert last.head.facts["fine_tune"]["loss_after"] == last.after.loss
    again = read_head(encode_head(last.head))
    assert again.changed.keys() == last.head.changed.keys()
    assert all(torch.equal(again.changed[n], t) for n, t in last.head.changed.items())


def test_every_way_to_the_features_goes_through_what_was_changed(taught: tuple[Backbone, Embedded, Head]) -> None:
    backbone, embedded, _ = taught
    head = drained(taught)[1].last.head
    classifier = Classifier(tuned(backbone, head), head)
    assert tuned(backbone, head) is classifier.backbone and classifier.backbone.digest == digest_of(head) != head.digest
    *_, done = collect(embedded.folder, classifier.backbone)
    photos = [photo.source.read() for photo in embedded.folder.used]
    with torch.no_grad():
        images = [open_photo(data).image8 for data in photos]
        slow = classifier(to_pixels(images)).softmax(1).numpy()
    many = [e.prediction.probabilities for e in classify_many(classifier, photos) if hasattr(e, "prediction")]
    assert np.allclose(np.stack(many), slow, atol=1e-4)
    assert np.allclose(classifier.logits(torch.from_numpy(done.embedded.features)).softmax(1).numpy(), slow, atol=1e-3)
    right = (slow.argmax(1) == embedded.folder.labels).mean()
    assert accuracy_on(head, done.embedded).share == pytest.approx(right)
    with pytest.raises(BadFolder, match="another network"):
        accuracy_on(head, embedded)


def test_what_did_not_help_is_not_kept(taught: tuple[Backbone, Embedded, Head]) -> None:
    """One step at an absurd rate."""
    done = drained(taught, epochs=1, learning_rate=1.0, batch_size=1024)[1]
    assert done.last.after.loss > done.last.before.loss and not done.last.accepted
    assert done.last.head is taught[2] and done.report.held_out.share == done.last.before.accuracy


def test_a_loss_that_runs_away_ends_it(taught: tuple[Backbone, Embedded, Head]) -> None:
    done = drained(taught, epochs=30, learning_rate=1.0, batch_size=2)[1]
    if done.note:
        assert "learning rate" in done.note and not done.last.head.changed


def test_same_seed_same_head_and_stop_keeps_what_was_accepted(taught: tuple[Backbone, Embedded, Head]) -> None:
    whole = drained(taught, epochs=3)[0]
    events = fine_tune(*taught, FineTuneConfig(epochs=3, learning_rate=0.03, batch_size=8, label_smoothing=0.0))
    for event in events:
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        if isinstance(event, FineTuneStep) and event.epoch == 2:
            break
    events.close()
    same = next(step for step in whole if isinstance(step, FineTuneStep) and step.epoch == 2)
    assert isinstance(event, FineTuneStep) and event.after.loss == same.after.loss and event.accepted == same.accepted
    assert pickle.loads(pickle.dumps(event)).step == event.step
    assert all(torch.equal(t, same.head.changed[n]) for n, t in event.head.changed.items())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0), ("epochs", True), ("epochs", 1e9), ("learning_rate", float("nan")), ("learning_rate", 0), ("seed", -1),
        ("batch_size", 0), ("weight_decay", -1), ("label_smoothing", 1.0),
    ],
)  # fmt: skip
def test_bad_settings_get_a_sentence(setting: str, value: object) -> None:
    with pytest.raises(BadSetting, match=r"\.$"):
        FineTuneConfig(**{setting: value})  # type: ignore[arg-type]


def test_what_cannot_be_tuned_gets_a_sentence(
    taught: tuple[Backbone, Embedded, Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, embedded, head = taught
    changed = dataclasses.replace(head, changed={"stages.2.0.bias": torch.zeros(12)})
    cases: dict[str, tuple[Embedded, Head]] = {
        "add photos": (dataclasses.replace(embedded, pictures=False), head),
        "fine-tuned already": (embedded, changed),
        "classes have changed": (embedded.with_folder(embedded.folder.rename("fine", "thin")), head),
        "another network": (dataclasses.replace(embedded, digest="0"), head),
    }
    for words, given in cases.items():
        with pytest.raises(BadFolder, match=words):
            fine_tune(backbone, *given)
    monkeypatch.setattr(maps_module, "LIMIT", 10_000)
    with pytest.raises(BadFolder, match="at most 9 photos"):
        fine_tune(backbone, embedded, head)


@pytest.mark.parametrize("changed", [{"stages.9.weight": torch.zeros(3)}, {"stages.2.0.bias": torch.zeros(13)}])
def test_a_head_that_changes_what_is_not_there_is_refused(
    taught: tuple[Backbone, Embedded, Head], changed: dict[str, torch.Tensor]
) -> None:
    head = dataclasses.replace(taught[2], changed=changed)
    with pytest.raises(BadFile, match="parts"):
        check_fits(read_head(encode_head(head)), taught[0])


@pytest.mark.parametrize("wrong", [torch.tensor([float("nan")]), torch.tensor([1e30]), torch.zeros(0)])
def test_files_with_bad_tensors_are_refused(taught: tuple[Backbone, Embedded, Head], wrong: torch.Tensor) -> None:
    head = dataclasses.replace(taught[2], changed={"stages.2.0.bias": wrong})
    with pytest.raises(BadFile, match="not finite"):
        read_head(encode_head(head))


def test_the_page_keeps_what_was_accepted_and_says_so(taught: tuple[Backbone, Embedded, Head]) -> None:
    backbone, embedded, _ = taught
    *steps, done = train(embedded)
    lesson = Lesson(embedded).with_run(TrainConfig(), steps)
    lesson = dataclasses.replace(lesson, report=report(embedded, done.head, TrainConfig()))

    def last(**settings: Any) -> tuple[Lesson, str]:
        config = FineTuneConfig(**{"learning_rate": 0.03, "batch_size": 8, **settings})
        *_, shown = teach_tune.shown(lesson, lambda: fine_tune(backbone, embedded, done.head, config), "", 60)
        return shown[0], shown[1]

    now, words = last(epochs=12)
    assert now.head and now.head.changed and now.report is not lesson.report and "chance" in words
    assert now.report and now.report.held_out.count == len(done.split.held_out)
    now, words = last(epochs=1, learning_rate=1.0, batch_size=1024)
    assert now is lesson and "did not help" in words


def test_a_lower_loss_alone_is_not_better() -> None:
    before = Judged(2.0, torch.tensor([True, True, False]), 1.0)
    assert Judged(1.0, torch.tensor([True, False, True]), 1.0).better_than(before)
    assert not Judged(1.0, torch.tensor([True, False, False]), 1.0).better_than(before)
    assert not Judged(2.1, torch.tensor([True, True, True]), 1.0).better_than(before)


def test_a_head_that_is_too_sure_is_judged_with_its_temperature() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (200,), generator=random)
    honest = 2 * torch.nn.functional.one_hot(labels, 3) + torch.randn(200, 3, generator=random)
    fair, sure = judged(honest, labels), judged(8 * honest, labels)
    assert sure.temperature == pytest.approx(8 * fair.temperature, rel=0.1)
    assert sure.loss == pytest.approx(fair.loss, abs=0.01)
    assert judged(honest / 0, labels).temperature == 1  # a loss that ran away has none


def test_the_fine_tuned_head_knows_its_temperature_and_what_is_strange(taught: tuple[Backbone, Embedded, Head]) -> None:
    done = drained(taught)[1]
    head, found = done.last.head, done.trust
    assert done.last.accepted and found and found.head is head and head.novelty
    assert head.temperature == done.last.after.temperature and "calibration" in head.facts
    *_, again = collect(taught[1].folder, tuned(taught[0], head))
    features = torch.from_numpy(again.embedded.features)
    share = (novelty.score(head.novelty, features) > head.novelty.threshold).float().mean()
    assert share <= 0.15 and head.novelty.false_alarm < 0.1
    assert novelty.score(head.novelty, -features).min() > head.novelty.threshold
    read = read_head(encode_head(head))
    assert read.novelty and read.novelty.threshold == head.novelty.threshold and read.temperature == head.temperature
    assert drained(taught, epochs=1, learning_rate=1.0, batch_size=1024)[1].trust is None
