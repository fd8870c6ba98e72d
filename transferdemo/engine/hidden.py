"""One hidden layer between features and classes: an experiment, because what it can show a linear head cannot.

Dropout, batch norm and gradient clipping need something between them and the answer. It is not saved as a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ..errors import BadSetting
from ..types import Features, Logits, check_number
from . import tricks
from .descent import Descent
from .recipe import TrainConfig

WIDTH = 256


@dataclass(frozen=True)
class HiddenConfig:
    """What the hidden layer is. Raises BadSetting for what is out of range."""

    width: int = WIDTH
    dropout: float = 0.0  # share of the layer that is silent in each step (JMLR 15, 2014)
    batch_norm: bool = False  # arXiv:1502.03167
    clip: float = 0.0  # longest gradient that a step may have (arXiv:1211.5063); 0: any

    def __post_init__(self) -> None:
        check_number("hidden", self.width, 1, 4096, whole=True)
        check_number("dropout", self.dropout, 0, 0.95)
        check_number("clip", self.clip, 0, 1e6)
        if not isinstance(self.batch_norm, bool):
            raise BadSetting(f"batch_norm must be true or false, got {str(self.batch_norm)[:40]}.")


class Dropout(nn.Module):
    """Like torch's, with chances of its own, so that other threads change nothing."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share, self.generator = share, generator

    def forward(self, x: Tensor) -> Tensor:
        """In training, silence a share of the values and make up for it in the others."""
        if not self.training or not self.share:
            return x
        return x * (torch.rand(x.shape, generator=self.generator) >= self.share) / (1 - self.share)


class HiddenDescent(Descent):
    """Gradient descent on two layers; everything that a `TrainConfig` chooses holds here too.

    First weights of zero would never learn here, so they are nn.Linear's own then.
    """

    def __init__(
        self, features: Features, labels: Tensor, classes: int, config: TrainConfig, hidden: HiddenConfig
    ) -> None:
        super().__init__(features, labels, classes, config)
        self.net = self._layers(features.shape[1], classes, hidden)
        named = list(self.net.named_parameters())
        groups: list[dict[str, object]] = [
            {"params": [p for _, p in named if p.ndim == 2], "weight_decay": config.weight_decay},
            {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = tricks.OPTIMIZERS[config.optimizer].make(groups, lr=config.rate)
        longest = hidden.clip or math.inf
        self.optimizer.register_step_pre_hook(lambda *_: self._clip(longest))

    def _layers(self, width: int, classes: int, hidden: HiddenConfig) -> nn.Sequential:
        first = tricks.INITS["uniform" if self.config.init == "zeros" else self.config.init]
        shapes = ((width, hidden.width), (hidden.width, classes))
        linears = [nn.Linear(*shape, device="meta").to_empty(device="cpu") for shape in shapes]
        for linear in linears:
            first(linear.weight.data, self.generator)
            linear.bias.data.zero_()
        norm = nn.BatchNorm1d(hidden.width) if hidden.batch_norm else nn.Identity()
        return nn.Sequential(linears[0], norm, nn.ReLU(), Dropout(hidden.dropout, self.generator), linears[1])

    def _clip(self, longest: float) -> None:
        clip_grad_norm_(self.net.parameters(), longest)

    def forward(self, features: Features) -> Logits:
        """Standardised features (N, D) -> (N, C)."""
        logits: Logits = self.net(features)
        return logits

    def logits(self, features: Features) -> Logits:
        """(N, D) as the network gives them -> (N, C), by the layers as they are now."""
        self.net.eval()
        with torch.no_grad():
            result = self.forward((features - self.mean) / self.deviation)
        self.net.train()
        return result
