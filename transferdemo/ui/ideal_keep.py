"""The pictures that a visitor made, each with the settings to make it again, and the one that ships. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..backbones import OWN_WEIGHTS
from ..images import encode_jpeg
from .ideal_run import Painting

OPENING = OWN_WEIGHTS / "ideal" / "zebra.png"
MOST = 24
THUMBNAIL = 112  # px


@dataclass(frozen=True, eq=False)
class Kept:
    """A thumbnail (JPEG) and settings."""

    thumbnail: bytes
    settings: dict[str, object]


def with_new(kept: tuple[Kept, ...], painting: Painting) -> tuple[Kept, ...]:
    """The pictures with a new one at the end; the oldest goes when there are more than MOST."""
    if painting.image8 is None:
        return kept
    small = np.asarray(Image.fromarray(painting.image8).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS))
    return (*kept, Kept(encode_jpeg(small, 85), painting.settings))[-MOST:]
