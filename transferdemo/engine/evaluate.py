"""How good is a head? Its accuracy on photos that it has not seen, how sure that is, and on which photos it fails.

The head that was measured is the head that is kept. Where folds are asked for, they measure the way of training instead, and
the head may then learn from all photos (`train_on_all`), as the field does with few.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.labelled import LabelledFolder
from ..data.split import Indices, Split, folds
from ..errors import BadFolder
from ..heads import digest_of
from ..types import Features, Head, Logits, check_number
from .descent import Average, Linear
from .features import Embedded
from .recipe import TrainConfig, check_trainable, settings, sides, tensors, training_part

WRONG = 6  # most confidently wrong photos that a report names
FOLDS = 5
ALIKE = 0.01  # share of photos with a near duplicate below which groups cannot move an accuracy by more than that


@dataclass(frozen=True)
class Accuracy:
    """`right` of `count` photos, and the 95 % Wilson interval of the share (Wilson, JASA 1927)."""

    right: int
    count: int

    @property
    def share(self) -> float:
        """In [0, 1]; nan of no photos."""
        return self.right / self.count if self.count else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval, in [0, 1]."""
        if not self.count:
            return 0.0, 1.0
        from scipy.stats import binomtest

        low, high = binomtest(self.right, self.count).proportion_ci(0.95, "wilson")
        return float(low), float(high)

    def as_json(self) -> dict[str, object]:
        """For a header or a line of JSON."""
        return {"accuracy": self.share, "interval": list(self.interval), "photos": self.count}


@dataclass(frozen=True)
class Wrong:
    """A photo that the head takes for something else."""

    id: int
    truth: str
    answer: str
    probability: float  # of the answer


@dataclass(frozen=True, eq=False)
class Report:
    """What a head does with photos that it has not seen."""

    classes: tuple[str, ...]
    held_out: Accuracy
    per_class: tuple[Accuracy, ...]
    confusion: NDArray[np.int64]  # (C, C): photos of the row's class that were taken for the column's
    cells: dict[tuple[int, int], tuple[int, ...]]  # (row, column) -> ids of the photos
    wrong: tuple[Wrong, ...]  # the most confident first
    leaky: bool  # one group was on both sides, for want of more groups: the accuracy flatters
    test: Accuracy | None = None  # on the folder's own test part, or on another folder
    folds: Accuracy | None = None  # of out-of-fold answers, groups kept whole
    folds_random: Accuracy | None = None  # what it would have seemed to be with near duplicates on both sides
    fold_count: int = 0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class FoldStep:
    """`step` of `total` epochs over all folds."""

    step: int
    total: int


@dataclass(frozen=True, eq=False)
class FoldsDone:
    """`logits` (N, C) of each used photo by the head that has not seen it; `judged` (N,) says where there is one."""

    step: int
    total: int
    accuracy: Accuracy
    per_fold: tuple[Accuracy, ...]
    logits: Logits
    judged: Tensor
    grouped: bool


@dataclass(frozen=True, eq=False)
class ReportDone:
    """The report, complete."""

    step: int
    total: int
    report: Report
    folds: FoldsDone | None


def report(embedded: Embedded, head: Head, config: TrainConfig, test: Embedded | None = None) -> Report:
    """Measure a head on the photos that were held out from its training (`config` says which), and on another set.

    Raises BadFolder when `test` has no photos of the head's classes.
    """
    check_trainable(embedded.folder)
    features, parts = tensors(embedded)[0], sides(embedded.folder, config)
    found = report_on(embedded.folder, head, parts, features[np.concatenate([parts.held_out, parts.test])])
    return replace(found, test=accuracy_on(head, test)) if test and found.test is None else found


def report_on(folder: LabelledFolder, head: Head, parts: Split, features: Features) -> Report:
    """Measure a head by the features (N, D) of the held-out photos and, after them, of the folder's own test photos."""
    from sklearn.metrics import confusion_matrix

    labels, linear = torch.from_numpy(folder.labels), Linear(head.weight, head.bias)
    held_out = len(parts.held_out)
    logits, truth = linear.logits(features[:held_out]), labels[parts.held_out].numpy()
    answers = logits.argmax(1).numpy()
    ids = [folder.used[index].id for index in parts.held_out]
    count = len(head.classes)
    matrix = confusion_matrix(truth, answers, labels=range(count)).astype(np.int64)
    tested = linear.logits(features[held_out:]).argmax(1) == labels[parts.test] if len(parts.test) else None
    return Report(
        head.classes,
        Accuracy(int(np.trace(matrix)), len(truth)),
        tuple(Accuracy(int(row[i]), int(row.sum())) for i, row in enumerate(matrix)),
        matrix,
        _cells(truth, answers, ids),
        _wrong(head, (logits / head.temperature).softmax(1), truth, ids),
        parts.leaky,
        _of(tested) if tested is not None else None,
    )


def accuracy_on(head: Head, test: Embedded) -> Accuracy:
    """A head on another set; classes are matched by name, letter case aside. Raises BadFolder when none match.

    Photos of classes that the head does not know do not count.
    """
    check_same_network(head, test)
    known = {name.casefold(): index for index, name in enumerate(head.classes)}
    wanted = [known.get(photo.label.casefold(), -1) for photo in test.folder.used]
    here = [index for index, label in enumerate(wanted) if label >= 0]
    if not here:
        raise BadFolder(
            "No class of the test folder has the name of a class that was trained; name its folders the same."
        )
    features, labels = torch.from_numpy(test.features)[here], torch.tensor(wanted)[here]
    return _of(Linear(head.weight, head.bias).logits(features).argmax(1) == labels)


def check_same_network(head: Head, embedded: Embedded) -> None:
    """Raise BadFolder unless a set's features are of the network and weights that the head was made on."""
    if (head.backbone, digest_of(head)) != (embedded.backbone, embedded.digest):
        raise BadFolder("These photos were prepared for another network than the head's; prepare them again for it.")


def cross_validate(
    embedded: Embedded, config: TrainConfig, k: int = FOLDS, grouped: bool = True
) -> Generator[FoldStep | FoldsDone, None, None]:
    """Train k heads, each judged on the fold that it has not seen; `grouped` keeps near duplicates on one side.

    Raises BadFolder for a set that cannot be trained on or has too few photos for two folds, BadSetting for k outside 2 to 100.
    """
    check_number("folds", k, 2, 100, whole=True)
    check_trainable(embedded.folder)
    tensors(embedded)  # raises where features are missing
    pairs = folds(embedded.folder.labels, embedded.folder.groups, k, config.seed, grouped)
    if not pairs:
        raise BadFolder("There are too few different photos for two folds; add more, or train without folds.")
    training_part(embedded, np.arange(len(embedded.folder.used)), config)  # and where views are
    return _folds(embedded, config, pairs, grouped)


def _folds(
    embedded: Embedded, config: TrainConfig, pairs: list[tuple[Indices, Indices]], grouped: bool
) -> Generator[FoldStep | FoldsDone, None, None]:
    features, labels = tensors(embedded)
    classes = len(embedded.folder.used_classes)
    logits, judged = torch.zeros(len(labels), classes), torch.zeros(len(labels), dtype=torch.bool)
    step, total = 0, len(pairs) * config.epochs
    for train, held_out in pairs:
        descent = Average(*training_part(embedded, train, config), classes, config)
        for _ in range(config.epochs):
            for _ in descent.epoch():
                pass
            step += 1
            yield FoldStep(step, total)
        logits[held_out], judged[held_out] = descent.linear.logits(features[held_out]), True
    right = logits.argmax(1) == labels
    per_fold = tuple(_of(right[held_out]) for _, held_out in pairs)
    yield FoldsDone(total, total, _of(right[judged]), per_fold, logits, judged, grouped)


def full_report(
    embedded: Embedded, head: Head, config: TrainConfig, test: Embedded | None = None, k: int = 0
) -> Generator[FoldStep | ReportDone, None, None]:
    """`report`, and k folds with and without whole groups; k = 0: five where near duplicates could make a difference.

    Raises what `report` and `cross_validate` raise.
    """
    first = report(embedded, head, config, test)
    k = k or (FOLDS if groups_matter(embedded) else 0)
    runs = [cross_validate(embedded, config, k, grouped) for grouped in (True, False)] if k else []
    return _with_folds(first, runs, k)


def _with_folds(
    first: Report, runs: list[Generator[FoldStep | FoldsDone, None, None]], k: int
) -> Generator[FoldStep | ReportDone, None, None]:
    done: list[FoldsDone] = []
    total = 1
    for number, run in enumerate(runs):
        for event in run:
            total = len(runs) * event.total
            if isinstance(event, FoldsDone):
                done.append(event)
            else:
                yield FoldStep(number * event.total + event.step, total)
    if done:
        first = replace(first, folds=done[0].accuracy, folds_random=done[1].accuracy, fold_count=len(done[0].per_fold))
    yield ReportDone(total, total, first, done[0] if done else None)


def groups_matter(embedded: Embedded) -> bool:
    """Whether enough photos have a near duplicate for a random split to flatter, and nobody has given the split."""
    groups = embedded.folder.groups
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return not any(embedded.folder.splits) and float((counts[place] > 1).mean()) >= ALIKE


def train_on_all(embedded: Embedded, config: TrainConfig) -> Generator[FoldStep | Head, None, None]:
    """Train on every used photo, none held out; the last thing yielded is the head. Only folds can then say how good it is.

    Raises BadFolder for a set that cannot be trained on.
    """
    check_trainable(embedded.folder)
    part = training_part(embedded, np.arange(len(embedded.folder.used)), config)
    descent = Average(*part, len(embedded.folder.used_classes), config)
    return _all(embedded, config, descent)


def _all(embedded: Embedded, config: TrainConfig, descent: Average) -> Generator[FoldStep | Head, None, None]:
    for epoch in range(1, config.epochs + 1):
        for _ in descent.epoch():
            pass
        yield FoldStep(epoch, config.epochs)
    linear, classes = descent.linear, embedded.folder.used_classes
    facts: dict[str, object] = {"settings": settings(config)}
    yield Head(
        classes, linear.weight, linear.bias, embedded.backbone, embedded.digest, embedded.fit, facts=facts
    )  # fmt: skip


def with_facts(head: Head, embedded: Embedded, measured: Report, on_all: bool = False) -> Head:
    """The head with what was measured in its header. `accuracy` is the best evidence there is: test, folds, held-out.

    `on_all` says that it was trained on all photos, so that the held-out ones say nothing of it.
    """
    held_out = None if on_all else measured.held_out
    by_folds = measured.folds if on_all else None
    best = measured.test or by_folds or measured.held_out
    judge = "test photos" if measured.test else f"{measured.fold_count} folds" if by_folds else "held-out photos"
    named = {
        "held_out": held_out,
        "test": measured.test,
        "folds": measured.folds,
        "folds_random": measured.folds_random,
    }
    more = {key: value.as_json() for key, value in named.items() if value}
    trained = len(embedded.folder.used) if on_all else len(embedded.folder.used) - measured.held_out.count
    own = {"judged_by": judge, **best.as_json(), "trained_on": trained, "flatters": measured.leaky, **more}
    return replace(head, facts={**head.facts, **own})


def _of(right: Tensor) -> Accuracy:
    return Accuracy(int(right.sum()), len(right))


def _cells(
    truth: NDArray[np.int64], answers: NDArray[np.int64], ids: list[int]
) -> dict[tuple[int, int], tuple[int, ...]]:
    cells: dict[tuple[int, int], list[int]] = {}
    for row, column, photo in zip(truth.tolist(), answers.tolist(), ids, strict=True):
        cells.setdefault((row, column), []).append(photo)
    return {cell: tuple(photos) for cell, photos in cells.items()}


def _wrong(head: Head, probabilities: Tensor, truth: NDArray[np.int64], ids: list[int]) -> tuple[Wrong, ...]:
    def mistakes() -> Iterator[Wrong]:
        for row, label, photo in zip(probabilities, truth.tolist(), ids, strict=True):
            answer = int(row.argmax())
            if answer != label:
                yield Wrong(photo, head.classes[label], head.classes[answer], float(row[answer]))

    return tuple(sorted(mistakes(), key=lambda wrong: -wrong.probability)[:WRONG])
