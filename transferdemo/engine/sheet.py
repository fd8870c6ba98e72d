"""What was seen inside a network as pictures and as a record: for the command line, programs, and whoever keeps the files."""

from __future__ import annotations

from .. import pictures
from ..heads import Classifier
from ..types import Fit, Image8
from .channels import first_filters, strongest
from .hide import HideTest
from .inspect import Inspection
from .stages import depths


def drawn(classifier: Classifier, seen: Inspection, photo: Image8, fit: Fit) -> dict[str, Image8]:
    """Every picture by the name of its file; `photo` (H, W, 3) is whole, and `fit` is how it became `seen.image8`."""
    rows = {}
    for depth, i in depths(seen.stages).items():
        chosen = strongest(seen.maps[i])
        text = f"{depth}: {seen.stages[i].name}, channels {', '.join(map(str, chosen))}"
        rows[text] = [pictures.tile(seen.maps[i][channel], seen.image8) for channel in chosen]
    heat = pictures.to_photo(seen.cam.heat, (photo.shape[0], photo.shape[1]), classifier.spec, fit)
    made = {"features.png": pictures.sheet(rows), "gradcam.png": pictures.overlay(photo, heat)}
    if (weights := first_filters(classifier)) is not None:
        made["filters.png"] = pictures.filters(weights)
    return made


def record(seen: Inspection, hidden: HideTest) -> dict[str, object]:
    """The layer, its strongest channels, the class and what hiding did, as JSON; probabilities in [0, 1]."""
    layer = [stage.name for stage in seen.stages].index(seen.cam.layer)
    target = list(seen.cam.target)
    return {
        "layer": seen.cam.layer,
        "shape": list(seen.stages[layer].shape),
        "strongest": list(strongest(seen.maps[layer])),
        "class": target[0] if len(target) == 1 else target,
        "probability": hidden.probability,
        "hidden_hot": hidden.hot,
        "hidden_random": hidden.random,
    }
