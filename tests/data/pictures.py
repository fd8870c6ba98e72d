"""Small pictures and sets that the tests of data/ share."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from transferdemo.data.labelled import LabelledFolder
from transferdemo.data.prepare import PrepareDone, PrepareStep, prepare
from transferdemo.data.records import LOCAL, Listing
from transferdemo.types import InputSpec

SPEC = InputSpec(size=16, resize=20)


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (40, 32)) -> bytes:
    """A picture of smooth random colours, another for each seed: their pHashes are far apart."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def make_set(root: Path, amounts: dict[str, int]) -> Path:
    """Write `amounts` of pictures into class folders, all different."""
    for place, (label, amount) in enumerate(amounts.items()):
        (root / label).mkdir(parents=True)
        for number in range(amount):
            (root / label / f"{number}.png").write_bytes(picture(1_000 * place + number))
    return root


def prepared(listing: Listing) -> tuple[LabelledFolder, list[PrepareStep]]:
    """Run `prepare` to its end."""
    *steps, done = prepare(listing, SPEC, limits=LOCAL)
    assert isinstance(done, PrepareDone)
    assert all(isinstance(step, PrepareStep) for step in steps)
    return done.folder, steps  # type: ignore[return-value]
