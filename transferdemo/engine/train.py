"""Training a head: a linear layer on standardised features, by gradient descent, an epoch a step.

The mean and deviation of the training part are folded into the head, so that it works on features as the network gives
them. `head` on a step is the one with the lowest training loss so far: the held-out photos choose nothing, so their
accuracy stays an honest one. Only early stopping looks at them, and then the head is the one with their lowest loss.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..data.labelled import LabelledFolder
from ..data.split import Split, split
from ..errors import BadFolder, BadSetting
from ..types import Features, Head, check_choice, check_number
from . import tricks
from .descent import Descent, Linear
from .features import Embedded, Vector

DIVERGED = 10.0  # times the best loss
FLOOR = 0.1  # a loss below it counts as it, when divergence is looked for
NEWS_SECONDS = 0.2


@dataclass(frozen=True)
class TrainConfig:
    """How a head is trained. Raises BadSetting for what is out of range; what is None follows the optimiser."""

    epochs: int = 20
    learning_rate: float | None = None
    seed: int = 0  # of the split, the order of the photos and the first weights
    batch_size: int = 32
    optimizer: tricks.OptimizerName = "adamw"
    decay: tricks.DecayName = "cosine"
    init: tricks.InitName = "zeros"
    standardise: bool = True
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    class_weights: bool = False  # every class the same say, however many photos it has
    patience: int = 0  # epochs without a lower held-out loss after which it stops; 0: never
    held_out: float = 0.2  # share of photos that judge, unless the folder says which

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, 1, 1000, whole=True)
        if self.learning_rate is not None:
            check_number("learning rate", self.learning_rate, 1e-7, 1000)
        check_number("seed", self.seed, 0, 2**31 - 1, whole=True)
        check_number("batch size", self.batch_size, 1, 100_000, whole=True)
        check_choice("optimizer", self.optimizer, tricks.OPTIMIZER_NAMES)
        check_choice("decay", self.decay, tricks.DECAY_NAMES)
        check_choice("init", self.init, tricks.INIT_NAMES)
        check_number("weight decay", self.weight_decay, 0, 100)
        check_number("label smoothing", self.label_smoothing, 0, 0.9)
        check_number("patience", self.patience, 0, 1000, whole=True)
        check_number("held-out share", self.held_out, 0.05, 0.5)
        for name in ("standardise", "class_weights"):
            if not isinstance(getattr(self, name), bool):
                raise BadSetting(f"{name} must be true or false, got {str(getattr(self, name))[:40]}.")

    @property
    def rate(self) -> float:
        """The learning rate: the one chosen, or the optimiser's own."""
        return tricks.OPTIMIZERS[self.optimizer].rate if self.learning_rate is None else self.learning_rate

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> TrainConfig:
        """The config that `asdict` wrote into a project or a head; keys that it does not know are passed over.

        Raises BadSetting for values out of range.
        """
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in settings.items() if key in known})  # type: ignore[arg-type]


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
    return _run(embedded, config, _Task(features, labels, parts, standing))


def tensors(embedded: Embedded) -> tuple[Features, Tensor]:
    """Features (N, D) and class indices (N,) of the used photos. Raises BadFolder when some were not embedded yet."""
    if embedded.missing:
        raise BadFolder("Some photos have not been looked at by this network yet; prepare the set again.")
    return torch.from_numpy(embedded.features), torch.from_numpy(embedded.folder.labels)


def sides(folder: LabelledFolder, config: TrainConfig) -> Split:
    """Which used photos train and which judge: always the same for the same folder, share and seed."""
    return split(folder.labels, folder.groups, config.held_out, config.seed, folder.splits)


def settings(config: TrainConfig) -> dict[str, object]:
    """The config as JSON, with the learning rate that was used; `TrainConfig.from_settings` reads it back."""
    return {**asdict(config), "learning_rate": config.rate}


@dataclass(frozen=True, eq=False)
class _Task:
    features: Features
    labels: Tensor
    split: Split
    photo: Features | None  # (1, D)

    def part(self, indices: NDArray[np.int64]) -> tuple[Features, Tensor]:
        return self.features[indices], self.labels[indices]


def _run(embedded: Embedded, config: TrainConfig, task: _Task) -> Generator[TrainStep | TrainDone, None, None]:
    began = time.monotonic()
    descent = Descent(*task.part(task.split.train), len(embedded.folder.used_classes), config)
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
        losses = [loss_and_accuracy(linear, *part) for part in (self.train, self.held_out)]
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


def check_trainable(folder: LabelledFolder) -> None:
    """Raise BadFolder, with what to do, unless there are two classes and two photos in each."""
    if not folder.used:
        raise BadFolder(_why_nothing(folder))
    counts = Counter(photo.label for photo in folder.used)
    names = folder.used_classes
    if len(names) < 2:
        raise BadFolder(f"There is only one class, {names[0][:60]}; a classifier needs at least two, so add another.")
    for name in names:
        if counts[name] == 0:
            raise BadFolder(f"The class {name[:60]} has no photos that can be used; add some, or leave it out.")
        if counts[name] == 1:
            raise BadFolder(
                f"The class {name[:60]} has only one photo, and one must be held out to judge by; add more, or leave it out."
            )


def _why_nothing(folder: LabelledFolder) -> str:
    readable = [photo for photo in folder.photos if photo.readable and photo.label not in folder.left_out]
    if not folder.photos:
        return "There are no photos yet; record some or add files."
    if not readable:
        return f"None of the {len(folder.photos)} photos can be opened; save them again, for example as JPEG."
    if len(readable) > 1 and len({photo.pixels for photo in readable}) == 1:
        return "All photos are the same picture; add photos that differ."
    return "All photos are set aside; look at the reasons, and take back those that are good."


def check_sides(classes: tuple[str, ...], labels: Tensor, features: Features, parts: Split) -> None:
    """Raise BadFolder unless each class has a photo to train on, there is one to judge by, and not all look the same."""
    here = set(labels[parts.train].tolist())
    for index, name in enumerate(classes):
        if index not in here:
            raise BadFolder(
                f"The class {name[:60]} has no photo in the training part of the folder; add some, or leave it out."
            )
    if not len(parts.held_out):
        raise BadFolder("No photo is left to judge by; add more photos to each class.")
    train = features[parts.train]
    if not bool((train != train[0]).any()):
        raise BadFolder("All photos look the same to the network; add photos that differ.")
