"""Augmentation for frozen features: other views of each training photo, which pass the network once each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from ..backbones import Backbone
from ..data.labelled import LabelledPhoto
from ..data.prepare import fitted
from ..embed import embed
from ..errors import BadFolder
from ..types import Image8, check_choice
from .features import CollectStep, Embedded, Vectors
from .tricks import AUGMENT_NAMES

CHUNK = 8  # photos between two steps
CLOSER = 3 / 4  # of the side that a crop keeps


def mirrored(image8: Image8) -> Image8:
    """Left and right exchanged."""
    return np.ascontiguousarray(image8[:, ::-1])


def closer(image8: Image8) -> Image8:
    """The middle three quarters of the side, enlarged to the size of the whole, (S, S, 3)."""
    size = len(image8)
    edge = round(size * (1 - CLOSER) / 2)
    middle = Image.fromarray(image8[edge : size - edge, edge : size - edge])
    return np.asarray(middle.resize((size, size), Image.Resampling.BICUBIC))


VIEWS: dict[str, tuple[Callable[[Image8], Image8], ...]] = {
    "none": (),
    "flip": (mirrored,),
    "crop": (closer,),
    "flip-crop": (mirrored, closer),
}


@dataclass(frozen=True, eq=False)
class ViewsDone:
    """The set with features of its views."""

    step: int
    total: int
    embedded: Embedded


def collect_views(
    embedded: Embedded, photos: Sequence[LabelledPhoto], augment: str, backbone: Backbone
) -> Generator[CollectStep | ViewsDone, None, None]:
    """Open photos of a set again and embed their other views, as far as they are not there yet.

    Raises BadSetting for an augmentation that does not exist, BadFolder for a set without pictures or of another network.
    """
    check_choice("augmentation", augment, AUGMENT_NAMES)
    if VIEWS[augment] and not embedded.pictures:
        raise BadFolder("This set has features only; other views of the photos need the photos, so give photos.")
    if embedded.digest != backbone.digest:
        raise BadFolder("These photos were prepared for another network; prepare them again for this one.")
    return _collect(embedded, photos, augment, backbone)


def _collect(
    embedded: Embedded, photos: Sequence[LabelledPhoto], augment: str, backbone: Backbone
) -> Generator[CollectStep | ViewsDone, None, None]:
    made = dict(embedded.views.get(augment, {}))
    wanted = tuple(photo for photo in photos if photo.sha256 not in made) if VIEWS[augment] else ()
    step, total = 0, max(1, len(wanted))
    folder = replace(embedded.folder, photos=wanted)
    with closing(fitted(folder, backbone.spec, embedded.fit)) as events:
        for event in events:
            for start in range(0, len(event.images), CHUNK):
                part = slice(start, start + CHUNK)
                made.update(zip(event.hashes[part], _embedded(event.images[part], augment, backbone), strict=True))
                step += len(event.images[part])
                yield CollectStep(step, total, step, None)
    yield ViewsDone(total, total, replace(embedded, views={**embedded.views, augment: made}))


def _embedded(images: Sequence[Image8], augment: str, backbone: Backbone) -> list[Vectors]:
    """(V, D) for each picture."""
    views = [embed(backbone, [view(image) for image in images]) for view in VIEWS[augment]]
    return list(torch.stack(views, 1).numpy())
