"""Gradient descent on a network's last stage and the head on it, over maps that the frozen part has computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW

from ..device import out_of_memory_explained
from ..types import Features, Head, check_number
from . import tricks
from .cut import Tail
from .descent import Linear
from .maps import Maps

SLOWER = 10.0  # times: the last stage's learning rate against the head's
JUDGED = 64  # photos that are embedded together


@dataclass(frozen=True)
class FineTuneConfig:
    """How the last stage is fine-tuned. Raises BadSetting for what is out of range."""

    epochs: int = 10
    learning_rate: float = tricks.OPTIMIZERS["adamw"].rate  # of the head; the last stage takes a tenth of it
    seed: int = 0  # of the order of the photos
    batch_size: int = 32
    weight_decay: float = 0.01
    label_smoothing: float = 0.1  # what it takes of the head's sureness, the temperature gives back

    def __post_init__(self) -> None:
        check_number("fine-tuning epochs", self.epochs, 1, 200, whole=True)
        check_number("learning rate", self.learning_rate, 1e-7, 1)
        check_number("seed", self.seed, 0, 2**31 - 1, whole=True)
        check_number("batch size", self.batch_size, 1, 1024, whole=True)
        check_number("weight decay", self.weight_decay, 0, 100)
        check_number("label smoothing", self.label_smoothing, 0, 0.9)


class Stage:
    """One run: `epoch()` goes once through the photos, `head` is what it has come to. AdamW, falling as a cosine.

    `maps` and `labels` (N,) are of all photos; the tail's parameters become the run's own.
    """

    def __init__(self, tail: Tail, head: Head, maps: Maps, labels: Tensor, config: FineTuneConfig) -> None:
        self.tail, self.start, self.maps, self.config = tail, head, maps, config
        self.device = tail.backbone.mean.device
        self.labels, self.done, self.loss = labels.to(self.device), 0, float("nan")
        self.generator = torch.Generator().manual_seed(config.seed)
        self.parameters = {name: p.requires_grad_() for name, p in tail.learnable().items()}
        self.weight = (head.weight.to(self.device) / head.temperature).detach().clone().requires_grad_()
        self.bias = (head.bias.to(self.device) / head.temperature).detach().clone().requires_grad_()
        groups = [
            {"params": list(self.parameters.values()), "full": config.learning_rate / SLOWER},
            {"params": [self.weight, self.bias], "full": config.learning_rate},
        ]
        self.optimizer = AdamW(groups, weight_decay=config.weight_decay)

    @property
    def head(self) -> Head:
        """The head and the last stage as they are now."""
        changed = {name: p.detach().cpu().clone() for name, p in self.parameters.items()}
        linear = self.linear
        facts = {key: value for key, value in self.start.facts.items() if key not in ("calibration", "strange")}
        head = replace(self.start, weight=linear.weight, bias=linear.bias, facts=facts, changed=changed)
        return replace(head, temperature=1.0, novelty=None)  # these were of the features before

    @property
    def linear(self) -> Linear:
        """The head's numbers alone."""
        return Linear(self.weight.detach().cpu().clone(), self.bias.detach().cpu().clone())

    def epoch(self, train: Tensor) -> Iterator[int]:
        """Go once through the photos `train` (indices) in a new order; yields after each batch how many were seen."""
        order = train[torch.randperm(len(train), generator=self.generator)]
        seen, losses = 0, 0.0
        for batch in torch.split(order, self.config.batch_size):
            losses += len(batch) * self._step(batch, (self.done + seen / len(train)) / self.config.epochs)
            seen += len(batch)
            yield seen
        self.done, self.loss = self.done + 1, losses / len(train)

    def _step(self, batch: Tensor, done: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["full"] * tricks.DECAYS["cosine"](done)
        with torch.enable_grad(), out_of_memory_explained():
            logits = F.linear(self.tail(self.maps.at(batch, self.device)), self.weight, self.bias)
            loss = F.cross_entropy(logits, self.labels[batch], label_smoothing=self.config.label_smoothing)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return float(loss.detach())

    def embed(self, indices: Tensor) -> Iterator[Features]:
        """The features of photos by the stage as it is now, (n, D) on the CPU, a batch at a time."""
        for batch in torch.split(indices, JUDGED):
            yield self._embedded(batch)

    def _embedded(self, batch: Tensor) -> Features:
        with torch.no_grad(), out_of_memory_explained():
            features: Features = self.tail(self.maps.at(batch, self.device))
            return features.cpu()
