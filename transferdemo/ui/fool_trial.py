"""One attempt to fool the network: what was asked, how far it is, what the saved file is worth. No Gradio here."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from ..backbones import BACKBONES, find_weights
from ..decode import fit_image
from ..engine.adversarial import EPSILON, AttackConfig, AttackDone, AttackEvent, MethodName, PhotoState, attack
from ..engine.aim import ANYTHING, aim, opposite
from ..engine.receipt import Receipt, receipt
from ..engine.verdict import Answer, Result, classify_alone, judge
from ..errors import BadImage, DemoError
from ..heads import Classifier, groups, load_classifier
from ..types import Image8, Photo, View
from . import texts


@dataclass(frozen=True)
class Wish:
    """The controls' values, as the page or a caller sent them; `config` checks them."""

    target: str
    steps: int = 100
    tv: float = 0.0
    method: MethodName = "smallest"
    confidence: float = 0.0
    strength: float | None = None  # without meaning for a method that has none

    def config(self, classifier: Classifier) -> AttackConfig:
        """What the engine takes. Raises BadSetting."""
        epsilon = self.strength if self.method in EPSILON else None
        targets = aim(classifier.head, self.target)
        return AttackConfig(targets, self.method, epsilon, self.steps, self.tv, self.confidence)


@dataclass(frozen=True)
class Point:
    """One point of the curves: the probabilities of the class that the clean photo has and of the target, and the L2 size."""

    step: int
    original: float
    target: float
    l2: float


@dataclass(frozen=True, eq=False)
class Trial:
    """A visitor's attempt; each step makes a new one, so that Stop keeps the last."""

    view: View
    clean: Image8
    config: AttackConfig
    classes: tuple[str, ...]
    before: Answer  # to the clean picture
    target: str  # as it was asked for
    step: int = 0
    total: int = 1
    best: PhotoState | None = None
    curve: tuple[Point, ...] = ()
    result: Result | None = None
    receipt: Receipt | None = None

    @property
    def title(self) -> str:
        """The target's name as it is shown."""
        if self.config.targets is not None and len(self.config.targets) == 1:
            return self.classes[self.config.targets[0]]
        return texts.FOOL_ANYTHING if self.config.targets is None else self.target

    @property
    def picture(self) -> Image8:
        """The changed picture so far."""
        if self.result is not None:
            return self.result.image8
        return self.clean if self.best is None else self.best.image8


def start(photo: Photo | None, view: View, wish: Wish) -> tuple[Classifier, Trial]:
    """The network, and an attempt that has not begun. Raises BadImage without a photo, BadSetting for a wish that cannot be."""
    if photo is None:
        raise BadImage(texts.NO_PHOTO)
    classifier = load_classifier(view)
    config = wish.config(classifier)
    clean = fit_image(photo.image8, classifier.spec, view.fitting)
    before = classify_alone(classifier, clean)
    return classifier, Trial(view, clean, config, classifier.classes, before, str(wish.target).strip().lower())


def preset(photo: Photo | None, view: View) -> str:
    """The target that is offered first for this photo."""
    if photo is None:
        return ANYTHING
    classifier = load_classifier(view)
    seen = fit_image(photo.image8, classifier.spec, view.fitting)
    return opposite(classifier.head, classify_alone(classifier, seen).index)


def pet(photo: Photo, view: View) -> str:
    """The target of *dog into cat*: the opposite pet; a cat for what is neither, where the head knows one."""
    wanted, head = preset(photo, view), load_classifier(view).head
    if wanted != ANYTHING:
        return wanted
    return "any cat" if groups(head) else next((name for name in head.classes if name.lower() == "cat"), ANYTHING)


def steps(classifier: Classifier, trial: Trial) -> Generator[Trial, None, None]:
    """The attempt after each gradient; the last one has the result. Raises BadSetting where there is nothing to attack."""
    with closing(attack(classifier, [trial.clean], trial.config)) as events:
        for event in events:
            trial = _after(trial, event)
            yield trial


def _after(trial: Trial, event: AttackEvent) -> Trial:
    if isinstance(event, AttackDone):
        return replace(trial, step=event.step, total=event.total, result=event.results[0])
    best = event.photos[0]
    point = Point(event.step, best.original, best.target, best.l2)
    return replace(trial, step=event.step, total=event.total, best=best, curve=(*trial.curve, point))


def judged(trial: Trial) -> Trial:
    """The attempt with a result, also where it was stopped on the way."""
    if trial.result is not None or trial.best is None:
        return trial
    best = trial.best
    result = judge(load_classifier(trial.view), trial.clean, best.image8, trial.config.targets)
    return replace(trial, result=replace(result, low=best.low, high=best.high, gradients=trial.step))


def proved(trial: Trial) -> Iterator[Trial]:
    """The attempt with its receipt: first what this network says, then what the others whose weights are here say."""
    if trial.result is None:
        return
    classifier, result = load_classifier(trial.view), trial.result
    yield replace(trial, receipt=receipt(classifier, trial.clean, result))
    yield replace(trial, receipt=receipt(classifier, trial.clean, result, list(_others(trial.view))))


def _others(view: View) -> Iterator[Classifier]:
    """Every other network of the table that has classes and whose weights are here."""
    for tag, row in BACKBONES.items():
        if tag != view.backbone and row.top1 and find_weights(row):
            with suppress(DemoError):  # a file that cannot be read says so where it is chosen
                yield load_classifier(replace(view, backbone=tag, head=None))
