"""An ideal picture as a person orders it: a class in words, networks by name; and the settings from which it can be remade."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..backbones import BACKBONES, find_weights, load_backbone, resolve
from ..device import choose
from ..errors import BadSetting
from ..heads import Classifier, find_classes, groups, load_classifier, own_head
from ..types import Head, Image8, View, check_choice
from .ideal import METHODS, IdealConfig, IdealDone, Method


@dataclass(frozen=True, eq=False)
class Order:
    """What is asked for; `prepare` checks it. What is None comes from the method's recipe."""

    name: str  # a class of the head, an index, or a group such as "any cat"
    method: Method = "sharp"
    steps: int | None = None
    tv: float | None = None
    learning_rate: float | None = None
    size: int = 224
    seed: int = 0
    start: Image8 | None = None
    second: str | None = None  # the network that must agree; None: the first other one whose weights are here


@dataclass(frozen=True, eq=False)
class Prepared:
    """The networks that look, and what the engine takes."""

    classifiers: tuple[Classifier, ...]
    config: IdealConfig
    title: str  # of the class or group

    @property
    def settings(self) -> dict[str, object]:
        """All that the picture depends on, as JSON; a photo to start from is only named."""
        recipe, backbones = self.config.recipe(), [classifier.backbone.tag for classifier in self.classifiers]
        return {
            "class": self.title,
            "classes": list(self.config.classes),
            "backbone": backbones[0],
            "second": backbones[1] if len(backbones) > 1 else None,
            "head": "its own" if own_classes(self.classifiers[0]) else ", ".join(self.classifiers[0].classes)[:200],
            "method": self.config.method,
            "steps": recipe.steps,
            "tv": recipe.tv,
            "learning_rate": recipe.learning_rate,
            "size": self.config.size,
            "seed": self.config.seed,
            "start": "noise" if self.config.start is None else "photo",
        }


def prepare(view: View, order: Order) -> Prepared:
    """Load the networks and find the class.

    Raises BadSetting for what does not exist or is out of range, MissingWeights for networks that are not here.
    """
    check_choice("method", order.method, METHODS)
    config = IdealConfig(
        (0,), order.method, order.steps, order.tv, order.learning_rate, order.size, order.seed, order.start
    )  # fmt: skip
    if order.second is not None and order.method != "agreed":
        raise BadSetting("A second network goes with the method agreed; choose that, or leave the second one out.")
    first = load_classifier(view, choose(view.device))
    classes = find_classes(first.head, order.name)
    networks = (first, _partner(view, first, order.second)) if order.method == "agreed" else (first,)
    config = replace(config, classes=classes, size=int(config.size), seed=int(config.seed))  # 224.0 is 224
    return Prepared(networks, config, title_of(first.head, classes))


def measured(done: IdealDone) -> dict[str, object]:
    """What the network says to the file, as JSON beside the settings."""
    return {
        name: None if chance is None else round(chance, 6)
        for name, chance in (("probability", done.probability), ("robust_probability", done.robust_probability))
    }


def title_of(head: Head, classes: tuple[int, ...]) -> str:
    """What one class, or a group of them, is called."""
    if len(classes) == 1:
        return head.classes[classes[0]]
    return next((name for name, group in groups(head).items() if group == classes), f"{len(classes)} classes")


def own_classes(classifier: Classifier) -> bool:
    """Whether the classifier's head is the network's own, with which it was trained."""
    own = own_head(classifier.backbone)
    return own is not None and own.classes == classifier.classes


def others(tag: str) -> list[str]:
    """Every other network of the table that has classes and whose weights are here, in the table's order."""
    return [other for other, row in BACKBONES.items() if other != tag and row.top1 is not None and find_weights(row)]


def _partner(view: View, first: Classifier, name: str | None) -> Classifier:
    """The second network, on the device of the first, with the same classes."""
    here = others(first.backbone.tag)
    tag = resolve(name).tag if name is not None else here[0] if here else None
    if tag is None:
        raise BadSetting("To agree takes two networks, and no second one is here: download one, or choose sharp.")
    if tag == first.backbone.tag:
        raise BadSetting(f"{first.backbone.info.title} cannot be its own second network; choose another.")
    own = own_head(load_backbone(tag, first.device))
    if own is None or own.classes != first.classes:
        raise BadSetting(
            "Two networks can only agree on classes that both have: choose the networks' own 1,000 things."
        )
    return Classifier(load_backbone(tag, first.device), own)
