"""Does the heat map mean anything? Hide the hottest fifth of the picture, and see what becomes of the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..heads import Classifier
from ..images import to_pixels
from ..types import Image8, check_number
from .inspect import Cam

SHARE = 0.2  # of the picture that is hidden
NOISE = 4  # places a side from which the random masks are drawn: blobs as large as the map's own


@dataclass(frozen=True, eq=False)
class HideTest:
    """The class's probability with nothing, with the hottest fifth and with a random fifth hidden."""

    probability: float
    hot: float
    random: float  # mean of the draws
    draws: int
    picture: Image8  # (S, S, 3) with the hottest fifth hidden

    @property
    def holds(self) -> bool:
        """Whether the map pointed at what mattered: hiding it cost more than hiding just anything."""
        return self.hot < self.random


def hide_test(classifier: Classifier, image8: Image8, cam: Cam, draws: int = 10, seed: int = 0) -> HideTest:
    """Hide a fifth of (S, S, 3) where `cam` is hottest, and `draws` times a fifth under smooth noise; one forward pass.

    What is hidden gets the picture's mean colour. A hole has edges of its own, but so has the random one beside it; a blur
    in its place would leave coarse shapes that a network still reads (measured: the two differ less on the same maps).
    """
    check_number("draws", draws, 1, 100, whole=True)
    size = classifier.spec.size
    masks = torch.cat([torch.zeros(1, size, size, dtype=torch.bool), _hottest(cam, size), _random(draws, size, seed)])
    pictures = torch.where(masks[:, None], to_pixels([_plain(image8)]), to_pixels([image8]))
    with torch.no_grad():
        chances = classifier(pictures.to(classifier.device)).softmax(1)[:, list(cam.target)].sum(1).tolist()
    hidden = np.where(masks[1].numpy()[..., None], _plain(image8), image8)
    return HideTest(chances[0], chances[1], sum(chances[2:]) / draws, draws, hidden)


def _plain(image8: Image8) -> Image8:
    """A picture of the same size, all in the mean colour."""
    return np.full_like(image8, image8.mean((0, 1)).round())


def _hottest(cam: Cam, size: int) -> Tensor:
    """(1, S, S): the fifth with the most evidence; exactly a fifth, also where the evidence is against the class."""
    evidence = torch.from_numpy(cam.evidence)[None, None]
    return _top(F.interpolate(evidence, (size, size), mode="bilinear", align_corners=False)[:, 0])


def _random(draws: int, size: int, seed: int) -> Tensor:
    """(draws, S, S): the highest fifth of smooth noise."""
    noise = torch.rand(draws, 1, NOISE, NOISE, generator=torch.Generator().manual_seed(seed))
    return _top(F.interpolate(noise, (size, size), mode="bicubic", align_corners=False)[:, 0])


def _top(values: Tensor) -> Tensor:
    """(N, S, S) -> masks of the highest fifth of each."""
    flat = values.flatten(1)
    places = flat.topk(round(SHARE * flat.shape[1])).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter_(1, places, True).view_as(values)
