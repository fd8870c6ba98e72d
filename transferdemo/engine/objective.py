"""What a picture is optimised for: a class, a group of classes, or one channel; and a gradient that other networks share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..heads import Classifier
from ..types import Pixels
from .stages import FEATURES, stages

CERTAIN = 5.0  # weight of the log probability beside the logits
RELUS = (nn.ReLU, nn.ReLU6, nn.Hardswish)  # below zero their gradient is nothing


@dataclass(frozen=True, eq=False)
class Score:
    """What an objective says to a batch of views: the loss to lower, and the mean probability where there is one."""

    loss: Tensor
    probability: Tensor | None


@dataclass(frozen=True, eq=False)
class Objective:
    """One network that looks at the picture, at its own size, and what it should like to see."""

    network: nn.Module
    size: int
    score: Callable[[Pixels], Score]


def class_objective(classifier: Classifier, classes: Sequence[int]) -> Objective:
    """Raise the logits of `classes` above the mean of all, and their probability; several classes join as log-sum-exp.

    Logits alone leave a class beside its like, a tabby beside a tiger cat; the probability alone stops where it is certain.
    """
    index = torch.tensor(classes, device=classifier.device)

    def score(pixels: Pixels) -> Score:
        logits = classifier(pixels)
        wanted = logits[:, index].logsumexp(1)
        certain = wanted - logits.logsumexp(1)  # log of the probability
        raised = wanted - logits.mean(1) + CERTAIN * certain
        return Score(-raised.mean(), certain.detach().exp().mean())

    return Objective(classifier, classifier.spec.size, score)


def channel_objective(classifier: Classifier, layer: int, channel: int) -> Objective:
    """Raise the mean of one channel of the maps of one of the network's `stages`, before a ReLU makes it nothing.

    Behind a ReLU a channel that does not fire yet would have no gradient, and the picture would stay grey.
    """
    backbone, place = classifier.backbone, stages(classifier)[layer]

    def maps_of(pixels: Pixels) -> Tensor:
        inputs = backbone.normalise(pixels)
        if place.name == FEATURES:
            features: Tensor = backbone.net.forward_features(inputs)
            return features
        _, (maps,) = backbone.net.forward_intermediates(inputs, indices=[layer], stop_early=True)
        return maps  # type: ignore[no-any-return]

    size = classifier.spec.size
    with torch.no_grad(), _kept_before(list(backbone.net.modules())) as ran:
        channels = maps_of(torch.zeros(1, 3, size, size, device=classifier.device)).shape[1]
    last = [module for module, values in ran if values.ndim == 4 and values.shape[1] == channels][-1:]

    def score(pixels: Pixels) -> Score:
        with _kept_before(last) as ran:
            maps = maps_of(pixels)
        raised = ran[-1][1] if ran else maps
        return Score(-raised[:, channel].mean(), None)

    return Objective(classifier, size, score)


@contextmanager
def _kept_before(modules: Sequence[nn.Module]) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """What goes into every ReLU among `modules` in this thread, in order; many write over their input, so they get a copy."""
    kept: list[tuple[nn.Module, Tensor]] = []
    thread = threading.get_ident()

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if threading.get_ident() != thread:
            return None
        kept.append((module, inputs[0]))
        return (inputs[0].clone(), *inputs[1:])

    hooks = [m.register_forward_pre_hook(keep) for m in modules if isinstance(m, RELUS)]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def skip_gradient(network: nn.Module, share: float) -> Iterator[None]:
    """Inside, only `share` of the gradient flows back through residual branches, the rest through the skip connections.

    What is so painted is recognised by other networks far more often (skip gradient method, arXiv:2002.05990). The forward
    pass stays as it is, and so does the gradient of other threads. Networks whose blocks have no `drop_path` are untouched.
    """
    thread = threading.get_ident()

    def damp(_: nn.Module, __: object, branch: Tensor) -> None:
        if branch.requires_grad and threading.get_ident() == thread:
            branch.register_hook(lambda gradient: gradient * share)  # type: ignore[no-untyped-call]

    ends = _branch_ends(network) if share < 1 else []
    hooks = [module.register_forward_hook(damp) for module in ends]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _branch_ends(network: nn.Module) -> list[nn.Module]:
    """What a residual branch passes last before it is added: `drop_path`, `drop_path1`, ... of timm's blocks."""
    return [module for name, module in network.named_modules() if name.rpartition(".")[2].startswith("drop_path")]
