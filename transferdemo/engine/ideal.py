"""The picture that a class, or a channel, likes best: parameterisation x views x objective, and gradient descent.

`sharp` and `agreed` paint with waves and look at random views; `lesson` changes pixels by plain descent.
"""

from __future__ import annotations

import io
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from ..device import out_of_memory_explained
from ..errors import BadSetting
from ..heads import Classifier
from ..images import encode_png, to_image8, to_pixels
from ..types import Image8, Pixels, check_choice, check_number
from .objective import Objective, Score, channel_objective, class_objective, skip_gradient
from .parameterise import Canvas, Spectrum, Views, fourier_canvas, look, pixel_canvas, total_variation
from .stages import stages

Method = Literal["sharp", "agreed", "lesson"]
METHODS: tuple[str, ...] = get_args(Method)
MAX_STEPS, MAX_TV, SIZES = 1000, 5000.0, (128, 384)
EVENT_SECONDS = 0.1  # a picture is shown at most this often
# Crops down to 80 % of the side, shifts by up to a sixteenth of it.
ROBUST_VIEWS = Views(count=32, zoom=(1.0, 1.25), turn=0.0, shift=0.125, noise=0.0, outside="mirror")
# One look a step, moved by up to a ninth of the side: without that, other networks do not see what was painted.
STEADY = Views(1, (0.8, 1.2), 5.0, 0.214, noise=0.0, outside="mirror")
BAND = 0.05  # the lesson's start: grey 0.5 and this much to either side


@dataclass(frozen=True)
class Recipe:
    """All numbers of a method; the first three are a person's to change."""

    steps: int
    tv: float
    learning_rate: float
    views: Views
    spectrum: Spectrum | None  # None: pixels and plain descent
    share: float = 1.0  # of the gradient that residual branches pass on, see `skip_gradient`
    cool: float = 1.0  # the last step's learning rate, as a share of the first one's
    smooth_first: float = 1.0  # the first step's TV weight, in multiples of the last one's
    view_share: float = 1.0  # of the network's input size: in smaller views shapes are larger, and a step is quicker

    def view_size(self, size: int) -> int:
        """Pixels a side of the views for a network whose input is `size`: a multiple of 32 where they are smaller."""
        return size if self.view_share == 1 else max(32, round(size * self.view_share / 32) * 32)


RECIPES: dict[str, Recipe] = {
    "sharp": Recipe(130, 100.0, 0.08, Views(), Spectrum(), share=0.6, view_share=0.857),
    "agreed": Recipe(100, 100.0, 0.08, Views(2), Spectrum(), share=0.6, view_share=0.857),
    "lesson": Recipe(160, 300.0, 3.0, STEADY, None, share=0.6, cool=0.05, smooth_first=10.0),
}


@dataclass(frozen=True, eq=False)
class IdealConfig:
    """What to paint and how; what is None comes from the method's recipe. Raises BadSetting for what is out of range."""

    classes: tuple[int, ...] = ()  # several count as one: "any cat"
    method: Method = "sharp"
    steps: int | None = None
    tv: float | None = None  # weight of `total_variation`
    learning_rate: float | None = None
    size: int = 224  # pixels a side
    seed: int = 0
    start: Image8 | None = None  # the picture to begin with, any size; None: at random
    channel: tuple[int, int] | None = None  # (index of one of the network's `stages`, channel) in place of classes

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        limits = {"steps": (1, MAX_STEPS), "tv": (0, MAX_TV), "learning_rate": (1e-4, 100)}
        for name, (low, high) in limits.items():
            if (value := getattr(self, name)) is not None:
                check_number(name, value, low, high, whole=name == "steps")
        check_number("size", self.size, *SIZES, whole=True)
        check_number("seed", self.seed, 0, 2**31 - 1, whole=True)
        if bool(self.classes) == (self.channel is not None):
            raise BadSetting("Choose a class, or a channel, to paint a picture for.")
        for index in (*self.classes, *(self.channel or ())):
            check_number("class or channel", index, 0, 100_000, whole=True)

    def recipe(self) -> Recipe:
        """The method's numbers with what was given in their place."""
        own = RECIPES[self.method]
        return replace(
            own,
            steps=own.steps if self.steps is None else int(self.steps),
            tv=own.tv if self.tv is None else self.tv,
            learning_rate=own.learning_rate if self.learning_rate is None else self.learning_rate,
        )


@dataclass(frozen=True, eq=False)
class IdealStep:
    """The picture so far, and what the last step's views scored."""

    step: int
    total: int
    image8: Image8
    probability: float | None  # of the classes, mean over the step's views, least sure network; None for a channel
    loss: float  # what descent lowers, without the TV term
    tv: float  # `total_variation` of the picture, not weighted
    steps_per_second: float


@dataclass(frozen=True, eq=False)
class IdealDone:
    """The picture as PNG, and what the network says to that very file."""

    step: int
    total: int
    image8: Image8
    png: bytes
    probability: float | None  # None for a channel
    robust_probability: float | None  # mean over 32 random crops and shifts
    seconds: float
    steps_per_second: float


def ideal(classifiers: Sequence[Classifier], config: IdealConfig) -> Generator[IdealStep | IdealDone]:
    """Paint the picture that `config` asks for; closing the generator stops it, the last step has the picture so far.

    `classifiers` is one network, or for "agreed" the two or more that shall agree (the first one's numbers are told).
    Raises BadSetting before the first event.
    """
    _check(classifiers, config)
    return _paint(classifiers, config)


def why(config: IdealConfig) -> tuple[IdealConfig, ...]:
    """Pixels without and with smoothness, then waves without and with it: four runs from the same picture, same seed."""
    start = config.start
    if start is None:
        generator = torch.Generator().manual_seed(config.seed)
        with torch.no_grad():
            start = to_image8(fourier_canvas(None, config.size, Spectrum(), generator).paint())
    common = replace(config, start=start, learning_rate=None)
    methods: tuple[Method, Method] = ("lesson", "sharp")
    return tuple(replace(common, method=method, tv=tv) for method in methods for tv in (0.0, RECIPES[method].tv))


def _check(classifiers: Sequence[Classifier], config: IdealConfig) -> None:
    if config.method == "agreed" and len(classifiers) < 2:
        raise BadSetting("To agree takes two networks: choose a second one that is here, or the method “sharp”.")
    if config.method == "agreed" and len({c.classes for c in classifiers}) > 1:
        raise BadSetting("Networks can only agree on the same classes: choose heads with the same names.")
    if config.channel is not None:
        _check_channel(classifiers[0], *config.channel)
    for classifier in classifiers:
        if any(index >= len(classifier.classes) for index in config.classes):
            last = len(classifier.classes) - 1
            raise BadSetting(f"This head's classes have the indices 0 to {last}, got {max(config.classes)}.")


def _check_channel(classifier: Classifier, layer: int, channel: int) -> None:
    places = stages(classifier)
    if layer >= len(places):
        raise BadSetting(f"This network has the stages 0 to {len(places) - 1}, got {layer}.")
    if channel >= places[layer].shape[0]:
        raise BadSetting(f"This stage has the channels 0 to {places[layer].shape[0] - 1}, got {channel}.")


def _objectives(classifiers: Sequence[Classifier], config: IdealConfig) -> list[Objective]:
    if config.channel is not None:
        return [channel_objective(classifiers[0], *config.channel)]
    used = classifiers if config.method == "agreed" else classifiers[:1]
    return [class_objective(classifier, config.classes) for classifier in used]


def _start(config: IdealConfig, spectrum: Spectrum | None, generator: torch.Generator) -> Canvas:
    """The canvas with the person's picture on it, or the method's own random one."""
    size, device = config.size, generator.device
    given = None if config.start is None else fit_square(to_pixels([config.start]).to(device), size)
    if spectrum is not None:
        return fourier_canvas(given, size, spectrum, generator)
    grey = 0.5 - BAND + 2 * BAND * torch.rand(1, 3, size, size, generator=generator, device=device)
    return pixel_canvas(grey if given is None else given)


class _Painting:
    """One run: its canvas, optimiser and randomness, one step at a time."""

    def __init__(self, classifiers: Sequence[Classifier], config: IdealConfig) -> None:
        self.recipe = config.recipe()
        self.generator = torch.Generator(classifiers[0].device).manual_seed(config.seed)
        self.canvas = _start(config, self.recipe.spectrum, self.generator)
        self.objectives = _objectives(classifiers, config)
        kind = torch.optim.SGD if self.recipe.spectrum is None else torch.optim.Adam
        self.optimiser = kind([self.canvas.parameter], lr=self.recipe.learning_rate, foreach=True)
        self.step = 0
        self.scores: list[Score] = []
        self.tv = torch.zeros(())

    @torch.enable_grad()
    def advance(self) -> None:
        """One step of descent: paint, look, score, change."""
        recipe, pixels = self.recipe, self.canvas.paint()
        gone = self.step / max(1, recipe.steps - 1)  # 0 at the first step, 1 at the last
        self.scores = [self._score(objective, pixels) for objective in self.objectives]
        self.tv = total_variation(pixels)
        weight = recipe.tv * recipe.smooth_first ** (1 - gone)
        loss = torch.stack([score.loss for score in self.scores]).mean() + weight * self.tv
        (self.canvas.parameter.grad,) = torch.autograd.grad(loss, self.canvas.parameter)
        self.optimiser.param_groups[0]["lr"] = recipe.learning_rate * recipe.cool**gone
        self.optimiser.step()
        self.canvas.after()
        self.step += 1

    def _score(self, objective: Objective, pixels: Pixels) -> Score:
        size = self.recipe.view_size(objective.size)
        with skip_gradient(objective.network, self.recipe.share):
            return objective.score(look(pixels, size, self.recipe.views, self.generator))

    @torch.no_grad()
    def picture(self) -> Image8:
        """The picture as it would be saved now."""
        return to_image8(self.canvas.paint())

    def event(self, step: int, seconds: float) -> IdealStep:
        """The step as it is shown; here, and only here, the device is waited for."""
        loss = float(torch.stack([score.loss.detach() for score in self.scores]).mean())
        chances = [float(score.probability) for score in self.scores if score.probability is not None]
        probability = min(chances) if chances else None
        return IdealStep(
            step,
            self.recipe.steps,
            self.picture(),
            probability,
            loss,
            float(self.tv.detach()),
            step / max(seconds, 1e-9),
        )


def _paint(classifiers: Sequence[Classifier], config: IdealConfig) -> Generator[IdealStep | IdealDone]:
    started = time.perf_counter()
    with out_of_memory_explained():
        painting = _Painting(classifiers, config)
    total, shown = painting.recipe.steps, 0.0
    for step in range(1, total + 1):
        with out_of_memory_explained():
            painting.advance()
        now = time.perf_counter()
        if step in (1, total) or now - shown >= EVENT_SECONDS:
            yield painting.event(step, now - started)
            shown = now
    seconds = time.perf_counter() - started
    yield _done(classifiers[0], config, painting, seconds)


def _done(classifier: Classifier, config: IdealConfig, painting: _Painting, seconds: float) -> IdealDone:
    image8, total = painting.picture(), painting.recipe.steps
    png = encode_png(image8)
    chance = robust = None
    if config.classes:
        saved = _decode_png(png)
        chance = probability(classifier, config.classes, saved)
        robust = robust_probability(classifier, config.classes, saved)
    return IdealDone(total, total, image8, png, chance, robust, seconds, total / max(seconds, 1e-9))


def probability(classifier: Classifier, classes: Sequence[int], image8: Image8) -> float:
    """The probability of `classes` together for a square picture, resized to the network's input if it has another size."""
    return _mean_probability(classifier, classes, to_square(image8, classifier))


def robust_probability(classifier: Classifier, classes: Sequence[int], image8: Image8) -> float:
    """The mean probability of `classes` together over 32 random crops and shifts, always the same ones."""
    generator = torch.Generator(classifier.device).manual_seed(0)
    with torch.no_grad():
        views = look(to_square(image8, classifier), classifier.spec.size, ROBUST_VIEWS, generator)
    return _mean_probability(classifier, classes, views)


@torch.no_grad()
def _mean_probability(classifier: Classifier, classes: Sequence[int], pixels: Pixels) -> float:
    return float(classifier(pixels).softmax(1)[:, list(classes)].sum(1).mean())


def to_square(image8: Image8, classifier: Classifier) -> Pixels:
    """A picture as the classifier's input; one of exactly its size goes in pixel for pixel."""
    return fit_square(to_pixels([image8]).to(classifier.device), classifier.spec.size)


def fit_square(pixels: Pixels, size: int) -> Pixels:
    """The middle square of (1, 3, H, W), at `size` x `size`; a picture of that size stays as it is."""
    side = min(pixels.shape[-2:])
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    square = pixels[..., top : top + side, left : left + side]
    if side == size:
        return square
    return F.interpolate(square, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)


def _decode_png(data: bytes) -> Image8:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
