"""The nouns that the whole program shares. A job's own config and events stand at the top of its file in engine/."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from .errors import BadSetting

if TYPE_CHECKING:  # decoding children and --help import this module, and need neither
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Image8: TypeAlias = "NDArray[np.uint8]"  # (H, W, 3) RGB: what is shown, saved and judged
Pixels: TypeAlias = "Tensor"  # (N, 3, H, W) float32 RGB in [0, 1], at the network's input size
Features: TypeAlias = "Tensor"  # (N, D) float32: timm's forward_head(..., pre_logits=True)
Logits: TypeAlias = "Tensor"  # (N, C) float32

Fit = Literal["auto", "crop", "pad", "exact"]
FITS: tuple[str, ...] = get_args(Fit)


@dataclass(frozen=True)
class InputSpec:
    """How a picture becomes the network's input: short side to `resize`, then the middle `size` x `size` pixels."""

    size: int = 224
    resize: int = 256
    interpolation: str = "bicubic"


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture that was decoded once: upright, on white, 8-bit, short side at most 768 px."""

    image8: Image8
    sha256: str  # of the bytes that were given
    name: str = "photo"


@dataclass(frozen=True, eq=False)
class Novelty:
    """What a head needs to notice a photo that is not one of its classes: `novelty.score` above `threshold`.

    `false_alarm` is the share of photos like its own that it calls strange too.
    """

    centre: Tensor  # (D,) float16, and so the others
    means: Tensor  # (C, D) directions of the classes
    photos: Tensor  # (M, D) directions of some of the photos
    threshold: float
    false_alarm: float


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer over the features of one frozen network, and the names of what it tells apart.

    `digest` is `backbones.digest()` of the weights that the features come from; a head refuses to sit on others. A
    fine-tuned head brings along what it has changed in them, and `digest` is still that of the original.
    """

    classes: tuple[str, ...]
    weight: Tensor  # (C, D) float32
    bias: Tensor  # (C,) float32
    backbone: str  # timm's full tag
    digest: str
    fit: Fit = "crop"
    temperature: float = 1.0
    facts: dict[str, object] = field(
        default_factory=dict
    )  # settings and measured accuracy, as the file's header says them
    changed: Mapping[str, Tensor] = field(default_factory=dict)  # by the names of the folded network's parameters
    novelty: Novelty | None = None


@dataclass(frozen=True, eq=False)
class View:
    """What a visitor chose above the tabs; every job gets it, so that all tabs see the same pixels."""

    backbone: str
    head: Head | None = None  # None: the network's own classes
    fit: Fit = "auto"
    device: str | None = None  # torch's name; None: the fastest here

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)

    @property
    def fitting(self) -> Fit:
        """How a photo becomes the input: as chosen, else as the head was trained. A crop leaves exact sizes as they are."""
        wanted = self.head.fit if self.head and self.fit == "auto" else self.fit
        return "auto" if wanted == "crop" and self.fit == "auto" else wanted


def check_number(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    """Raise BadSetting unless `value` is a finite number in [low, high] (whole: an integer); booleans are refused."""
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise BadSetting(f"{name} must be {kind} from {low:g} to {high:g}, got {str(value)[:40]}.")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise BadSetting unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise BadSetting(f"{name} must be one of {', '.join(choices)}, got {str(value)[:40]}.")
