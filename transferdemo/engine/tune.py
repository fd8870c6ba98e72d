"""Fine-tuning, the second stage of training: the network's last stage learns too, at a tenth of the head's learning rate.

What is frozen gives its maps once (`maps_of`); an epoch then costs the forward and backward of the last stage alone. Batch
norms keep their statistics: where they follow a convolution they are folded into it, and the others stay in eval mode. The
last epoch is judged, whatever the held-out photos said of those before: they decide one thing, yes or no, by their loss.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..backbones import Backbone
from ..data.split import Split
from ..errors import BadFolder
from ..heads import check_fits
from ..types import Features, Head, Logits
from .calibration import temperature
from .cut import Cut, cut
from .descent import Linear
from .evaluate import Report, check_same_network, report_on
from .features import Embedded
from .last_stage import FineTuneConfig, Stage
from .maps import MapsStep, check_room, maps_of
from .paired import Paired, paired
from .recipe import TrainConfig, check_sides, check_trainable, sides, tensors
from .trust import Judges, Trust, strangeness, trust_by

__all__ = ["FineTuneConfig", "FineTuneDone", "FineTuneStep", "Judged", "MapsStep", "fine_tune"]

DIVERGED = 10.0  # times the loss before or that of guessing, whichever is larger


@dataclass(frozen=True, eq=False)
class Judged:
    """What a head says of the held-out photos: mean cross entropy in nats, and which answers are right.

    The loss is that at the temperature that suits these photos best, as the head is saved with one: a head that is too sure,
    or not sure enough, for want of one is not the worse for it.
    """

    loss: float
    right: Tensor  # (N,) bool
    temperature: float

    @property
    def accuracy(self) -> float:
        """In [0, 1]."""
        return int(self.right.sum()) / len(self.right)

    def better_than(self, other: Judged) -> bool:
        """Whether the loss is lower and not fewer photos are right: a temperature moves the one and not the other."""
        return self.loss < other.loss and int(self.right.sum()) >= int(other.right.sum())


@dataclass(frozen=True, eq=False)
class FineTuneStep:
    """`step` of `total` photos have gone through the last stage; the losses are those of the end of epoch `epoch`.

    `head` is what Stop keeps: the fine-tuned one where `after` is better than `before`, else the one given.
    """

    step: int
    total: int
    epoch: int
    epochs: int
    train_loss: float  # nan before the first epoch has ended
    before: Judged
    after: Judged
    head: Head
    report: Report  # of `head`

    @property
    def accepted(self) -> bool:
        """Whether the held-out photos speak for it."""
        return self.after.better_than(self.before)

    @property
    def difference(self) -> Paired:
        """The fine-tuned network against the frozen one, photo by photo."""
        return compare(self.before, self.after)


@dataclass(frozen=True, eq=False)
class FineTuneDone:
    """The end: `last.head` is kept, and `report` measures it on the folder's own test photos too, where it has some."""

    step: int
    total: int
    last: FineTuneStep
    report: Report
    trust: Trust | None  # of `last.head`, where it was accepted
    note: str  # why it ended before the last epoch, a sentence; else empty
    seconds: float


FineTuneEvent = MapsStep | FineTuneStep | FineTuneDone


def judged(logits: Logits, labels: Tensor) -> Judged:
    """(N, C) at temperature 1, (N,) -> how good they are."""
    warmth = temperature(logits.numpy(), labels.numpy()) if bool(logits.isfinite().all()) else 1.0
    return Judged(float(F.cross_entropy(logits / warmth, labels)), logits.argmax(1) == labels, warmth)


def fine_tune(
    backbone: Backbone,
    embedded: Embedded,
    head: Head,
    config: FineTuneConfig | None = None,
    recipe: TrainConfig | None = None,
) -> Generator[FineTuneEvent, None, None]:
    """Fine-tune the network's last stage under a head that was trained on `embedded` as `recipe` says.

    Closing the generator stops it; the last step has what is kept. Raises BadFolder and BadSetting, before the first event,
    for a set without photos or with too many, a head of other classes or other weights, a network that cannot be cut.
    """
    config, recipe = config or FineTuneConfig(), recipe or TrainConfig()
    check_tunable(embedded, head)
    check_fits(head, backbone)
    features, labels = tensors(embedded)
    parts = sides(embedded.folder, recipe)
    check_sides(embedded.folder.used_classes, labels, features, parts)
    halves = cut(backbone)
    check_room(halves, embedded.folder)
    return _run(_Job(embedded, head, config, parts), halves)


def check_tunable(embedded: Embedded, head: Head) -> None:
    """Raise BadFolder, with what to do, unless the head was trained on photos that are still there, and not tuned yet."""
    check_trainable(embedded.folder)
    if not embedded.pictures:
        raise BadFolder("This ready set has features and no photos, which fine-tuning needs; add photos of your own.")
    if head.changed:
        raise BadFolder("This head is fine-tuned already; train it again first.")
    check_same_network(head, embedded)
    if head.classes != embedded.folder.used_classes:
        raise BadFolder("The classes have changed since the head was trained; train it again first.")


@dataclass(frozen=True, eq=False)
class _Job:
    embedded: Embedded
    head: Head
    config: FineTuneConfig
    parts: Split

    @property
    def labels(self) -> Tensor:
        return torch.from_numpy(self.embedded.folder.labels)

    @property
    def features(self) -> Features:
        return torch.from_numpy(self.embedded.features)

    def report(self, head: Head, features: Features, parts: Split) -> Report:
        return report_on(self.embedded.folder, head, parts, features)


def _run(job: _Job, halves: Cut) -> Generator[FineTuneEvent, None, None]:
    began, used, epochs = time.monotonic(), len(job.embedded.folder.used), job.config.epochs
    train, held_out, test = (torch.from_numpy(part) for part in (job.parts.train, job.parts.held_out, job.parts.test))
    total = used + epochs * len(train)
    for event in maps_of(halves, job.embedded.folder, job.embedded.fit):
        if isinstance(event, MapsStep):
            yield replace(event, total=total)
    stage = Stage(halves.tail, job.head, event, job.labels, job.config)  # type: ignore[arg-type]
    progress, note = _Progress(job, total), ""
    yield progress.last
    while stage.done < epochs and not note:
        start, features = progress.last.step, []
        for seen in stage.epoch(train):
            yield replace(progress.last, step=start + seen)
        for batch in stage.embed(held_out):
            features.append(batch)
            yield replace(progress.last, step=start + len(train))
        yield progress.measured(stage, torch.cat(features))
        note = progress.reason()
    last, report, found = progress.last, progress.last.report, None
    if last.accepted:
        batches = []
        for batch in stage.embed(train):
            batches.append(batch)
            yield last
        learned = torch.cat(batches), job.labels[train]
        found = trust_by(last.head, learned, progress.judges(learned), job.config.seed)
        last = replace(last, head=found.head)
    if len(test):
        features = list(stage.embed(test)) if last.accepted else [job.features[test]]
        report = job.report(last.head, torch.cat([progress.held_out, *features]), job.parts)
    yield FineTuneDone(total, total, last, report, found, note, time.monotonic() - began)


class _Progress:
    """Measures each epoch on the held-out photos, and says when to stop."""

    def __init__(self, job: _Job, total: int) -> None:
        self.job, self.parts = job, replace(job.parts, test=job.parts.test[:0])
        self.held_out = job.features[job.parts.held_out]
        self.before, self.report = self._judged(job.head), job.report(job.head, self.held_out, self.parts)
        step = len(job.embedded.folder.used)
        self.last = FineTuneStep(
            step, total, 0, job.config.epochs, math.nan, self.before, self.before, job.head, self.report
        )  # fmt: skip

    def measured(self, stage: Stage, features: Features) -> FineTuneStep:
        """The event of an epoch's end; `features` (n, D) are those of the held-out photos now."""
        head, self.held_out = stage.head, features
        after = self._judged(head)
        step = self.last.step + len(self.job.parts.train)
        self.last = replace(self.last, step=step, epoch=stage.done, train_loss=stage.loss, after=after)
        if self.last.accepted:
            head = with_tuning(head, self.before, after, self.job.config)
            self.last = replace(self.last, head=head, report=self.job.report(head, features, self.parts))
        else:
            self.held_out = self.job.features[self.job.parts.held_out]
            self.last = replace(self.last, head=self.job.head, report=self.report)
        return self.last

    def judges(self, learned: tuple[Features, Tensor]) -> Judges:
        """The held-out photos as they are now; `learned` are those that the head was trained on."""
        head = self.last.head
        logits = Linear(head.weight, head.bias).logits(self.held_out)
        return Judges(logits, self.job.labels[self.job.parts.held_out], strangeness(learned, self.held_out, head))

    def reason(self) -> str:
        """Why it should end now, a sentence; else empty."""
        loss = self.last.train_loss
        if math.isfinite(loss) and loss <= DIVERGED * max(self.before.loss, math.log(len(self.job.head.classes))):
            return ""
        rate = self.job.config.learning_rate
        return (
            f"Stopped after epoch {self.last.epoch}, because the loss ran away; choose a learning rate below {rate:g}."
        )

    def _judged(self, head: Head) -> Judged:
        """By the held-out features as they are now."""
        return judged(Linear(head.weight, head.bias).logits(self.held_out), self.job.labels[self.job.parts.held_out])


def with_tuning(head: Head, before: Judged, after: Judged, settings: FineTuneConfig) -> Head:
    """The head with its temperature, and what fine-tuning was and did in its header."""
    facts = {**head.facts, "fine_tune": {"settings": asdict(settings), **as_json(before, after)}}
    return replace(head, temperature=after.temperature, facts=facts)


def compare(before: Judged, after: Judged) -> Paired:
    """After against before, on the same photos."""
    return paired(after.right.numpy(), before.right.numpy())


def as_json(before: Judged, after: Judged) -> dict[str, object]:
    """What fine-tuning did, for a header or a line of JSON; a loss that is no number is null."""
    losses = {"loss_before": before.loss, "loss_after": after.loss if math.isfinite(after.loss) else None}
    accuracies = {"accuracy_before": before.accuracy, "accuracy_after": after.accuracy}
    return {"accepted": after.better_than(before), **losses, **accuracies, "p": compare(before, after).p}


def says(before: Judged, after: Judged, photos: str = "held-out photos") -> str:
    """What fine-tuning added and whether that is more than chance, in one or two sentences."""
    points, count = f"{100 * (after.accuracy - before.accuracy):+.0f} points".replace("-", "−"), len(before.right)
    losses = f"held-out loss {before.loss:.2f} → {after.loss:.2f}"
    if not after.better_than(before):
        return f"Fine-tuning did not help ({points}, {losses}), so the network stays as it was."
    found = compare(before, after)
    sure = "more than chance" if found.better else "worse beyond chance" if found.worse else "not beyond chance"
    return (
        f"{points} on {count:,} {photos} ({100 * before.accuracy:.0f} → {100 * after.accuracy:.0f} %, {losses}): "
        f"{sure}. The same photos decided to keep it, so the new figure flatters a little."
    )
