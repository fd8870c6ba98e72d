"""One ideal picture in the making: what was asked, the way so far, and what networks say of the file. No Gradio here."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..engine.classify import classify
from ..engine.ideal import IdealDone, IdealStep, ideal, probability, robust_probability
from ..engine.ideal_file import with_settings
from ..engine.ideal_order import Order, Prepared, measured, others, prepare
from ..errors import DemoError
from ..heads import Classifier, load_classifier
from ..images import encode_jpeg, encode_png
from ..types import Image8, Photo, View

FRAMES = 60  # kept of a run
FRAME_SECONDS = 0.08  # of the animation
LAST_SECONDS = 1.5
QUALITY = 88  # of a frame's JPEG


@dataclass(frozen=True)
class Point:
    """One point of the curves."""

    step: int
    probability: float
    loss: float
    tv: float


@dataclass(frozen=True)
class Opinion:
    """What another network says of the picture; `rank` (1: first) and `probability` are None where it has no such class."""

    network: str
    took_part: bool
    best: str
    best_probability: float
    probability: float | None
    rank: int | None


@dataclass(frozen=True)
class Strip:
    """How far to trust a picture: probabilities of its class on the network that painted it, and other opinions."""

    plain: float
    saved: float  # after PNG and opening again
    robust: float  # mean over 32 random crops and shifts
    opinions: tuple[Opinion, ...] = ()

    @property
    def against(self) -> tuple[Opinion, ...]:
        """The networks that took no part and see something else."""
        return tuple(o for o in self.opinions if o.rank is not None and o.rank > 1 and not o.took_part)


@dataclass(frozen=True, eq=False)
class Painting:
    """A visitor's picture; each step makes a new one, so that Stop keeps the last."""

    view: View
    title: str
    classes: tuple[int, ...]
    settings: dict[str, object]
    step: int = 0
    total: int = 1
    seconds_left: float = 0.0
    image8: Image8 | None = None
    points: tuple[Point, ...] = ()
    frames: tuple[tuple[int, bytes], ...] = ()  # (step, JPEG), at most FRAMES and the last
    png: bytes = b""  # the file that is offered and was judged
    strip: Strip | None = None

    @property
    def stopped(self) -> bool:
        """Whether it ended before its last step."""
        return self.step < self.total

    def frame(self, step: int) -> tuple[int, bytes] | None:
        """The kept frame at or before `step`."""
        return next((frame for frame in reversed(self.frames) if frame[0] <= step), next(iter(self.frames), None))


def start(view: View, order: Order) -> tuple[Prepared, Painting]:
    """The networks, and a picture that has not begun. Raises DemoError."""
    prepared = prepare(view, order)
    settings = prepared.settings
    return prepared, Painting(
        view, prepared.title, prepared.config.classes, settings, total=prepared.config.recipe().steps
    )


def steps(prepared: Prepared, painting: Painting) -> Generator[Painting, None, None]:
    """The picture as it grows. Raises BadSetting before the first."""
    with closing(ideal(prepared.classifiers, prepared.config)) as events:
        for event in events:
            painting = _done(painting, event) if isinstance(event, IdealDone) else _grown(painting, event)
            yield painting


def _grown(painting: Painting, event: IdealStep) -> Painting:
    frame = (event.step, encode_jpeg(event.image8, QUALITY))
    return replace(
        painting,
        step=event.step,
        total=event.total,
        seconds_left=(event.total - event.step) / max(event.steps_per_second, 1e-9),
        image8=event.image8,
        points=(*painting.points, Point(event.step, event.probability or 0.0, event.loss, event.tv)),
        frames=_thinned((*painting.frames, frame), event.total),
    )


def _thinned(frames: tuple[tuple[int, bytes], ...], total: int) -> tuple[tuple[int, bytes], ...]:
    """Drop the last but one where it lies in the same sixtieth of the run as the one before it."""
    if len(frames) > 2 and frames[-2][0] * FRAMES // total == frames[-3][0] * FRAMES // total:
        return (*frames[:-2], frames[-1])
    return frames


def _done(painting: Painting, event: IdealDone) -> Painting:
    settings = painting.settings | measured(event)
    png = with_settings(event.png, settings)
    return replace(painting, settings=settings, step=event.step, seconds_left=0.0, image8=event.image8, png=png)


def judged(painting: Painting) -> Iterator[Painting]:
    """The picture with its strip, also where it was stopped: first its own network, then one other after the other."""
    if painting.image8 is None:
        return
    classifier = load_classifier(painting.view)
    image8, painting = painting.image8, _filed(classifier, painting)
    saved = decode(painting.png)
    strip = Strip(
        probability(classifier, painting.classes, image8),
        probability(classifier, painting.classes, saved),
        robust_probability(classifier, painting.classes, saved),
    )
    yield (painting := replace(painting, strip=strip))
    for tag in others(classifier.backbone.tag):
        with suppress(DemoError):  # a file that cannot be read says so where it is chosen
            opinion = _opinion(load_classifier(replace(painting.view, backbone=tag, head=None)), classifier, painting)
            strip = replace(strip, opinions=(*strip.opinions, opinion))
            yield (painting := replace(painting, strip=strip))


def _filed(classifier: Classifier, painting: Painting) -> Painting:
    """A stopped picture gets its file too."""
    if painting.png or painting.image8 is None:
        return painting
    plain = probability(classifier, painting.classes, painting.image8)
    settings = painting.settings | {"stopped_after": painting.step, "probability": round(plain, 6)}
    return replace(painting, settings=settings, png=with_settings(encode_png(painting.image8), settings))


def _opinion(other: Classifier, own: Classifier, painting: Painting) -> Opinion:
    seen = classify(other, Photo(decode(painting.png), "", ""), "pad").probabilities
    best = int(seen.argmax())
    took_part = other.backbone.tag == painting.settings["second"]
    opinion = Opinion(other.backbone.info.title, took_part, other.classes[best], float(seen[best]), None, None)
    if other.classes != own.classes:
        return opinion
    wanted = seen[list(painting.classes)]
    return replace(opinion, probability=float(wanted.sum()), rank=1 + int((seen > wanted.max()).sum()))


def decode(png: bytes) -> Image8:
    """A PNG that this program wrote, opened again: (H, W, 3) uint8."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return np.array(image)


def animation(painting: Painting) -> bytes:
    """The way there as an animated WebP that plays again and again."""
    images = [Image.open(io.BytesIO(data), formats=("JPEG",)) for _, data in painting.frames]
    times = [round(1000 * FRAME_SECONDS)] * len(images)
    times[-1] = round(1000 * LAST_SECONDS)
    out = io.BytesIO()
    images[0].save(out, "WEBP", save_all=True, append_images=images[1:], duration=times, loop=0, quality=75, method=0)
    return out.getvalue()
