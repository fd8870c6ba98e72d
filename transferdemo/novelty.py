"""Is a photo like those that a head learned from? A score from distances between features, and its form in a head's file.

Nearest neighbour on normalised features (Sun et al., arXiv:2204.06507) and nearest class mean (Lee et al., arXiv:1807.03888)
have complementary faults: neighbours pass what lies between two photos, means pass what lies within a broad class. Their
average is near the better of the two on each of our sets, and not once near the worse. Features first pass a signed square
root, so that a few large ones do not decide alone (Perronnin et al., ECCV 2010), are scaled to length 1 (arXiv:2505.18032),
and are moved by half of their mean: unmoved, all photos look alike; moved by all of it, the strangest look like anything.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import BadFile
from .types import Features, Novelty

KINDS = {"novelty.centre": "F16", "novelty.means": "F16", "novelty.photos": "F16"}  # tensors of a file, and their types
MAX_PHOTOS_BYTES = 1_000_000
MAX_ABS = 2.0  # unit vectors have less


def score(novelty: Novelty, features: Features) -> Tensor:
    """How strange photos are, (N, D) -> (N,): 0 like one it learned from, about 1 like none, 2 at most."""
    own = {name: getattr(novelty, name).to(features) for name in ("centre", "means", "photos")}
    directions = _directions(features, own["centre"])
    near: Tensor = (directions @ own["means"].T).amax(1) + (directions @ own["photos"].T).amax(1)
    return 1 - near / 2


def learn(features: Features, labels: Tensor, room: int = MAX_PHOTOS_BYTES) -> Novelty:
    """What the score needs of (N, D) features with class indices (N,); the threshold is still infinite.

    Of the photos as many are kept, evenly from all classes, as go into `room` bytes.
    """
    centre = _unit(features).mean(0) / 2
    directions = _directions(features, centre)
    means = torch.stack([directions[labels == label].mean(0) for label in torch.unique(labels)])
    some = _evenly(labels, max(1, min(room, MAX_PHOTOS_BYTES) // (2 * features.shape[1])))
    return Novelty(centre.half(), F.normalize(means).half(), directions[some].half(), float("inf"), 0.0)


def _unit(features: Features) -> Tensor:
    return F.normalize(features.sign() * features.abs().sqrt())


def _directions(features: Features, centre: Tensor) -> Tensor:
    return F.normalize(_unit(features) - centre)


def _evenly(labels: Tensor, count: int) -> Tensor:
    """`count` indices at most, of every class the same number as far as it has them, and always the same ones."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    place = torch.zeros(len(labels))
    for label in torch.unique(labels):
        members = order[labels[order] == label]
        place[members] = torch.arange(len(members), dtype=torch.float32)
    return place.argsort(stable=True)[:count].sort().values


def tensors(novelty: Novelty) -> dict[str, Tensor]:
    """The tensors of a head's file."""
    return {name: getattr(novelty, name.partition(".")[2]).half().cpu().contiguous() for name in KINDS}


def read(stored: Mapping[str, Tensor], meta: object, shape: tuple[int, int]) -> Novelty:
    """The novelty in a file that a stranger may have made; `shape` (C, D) is that of the head. Raises BadFile."""
    centre, means, photos = (stored[name] for name in KINDS)
    classes, width = shape
    fits = centre.shape == (width,) and means.shape == (classes, width)
    fits &= photos.ndim == 2 and photos.shape[1:] == (width,) and 1 <= len(photos) * width * 2 <= MAX_PHOTOS_BYTES
    if not fits:
        raise BadFile("The shapes inside this head file do not match its classes.")
    if not all(bool(t.isfinite().all()) and float(t.abs().max()) <= MAX_ABS for t in (centre, means, photos)):
        raise BadFile("This head file holds numbers that are not finite or far too large.")
    threshold, false_alarm = (_number(meta, key) for key in ("threshold", "false_alarm"))
    return Novelty(centre, means, photos, threshold, false_alarm)


def _number(meta: object, key: str) -> float:
    value = meta.get(key) if isinstance(meta, dict) else None
    if type(value) not in (int, float) or not 0 <= float(value) <= MAX_ABS:  # type: ignore[arg-type]  # a number now
        raise BadFile("The description inside this head file is not one that transferdemo wrote.")
    return float(value)  # type: ignore[arg-type]
