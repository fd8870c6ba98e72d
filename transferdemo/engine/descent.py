"""Gradient descent on one linear layer, for `train` and for everything that trains many heads on features that are there."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..types import Features, Logits
from . import tricks

P = ParamSpec("P")
T = TypeVar("T")
USUAL_WIDTH = 1280  # D of most networks of the table
SLICE_SECONDS = 0.1


class Settings(Protocol):
    """What descent needs of a `TrainConfig`."""

    @property
    def epochs(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def optimizer(self) -> tricks.OptimizerName: ...
    @property
    def decay(self) -> tricks.DecayName: ...
    @property
    def init(self) -> tricks.InitName: ...
    @property
    def standardise(self) -> bool: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def class_weights(self) -> bool: ...
    @property
    def average(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Linear:
    """A head's numbers: `weight` (C, D) and `bias` (C,), float32, for features as the network gives them."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Features) -> Logits:
        """(N, D) -> (N, C)."""
        return F.linear(features, self.weight, self.bias)


class Descent:
    """One run: `epoch()` goes once through the photos, `linear` is what it has come to.

    `features` (N, D) and `labels` (N,) are the training part; its mean and deviation standardise the features. `turn` is added
    to the seed.
    """

    def __init__(self, features: Features, labels: Tensor, classes: int, config: Settings, turn: int = 0) -> None:
        self.config, self.labels, self.done = config, labels, 0
        self.mean, self.deviation = standard(features) if config.standardise else _identity(features)
        self.features = (features - self.mean) / self.deviation
        self.generator = torch.Generator().manual_seed(config.seed + turn)
        self.weight = tricks.INITS[config.init](
            torch.empty(classes, features.shape[1]), self.generator
        ).requires_grad_()
        self.bias = torch.zeros(classes, requires_grad=True)
        self.optimizer = tricks.optimizer(config.optimizer, self.weight, self.bias, config.rate, config.weight_decay)
        self.class_weights = tricks.balanced(labels, classes) if config.class_weights else None

    @property
    def linear(self) -> Linear:
        """The layer as it is now, with the standardisation folded in."""
        weight = (self.weight / self.deviation).detach()
        return Linear(weight, self.bias.detach() - weight @ self.mean)

    def forward(self, features: Features) -> Logits:
        """Standardised features (N, D) -> (N, C)."""
        return F.linear(features, self.weight, self.bias)

    def epoch(self) -> Iterator[None]:
        """Go once through the photos in a new order; yields every SLICE_SECONDS or after a batch, whichever is longer."""
        order = torch.randperm(len(self.labels), generator=self.generator)
        batches = torch.split(order, self.config.batch_size)
        done = 0
        while done < len(batches):
            done = on_one_core(self._slice, batches, done)
            yield
        self.done += 1

    def _slice(self, batches: Sequence[Tensor], start: int) -> int:
        """Take steps for a while from batch `start` on, and return where it came to."""
        began = time.monotonic()
        for number in range(start, len(batches)):
            self._step(batches[number], (self.done + number / len(batches)) / self.config.epochs)
            if time.monotonic() - began > SLICE_SECONDS:
                break
        return number + 1

    def _step(self, batch: Tensor, done: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * tricks.DECAYS[self.config.decay](done)
        with torch.enable_grad():
            loss = self._loss(batch)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _loss(self, batch: Tensor) -> Tensor:
        logits, smoothing = self.forward(self.features[batch]), self.config.label_smoothing
        return F.cross_entropy(logits, self.labels[batch], self.class_weights, label_smoothing=smoothing)


class Average:
    """`config.average` runs side by side, each with a seed of its own; `linear` is the mean of what they have come to."""

    def __init__(self, features: Features, labels: Tensor, classes: int, config: Settings) -> None:
        self.runs = [Descent(features, labels, classes, config, turn) for turn in range(config.average)]

    @property
    def linear(self) -> Linear:
        """The mean of the layers, which answers with the mean of their logits."""
        layers = [run.linear for run in self.runs]
        return Linear(torch.stack([x.weight for x in layers]).mean(0), torch.stack([x.bias for x in layers]).mean(0))

    def epoch(self) -> Iterator[None]:
        """Every run goes once through the photos."""
        for run in self.runs:
            yield from run.epoch()


def on_one_core(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread that computes with one core, and wait for it.

    A step of a head is too small to share: on a busy machine two cores that wait for each other take ten times as long as
    one, measured. torch has the number per thread, and there is one such thread a process.
    """
    return _worker(os.getpid()).submit(work, *args, **kwargs).result()


def _alone() -> None:
    torch.get_num_threads()  # the first use in a thread sets its number to the process's
    torch.set_num_threads(1)


@functools.cache
def _worker(process: int) -> ThreadPoolExecutor:
    threads = torch.get_num_threads()
    worker = ThreadPoolExecutor(1, "training", _alone)
    worker.submit(int).result()
    torch.set_num_threads(threads)  # what threads that start later begin with
    return worker


def fit(features: Features, labels: Tensor, classes: int, config: Settings) -> Linear:
    """Train to the end at once: (N, D), (N,) -> the layer."""
    descent = Average(features, labels, classes, config)
    for _ in range(config.epochs):
        for _ in descent.epoch():
            pass
    return descent.linear


def standard(features: Features) -> tuple[Tensor, Tensor]:
    """Mean and deviation (D,). A feature that hardly varies is not blown up: at least a tenth of the median deviation.

    The deviation is scaled so that a photo's squared length is USUAL_WIDTH whatever D, and one learning rate suits all.
    """
    deviation, mean = torch.std_mean(features, 0, correction=0)
    usual = deviation[deviation > 0].median() if (deviation > 0).any() else torch.ones(())
    return mean, deviation.clamp(min=0.1 * float(usual)) * math.sqrt(features.shape[1] / USUAL_WIDTH)


def _identity(features: Features) -> tuple[Tensor, Tensor]:
    width = features.shape[1]
    return torch.zeros(width), torch.ones(width)
