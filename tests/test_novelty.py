"""Strange photos: the score does what it says, and its part of a head's file is read with suspicion."""

from __future__ import annotations

import dataclasses
import json
import struct

import pytest
import torch

from transferdemo import novelty
from transferdemo.errors import BadFile
from transferdemo.head_file import encode_head, read_head
from transferdemo.heads import Classifier
from transferdemo.types import Head, Novelty


def learned(classes: int = 3, each: int = 20, width: int = 32, seed: int = 0) -> tuple[Novelty, torch.Tensor]:
    """Three clouds, and what is kept of them."""
    random = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(classes, width, generator=random)
    labels = torch.arange(classes * each) % classes
    features = centres[labels] + torch.randn(len(labels), width, generator=random)
    return dataclasses.replace(novelty.learn(features, labels), threshold=0.5, false_alarm=0.05), features


def test_photos_like_its_own_score_low_and_others_high() -> None:
    own, features = learned()
    others = 4 * torch.randn(50, 32, generator=torch.Generator().manual_seed(9))
    inside, outside = novelty.score(own, features), novelty.score(own, others)
    assert float(inside.max()) < float(outside.min())
    assert float(inside.min()) >= 0 and float(outside.max()) <= 2
    assert torch.allclose(novelty.score(own, 7 * others), outside, atol=1e-5)  # brightness is not strangeness


def test_features_of_nothing_are_strange_and_finite() -> None:
    own, _ = learned()
    assert novelty.score(own, torch.zeros(1, 32)).isfinite().all()


def test_what_is_kept_has_a_size_and_every_class() -> None:
    labels = torch.tensor([0] * 900 + [1] * 5)
    own = novelty.learn(torch.randn(905, 64, generator=torch.Generator().manual_seed(0)), labels, room=2 * 64 * 20)
    assert own.photos.shape == (20, 64) and own.means.shape == (2, 64)
    picked = novelty._evenly(labels, 20)
    assert int((labels[picked] == 1).sum()) == 5 and len(set(picked.tolist())) == 20


def with_novelty(head: Head) -> Head:
    random = torch.Generator().manual_seed(0)
    own = novelty.learn(torch.rand(12, 3, generator=random), torch.arange(12) % 3)
    return dataclasses.replace(head, novelty=dataclasses.replace(own, threshold=0.25, false_alarm=0.05))


def test_it_survives_the_file_and_older_files_are_read(toy: Classifier) -> None:
    head = with_novelty(toy.head)
    data = encode_head(head)
    again = read_head(data).novelty
    assert again is not None and (again.threshold, again.false_alarm) == (0.25, 0.05)
    for name in ("centre", "means", "photos"):
        assert torch.equal(getattr(again, name), getattr(head.novelty, name))
    older = encode_head(toy.head).replace(b'"version":"2"', b'"version":"1"')
    assert b'"version":"1"' in older and read_head(older).novelty is None


def changed(data: bytes, name: str | None = None, tensor: torch.Tensor | None = None, **meta: object) -> bytes:
    """The file with one tensor replaced (None: left out), or another `novelty` in its description."""
    import safetensors.torch

    length = struct.unpack("<Q", data[:8])[0]
    about = json.loads(data[8 : 8 + length])["__metadata__"]
    tensors = safetensors.torch.load(data)
    if name is not None:
        tensors.pop(name, None)
        tensors |= {} if tensor is None else {name: tensor}
    about["head"] = json.dumps({**json.loads(about["head"]), **meta})
    return safetensors.torch.save(tensors, about)


def test_hostile_files_get_a_sentence(toy: Classifier) -> None:
    good = encode_head(with_novelty(toy.head))
    assert read_head(changed(good)).novelty is not None
    nan, wide = torch.full((3,), float("nan")).half(), torch.ones(3, 4).half()
    bad = {
        "a part is missing": changed(good, "novelty.means"),
        "one too many": changed(good, "novelty.more", torch.ones(1).half()),
        "float32": changed(good, "novelty.centre", torch.zeros(3)),
        "nan": changed(good, "novelty.centre", nan),
        "large": changed(good, "novelty.centre", torch.full((3,), 60_000.0).half()),
        "wide": changed(good, "novelty.photos", wide),
        "flat": changed(good, "novelty.photos", torch.ones(9).half()),
        "none": changed(good, "novelty.photos", torch.ones(0, 3).half()),
        "many": changed(good, "novelty.photos", torch.ones(200_000, 3).half()),
        "classes": changed(good, "novelty.means", torch.ones(2, 3).half()),
        "no numbers": changed(good, novelty=None),
        "threshold": changed(good, novelty={"threshold": True, "false_alarm": 0.05}),
        "infinite": changed(good, novelty={"threshold": 1e9, "false_alarm": 0.05}),
    }
    for name, data in bad.items():
        with pytest.raises(BadFile):
            print(name, read_head(data))
