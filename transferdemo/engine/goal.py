"""What counts as fooled, and one look at how far a changed picture is from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..device import out_of_memory_explained
from ..types import Logits
from .levels import Levels, to_flat, to_pixels

MARGIN = 0.05  # logits by which a wanted class must lead: more than what float32 differs between devices and batches


@dataclass(frozen=True, eq=False)
class Look:
    """What one pass forward and back through the network said of N changes."""

    change: Levels  # (N, P) that were tried
    gradient: Tensor  # (N, P) of `Goal.gain` by the pixels in [0, 1], smoothed if asked for; empty after a glance
    slack: Tensor  # (N,) logits by which the goal is exceeded; negative: missed
    target: Tensor  # (N,) probability of the wanted classes together
    original: Tensor  # (N,) probability of the class that the clean picture has


class Goal:
    """For each of N pictures the classes that count: any of `targets`, or without them anything but the class it has."""

    def __init__(self, original: Tensor, classes: int, targets: Sequence[int] | None, confidence: float = 0.0) -> None:
        self.original = original[:, None]  # (N, 1) class of the clean picture
        self.wanted = torch.zeros(len(original), classes, dtype=torch.bool, device=original.device)
        if targets is None:
            self.wanted = ~self.wanted.scatter(1, self.original, True)
        else:
            self.wanted[:, list(targets)] = True
        self.odds = math.log(confidence / (1 - confidence)) if confidence > 0 else None

    def gain(self, logits: Logits, softness: float = 1.0) -> Tensor:
        """What a search climbs, (N,): the lead of the wanted classes in logits, softly.

        With `softness` 1 it is their log odds, log(p / (1 - p)), whose gradient points where cross-entropy's does. Towards 0
        it is the lead over the best other class alone: only that one stands in the way.
        """
        wanted, rest = self._sides(logits / softness)
        return (wanted.logsumexp(1) - rest.logsumexp(1)) * softness

    def slack(self, logits: Logits) -> Tensor:
        """Logits (N,) by which the goal is exceeded: the best class is a wanted one by `MARGIN`, and sure enough."""
        wanted, rest = self._sides(logits)
        lead = wanted.amax(1) - rest.amax(1) - MARGIN
        return lead if self.odds is None else lead.minimum(self.gain(logits) - self.odds)

    def _sides(self, logits: Logits) -> tuple[Tensor, Tensor]:
        return logits.masked_fill(~self.wanted, -torch.inf), logits.masked_fill(self.wanted, -torch.inf)


def look(
    network: nn.Module, goal: Goal, clean: Levels, change: Levels, *, softness: float = 1.0, tv: float = 0.0
) -> Look:
    """Look at `clean + change` once, with gradient; `softness` as in `Goal.gain`, `tv` as in `smooth`. Raises OutOfMemory."""
    with out_of_memory_explained(), torch.enable_grad():
        pixels = to_pixels(clean + change).requires_grad_()
        logits = network(pixels)
        (gradient,) = torch.autograd.grad(goal.gain(logits, softness).sum(), pixels)
    return _seen(goal, change, logits.detach(), to_flat(smooth(gradient, tv) if tv else gradient))


def glance(network: nn.Module, goal: Goal, clean: Levels, change: Levels) -> Look:
    """Look at `clean + change` without a gradient, for the last change of a search. Raises OutOfMemory."""
    with out_of_memory_explained(), torch.no_grad():
        logits = network(to_pixels(clean + change))
    return _seen(goal, change, logits, torch.empty(0))


def _seen(goal: Goal, change: Levels, logits: Logits, gradient: Tensor) -> Look:
    original = logits.softmax(1).gather(1, goal.original)[:, 0]
    return Look(change, gradient, goal.slack(logits), goal.gain(logits).sigmoid(), original)


def smooth(gradient: Tensor, weight: float) -> Tensor:
    """The steepest direction (N, 3, H, W) where a change costs its squares plus `weight` times its squared total variation.

    Of all changes with one gain, (1 + weight * L)^-1 gradient costs least, L being the grid's Laplacian: a division of
    frequencies (quadratic TV as in arXiv:1412.0035, the picture's edges joined).
    """
    height, width = gradient.shape[-2:]
    rows = torch.fft.fftfreq(height, device=gradient.device)[:, None]
    columns = torch.fft.rfftfreq(width, device=gradient.device)[None]
    laplacian = 4 * (torch.sin(math.pi * rows) ** 2 + torch.sin(math.pi * columns) ** 2)
    smoothed: Tensor = torch.fft.irfft2(torch.fft.rfft2(gradient) / (1 + weight * laplacian), s=(height, width))
    return smoothed
