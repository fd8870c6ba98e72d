"""Heads: the file survives a round trip, strangers' files are refused, a head sits only on its own weights."""

import dataclasses
import json
import struct

import pytest
import safetensors.torch
import torch

from transferdemo import head_file, heads
from transferdemo.errors import BadFile, BadSetting
from transferdemo.head_file import encode_head, read_head, save_head
from transferdemo.heads import Classifier, check_fits, find_classes, groups, own_head


def test_a_classifier_is_backbone_plus_head(toy: Classifier) -> None:
    pixels = torch.rand(4, 3, 8, 8)
    assert torch.allclose(toy(pixels), 10 * pixels.mean((2, 3)), atol=1e-5)
    assert own_head(toy.backbone).classes == ("class 0", "class 1", "class 2")


def test_round_trip(toy: Classifier, tmp_path) -> None:
    head = dataclasses.replace(
        toy.head, classes=("<img onerror=x>", "../x", "🐶"), temperature=1.5, fit="pad", facts={"accuracy": 0.9}
    )
    save_head(head, tmp_path / "head.safetensors")
    again = read_head(tmp_path / "head.safetensors")
    for field in dataclasses.fields(head):
        a, b = getattr(head, field.name), getattr(again, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    assert [p.name for p in tmp_path.iterdir()] == ["head.safetensors"]


def _raw(header: dict, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def hostile(head) -> dict[str, bytes]:
    good = encode_head(head)
    length = struct.unpack("<Q", good[:8])[0]
    tensors = {"weight": head.weight, "bias": head.bias}
    meta = json.loads(json.loads(good[8 : 8 + length])["__metadata__"]["head"])

    def saved(change: dict | None = None, **replaced: torch.Tensor) -> bytes:
        inner = json.dumps({**meta, **(change or {})})
        return safetensors.torch.save(
            {**tensors, **replaced}, {"format": "transferdemo head", "version": "1", "head": inner}
        )

    twice = good[8 : 8 + length].replace(b'"bias":', b'"weight":', 1)
    return {
        "empty": b"",
        "short": good[:5],
        "cut": good[:-4],
        "pickle": b"\x80\x04abc",
        "zip": b"PK\x03\x04" + b"0" * 99,
        "no json": struct.pack("<Q", 8) + b"notjson!",
        "huge header": struct.pack("<Q", 2**40) + b"{}",
        "deep": struct.pack("<Q", 60000) + b"[" * 60000,
        "list": _raw([]),  # type: ignore[arg-type]
        "no metadata": safetensors.torch.save(tensors),
        "other tensors": safetensors.torch.save(
            {"w": head.weight}, {"format": "transferdemo head", "version": "1", "head": "{}"}
        ),
        "twin keys": struct.pack("<Q", len(twice)) + twice + good[8 + length :],
        "float64": saved(weight=head.weight.double()),
        "nan": saved(bias=torch.tensor([0.0, float("nan"), 0.0])),
        "huge values": saved(weight=head.weight * 1e30),
        "shape": saved(bias=torch.zeros(4)),
        "no classes": saved({"classes": []}),
        "same classes": saved({"classes": ["a", "a", "b"]}),
        "class not text": saved({"classes": ["a", 1, "b"]}),
        "long class": saved({"classes": ["a", "b" * 201, "c"]}),
        "fit": saved({"fit": "stretch"}),
        "temperature": saved({"temperature": 0}),
        "temperature bool": saved({"temperature": True}),
        "version": good.replace(b'"version":"2"', b'"version":"9"'),
        "large": good + b"\0" * head_file.MAX_BYTES,
        "trailing": good + b"\0" * 10,
    }


def test_hostile_files_get_a_sentence(toy: Classifier) -> None:
    for name, data in hostile(toy.head).items():
        with pytest.raises(BadFile) as caught:
            read_head(data)
        assert str(caught.value).endswith((".", ")")), name


def test_files_of_the_first_version_are_read(toy: Classifier) -> None:
    again = read_head(encode_head(toy.head).replace(b'"version":"2"', b'"version":"1"'))
    assert torch.equal(again.weight, toy.head.weight) and not again.changed


def test_a_head_refuses_other_weights(toy: Classifier) -> None:
    with pytest.raises(BadFile, match="other weights"):
        check_fits(dataclasses.replace(toy.head, digest="0" * 64), toy.backbone)
    with pytest.raises(BadFile, match="made for"):
        check_fits(dataclasses.replace(toy.head, backbone="resnet18.tv_in1k"), toy.backbone)


def test_classes_by_name_index_and_group(toy: Classifier) -> None:
    assert find_classes(toy.head, "Green") == (1,) == find_classes(toy.head, "1")
    for unknown in ("purple", "3", "", "-1", "any cat"):
        with pytest.raises(BadSetting):
            find_classes(toy.head, unknown)
    assert groups(toy.head) == {}
    names = heads.imagenet_names()
    assert names[207] == "golden retriever" and names[285] == "Egyptian cat" and len(set(names)) == 1000
