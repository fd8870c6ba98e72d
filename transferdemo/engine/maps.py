"""The maps of a training set's photos at the cut: what the frozen part makes of them, computed once, as float16."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.labelled import LabelledFolder
from ..data.prepare import fitted
from ..embed import run
from ..errors import BadFolder
from ..types import Fit
from .cut import Cut

CHUNK = 16  # photos a step
HIGHEST = 65_504.0  # of float16
LIMIT = 600_000_000  # bytes of maps


@dataclass(frozen=True)
class MapsStep:
    """`step` of `total` photos have gone through the frozen part."""

    step: int
    total: int


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of a set's used photos: `values` (M, ...) float16 on the CPU, and the row of each photo of `folder.used`."""

    values: Tensor
    rows: Tensor  # (N,); copies that a person took back share one

    def at(self, indices: Tensor, device: torch.device) -> Tensor:
        """The maps of some photos as float32 on a device."""
        maps = self.values[self.rows[indices]].to(device).float()
        return maps.contiguous(memory_format=torch.channels_last) if maps.ndim == 4 else maps


def check_room(cut: Cut, folder: LabelledFolder) -> None:
    """Raise BadFolder for more photos than there is room for."""
    most = LIMIT // cut.bytes
    if len(folder.used) > most:
        raise BadFolder(
            f"Fine-tuning this network works with at most {most:,} photos here, and there are {len(folder.used):,}; leave out "
            "a class, or choose a smaller network."
        )


def maps_of(cut: Cut, folder: LabelledFolder, fit: Fit) -> Generator[MapsStep | Maps, None, None]:
    """Open a set's used photos again and send them through the frozen part; the last thing yielded is the Maps.

    Raises BadFolder when a photo's file is no longer there.
    """
    place = {sha: row for row, sha in enumerate(dict.fromkeys(photo.sha256 for photo in folder.used))}
    values = torch.empty(len(place), *cut.shape, dtype=torch.float16)
    others = frozenset(photo.sha256 for photo in folder.photos) - set(place)
    done = 0
    with closing(fitted(folder, cut.backbone.spec, fit, others)) as events:
        for event in events:
            for start in range(0, len(event.images), CHUNK):
                numbers = [place[sha] for sha in event.hashes[start : start + CHUNK]]
                found = run(cut.trunk, cut.backbone, event.images[start : start + CHUNK])
                values[numbers] = found.clamp(-HIGHEST, HIGHEST).to(torch.float16)
                done += len(numbers)
                yield MapsStep(done, len(place))
            yield MapsStep(done, len(place))
    if done < len(place):
        raise BadFolder("Some photos are no longer there; add them again, then train and fine-tune.")
    yield Maps(values, torch.tensor([place[photo.sha256] for photo in folder.used]))
