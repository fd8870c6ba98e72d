"""Experiments: one thing is done otherwise than in the last run, on the same photos, and the same photos judge.

That the result may be "no difference beyond chance" is the lesson: most tricks do little to a linear head on good features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..backbones import Backbone
from ..data.split import Split
from ..errors import BadFolder, BadSetting
from ..types import Features, Head, check_choice
from .augment import ViewsDone, collect_views
from .descent import Linear, on_one_core
from .evaluate import Accuracy, check_same_network
from .features import Embedded
from .hidden import HiddenConfig, HiddenDescent
from .paired import Paired, Right, paired
from .recipe import TrainConfig, check_sides, check_trainable, sides, tensors, training_part
from .train import TrainDone, train

Change = Callable[[TrainConfig], TrainConfig]


@dataclass(frozen=True, eq=False)
class Trick:
    """An experiment: what it is called, what it is about, and what it changes."""

    title: str
    line: str
    change: Change = replace  # nothing
    hidden: HiddenConfig | None = None


def _set(**settings: object) -> Change:
    return lambda base: replace(base, **settings)  # type: ignore[arg-type]


def _rate(times: float) -> Change:
    return lambda base: replace(base, learning_rate=base.rate * times)


def _optimizer(name: str, title: str, line: str) -> Trick:
    return Trick(f"Optimiser: {title}", line, _set(optimizer=name, learning_rate=None))


TRICKS: dict[str, Trick] = {
    "rate-up": Trick("Learning rate × 10", "Longer steps: faster, or over the valley.", _rate(10)),
    "rate-down": Trick("Learning rate ÷ 10", "Shorter steps: surer, or not there in time.", _rate(0.1)),
    "sgd": _optimizer("sgd", "SGD", "A step down the slope, nothing else."),
    "momentum": _optimizer("momentum", "SGD with momentum", "Steps keep their direction, as a ball that rolls."),
    "adagrad": _optimizer("adagrad", "Adagrad", "Weights that moved much move less from then on."),
    "rmsprop": _optimizer("rmsprop", "RMSProp", "The same, but what is long ago is forgotten."),
    "adam": _optimizer("adam", "Adam", "RMSProp with momentum: today's habit."),
    "adamw": _optimizer("adamw", "AdamW", "Adam with a weight decay that does not pass through its scaling."),
    "decay-none": Trick("Same rate to the end", "The steps never get shorter.", _set(decay="none")),
    "decay-exponential": Trick("Exponential decay", "Each epoch the same share shorter.", _set(decay="exponential")),
    "decay-cosine": Trick("Cosine decay", "Long steps first, then gently to a stop.", _set(decay="cosine")),
    "init-zeros": Trick("First weights: zeros", "One layer can start from nothing.", _set(init="zeros")),
    "init-uniform": Trick("First weights: uniform", "What torch does by itself.", _set(init="uniform")),
    "init-lecun": Trick("First weights: N(0, 1/n)", "Small enough that the answers start near even.", _set(init="lecun")),
    "init-xavier": Trick("First weights: Xavier", "As small, with the number of classes in it.", _set(init="xavier")),
    "init-normal": Trick("First weights: N(0, 1)", "Far too large: it starts sure, and wrong.", _set(init="normal")),
    "standardise": Trick(
        "Standardised features, the other way round",
        "Every feature the same weight in the beginning, or each as loud as the network made it.",
        lambda base: replace(base, standardise=not base.standardise),
    ),
    "decay-off": Trick("No weight decay", "Nothing pulls the weights to zero.", _set(weight_decay=0.0)),
    "decay-strong": Trick(
        "Weight decay × 10", "Small weights only: simpler, perhaps too simple.",
        lambda base: replace(base, weight_decay=min(100.0, 10 * base.weight_decay or 0.1)),
    ),
    "early": Trick("Early stopping", "Stops when the held-out loss has not fallen for 3 epochs.", _set(patience=3)),
    "balance": Trick("Class weights", "Every class the same say, however few photos it has.", _set(class_weights=True)),
    "augment": Trick(
        "Flipped and closer views", "Each photo also mirrored, and cut closer: more photos from the same ones.",
        _set(augment="flip-crop"),
    ),
    "average": Trick("Average of five heads", "Five seeds, and the mean of their answers.", _set(average=5)),
    "hidden": Trick("One hidden layer", "256 units between the features and the answer.", hidden=HiddenConfig()),
    "dropout": Trick(
        "Hidden layer with dropout", "Half of the units are silent in each step, so that none is relied on.",
        hidden=HiddenConfig(dropout=0.5),
    ),
    "batch-norm": Trick(
        "Hidden layer with batch norm", "The units are standardised anew in each step.", hidden=HiddenConfig(batch_norm=True)
    ),
    "clip": Trick(
        "Hidden layer with clipped gradients", "No step is longer than 1, whatever a strange photo asks for.",
        hidden=HiddenConfig(clip=1.0),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ExperimentStep:
    """`step` of `total` photos or epochs."""

    step: int
    total: int


@dataclass(frozen=True, eq=False)
class ExperimentDone:
    """What came of it, beside the last run on the same held-out photos."""

    step: int
    total: int
    title: str
    accuracy: Accuracy
    before: Accuracy  # the last run's
    paired: Paired
    note: str  # why it ended early, a sentence; else empty
    seconds: float
    embedded: Embedded  # with the views that were made on the way

    @property
    def says(self) -> str:
        """The verdict in words."""
        return f"{self.paired.says} {self.note}".strip()


def experiment(
    embedded: Embedded, head: Head, base: TrainConfig, name: str, backbone: Backbone | None = None
) -> Generator[ExperimentStep | ExperimentDone, None, None]:
    """Do one of TRICKS and compare with `head`, which was trained with `base` on this set.

    `backbone` is needed for views of the photos. Raises BadSetting for an unknown trick, or one that would change nothing.
    """
    check_choice("experiment", name, tuple(TRICKS))
    trick = TRICKS[name]
    config = trick.change(base)
    if trick.hidden is None and _with_rate(config) == _with_rate(base):
        raise BadSetting(f"{trick.title}: the last run did that already; choose another experiment.")
    return run_variant(embedded, head, base, Variant(trick.title, config, trick.hidden), backbone)


def _with_rate(config: TrainConfig) -> TrainConfig:
    return replace(config, learning_rate=config.rate)


@dataclass(frozen=True, eq=False)
class Variant:
    """A way of training: a config, and a hidden layer or none."""

    title: str
    config: TrainConfig
    hidden: HiddenConfig | None = None


def run_variant(
    embedded: Embedded, head: Head, base: TrainConfig, variant: Variant, backbone: Backbone | None = None
) -> Generator[ExperimentStep | ExperimentDone, None, None]:
    """Train another way and compare with `head`, which was trained with `base`; the split is that of `base`.

    Raises BadFolder for a set that cannot be trained on, or has no pictures where views are asked for.
    """
    check_trainable(embedded.folder)
    check_same_network(head, embedded)
    features, labels = tensors(embedded)
    parts = sides(embedded.folder, base)
    check_sides(embedded.folder.used_classes, labels, features, parts)
    if variant.config.augment != "none" and backbone is None:
        raise BadFolder("This set has features only; other views of the photos need the photos, so give photos.")
    config = replace(variant.config, seed=base.seed, held_out=base.held_out)
    return _run(embedded, head, replace(variant, config=config), parts, backbone)


def _run(
    embedded: Embedded, head: Head, variant: Variant, parts: Split, backbone: Backbone | None
) -> Generator[ExperimentStep | ExperimentDone, None, None]:
    began = time.monotonic()
    if backbone and variant.config.augment != "none":
        used = embedded.folder.used
        photos = [used[i] for i in parts.train]
        with closing(collect_views(embedded, photos, variant.config.augment, backbone)) as looking:
            for event in looking:
                if isinstance(event, ViewsDone):
                    embedded = event.embedded
                else:
                    yield ExperimentStep(event.step, event.total)
    features, labels = tensors(embedded)
    judge, truth = features[parts.held_out], labels[parts.held_out]
    logits, note = yield from (_hidden if variant.hidden else _linear)(embedded, variant, judge)
    new, old = _right(logits, truth), _right(Linear(head.weight, head.bias).logits(judge), truth)
    seconds, epochs = time.monotonic() - began, variant.config.epochs
    yield ExperimentDone(
        epochs, epochs, variant.title, _accuracy(new), _accuracy(old), paired(new, old), note, seconds, embedded
    )


def against(embedded: Embedded, config: TrainConfig, new: Head, old: Head) -> Paired:
    """Compare two heads of one set on the photos that were held out from both, which `config` says."""
    features, labels = tensors(embedded)
    held_out = sides(embedded.folder, config).held_out
    judge, truth = features[held_out], labels[held_out]
    rights = [_right(Linear(head.weight, head.bias).logits(judge), truth) for head in (new, old)]
    return paired(rights[0], rights[1])


def _linear(
    embedded: Embedded, variant: Variant, judge: Features
) -> Generator[ExperimentStep, None, tuple[Tensor, str]]:
    for event in train(embedded, variant.config):
        if isinstance(event, TrainDone):
            return Linear(event.head.weight, event.head.bias).logits(judge), event.note
        yield ExperimentStep(event.step, event.total)
    raise RuntimeError("training ended without a head")


def _hidden(
    embedded: Embedded, variant: Variant, judge: Features
) -> Generator[ExperimentStep, None, tuple[Tensor, str]]:
    config, hidden = variant.config, variant.hidden or HiddenConfig()
    part = training_part(embedded, sides(embedded.folder, config).train, config)
    descent = HiddenDescent(*part, len(embedded.folder.used_classes), config, hidden)
    for epoch in range(1, config.epochs + 1):
        for _ in descent.epoch():
            yield ExperimentStep(epoch - 1, config.epochs)
        yield ExperimentStep(epoch, config.epochs)
    logits = on_one_core(descent.logits, judge)
    finite = bool(torch.isfinite(logits).all())
    return logits.nan_to_num(), "" if finite else "The numbers ran away; choose a lower learning rate."


def _right(logits: Tensor, truth: Tensor) -> Right:
    right: Right = (logits.argmax(1) == truth).numpy()
    return right


def _accuracy(right: Right) -> Accuracy:
    return Accuracy(int(right.sum()), len(right))
