"""Heads that have not seen the photos they are asked about, all of them trained in one pass."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..types import Features, Logits
from . import tricks
from .descent import Descent, Settings


class Named(Protocol):
    """What is known of a set: features (N, D), class indices (N,), and the fold of each photo (N,); -1: in none."""

    @property
    def features(self) -> Features: ...
    @property
    def labels(self) -> Tensor: ...
    @property
    def fold(self) -> Tensor: ...


class BlindDescent(Descent):
    """K heads side by side, each blind to the photos of its own fold: five folds for the price of one run.

    They share the standardisation and the order of the photos; for the rest each is trained as if it were alone.
    """

    def __init__(self, photos: Named, classes: int, config: Settings) -> None:
        self.fold, self.heads, self.classes = photos.fold, int(photos.fold.max()) + 1, classes
        super().__init__(photos.features, photos.labels, self.heads * classes, config)
        self.class_weights = tricks.balanced(photos.labels, classes) if config.class_weights else None

    def _loss(self, batch: Tensor) -> Tensor:
        """The sum of the heads' losses, each the mean over the batch's photos that it may see."""
        logits = F.linear(self.features[batch], self.weight, self.bias).view(len(batch) * self.heads, self.classes)
        labels, smoothing = self.labels[batch], self.config.label_smoothing
        each = F.cross_entropy(
            logits,
            labels.repeat_interleave(self.heads),
            self.class_weights,
            label_smoothing=smoothing,
            reduction="none",
        ).view(len(batch), self.heads)
        share = (self.fold[batch, None] != torch.arange(self.heads)).float()
        if self.class_weights is not None:
            each, share = each / self.class_weights[labels, None], share * self.class_weights[labels, None]
        return (each * share / share.sum(0).clamp(min=1e-12)).sum()

    @property
    def judged(self) -> Tensor:
        """(N,): which photos have a head that has not seen them."""
        return self.fold >= 0

    @property
    def logits(self) -> Logits:
        """The logits of the judged photos (M, C), each by the head that has not seen it."""
        judged = self.judged
        logits = F.linear(self.features[judged], self.weight.detach(), self.bias.detach())
        return logits.view(-1, self.heads, self.classes)[torch.arange(len(logits)), self.fold[judged]]
