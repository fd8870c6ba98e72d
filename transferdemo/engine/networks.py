"""All networks at once: every photo is opened once for all networks of one input, then a head is trained on each."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from ..backbones import BACKBONES, Backbone, find_weights
from ..data.labelled import LabelledFolder
from ..data.layout import check_amounts
from ..data.prepare import PrepareDone
from ..data.records import STRANGER, Limits, Listing
from ..errors import MissingWeights
from ..types import FITS, Features, Fit, Head, InputSpec, check_choice
from .descent import Linear
from .evaluate import Accuracy
from .features import Embedded, Vector, Work, opened, without_gone
from .paired import LEVEL, Right, paired
from .recipe import TrainConfig, tensors
from .train import TrainDone, TrainStep, train

LARGE = 30.0  # millions of parameters from which a network waits for no other, and none for it
Known = Mapping[str, Mapping[str, Vector]]  # digest of a network -> SHA-256 of a photo's file -> features


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """What came of one network: its head, judged on the same held-out photos as the others."""

    tag: str
    title: str
    megabytes: float
    embedded: Embedded
    head: Head
    right: Right
    curve: tuple[tuple[int, float], ...]  # (epoch, held-out accuracy)
    new: int  # photos that it looked at now; the others were known
    seconds: float  # for looking and training

    @property
    def accuracy(self) -> Accuracy:
        """On the held-out photos."""
        return Accuracy(int(self.right.sum()), len(self.right))

    def as_json(self) -> dict[str, object]:
        """For the command's last line."""
        accuracy = {"accuracy": self.accuracy.share, "interval": list(self.accuracy.interval)}
        return {
            "network": self.tag,
            **accuracy,
            "seconds": round(self.seconds, 3),
            "megabytes": round(self.megabytes, 1),
        }


@dataclass(frozen=True, eq=False)
class NetworksStep:
    """`step` of `total` photos times networks; `curves` (title -> points) and `results` are what there is so far."""

    step: int
    total: int
    curves: Mapping[str, tuple[tuple[int, float], ...]]
    results: tuple[NetworkResult, ...]


@dataclass(frozen=True, eq=False)
class NetworksDone:
    """All of them, in the order given."""

    step: int
    total: int
    results: tuple[NetworkResult, ...]

    @property
    def says(self) -> str:
        """Whether the best is better than the others beyond chance."""
        return says(self.results)


def here() -> tuple[str, ...]:
    """The tags of the table's networks whose weights are on this machine."""
    return tuple(tag for tag, row in BACKBONES.items() if find_weights(row))


def train_all(
    source: Listing | LabelledFolder,
    backbones: Sequence[Backbone],
    config: TrainConfig | None = None,
    fit: Fit = "auto",
    limits: Limits = STRANGER,
    known: Known | None = None,
) -> Generator[NetworksStep | NetworksDone, None, None]:
    """Train a head on each network, on the same photos and the same split. `known` features are not computed again.

    Raises BadSetting for an unknown fit, BadFolder for a set that cannot be trained on, MissingWeights for no network.
    """
    check_choice("fit", fit, FITS)
    if not backbones:
        raise MissingWeights("No network's weights are on this machine; download one.")
    classes = source.classes if isinstance(source, Listing) else source.used_classes
    check_amounts(len(classes), len(source.entries if isinstance(source, Listing) else source.photos), limits)
    return _Run(list(backbones), config or TrainConfig(), fit, limits).events(source, known or {})


class _Run:
    """One group of networks after the other."""

    def __init__(self, backbones: list[Backbone], config: TrainConfig, fit: Fit, limits: Limits) -> None:
        self.backbones, self.config, self.fit, self.limits = backbones, config, fit, limits
        self.results: dict[str, NetworkResult] = {}
        self.curves: dict[str, tuple[tuple[int, float], ...]] = {}
        self.step, self.total = 0, 1

    def events(
        self, source: Listing | LabelledFolder, known: Known
    ) -> Generator[NetworksStep | NetworksDone, None, None]:
        for spec, group in _groups(self.backbones).items():
            works = [Work(backbone, dict(known.get(backbone.digest, {}))) for backbone in group]
            source = yield from self._look(source, works, spec[0])
            for work in works:
                yield from self._train(without_gone(source, work.vectors), work)
        ordered = tuple(self.results[backbone.tag] for backbone in self.backbones)
        yield NetworksDone(self.total, self.total, ordered)

    def _look(
        self, source: Listing | LabelledFolder, works: list[Work], spec: InputSpec
    ) -> Generator[NetworksStep, None, LabelledFolder]:
        """Open the photos that one of the networks does not know, and show each to all of them."""
        seen = frozenset.intersection(*(frozenset(work.vectors) for work in works))
        start, done = self.step, [0] * len(works)
        with closing(opened(source, works[0].backbone, self.fit, self.limits, seen)) as events:
            for event in events:
                self.total = len(self.backbones) * max(event.total, 1)
                if isinstance(event, PrepareDone):
                    source = event.folder
                    break
                for place, work in enumerate(works):
                    for count in work.embed(event):
                        done[place] = max(done[place], count)
                        self.step = start + sum(done)
                        yield self._now()
        if isinstance(source, Listing):
            raise RuntimeError("prepare ended without its folder")
        self.step = min(self.total, start + len(works) * len(source.photos))
        return source

    def _train(self, folder: LabelledFolder, work: Work) -> Generator[NetworksStep, None, None]:
        backbone, began = work.backbone, time.monotonic()
        own = {photo.sha256: work.vectors[photo.sha256] for photo in folder.photos if photo.sha256 in work.vectors}
        embedded = Embedded(folder, own, backbone.tag, backbone.digest, self.fit)
        points: dict[int, float] = {}
        for event in train(embedded, self.config):
            if isinstance(event, TrainStep):
                points[event.step] = event.held_out_accuracy
                self.curves[backbone.info.title] = tuple(points.items())
                yield self._now()
        if not isinstance(event, TrainDone):
            raise RuntimeError("training ended without a head")
        seconds = time.monotonic() - began + work.embed_seconds
        self.results[backbone.tag] = NetworkResult(
            backbone.tag, backbone.info.title, backbone.info.megabytes, embedded, event.head,
            _right(embedded, event), tuple(points.items()), work.new, seconds,
        )  # fmt: skip
        yield self._now()

    def _now(self) -> NetworksStep:
        return NetworksStep(min(self.step, self.total), self.total, dict(self.curves), tuple(self.results.values()))


def _groups(backbones: Sequence[Backbone]) -> dict[tuple[InputSpec, str], list[Backbone]]:
    """Networks that take the very same picture; a large one is alone, so that the quick ones are there first."""
    groups: dict[tuple[InputSpec, str], list[Backbone]] = {}
    for backbone in sorted(backbones, key=lambda b: b.info.parameters >= LARGE):
        alone = backbone.tag if backbone.info.parameters >= LARGE else ""
        groups.setdefault((backbone.spec, alone), []).append(backbone)
    return groups


def _right(embedded: Embedded, done: TrainDone) -> Right:
    features, labels = tensors(embedded)
    held_out: Features = features[done.split.held_out]
    answers = Linear(done.head.weight, done.head.bias).logits(held_out).argmax(1)
    right: Right = (answers == labels[done.split.held_out]).numpy()
    return right


def says(results: Sequence[NetworkResult]) -> str:
    """Whether the best network is better than the others beyond chance, on the same photos; tested once for each other."""
    if len(results) < 2:
        return "There is only one network here; download another to compare." if results else ""
    best = max(results, key=lambda r: (r.accuracy.share, -r.seconds))
    others = [r for r in results if r is not best and len(r.right) == len(best.right)]
    beaten = [r.title for r in others if paired(best.right, r.right).p * len(others) < LEVEL]
    equal = [r.title for r in others if r.title not in beaten]
    if not equal:
        return f"{best.title} is the best here, beyond chance."
    better = f"{best.title} is better than {' and '.join(beaten)} beyond chance, but not than" if beaten else (
        f"{best.title} came out best, but there is no difference beyond chance to"
    )  # fmt: skip
    return f"{better} {' and '.join(equal)}: take the smaller or the quicker one."
