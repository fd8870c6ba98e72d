"""Many pictures -> features: ONNX Runtime says what torch says, whatever the batch."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from transferdemo import embed as module
from transferdemo.backbones import Backbone, load_backbone
from transferdemo.embed import FromBytes, embed, open_onnx, to_onnx
from transferdemo.errors import OutOfMemory
from transferdemo.heads import Classifier
from transferdemo.images import to_pixels
from transferdemo.types import Image8


def noise(count: int, size: int) -> list[Image8]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
def test_features_are_the_networks_own_in_order(toy: Classifier, count: int) -> None:
    images = noise(count, 8)
    features = embed(toy.backbone, images)
    assert features.dtype == torch.float32 and features.device.type == "cpu"
    assert torch.allclose(features, to_pixels(images).mean((2, 3)), atol=1e-5)


def test_no_pictures_have_no_features(toy: Classifier) -> None:
    assert embed(toy.backbone, []).shape == (0, 3)


def test_the_default_network_says_the_same_as_in_torch() -> None:
    backbone = load_backbone()
    images = noise(3, backbone.spec.size)
    with torch.no_grad():
        expected = backbone(to_pixels(images))
    features = embed(backbone, images)
    assert features.shape == (3, backbone.width) and expected.std() > 0.01
    assert (features - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_network_is_exported_once(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(module, "to_onnx", lambda net, size: made.append(size) or to_onnx(net, size))
    for _ in range(3):
        embed(toy.backbone, noise(2, 8))
    assert made == [8]


def test_several_may_be_exported_at_the_same_time(toy: Classifier) -> None:
    with ThreadPoolExecutor(8) as threads:  # torch's exporter takes one at a time
        files = list(threads.map(lambda _: to_onnx(toy.backbone, 8), range(32)))
    assert len(set(files)) == 1


def test_the_session_goes_with_its_network(toy: Classifier) -> None:
    own = toy.backbone
    backbone = Backbone(own.net, own.info, own.found, "")
    gc.collect()
    before = len(module._sessions)
    embed(backbone, noise(2, 8))
    assert backbone in module._sessions and len(module._sessions) == before + 1
    del backbone
    gc.collect()
    assert len(module._sessions) == before


def test_a_network_that_cannot_be_exported_runs_in_torch(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(net: nn.Module, size: int) -> bytes:
        raise torch.onnx.errors.OnnxExporterError("an operator is unknown")

    monkeypatch.setattr(module, "to_onnx", refuse)
    images = noise(40, 8)
    assert torch.allclose(embed(toy.backbone, images), to_pixels(images).mean((2, 3)), atol=1e-5)
    assert torch.is_grad_enabled()


def test_out_of_memory_halves_the_batch(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    works, sizes = module._with_onnx, []

    def small(session: object, images: list[Image8]) -> torch.Tensor:
        if len(images) > 5:
            raise MemoryError
        sizes.append(len(images))
        return works(session, images)

    monkeypatch.setattr(module, "_with_onnx", small)
    images = noise(33, 8)
    assert torch.allclose(embed(toy.backbone, images), to_pixels(images).mean((2, 3)), atol=1e-5)
    assert max(sizes) == 4 and sum(sizes) == 33


def test_one_picture_too_many_gets_a_sentence(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(session: object, images: list[Image8]) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(module, "_with_onnx", full)
    with pytest.raises(OutOfMemory):
        embed(toy.backbone, noise(2, 8))


def test_an_exported_classifier_answers_from_bytes(toy: Classifier) -> None:
    images = np.stack(noise(5, 8))
    [output] = open_onnx(to_onnx(toy, 8)).run(None, {"image": images})
    with torch.no_grad():
        assert np.allclose(output, FromBytes(toy)(torch.from_numpy(images)), atol=1e-5)
    assert output.shape == (5, 3)
