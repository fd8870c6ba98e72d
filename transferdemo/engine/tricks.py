"""The choices of a training run by name: optimisers, decays of the learning rate, first weights. Each is one row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

OptimizerName = Literal["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw"]
DecayName = Literal["none", "exponential", "cosine"]
InitName = Literal["zeros", "uniform", "lecun", "xavier", "normal"]
AugmentName = Literal["none", "flip", "crop", "flip-crop"]
OPTIMIZER_NAMES: tuple[str, ...] = get_args(OptimizerName)
DECAY_NAMES: tuple[str, ...] = get_args(DecayName)
INIT_NAMES: tuple[str, ...] = get_args(InitName)
AUGMENT_NAMES: tuple[str, ...] = get_args(AugmentName)


@dataclass(frozen=True)
class Recipe:
    """An optimiser and the learning rate that suits it on standardised features."""

    make: Callable[..., Optimizer]  # (parameters, lr=..., weight_decay=...)
    rate: float


OPTIMIZERS: dict[str, Recipe] = {
    "sgd": Recipe(SGD, 1e-1),
    "momentum": Recipe(partial(SGD, momentum=0.9), 1e-2),
    "adagrad": Recipe(Adagrad, 1e-2),
    "rmsprop": Recipe(RMSprop, 1e-3),
    "adam": Recipe(Adam, 3e-3),
    "adamw": Recipe(AdamW, 3e-3),
}

# The share of the learning rate after `done`, in [0, 1], of the run. Cosine: arXiv:1608.03983 without restarts.
DECAYS: dict[str, Callable[[float], float]] = {
    "none": lambda done: 1.0,
    "exponential": lambda done: 0.01**done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}


def _zeros(weight: Tensor, generator: torch.Generator) -> Tensor:
    return weight.zero_()


def _uniform(weight: Tensor, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(weight.shape[1])  # nn.Linear's own
    return weight.uniform_(-bound, bound, generator=generator)


def _normal(weight: Tensor, generator: torch.Generator, share: float = 1.0) -> Tensor:
    return weight.normal_(0, math.sqrt(share), generator=generator)


def _lecun(weight: Tensor, generator: torch.Generator) -> Tensor:
    return _normal(weight, generator, 1 / weight.shape[1])


def _xavier(weight: Tensor, generator: torch.Generator) -> Tensor:
    return torch.nn.init.xavier_uniform_(weight, generator=generator)  # Glorot and Bengio, AISTATS 2010


# In place, (C, D). `lecun` is N(0, 1/D); `normal` is N(0, 1), which is far too large and there to be seen.
INITS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "zeros": _zeros,
    "uniform": _uniform,
    "lecun": _lecun,
    "xavier": _xavier,
    "normal": _normal,
}


def optimizer(name: str, weight: Tensor, bias: Tensor, rate: float, weight_decay: float) -> Optimizer:
    """The optimiser called `name`; the bias is not decayed."""
    groups: Iterable[dict[str, object]] = [
        {"params": [weight], "weight_decay": weight_decay},
        {"params": [bias], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[name].make(groups, lr=rate)


def balanced(labels: Tensor, classes: int) -> Tensor:
    """Weights (C,) that give every class the same say: N / (C x photos of the class)."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts)
