"""The receipt of a fooled network: how far the change can be trusted once the picture is in the world."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ..decode import fit_image
from ..heads import Classifier
from ..images import encode_jpeg
from ..types import Image8
from .verdict import Answer, Result, classify_alone

NOISES = 20  # draws of the control


@dataclass(frozen=True)
class Line:
    """What became of the changed picture, and what the network says of it then."""

    name: str
    answer: Answer
    fooled: bool


@dataclass(frozen=True)
class Opinion:
    """What another network says of the clean and of the changed picture."""

    network: str
    before: str
    before_probability: float
    after: str
    after_probability: float
    fooled: bool  # it changed its mind, and to a target if there was one


@dataclass(frozen=True)
class Noise:
    """The control: the same change, its values at random places and with random signs; the same L2, L-infinity and share."""

    draws: int
    changed: int  # draws that changed the answer


@dataclass(frozen=True)
class Receipt:
    """All that is known of one changed picture."""

    l2: float  # [0, 1] units over all values
    linf_levels: int
    changed_share: float
    psnr: float  # dB; infinite for no change
    ssim: float
    lines: tuple[Line, ...]
    others: tuple[Opinion, ...]
    noise: Noise


def receipt(classifier: Classifier, clean: Image8, result: Result, others: Sequence[Classifier] = ()) -> Receipt:
    """Sizes, what survives a file format, a resize and a blur, what `others` say, and the noise control (same every time)."""
    lines = []
    for name, picture in treatments(result.image8).items():
        answer = classify_alone(classifier, picture)
        lines.append(Line(name, answer, _fooled(answer.index, result.before.index, result.targets)))
    return Receipt(
        result.l2,
        result.linf_levels,
        result.changed_share,
        _psnr(clean, result.image8),
        _ssim(clean, result.image8),
        tuple(lines),
        tuple(_opinion(other, clean, result, classifier.classes) for other in others),
        noise_control(classifier, clean, result.image8),
    )


def treatments(image8: Image8) -> dict[str, Image8]:
    """What happens to pictures in the world, by name: formats, half size and back, a blur of one pixel."""
    image = Image.fromarray(image8)
    half = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BICUBIC)
    return {
        "PNG": image8,
        "JPEG 90": _reread(encode_jpeg(image8, 90)),
        "JPEG 75": _reread(encode_jpeg(image8, 75)),
        "half size and back": np.array(half.resize(image.size, Image.Resampling.BICUBIC)),
        "blur of one pixel": np.array(image.filter(ImageFilter.GaussianBlur(1))),
    }


def noise_control(classifier: Classifier, clean: Image8, changed: Image8, draws: int = NOISES, seed: int = 0) -> Noise:
    """How often the same amount of random noise changes the answer to `clean`."""
    random = np.random.default_rng(seed)
    change = changed.astype(np.int16).ravel() - clean.astype(np.int16).ravel()
    before, different = classify_alone(classifier, clean).index, 0
    for _ in range(draws):
        noise = random.permutation(change) * random.choice((-1, 1), change.size)
        noisy = (clean + noise.reshape(clean.shape)).clip(0, 255).astype(np.uint8)
        different += classify_alone(classifier, noisy).index != before
    return Noise(draws, different)


def _fooled(after: int, before: int, targets: tuple[int, ...] | None) -> bool:
    return after != before and (targets is None or after in targets)


def _opinion(other: Classifier, clean: Image8, result: Result, classes: Sequence[str]) -> Opinion:
    """What another network says; its classes may be others, so targets are compared by name."""
    before, after = (
        classify_alone(other, fit_image(picture, other.spec, "auto")) for picture in (clean, result.image8)
    )
    targets = None if result.targets is None else {classes[t] for t in result.targets}
    return Opinion(
        other.backbone.info.title,
        other.classes[before.index],
        before.probability,
        other.classes[after.index],
        after.probability,
        after.index != before.index and (targets is None or other.classes[after.index] in targets),
    )


def _psnr(clean: Image8, changed: Image8) -> float:
    if np.array_equal(clean, changed):
        return float("inf")
    from skimage.metrics import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(clean, changed, data_range=255))  # type: ignore[no-untyped-call]


def _ssim(clean: Image8, changed: Image8) -> float:
    from skimage.metrics import structural_similarity

    return float(structural_similarity(clean, changed, channel_axis=2, data_range=255))  # type: ignore[no-untyped-call]


def _reread(data: bytes) -> Image8:
    with Image.open(io.BytesIO(data)) as file:
        return np.array(file)
