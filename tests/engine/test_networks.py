"""All networks at once: each photo is opened once for networks of one input, every network gets its own honest head."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ToyNet
from tests.engine.test_transfer import noisy
from transferdemo.backbones import Backbone, BackboneSpec, Found, digest
from transferdemo.data.folder import read_photos
from transferdemo.data.records import Listing
from transferdemo.engine import features as features_module
from transferdemo.engine import networks as networks_module
from transferdemo.engine.networks import NetworkResult, NetworksDone, NetworksStep, says, train_all
from transferdemo.engine.recipe import TrainConfig
from transferdemo.errors import MissingWeights

CONFIG = TrainConfig(epochs=4)


def toy_called(name: str, scale: float, size: int = 8) -> Backbone:
    net = ToyNet()
    net.fc.weight.data *= scale
    net.pretrained_cfg = {**net.pretrained_cfg, "input_size": (3, size, size)}
    spec = BackboneSpec(f"{name}.test", name, "Toy", "For tests.", 1.0, None, "", "MIT")
    return Backbone(net, spec, Found(Path("toy"), "nowhere"), digest(net.state_dict()))


def listing() -> Listing:
    colours = {"red": (200, 60, 60), "blue": (60, 60, 200)}
    return read_photos({n: [noisy(c, 50 * k + i) for i in range(10)] for k, (n, c) in enumerate(colours.items())})


def test_photos_are_opened_once_for_all_networks_of_one_input(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = networks_module.opened
    monkeypatch.setattr(networks_module, "opened", lambda *a: opened.append(a[1].tag) or real(*a))
    three = [toy_called("one", 1), toy_called("two", 2), toy_called("wide", 3, size=16)]
    *steps, done = train_all(listing(), three, CONFIG)
    assert opened == ["one.test", "wide.test"]
    assert isinstance(done, NetworksDone) and [r.tag for r in done.results] == ["one.test", "two.test", "wide.test"]
    assert all(isinstance(s, NetworksStep) for s in steps) and [s.step for s in steps] == sorted(s.step for s in steps)
    assert set(steps[-1].curves) == {"one", "two", "wide"} and steps[-1].step <= steps[-1].total
    assert {r.new for r in done.results} == {20} and all(r.accuracy.share == 1 for r in done.results)
    assert [len(r.curve) for r in done.results] == [5, 5, 5] and len({r.head.digest for r in done.results}) == 3
    assert "no difference beyond chance" in done.says
    monkeypatch.setattr(features_module, "embed", None)  # whoever embeds now, fails
    known = {r.embedded.digest: r.embedded.vectors for r in done.results}
    *_, again = train_all(done.results[0].embedded.folder, three, CONFIG, known=known)
    assert isinstance(again, NetworksDone) and {r.new for r in again.results} == {0}
    assert torch.equal(again.results[1].head.weight, done.results[1].head.weight)


def result(name: str, right: int, like: NetworkResult) -> NetworkResult:
    return dataclasses.replace(like, title=name, right=np.arange(100) < right)


def test_what_is_best_is_best_beyond_chance_or_it_is_said() -> None:
    *_, done = train_all(listing(), [toy_called("one", 1)], CONFIG)
    one = done.results[0]
    assert "only one network" in done.says and says(()) == ""
    assert says([result("A", 98, one), result("B", 60, one)]) == "A is the best here, beyond chance."
    assert "A came out best, but there is no difference beyond chance to B" in says(
        [result("A", 98, one), result("B", 96, one)]
    )
    mixed = says([result("A", 98, one), result("B", 97, one), result("C", 50, one)])
    assert mixed == "A is better than C beyond chance, but not than B: take the smaller or the quicker one."
    assert done.results[0].as_json()["network"] == "one.test"


def test_no_network_gets_a_sentence() -> None:
    with pytest.raises(MissingWeights, match="download"):
        next(train_all(listing(), [], CONFIG))
