"""Training sets made of numbers, so that training is tested without one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from transferdemo.data.labelled import LabelledFolder, LabelledPhoto
from transferdemo.data.records import BytesSource, SplitName
from transferdemo.engine.features import Embedded

Maker = Callable[..., Embedded]


@pytest.fixture
def embedded_of() -> Maker:
    """(features (N, D), labels as names, groups, splits) -> Embedded."""

    def make(
        features: np.ndarray,
        labels: Sequence[str],
        groups: Sequence[int] | None = None,
        splits: Sequence[SplitName] | None = None,
    ) -> Embedded:
        count = len(labels)
        groups, splits = groups or range(count), splits or [""] * count
        photos = tuple(
            LabelledPhoto(i, labels[i], f"{i}.png", BytesSource(b""), f"sha {i}", pixels=f"{i}", group=g, split=s)
            for i, (g, s) in enumerate(zip(groups, splits, strict=True))
        )
        vectors = {f"sha {i}": row for i, row in enumerate(np.asarray(features, dtype=np.float32))}
        return Embedded(LabelledFolder(photos, tuple(dict.fromkeys(labels))), vectors, "toy.test", "d" * 64)

    return make


@pytest.fixture
def clouds(embedded_of: Maker) -> Callable[..., Embedded]:
    """Gaussian clouds: `classes` of `each` points in `width` dimensions, their centres `apart` deviations from the origin."""

    def make(classes: int = 3, each: int = 20, width: int = 16, apart: float = 3.0, seed: int = 0) -> Embedded:
        random = np.random.default_rng(seed)
        centres = random.normal(size=(classes, width))
        centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
        features = np.concatenate([centre + random.normal(size=(each, width)) for centre in centres])
        return embedded_of(features, [f"class {i // each}" for i in range(classes * each)])

    return make
