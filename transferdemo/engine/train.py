"""Training a head: a linear layer on standardised features, by gradient descent, an epoch a step.

The mean and deviation of the training part are folded into the head, so that it works on features as the network gives
them. `head` on a step is the one with the lowest training loss so far: the held-out photos choose nothing, so their
accuracy stays an honest one. Only early stopping looks at them, and then the head is the one with their lowest loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..data.split import Split
from ..types import Features, Head
from .descent import Average, Linear, on_one_core
from .features import Embedded, Vector
from .recipe import TrainConfig, check_sides, check_trainable, settings, sides, tensors, training_part

__all__ = ["TrainConfig", "TrainDone", "TrainStep", "train"]

DIVERGED = 10.0  # times the best loss
FLOOR = 0.1  # a loss below it counts as it, when divergence is looked for
NEWS_SECONDS = 0.2


@dataclass(frozen=True, eq=False)
class TrainStep:
    """After `step` of `total` epochs; step 0 is before the first. Losses are cross entropies in nats, accuracies in [0, 1]."""

    step: int
    total: int
    train_loss: float
    train_accuracy: float
    held_out_loss: float
    held_out_accuracy: float
    head: Head  # the best so far: what Stop keeps
    standing: tuple[float, ...] | None  # probabilities of the visitor's photo by this epoch's head


@dataclass(frozen=True, eq=False)
class TrainDone:
    """The head that was kept, and the split that it was trained and judged on."""

    step: int
    total: int
    head: Head
    split: Split
    note: str  # why it ended before the last epoch, a sentence; else empty
    seconds: float


def train(
    embedded: Embedded, config: TrainConfig | None = None, photo: Vector | None = None
) -> Generator[TrainStep | TrainDone, None, None]:
    """Train a head on a set's features; closing the generator stops it, the last step has the best head so far.

    `photo` (D,) are the features of a picture whose probabilities ride on every step. Raises BadFolder, before the first
    event, with what the set lacks.
    """
    config = config or TrainConfig()
    check_trainable(embedded.folder)
    features, labels = tensors(embedded)
    parts = sides(embedded.folder, config)
    check_sides(embedded.folder.used_classes, labels, features, parts)
    standing = None if photo is None else torch.from_numpy(np.asarray(photo, dtype=np.float32))[None]
    learn = training_part(embedded, parts.train, config)
    return _run(embedded, config, _Task(features, labels, parts, learn, standing))


@dataclass(frozen=True, eq=False)
class _Task:
    features: Features
    labels: Tensor
    split: Split
    learn: tuple[Features, Tensor]  # what is learned from: the training photos, and their other views
    photo: Features | None  # (1, D)

    def part(self, indices: NDArray[np.int64]) -> tuple[Features, Tensor]:
        return self.features[indices], self.labels[indices]


def _run(embedded: Embedded, config: TrainConfig, task: _Task) -> Generator[TrainStep | TrainDone, None, None]:
    began = time.monotonic()
    descent = Average(*task.learn, len(embedded.folder.used_classes), config)
    run = _Progress(embedded, config, task)
    yield run.measured(descent.linear, 0)
    for epoch in range(1, config.epochs + 1):
        news = time.monotonic()
        for _ in descent.epoch():
            if time.monotonic() - news > NEWS_SECONDS:
                news = time.monotonic()
                yield run.last
        yield run.measured(descent.linear, epoch)
        if run.note:
            break
    seconds = time.monotonic() - began
    yield TrainDone(run.last.step, config.epochs, run.last.head, task.split, run.note, seconds)


class _Progress:
    """Measures each epoch's layer, remembers the best, and says when to stop."""

    def __init__(self, embedded: Embedded, config: TrainConfig, task: _Task) -> None:
        self.config, self.task, self.note = config, task, ""
        self.train, self.held_out = task.part(task.split.train), task.part(task.split.held_out)
        self.best, self.best_step = math.inf, 0
        self.blank = Head(
            embedded.folder.used_classes, torch.empty(0), torch.empty(0), embedded.backbone, embedded.digest, embedded.fit,
            facts={"settings": settings(config)},
        )  # fmt: skip
        self.last: TrainStep

    def measured(self, linear: Linear, step: int) -> TrainStep:
        """The event of an epoch; sets `note` when it should be the last."""
        losses = [on_one_core(loss_and_accuracy, linear, *part) for part in (self.train, self.held_out)]
        judge = losses[1 if self.config.patience else 0][0]
        better = judge < self.best
        self.note = self._reason(losses[0][0], judge, step)
        if better:
            self.best, self.best_step = judge, step
        head = replace(self.blank, weight=linear.weight, bias=linear.bias) if better or step == 0 else self.last.head
        standing = None if self.task.photo is None else tuple(linear.logits(self.task.photo)[0].softmax(0).tolist())
        self.last = TrainStep(step, self.config.epochs, *losses[0], *losses[1], head, standing)
        return self.last

    def _reason(self, train_loss: float, judge: float, step: int) -> str:
        if not math.isfinite(train_loss) or (step and train_loss > DIVERGED * max(self.best, FLOOR)):
            return f"Stopped after epoch {step}, because the loss ran away; choose a learning rate below {self.config.rate:g}."
        if self.config.patience and judge >= self.best and step - self.best_step >= self.config.patience:
            return f"Stopped after epoch {step}: the held-out loss has not fallen for {self.config.patience} epochs."
        return ""


def loss_and_accuracy(linear: Linear, features: Features, labels: Tensor) -> tuple[float, float]:
    """Mean cross entropy in nats and share of right answers over (N, D), (N,); (nan, nan) for none."""
    with torch.no_grad():
        logits = linear.logits(features)
        loss = F.cross_entropy(logits, labels)
        return float(loss), float((logits.argmax(1) == labels).float().mean())
