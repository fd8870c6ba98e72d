"""What did the network see on this photo, layer by layer, and which part of it made the decision?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..device import gradient_batch
from ..errors import BadSetting
from ..heads import Classifier, find_classes
from ..images import to_pixels
from ..types import Image8, check_choice
from .stages import Layout, Stage, as_maps, layout, run
from .together import together

BEST = 5
METHODS = ("grad-cam", "hires-cam")
FEWEST_ROWS = 20  # of the finer method's maps
REASONS = {
    "grad-cam": "the last maps: the head reads nothing else, and earlier maps mix evidence for many classes",
    "hires-cam": "the last maps with twenty rows or more: there the finer method beats Grad-CAM, on later ones it does not",
}


@dataclass(frozen=True)
class InspectConfig:
    """What to explain, and where in the network. Classes by name, index or group ("any cat")."""

    layer: str | None = None  # a stage's name; None: `best_layer`
    method: str = "grad-cam"  # or "hires-cam": finer, and at its own best layer
    target: str | None = None  # None: the best class
    against: str | None = None  # this rather than that: explain the difference of the two

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        for name, value in (("layer", self.layer), ("target", self.target), ("against", self.against)):
            if value is not None and not isinstance(value, str):
                raise BadSetting(f"{name} must be a name, got {str(value)[:40]}.")


@dataclass(frozen=True, eq=False)
class Cam:
    """Where on the network's picture the evidence for a class is, by Grad-CAM (arXiv:1610.02391) or its finer sister."""

    evidence: NDArray[np.float32]  # (h, w): the weighted sum of the maps; below zero: it speaks against the class
    layer: str
    target: tuple[int, ...]  # several: a group, taken together
    against: tuple[int, ...]  # empty: against all
    probability: float  # of the target

    @property
    def values(self) -> NDArray[np.float32]:
        """(h, w), 0 and above: Grad-CAM as its paper has it, without the evidence against."""
        return np.maximum(self.evidence, 0)

    @property
    def heat(self) -> NDArray[np.float32]:
        """(h, w) in [0, 1]: `values` with their maximum at 1; all 0 when the map is empty."""
        top = self.values.max()
        return self.values / top if top > 0 else self.values

    @property
    def empty(self) -> bool:
        """Whether nothing speaks for the class: every place of the map is evidence against it."""
        return not bool((self.evidence > 0).any())


@dataclass(frozen=True, eq=False)
class Inspection:
    """What one photo makes of a network: its answer, the maps of every stage, and why it said so."""

    image8: Image8  # (S, S, 3): what went in; all maps lie over this
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]  # (C,)
    logits: NDArray[np.float32]  # (C,)
    best: tuple[int, ...]  # the five best classes, best first
    stages: tuple[Stage, ...]
    maps: tuple[NDArray[np.float32], ...]  # one (C, h, w) a stage
    cam: Cam


def best_layer(plan: Layout, method: str = "grad-cam") -> int:
    """The index of the stage whose map best points at what made the decision; `REASONS` says why.

    Measured by benchmarks/inside.py: how often hiding the hottest fifth costs more than hiding a random fifth.
    """
    last = len(plan.stages) - 1
    if method == "grad-cam" or plan.tokens:
        return last
    return max((i for i, stage in enumerate(plan.stages) if min(stage.shape[1:]) >= FEWEST_ROWS), default=last)


def look(classifier: Classifier, image8: Image8, config: InspectConfig | None = None) -> Inspection:
    """See inside the network: (S, S, 3) at its input size -> the maps of all stages and Grad-CAM, in one pass and back.

    Raises BadSetting for a layer or a class that is not there, a picture of another size, or a network without maps.
    """
    config = config or InspectConfig()
    _check_size(classifier, image8)
    plan = layout(classifier)
    layer = best_layer(plan, config.method) if config.layer is None else plan.find(config.layer)
    against = find_classes(classifier.head, config.against) if config.against is not None else ()
    target = find_classes(classifier.head, config.target) if config.target is not None else ()
    question = _Question(classifier, image8, target, against)
    kind = ("look", layer)
    most = gradient_batch(classifier.device)
    seen = together(classifier.backbone, kind, question, lambda asked: _answers(asked, layer), most)
    logits, target, stage = seen.logits, seen.target, plan.stages[layer]
    evidence = _evidence(as_maps(seen.at, stage), as_maps(seen.gradient, stage), config.method)
    probabilities = logits.softmax(0)
    cam = Cam(evidence, stage.name, target, against, float(probabilities[list(target)].sum()))
    return Inspection(
        image8, classifier.classes, _array(probabilities), _array(logits),
        tuple(probabilities.topk(min(BEST, len(probabilities))).indices.tolist()),
        plan.stages, tuple(_array(m[0]) for m in seen.maps), cam,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Question:
    """What one visitor wants to know of one photo; those who ask the same network may have heads of their own."""

    classifier: Classifier
    image8: Image8
    target: tuple[int, ...]  # empty: the best class
    against: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the pass and the way back say of one photo."""

    logits: Tensor  # (C,)
    target: tuple[int, ...]
    maps: tuple[Tensor, ...]  # one (1, C, h, w) a stage
    at: Tensor  # (1, ...): what the explained stage made
    gradient: Tensor  # of the score, for each value of `at`


def _answers(asked: Sequence[_Question], layer: int) -> list[_Answer]:
    """All photos in one pass and back: the scores are summed, and no photo's score depends on another's maps."""
    backbone = asked[0].classifier.backbone
    seen = run(backbone, to_pixels([one.image8 for one in asked]).to(backbone.mean.device), layer)
    with torch.enable_grad():
        logits = [one.classifier.logits(row[None])[0] for one, row in zip(asked, seen.features, strict=True)]
        targets = [one.target or (int(row.argmax()),) for one, row in zip(asked, logits, strict=True)]
        scores = [_score(*given) for given in zip(logits, targets, (one.against for one in asked), strict=True)]
        (gradient,) = torch.autograd.grad(torch.stack(scores).sum(), seen.at)
    maps, at = [m.detach() for m in seen.maps], seen.at.detach()
    return [
        _Answer(logits[i].detach(), targets[i], tuple(m[i : i + 1] for m in maps), at[i : i + 1], gradient[i : i + 1])
        for i in range(len(asked))
    ]


def _check_size(classifier: Classifier, image8: Image8) -> None:
    size = classifier.spec.size
    if image8.shape != (size, size, 3):
        raise BadSetting(f"This network looks at pictures of {size} x {size} pixels; fit the picture first.")


def _score(logits: Tensor, target: tuple[int, ...], against: tuple[int, ...]) -> Tensor:
    """What is explained: a class's logit, less the other's if there is one. A group counts as the log of its summed exps."""
    score = logits[list(target)].logsumexp(0)
    return score - logits[list(against)].logsumexp(0) if against else score


def _evidence(maps: Tensor, slopes: Tensor, method: str) -> NDArray[np.float32]:
    """The maps and their gradients, (1, C, h, w), as evidence (h, w).

    Grad-CAM, arXiv:1610.02391, equations 1 and 2 before the ReLU: each map weighted with its mean gradient.
    HiResCAM, arXiv:2011.08891, equation 4: each place of each map weighted with its own gradient.
    """
    weights = slopes.mean((2, 3), keepdim=True) if method == "grad-cam" else slopes
    return _array((weights * maps).sum(1)[0])


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.detach().float().cpu().numpy()
    return array
