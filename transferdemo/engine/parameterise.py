"""How a picture is held while it is optimised, and how it is looked at: the two choices that make it more than noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..types import Pixels

# From decorrelated colours to RGB: how the colours of ImageNet's photos vary together (Lucid, misc/channel_reducer and
# optvis/param/color.py), scaled so that the longest column has length 1.
_COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
COLOURS = _COLOURS / _COLOURS.norm(dim=0).max()


Outside = Literal["grey", "mirror"]  # what a view sees beyond the picture


@dataclass(frozen=True, eq=False)
class Canvas:
    """What gradient descent changes, and how it becomes a picture."""

    parameter: Tensor
    paint: Callable[[], Pixels]  # (1, 3, S, S) in [0, 1], differentiable in `parameter`
    after: Callable[[], None] = lambda: None  # called after each change of `parameter`


@dataclass(frozen=True)
class Spectrum:
    """How strong a wave may become by its frequency f: amplitude * f ** -decay.

    Photos have a decay of about 1; a little more leaves less room for the fine grain that only the network itself sees.
    """

    decay: float = 1.3
    amplitude: float = 0.25
    start: float = 0.01  # standard deviation of the random spectrum, before that scale


def pixel_canvas(start: Pixels) -> Canvas:
    """The pixels themselves, kept in [0, 1]; `start` is (1, 3, S, S)."""
    pixels = start.clone().requires_grad_()

    def clip() -> None:
        with torch.no_grad():
            pixels.clamp_(0, 1)

    return Canvas(pixels, lambda: pixels, clip)


def fourier_canvas(start: Pixels | None, size: int, spectrum: Spectrum, generator: torch.Generator) -> Canvas:
    """A spectrum of decorrelated colours behind a sigmoid (distill.pub/2017/feature-visualization, "preconditioning").

    It begins as `start`, (1, 3, S, S) in [0, 1], or where that is None as soft grey clouds from `generator`.
    """
    device = generator.device
    scale, colours = _scale(size, spectrum).to(device), COLOURS.to(device)
    if start is None:
        waves = spectrum.start * torch.randn(1, 3, size, size // 2 + 1, 2, generator=generator, device=device)
    else:
        waves = _analyse(start, scale, colours)
    waves.requires_grad_()

    def paint() -> Pixels:
        planes = torch.fft.irfft2(torch.view_as_complex(waves) * scale, s=(size, size), norm="ortho")
        return torch.einsum("nchw,dc->ndhw", planes, colours).sigmoid()

    return Canvas(waves, paint)


def _scale(size: int, spectrum: Spectrum) -> Tensor:
    """(S, S / 2 + 1): what each wave is multiplied with; independent of the size for the same wave across the picture."""
    down, right = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
    frequency = (down.square() + right.square()).sqrt().clamp_min(1 / size)
    scale: Tensor = frequency**-spectrum.decay * size ** (1 - spectrum.decay) * spectrum.amplitude
    return scale


def _analyse(start: Pixels, scale: Tensor, colours: Tensor) -> Tensor:
    """The waves that `paint` turns into `start`; black and white become nearly so, as a sigmoid reaches neither."""
    planes = torch.einsum("nchw,dc->ndhw", start.clamp(0.02, 0.98).logit(), colours.inverse())
    return torch.view_as_real(torch.fft.rfft2(planes, norm="ortho") / scale).contiguous()


@dataclass(frozen=True)
class Views:
    """The random looks of one step: how many, and how far they may differ (zoom: part of the side that is seen)."""

    count: int = 3
    zoom: tuple[float, float] = (0.6, 1.4)  # size of the picture in the view: 1.4 shows the inner 71 %
    turn: float = 15.0  # degrees to either side
    shift: float = 0.3  # half sides, to either side
    noise: float = 0.05  # standard deviation, in units of the [0, 1] range
    outside: Outside = "grey"  # a mirrored edge invites half a thing at the edge, grey wants it whole


def look(picture: Pixels, size: int, views: Views, generator: torch.Generator) -> Pixels:
    """(1, 3, S, S) -> (views, 3, size, size): moved, scaled and turned at random, in one resampling."""
    theta = _random_affine(views, generator)
    grid = F.affine_grid(theta, [views.count, 3, size, size], align_corners=False)
    middle, padding = (0.5, "zeros") if views.outside == "grey" else (0.0, "reflection")
    stack = (picture - middle).expand(views.count, -1, -1, -1)
    seen = F.grid_sample(stack, grid, padding_mode=padding, align_corners=False) + middle
    if views.noise:
        seen = seen + views.noise * torch.randn(seen.shape, generator=generator, device=seen.device)
    return seen


def _random_affine(views: Views, generator: torch.Generator) -> Tensor:
    """(views, 2, 3): where in the picture each view looks, in half sides from the middle."""
    draw = torch.rand(views.count, 4, generator=generator, device=generator.device)
    low, high = views.zoom
    zoom = 1 / (low + (high - low) * draw[:, 0])
    angle = (draw[:, 1] * 2 - 1) * math.radians(views.turn)
    shift = (draw[:, 2:4] * 2 - 1) * views.shift
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    rows = [cos, -sin, shift[:, 0], sin, cos, shift[:, 1]]
    return torch.stack(rows, 1).view(-1, 2, 3)


def total_variation(pixels: Pixels, corner: float = 0.01) -> Tensor:
    """Mean difference of vertical neighbours plus that of horizontal ones, in [0, 2]: the same scale at every size.

    Differences well below `corner` count as squares, so that descent can settle (pseudo-Huber; arXiv:1412.0035 has the term).
    """
    down, right = pixels[..., 1:, :] - pixels[..., :-1, :], pixels[..., 1:] - pixels[..., :-1]
    return sum(
        ((d.square() + corner**2).sqrt().mean() - corner for d in (down, right)), torch.zeros((), device=pixels.device)
    )
