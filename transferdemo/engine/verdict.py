"""What a changed picture is worth: its 8-bit PNG, read back and classified anew in float32."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..heads import Classifier
from ..images import encode_png, to_pixels
from ..types import Image8
from .levels import measure


@dataclass(frozen=True)
class Answer:
    """The class that a picture is given, and its probability."""

    index: int
    probability: float


@dataclass(frozen=True, eq=False)
class Result:
    """A changed photo as its file says: everything but `low` and `high` was measured on the PNG read back."""

    image8: Image8
    png: bytes
    fooled: bool
    before: Answer
    after: Answer
    targets: tuple[int, ...] | None
    l2: float
    linf_levels: int
    changed_share: float
    low: float = 0.0  # of the picture before it was cut to [0, 1] and rounded: the lesson's method leaves the range
    high: float = 1.0
    gradients: int = 0
    seconds: float = 0.0


def judge(
    classifier: Classifier,
    clean: Image8,
    changed: Image8,
    targets: tuple[int, ...] | None,
    before: Answer | None = None,
) -> Result:
    """What the saved file is worth: `changed` as PNG, read back, classified alone in float32, compared with `clean`.

    `before` is the answer to `clean`, where it is known.
    """
    png = encode_png(changed)
    with Image.open(io.BytesIO(png)) as file:
        image8 = np.array(file)
    before, after = before or classify_alone(classifier, clean), classify_alone(classifier, image8)
    size = measure(clean, image8)
    fooled = after.index != before.index and (targets is None or after.index in targets)
    return Result(image8, png, fooled, before, after, targets, size.l2, size.linf_levels, size.changed_share)


@torch.no_grad()
def classify_alone(classifier: Classifier, image8: Image8) -> Answer:
    """The answer to one picture at the network's input size, in a batch of its own."""
    probability, index = classifier(to_pixels([image8]).to(classifier.device)).softmax(1)[0].max(0)
    return Answer(int(index), float(probability))
