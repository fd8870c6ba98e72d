"""The table against timm, folding, where weights are looked for, what damaged ones get, and the cache of networks."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data.config import resolve_model_data_config
from torch import nn

from transferdemo import backbones, hub
from transferdemo.backbones import (
    BACKBONES,
    DEFAULT,
    Backbone,
    Found,
    build,
    digest,
    find_weights,
    fold,
    load_backbone,
    resolve,
)
from transferdemo.errors import BadFile, BadSetting, MissingWeights
from transferdemo.heads import Classifier, own_head

LITE2, MOBILENET = "tf_efficientnet_lite2.in1k", "mobilenetv2_100.ra_in1k"
FOLDS = {  # families whose every batch norm stands right behind a convolution
    tag for tag, row in BACKBONES.items() if row.family in ("EfficientNet", "MobileNet", "ResNet")
}


def lively(tag: str) -> nn.Module:
    """The row's network with random weights, and batch norms that have seen something."""
    torch.manual_seed(0)
    net = build(BACKBONES[tag])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.8, 1.2)
            module.bias.uniform_(-0.2, 0.2)
    return net


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("tag", BACKBONES)
@torch.no_grad()
def test_a_row_is_what_timm_builds(tag: str) -> None:
    row, net = BACKBONES[tag], lively(tag)
    backbone = Backbone(net, row, Found(Path("random"), "nowhere"), "")
    data = resolve_model_data_config(net)
    size = backbone.spec.size
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(row.parameters, abs=0.006)
    assert (3, size, size) == data["input_size"] and size <= backbone.spec.resize <= 1.2 * size
    assert data["interpolation"] == backbone.spec.interpolation

    pixels = torch.rand(2, 3, size, size)
    mean, std = torch.tensor(data["mean"]).view(1, 3, 1, 1), torch.tensor(data["std"]).view(1, 3, 1, 1)
    expected = net((pixels - mean) / std)
    features = backbone(pixels)
    assert features.shape == (2, backbone.width) == (2, net.head_hidden_size)
    head = own_head(backbone)
    if row.top1 is None:
        assert head is None and torch.allclose(features, expected, atol=1e-4)
    else:
        assert len(head.classes) == 1000 and head.weight.shape == (1000, backbone.width)
        expected -= expected.mean()
        answered = Classifier(backbone, head)(pixels)
        assert difference(answered - answered.mean(), expected) < 1e-4

    fold(net, size)
    assert difference(backbone(pixels), features) < 1e-4
    left = [name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not left and not any(p.requires_grad for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize("tag", [DEFAULT, "resnet18.tv_in1k"])
def test_the_rows_that_have_batch_norms_had_them_folded(tag: str) -> None:
    """Else the test above could not fail for them."""
    assert tag in FOLDS
    net = build(BACKBONES[tag])
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    parameters = sum(p.numel() for p in net.parameters())
    fold(net, 64)
    assert norms >= 20 and sum(p.numel() for p in net.parameters()) < parameters


def test_a_norm_that_does_not_follow_a_convolution_stays() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.first, self.second = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(self.conv(x)).relu() + 1)

    net = Shared().eval()
    net.second.running_mean.fill_(0.3)
    pixels = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        before = net(pixels)
        after = fold(net, 8)(pixels)
    assert isinstance(net.second, nn.BatchNorm2d) and not isinstance(net.first, nn.BatchNorm2d)
    assert torch.allclose(before, after, atol=1e-5)


def test_megabytes_are_what_a_file_manager_shows() -> None:
    assert round(BACKBONES["vgg16.tv_in1k"].megabytes) == 528 and "528 MB" in BACKBONES["vgg16.tv_in1k"].advice
    assert round(BACKBONES["vgg19.tv_in1k"].megabytes) == 548 and "548 MB" in BACKBONES["vgg19.tv_in1k"].advice


def test_names_are_found_with_and_without_their_tag() -> None:
    assert resolve("vgg16").tag == "vgg16.tv_in1k" == resolve("vgg16.tv_in1k").tag
    other = resolve("resnet34.a1_in1k")
    assert other.tag == "resnet34.a1_in1k" and other.parameters == pytest.approx(21.8, abs=0.01) and other.licence


@pytest.mark.parametrize(
    "name",
    ["", "no_such_net", "resnet18.no_such_tag", "local-dir:/etc", "local-dir:.", "hf-hub:someone/evil", "hf_hub:a/b",
     "../resnet18", "/etc/passwd", "resnet18\0", "RESNET18", "x" * 5000, None, 7],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve(name)
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 200


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights anywhere: two empty folders are named, the hub's cache and weights/ are empty, no package is there."""
    for name in ("first", "second", "own"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TRANSFERDEMO_WEIGHTS", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    monkeypatch.setattr(backbones, "OWN_WEIGHTS", tmp_path / "own")
    monkeypatch.setattr(backbones, "_package_file", lambda package: None)
    monkeypatch.setattr(hub, "cached", lambda repo, revision=None: None)
    monkeypatch.setattr(backbones, "_cache", type(backbones._cache)())
    return tmp_path


def test_weights_are_looked_for_in_the_order_of_the_design(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = BACKBONES[DEFAULT]
    assert find_weights(row) is None
    kept, packed = nowhere / "kept.safetensors", nowhere / "packed.pth"
    monkeypatch.setattr(hub, "cached", lambda repo, revision=None: kept)
    assert find_weights(row).path == kept and "cache" in find_weights(row).origin
    monkeypatch.setattr(backbones, "_package_file", lambda package: packed)
    assert find_weights(row) == Found(packed, "the installed package", row.package)
    untagged = row.tag.partition(".")[0]
    for folder in ("own", "second", "first"):
        for stem in (untagged, row.tag):  # each is looked for before the one just found
            path = nowhere / folder / f"{stem}.safetensors"
            path.touch()
            found = find_weights(row)
            assert found.path == path and path.name in found.origin and found.package is None
            assert str(nowhere) not in found.origin


def test_a_tilde_and_empty_entries_in_the_variable_are_fine(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(nowhere))
    monkeypatch.setenv("TRANSFERDEMO_WEIGHTS", "::~/first:/no/such/folder")
    (nowhere / "first" / "resnet18.safetensors").touch()
    assert find_weights(BACKBONES["resnet18.tv_in1k"]).path == nowhere / "first" / "resnet18.safetensors"


def test_missing_weights_get_a_sentence(nowhere: Path) -> None:
    with pytest.raises(MissingWeights, match=r"VGG-16 \(528 MB\).*transferdemo download vgg16.tv_in1k"):
        load_backbone("vgg16")


def damaged(good: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "html": b"<html>sign in</html>" * 99,
        "pickle": b"\x80\x04\x95" + b"x" * 99,
    }


def test_damaged_weights_get_a_sentence(nowhere: Path) -> None:
    path = nowhere / "first" / "mobilenetv3_small_100.safetensors"
    tensors = build(resolve("mobilenetv3_small_100")).state_dict()
    save_file(tensors, path)
    wrong = {"other names": {f"x.{k}": v for k, v in tensors.items()}, "one missing": dict(list(tensors.items())[1:])}
    wrong["other shape"] = tensors | {"conv_stem.weight": torch.zeros(1)}
    for name, data in damaged(path.read_bytes()).items():
        path.write_bytes(data)
        with pytest.raises(BadFile, match="remove it or fetch it again"):
            load_backbone("mobilenetv3_small_100")
        assert not backbones._cache, name
    for name, other in wrong.items():
        save_file(other, path)
        with pytest.raises(BadFile, match="does not hold the weights of MobileNetV3 small"):
            load_backbone("mobilenetv3_small_100")
        assert not backbones._cache, name
    save_file(tensors, path)  # the second try works
    assert load_backbone("mobilenetv3_small_100").found.path == path


def test_a_package_with_other_bytes_is_never_unpickled(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = nowhere / "packed.pth"
    torch.save({"a": torch.zeros(1)}, bad)
    monkeypatch.setattr(backbones, "_package_file", lambda package: bad)
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("it was opened"))
    with pytest.raises(BadFile, match="not the known ones"):
        load_backbone(DEFAULT)


def test_a_pickle_is_never_weights(nowhere: Path) -> None:
    for name in ("resnet18.pth", "resnet18.tv_in1k.pt", "resnet18.bin"):
        (nowhere / "first" / name).touch()
    assert find_weights(BACKBONES["resnet18.tv_in1k"]) is None


@pytest.mark.parametrize("tag", [DEFAULT, LITE2])
def test_the_packages_bring_their_preprocessing(tag: str) -> None:
    backbone = load_backbone(tag)
    assert backbone.found.package and "package" in backbone.found.origin
    assert (backbone.mean * 255).flatten().tolist() == pytest.approx([127] * 3)
    assert (backbone.std * 255).flatten().tolist() == pytest.approx([128] * 3)
    assert not backbone.training and not any(p.requires_grad for p in backbone.parameters())
    assert backbone.net.conv_stem.weight.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_files_become_float32(shared: Path) -> None:
    backbone = load_backbone(MOBILENET)
    assert backbone.found.path.parent.name == "weights"
    assert {t.dtype for t in backbone.state_dict().values() if t.is_floating_point()} == {torch.float32}


def test_the_digest_sees_values_and_names_and_not_how_they_are_stored() -> None:
    tensors = {"a": torch.rand(3, 4).half().float(), "b": torch.rand(2), "n": torch.tensor(3)}
    same = {"b": tensors["b"], "n": torch.tensor(9), "a": tensors["a"].half().t().contiguous().t()}
    assert digest(tensors) == digest(same)
    assert digest(tensors) != digest({**tensors, "b": tensors["b"] + 1e-6})
    assert digest(tensors) != digest({"c": tensors["a"], "b": tensors["b"]})


def test_the_digest_is_that_of_the_weights_before_folding() -> None:
    net = timm.create_model("tf_efficientnet_lite0").eval()
    packed = torch.load(load_backbone(DEFAULT).found.path, map_location="cpu", weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), packed.values(), strict=True)))
    assert load_backbone(DEFAULT).digest == digest(net.state_dict())


@pytest.fixture
def fakes(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every network is a copy of the toy, slow to load; the names of those that were loaded."""
    loaded: list[str] = []

    def load(spec: backbones.BackboneSpec) -> Backbone:
        loaded.append(spec.tag)
        time.sleep(0.2)
        return Backbone(toy.backbone.net, dataclasses.replace(toy.backbone.info, tag=spec.tag), toy.backbone.found, "")

    monkeypatch.setattr(backbones, "_load", load)
    monkeypatch.setattr(backbones, "_cache", type(backbones._cache)())
    return loaded


def test_two_who_ask_at_once_cause_one_load(fakes: list[str]) -> None:
    found: list[Backbone] = []
    threads = [threading.Thread(target=lambda: found.append(load_backbone("resnet18"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fakes == ["resnet18.tv_in1k"] and len({id(b) for b in found}) == 1 and len(found) == 6


def test_the_cache_is_bounded_and_forgets_the_longest_unused(fakes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    each = backbones.size_of(load_backbone("resnet18"))
    monkeypatch.setattr(backbones, "CACHE_BYTES", 2 * each)
    for name in ("resnet50", "resnet18", "vgg16"):  # resnet18 was used again: resnet50 has to go
        load_backbone(name)
    kept = [tag for tag, _ in backbones._cache]
    assert kept == ["resnet18.tv_in1k", "vgg16.tv_in1k"]
    assert fakes == ["resnet18.tv_in1k", "resnet50.tv_in1k", "vgg16.tv_in1k"]
    monkeypatch.setattr(backbones, "CACHE_BYTES", 0)  # one network is always kept
    assert load_backbone("resnet50").tag == "resnet50.tv_in1k" and len(backbones._cache) == 1


def test_a_failed_load_does_not_block_the_next(fakes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    works = backbones._load

    def fails(spec: backbones.BackboneSpec) -> Backbone:
        raise BadFile("Damaged.")

    monkeypatch.setattr(backbones, "_load", fails)
    with pytest.raises(BadFile):
        load_backbone("resnet18")
    monkeypatch.setattr(backbones, "_load", works)
    assert load_backbone("resnet18").tag == "resnet18.tv_in1k"
