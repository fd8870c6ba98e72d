"""Every long job in another process: ZeroGPU's stand-in really forks, and pickles what goes in and comes out."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.stand_in import spaces
from transferdemo.backbones import BACKBONES, DEFAULT, load_backbone
from transferdemo.data.folder import read_folder
from transferdemo.engine import ideal_order
from transferdemo.engine.channels import FiresConfig, fires_most
from transferdemo.engine.classify import classify_many
from transferdemo.engine.evaluate import full_report
from transferdemo.engine.features import Embedded, collect
from transferdemo.engine.ideal import IdealConfig, ideal
from transferdemo.engine.ideal_order import Order
from transferdemo.engine.recipe import TrainConfig
from transferdemo.engine.stages import stages
from transferdemo.engine.train import train
from transferdemo.errors import BadImage, BadSetting
from transferdemo.heads import Classifier, load_classifier
from transferdemo.images import encode_png
from transferdemo.types import Photo, View
from transferdemo.ui import fool_strength, fool_trial, ideal_run, jobs
from transferdemo.ui.bridge import in_turn
from transferdemo.ui.ideal_why import side_by_side
from transferdemo.ui.jobs import Job


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, toy: Classifier) -> Classifier:
    """Jobs run in a fork; the network is the toy."""
    monkeypatch.setattr(jobs, "on_device", spaces.GPU(duration=jobs.duration)(jobs.stream))
    for module in (ideal_order, ideal_run, fool_trial, fool_strength):
        monkeypatch.setattr(module, "load_classifier", lambda *_: toy)
    monkeypatch.setattr(ideal_run, "others", lambda _: [])
    return toy


@pytest.fixture
def photo() -> Photo:
    image8 = np.random.default_rng(0).integers(100, 140, (8, 8, 3), dtype=np.uint8)
    image8[..., 0] += 25
    return Photo(image8, "0" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Red and green pictures, six of each."""
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (tmp_path / name).mkdir()
        for i in range(6):
            image8 = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8)
            image8[..., channel] += 100
            (tmp_path / name / f"{i}.png").write_bytes(encode_png(image8))
    return tmp_path


def ran(job: Job[Any] | Callable[[], Iterator[Any]]) -> list[Any]:
    """The events of a job that went through the line."""
    return list(in_turn(job, str, ""))


def test_ideal_pictures(away: Classifier) -> None:
    prepared, begun = ideal_run.start(View("toy.test"), Order("green", steps=5, size=128))
    here = list(ideal_run.steps(prepared, begun))[-1]
    there = ran(Job(ideal_run.steps, (prepared, begun), 5))[-1]
    assert there.step == 5 and there.png == here.png and there.settings == here.settings
    assert ran(Job(side_by_side, (View("toy.test"), Order("red", steps=2, size=128))))[-1].done


def test_attempts_to_fool(away: Classifier, photo: Photo) -> None:
    classifier, begun = fool_trial.start(photo, View("toy.test"), fool_trial.Wish("green"))
    here = list(fool_trial.steps(classifier, begun))[-1]
    there = ran(Job(fool_trial.steps, (classifier, begun), begun.config.steps))[-1]
    assert spaces.asked[-1] == jobs.START + jobs.EACH * 100
    assert there.result.fooled and there.result.png == here.result.png
    held = fool_strength.Held((photo.image8,) * 2, (0, 0))
    curve = ran(Job(fool_strength.curves, (held.images, View("toy.test"), held)))[-1]
    assert curve.step == curve.total and curve.curves


def test_teaching(away: Classifier, folder: Path) -> None:
    """What opens pictures runs here, and what it makes can be sent."""
    embedded: Embedded = ran(lambda: collect(read_folder(folder), away.backbone))[-1].embedded
    assert len(embedded.features) == 12
    config = TrainConfig(epochs=3)
    head = ran(Job(train, (embedded, config)))[-1].head
    assert torch.equal(head.weight, list(train(embedded, config))[-1].head.weight)
    assert ran(Job(full_report, (embedded, head, config)))[-1].report.held_out.count > 0
    steps = ran(lambda: classify_many(away, sorted(folder.rglob("*.png"))))
    assert steps[0].prediction.scores[0].name == "green"


def test_a_channel_and_what_fires_it(away: Classifier, photo: Photo) -> None:
    config = IdealConfig(steps=2, size=128, channel=(0, 1))
    assert ran(Job(ideal, ([away], config)))[-1].step == 2
    layer = stages(away)[0].name
    fired = ran(Job(fires_most, (away, [photo.image8], FiresConfig(layer, 0))))[-1]
    assert fired.strongest[0].index == 0


def failing(kind: type[Exception]) -> Iterator[int]:
    yield 1
    raise kind("Choose another one.")


@pytest.mark.parametrize("kind", [BadSetting, BadImage])
def test_a_sentence_comes_back(away: Classifier, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="Choose another one"):
        ran(Job(failing, (kind,)))


def test_a_shared_network_travels_by_its_name_and_a_changed_one_as_a_whole(toy: Classifier) -> None:
    classifier = load_classifier(View(DEFAULT))
    data = pickle.dumps(Job(failing, (classifier,)))
    (again,) = pickle.loads(data).arguments
    assert again.backbone is load_backbone(DEFAULT) and torch.equal(again.weight, classifier.weight)
    assert len(data) < 6_000_000 < 1e6 * BACKBONES[DEFAULT].megabytes  # its own 1,000 classes, not its weights
    (own,) = pickle.loads(pickle.dumps(Job(failing, (toy,)))).arguments
    assert own.backbone is not toy.backbone and own.classes == toy.classes


def test_a_job_asks_for_the_time_that_it_needs() -> None:
    assert Job(failing, ()).duration == jobs.duration(Job(failing, ())) == 25
    assert (
        Job(failing, (), 10).duration < Job(failing, (), 500).duration <= jobs.MOST == Job(failing, (), 9999).duration
    )


def test_the_pages_own_process_stays_on_the_cpu_of_a_zerogpu_space(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not jobs.is_zero()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("TRANSFERDEMO_DEVICE", "cpu")
    assert jobs.is_zero()
    list(jobs.stream(Job(iter, ([1],))))  # in the process that has the GPU
    assert os.environ["TRANSFERDEMO_DEVICE"] == "auto"
