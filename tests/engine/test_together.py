"""Pictures of many visitors in one batch: the same answers, nobody waits alone, and a failure ends nothing but itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from transferdemo.backbones import DEFAULT, load_backbone
from transferdemo.engine.together import MOST, Batches, embed_together, together
from transferdemo.heads import Classifier
from transferdemo.images import to_pixels
from transferdemo.types import Image8


def pictures(count: int, side: int) -> list[Image8]:
    return list(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


class Slow:
    """A network that tells how many came together, and waits until it may go on."""

    def __init__(self, toy: Classifier) -> None:
        self.toy, self.sizes = toy, []
        self.inside, self.go = threading.Event(), threading.Event()

    def __call__(self, images: list[Image8]) -> list[torch.Tensor]:
        self.sizes.append(len(images))
        self.inside.set()
        self.go.wait(10)
        return [self.toy.embed(to_pixels([image8])) for image8 in images]


def test_who_comes_while_it_is_busy_joins_the_next_batch(toy: Classifier) -> None:
    network, images = Slow(toy), pictures(MOST + 4, 8)
    batches: Batches[Image8, torch.Tensor] = Batches()
    with ThreadPoolExecutor(len(images)) as pool:
        first = pool.submit(batches.ask, images[0], network)
        assert network.inside.wait(10)
        others = [pool.submit(batches.ask, image8, network) for image8 in images[1:]]
        while len(batches._waiting) < len(others):
            threading.Event().wait(0.01)
        network.go.set()
        answers = [one.result() for one in (first, *others)]
    assert network.sizes == [1, MOST, 3]
    for image8, features in zip(images, answers, strict=True):
        assert torch.allclose(features, toy.embed(to_pixels([image8])), atol=1e-6)
    assert not batches._waiting


def test_in_company_the_answers_are_those_of_one_alone() -> None:
    backbone, images = load_backbone(DEFAULT), pictures(6, 224)
    alone = torch.cat([embed_together(backbone, image8) for image8 in images])
    layer = backbone.net.get_classifier()
    with torch.no_grad():
        company = backbone(to_pixels(images))
        chances = [layer(features).softmax(1) for features in (alone, company)]
    assert (chances[0] - chances[1]).abs().max() <= 1e-5


def test_gradients_are_as_before_and_a_failure_is_the_askers(toy: Classifier) -> None:
    image8 = pictures(1, 8)[0]
    assert not embed_together(toy.backbone, image8).requires_grad and torch.is_grad_enabled()

    def broken(images: list[Image8]) -> list[torch.Tensor]:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        together(toy.backbone, "embed", image8, broken)
    assert embed_together(toy.backbone, image8).shape == (1, 3)
