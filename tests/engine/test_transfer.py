"""How much came from transfer: each row is what its name says, the curve rises, the sentence follows from the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from transferdemo.backbones import Backbone, load_backbone, load_random
from transferdemo.data.folder import read_photos
from transferdemo.engine import transfer as transfer_module
from transferdemo.engine.baselines import Row
from transferdemo.engine.evaluate import report
from transferdemo.engine.features import CollectDone, Embedded, collect
from transferdemo.engine.paired import Paired, paired
from transferdemo.engine.recipe import TrainConfig
from transferdemo.engine.train import TrainDone, train
from transferdemo.engine.transfer import Point, Transfer, TransferDone, compare, says
from transferdemo.errors import BadFolder
from transferdemo.heads import Classifier
from transferdemo.images import encode_png
from transferdemo.types import Head

Clouds = Callable[..., Embedded]
CONFIG = TrainConfig(epochs=5)


def head_of(embedded: Embedded, config: TrainConfig = CONFIG) -> Head:
    *_, done = train(embedded, config)
    assert isinstance(done, TrainDone)
    return done.head


def compared(embedded: Embedded, *args: Any, config: TrainConfig = CONFIG) -> TransferDone:
    *steps, done = compare(embedded, head_of(embedded, config), config, *args)
    assert isinstance(done, TransferDone) and all(0 <= e.step <= e.total for e in steps)
    assert [e.step for e in steps] == sorted(e.step for e in steps)
    return done


def test_features_alone_give_three_rows_and_a_curve_that_rises(clouds: Clouds) -> None:
    embedded = clouds(classes=4, each=40, apart=2.5)
    found = compared(embedded).found
    assert [row.name for row in found.rows] == ["chance", "mean", "head"]
    by = {row.name: row.accuracy for row in found.rows}
    assert by["chance"].share == pytest.approx(0.25) and by["mean"].share > 0.5
    measured = report(embedded, head_of(embedded), CONFIG).held_out
    assert (by["head"].right, by["head"].count) == (measured.right, measured.count)
    assert [point.each for point in found.curve] == [1, 2, 5, 10, 16, 32]
    assert [len(point.accuracies) for point in found.curve] == [5, 5, 5, 5, 5, 1]
    assert found.curve[0].mean < found.curve[-1].mean == by["head"].share
    json = found.as_json()
    assert set(json["transfer"]) == {"chance", "mean", "head"} and len(json["curve"]) == 6
    assert all(low <= json["transfer"][name] <= high for name, (low, high) in json["transfer_intervals"].items())


def noisy(colour: tuple[int, int, int], seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(-40, 40, (24, 24, 3))
    return encode_png(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def coloured(backbone: Backbone, each: int = 15) -> Embedded:
    given = {"red": (200, 60, 60), "blue": (60, 60, 200)}
    photos = {name: [noisy(c, 100 * n + i) for i in range(each)] for n, (name, c) in enumerate(given.items())}
    *_, done = collect(read_photos(photos), backbone)
    assert isinstance(done, CollectDone)
    return done.embedded


class Blind(torch.nn.Module):
    """A network that sees nothing: as many features, all of them the same for every picture."""

    def __init__(self, like: Backbone) -> None:
        super().__init__()
        self.spec, self.tag, self.digest, self.width = like.spec, like.tag, "blind", like.width
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean((2, 3)) * 0


def test_with_pictures_there_are_five_rows_and_what_was_seen_is_kept(
    toy: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded, blind = coloured(toy.backbone), Blind(toy.backbone)
    monkeypatch.setattr(transfer_module, "load_random", lambda _: blind)
    done = compared(embedded, toy.backbone)
    assert [row.name for row in done.found.rows] == list(transfer_module.ORDER)
    shares = {row.name: row.accuracy.share for row in done.found.rows}
    assert shares["head"] == shares["pixels"] == 1  # the colours are in the pixels already
    assert shares["random"] == shares["chance"] == 0.5
    assert "Transfer did not help beyond chance" in says(done.found) and "raw pixels" in says(done.found)
    assert done.random is not None and len(done.random.vectors) == 30
    monkeypatch.setattr("transferdemo.engine.features.embed", None)  # whoever embeds now, fails
    *_, again = compare(embedded, head_of(embedded), CONFIG, toy.backbone, known=done.random.vectors)
    assert again.found.row("random").accuracy == done.found.row("random").accuracy


def test_random_weights_are_random_and_always_the_same() -> None:
    backbone = load_backbone(device=torch.device("cpu"))
    state = torch.random.get_rng_state()
    twin = load_random(backbone)
    assert torch.equal(state, torch.random.get_rng_state())
    assert load_random(backbone) is twin and twin.digest != backbone.digest and twin.spec == backbone.spec
    assert load_backbone(device=torch.device("cpu")).digest == backbone.digest
    with torch.no_grad():
        features = twin(torch.rand(3, 3, 64, 64))
    assert features.isfinite().all() and features.std() > 0.01


def test_a_head_of_another_network_is_told(clouds: Clouds) -> None:
    embedded = clouds()
    head = dataclasses.replace(head_of(embedded), digest="e" * 64)
    with pytest.raises(BadFolder, match="another network"):
        compare(embedded, head, CONFIG)


def row(name: str, right: int, of: int = 100) -> Row:
    return Row(name, np.arange(of) < right, np.arange(of), 400)  # type: ignore[arg-type]


def curve(half: int, every: int, of: int = 100) -> tuple[Point, ...]:
    rights = [np.arange(of) < n for n in (half, every)]
    return tuple(Point(e, (float(r.mean()),), (r,)) for e, r in zip((5, 10), rights, strict=True))


@pytest.mark.parametrize(
    ("rows", "points", "words"),
    [
        ([("chance", 50), ("pixels", 60), ("random", 62), ("head", 98)], (97, 98), "Transfer helped: 98.0 % against 62.0 %"),
        ([("chance", 50), ("pixels", 95), ("head", 98)], (97, 98), "did not help beyond chance: 98.0 % against 95.0 % by raw"),
        ([("chance", 50), ("pixels", 60), ("head", 98)], (70, 98), "would help: with half of the photos it was 70.0 %"),
        ([("chance", 50), ("pixels", 60), ("head", 98)], (98, 98), "would hardly help"),
        ([("chance", 50), ("pixels", 60), ("head", 98)], (97, 98), "held-out photos cannot say"),
    ],
)  # fmt: skip
def test_the_sentence_follows_from_the_numbers(
    rows: list[tuple[str, int]], points: tuple[int, int], words: str
) -> None:
    assert words in says(Transfer(tuple(row(*r) for r in rows), curve(*points)))


def test_of_a_set_without_pictures_no_more_is_said_than_is_known() -> None:
    found = Transfer((row("chance", 50), row("head", 98)), pictures=False)
    assert "learned something" in says(found) and "ransfer helped" not in says(found)


def test_only_photos_where_one_was_right_count() -> None:
    new, old = np.array([1, 1, 1, 1, 1, 1, 0, 1], bool), np.array([0, 0, 0, 0, 0, 0, 0, 1], bool)
    found = paired(new, old)
    assert found == Paired(6, 0, 8) and found.p == pytest.approx(2 * 0.5**6) and found.better
    assert not Paired(5, 1, 8).better and "No difference beyond chance" in Paired(5, 1, 8).says
    assert Paired(0, 6, 8).worse and Paired(0, 0, 8).says == "The same answers." and Paired(0, 0, 0).difference == 0
