"""One channel of a network: how strongly a photo fires it, which photos fire it most, and which classes it speaks for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..device import batch_size
from ..errors import BadSetting
from ..heads import Classifier
from ..images import to_pixels
from ..types import Features, Image8, check_number
from .inspect import Inspection
from .stages import layout, maps_at

A_STAGE = 8  # channels shown of each depth
SMALLEST_FILTER = 5  # px; smaller ones are too coarse to be a picture


@dataclass(frozen=True)
class FiresConfig:
    """Which channel of which stage, and how many photos to find."""

    layer: str
    channel: int
    top: int = 8

    def __post_init__(self) -> None:
        check_number("channel", self.channel, 0, 1e6, whole=True)
        check_number("top", self.top, 1, 100, whole=True)


@dataclass(frozen=True, eq=False)
class Fired:
    """A photo, by its place in the list, how strongly it fires the channel at its peak, and where (h, w)."""

    index: int
    peak: float
    where: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FiresStep:
    """`step` of `total` photos have been looked at; those that fired most so far, strongest first."""

    step: int
    total: int
    strongest: tuple[Fired, ...]


@dataclass(frozen=True, eq=False)
class FiresDone(FiresStep):
    """All photos have been looked at."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Features seen from their two widest sides."""

    points: NDArray[np.float32]  # (N, 2)
    explained: tuple[float, float]  # share of the features' variance along each side, in [0, 1]


def strongest(maps: NDArray[np.float32], count: int = A_STAGE) -> tuple[int, ...]:
    """The channels of (C, h, w) that stand out most against the rest of their own map, strongest first.

    Standing out, not the bare peak: a channel that is high everywhere says nothing about this photo.
    """
    contrast = maps.max((1, 2)) - maps.mean((1, 2))
    return tuple(int(i) for i in np.argsort(-contrast, kind="stable")[:count])


def speaks_for(classifier: Classifier, seen: Inspection, channel: int, count: int = 5) -> tuple[tuple[int, float], ...]:
    """The classes whose logits rise most when a channel of the last maps fires one more everywhere: (index, rise).

    Where the head sits on the mean of the maps, that is the head's weight. Empty for token networks, whose last maps
    the head does not read. Raises BadSetting for a channel that is not there.
    """
    check_number("channel", channel, 0, len(seen.maps[-1]) - 1, whole=True)
    if layout(classifier).tokens:
        return ()
    maps = torch.from_numpy(seen.maps[-1]).to(classifier.device)
    more = torch.stack([maps, maps])
    more[1, channel] += 1
    with torch.no_grad():
        before, after = classifier.logits(classifier.backbone.net.forward_head(more, pre_logits=True).flatten(1))
    best = (after - before).topk(min(count, len(before)))
    return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def fires_most(
    classifier: Classifier, images: Sequence[Image8], config: FiresConfig
) -> Generator[FiresStep, None, None]:
    """Which of many photos, fitted to (S, S, 3), fire a channel most? A stream that ends with FiresDone.

    Raises BadSetting for a layer or a channel that is not there, or no photos.
    """
    plan = layout(classifier)
    layer = plan.find(config.layer)
    check_number("channel", config.channel, 0, plan.stages[layer].shape[0] - 1, whole=True)
    if not images:
        raise BadSetting("There are no photos to look at: open a folder first.")
    size = min(batch_size(classifier.device), 8)
    best: list[Fired] = []
    for start in range(0, len(images), size):
        maps = maps_at(classifier, to_pixels(images[start : start + size]).to(classifier.device), layer)
        found = maps[:, config.channel].float().cpu().numpy()
        best += [Fired(start + i, float(m.max()), m) for i, m in enumerate(found)]
        best = sorted(best, key=lambda fired: -fired.peak)[: config.top]
        yield FiresStep(min(start + size, len(images)), len(images), tuple(best))
    yield FiresDone(len(images), len(images), tuple(best))


def first_filters(classifier: Classifier) -> NDArray[np.float32] | None:
    """The first layer's filters (K, h, w, 3), where it looks at colours through windows of 5 px or more; else None."""
    convolutions = (m for m in classifier.backbone.net.modules() if isinstance(m, nn.Conv2d))
    first = next(convolutions, None)
    if first is None or first.in_channels != 3 or first.groups != 1 or min(first.kernel_size) < SMALLEST_FILTER:
        return None
    filters: NDArray[np.float32] = first.weight.detach().permute(0, 2, 3, 1).float().cpu().numpy()
    return filters


def project(features: Features | NDArray[np.float32]) -> Projection:
    """Features (N, D) of a folder as points (N, 2) by principal components, centred; the same features, the same points.

    Raises BadSetting for fewer than two photos.
    """
    from sklearn.decomposition import PCA

    table = _table(features)
    if len(table) < 2:
        raise BadSetting("A map needs at least two photos: add more.")
    if np.ptp(table, axis=0).max() == 0:
        return Projection(np.zeros((len(table), 2), np.float32), (0.0, 0.0))
    found = PCA(min(2, *table.shape), svd_solver="full").fit(table)
    points = np.zeros((len(table), 2), np.float32)
    points[:, : found.n_components_] = found.transform(table)
    first, second = (*found.explained_variance_ratio_.tolist(), 0.0)[:2]
    return Projection(points, (first, second))


def at_home(features: Features | NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """The share, in [0, 1], of photos (N, D) whose nearest other photo by its features has the same label (N,).

    Photos of one group (N,), near duplicates, do not count as each other's neighbours. Raises BadSetting where no photo
    has a neighbour.
    """
    from sklearn.metrics import pairwise_distances

    table = _table(features)
    distances = pairwise_distances(table)
    distances[groups[:, None] == groups[None]] = np.inf
    able = np.isfinite(distances.min(1))
    if not able.any():
        raise BadSetting("A map needs at least two different photos: add more.")
    nearest = distances.argmin(1)
    return float((labels[nearest] == labels)[able].mean())


def _table(features: Features | NDArray[np.float32]) -> NDArray[np.float32]:
    return features if isinstance(features, np.ndarray) else np.asarray(features.detach().float().cpu())
