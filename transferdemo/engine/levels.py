"""Changes in whole grey levels: the largest one inside a ball, and how large one is.

Inside a search, pictures and changes are (N, S * S * 3) float32 in grey levels of 255, in the order of an Image8: the
network's view of that memory is channels_last without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..types import Image8, Pixels

Levels: TypeAlias = "Tensor"  # (N, S * S * 3) float32, grey levels of 255
HALVINGS = 18  # of the bracket around the scale in `largest_step`: to 1e-4 of it


@dataclass(frozen=True)
class Size:
    """How large a change is: L2 in [0, 1] units over all values, L-infinity in grey levels, share of values touched."""

    l2: float
    linf_levels: int
    changed_share: float


def measure(clean: Image8, changed: Image8) -> Size:
    """The size of what was changed between two pictures of one shape."""
    change = changed.astype(np.int16) - clean.astype(np.int16)
    return Size(float(np.linalg.norm(change / 255)), int(np.abs(change).max()), float(np.mean(change != 0)))


def to_levels(images: Sequence[Image8], device: torch.device) -> Levels:
    """Pictures of one size, (S, S, 3) uint8 each, as (N, S * S * 3) grey levels."""
    return torch.from_numpy(np.stack(images)).to(device).flatten(1).float()


def to_pixels(levels: Levels) -> Pixels:
    """Grey levels as (N, 3, S, S) in [0, 1], the same numbers as `images.to_pixels`, channels_last."""
    side = round((levels.shape[1] / 3) ** 0.5)
    return (levels / 255).view(-1, side, side, 3).permute(0, 3, 1, 2)


def to_flat(pixels: Tensor) -> Tensor:
    """(N, 3, S, S) in the order of an Image8: (N, S * S * 3)."""
    return pixels.permute(0, 2, 3, 1).flatten(1)


def to_images(levels: Levels) -> tuple[Image8, ...]:
    """Grey levels as pictures, rounded and clipped."""
    side = round((levels.shape[1] / 3) ** 0.5)
    return tuple(levels.round().clamp(0, 255).to("cpu", torch.uint8).view(-1, side, side, 3).numpy())


class Room:
    """How far each value of a clean picture can go: inside 0 to 255, and by at most `most` levels."""

    def __init__(self, clean: Levels, most: float = 255.0) -> None:
        self._clean = clean
        self.down, self.up = (-clean).clamp_min(-most), (255 - clean).clamp_max(most)
        self._low = torch.where(clean == 0, 0.0, -torch.inf)
        self._high = torch.where(clean == 255, 0.0, torch.inf)

    def widen(self, rows: Tensor) -> None:
        """Lift `most` for some pictures, (N,) booleans."""
        self.down = torch.where(rows[:, None], -self._clean, self.down)
        self.up = torch.where(rows[:, None], 255 - self._clean, self.up)

    def within(self, change: Levels) -> Levels:
        """`change`, cut off where the room ends."""
        return change.clamp(self.down, self.up)

    def possible(self, direction: Tensor) -> Tensor:
        """`direction` with zeros where a value already stands at the end it points to."""
        return direction.clamp(self._low, self._high)


def largest_step(direction: Tensor, room: Room, radius: Tensor) -> Levels:
    """The change in whole grey levels along `direction` (N, P) that gains most with an L2 norm of at most `radius` (N,) levels.

    Raising a value from k - 1 to k levels costs 2k - 1 of the squared norm, so for a linear gain what is worth its cost is
    `round(scale * direction)`: only the scale is searched. Most values of a small change stay 0: radius squared is a bound
    on how many do not.
    """
    possible = room.possible(direction)
    count = min(direction.shape[1], int(radius.max().item() ** 2) + 1)
    largest = possible.abs().topk(count, dim=1, sorted=False).values
    return room.within((possible * _scale(largest, radius[:, None])).round_())


def _scale(sizes: Tensor, radius: Tensor) -> Tensor:
    """The largest factor (N, 1) by which `sizes` (N, K), none negative, round to an L2 norm within `radius` (N, 1)."""
    top = sizes.amax(1, keepdim=True).clamp_min(torch.finfo(sizes.dtype).tiny)
    low, high = 0.5 / top, (radius + 1) / top
    for _ in range(HALVINGS):
        middle = (low * high).sqrt()
        large = (sizes * middle).round_().norm(dim=1, keepdim=True) > radius
        low, high = torch.where(large, low, middle), torch.where(large, middle, high)
    return low
