"""One look inside a network: what was asked, and what was seen on one photo or two. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass

from ..decode import fit_image
from ..engine.channels import Fired, FiresConfig, fires_most, speaks_for
from ..engine.hide import HideTest, hide_test
from ..engine.inspect import InspectConfig, Inspection, look
from ..heads import Classifier, groups, load_classifier
from ..pictures import Map, enlarge, overlay, scaled, to_photo
from ..types import Fit, Image8, Photo, View


@dataclass(frozen=True)
class Asked:
    """What is to be explained; names as the engine takes them."""

    target: str | None = None  # None: the best class
    against: str | None = None
    layer: str | None = None
    method: str = "grad-cam"

    def config(self) -> InspectConfig:
        """What the engine takes. Raises BadSetting."""
        return InspectConfig(self.layer, self.method, self.target, self.against)


@dataclass(frozen=True, eq=False)
class Shown:
    """What a page shows now, so that nothing is looked at twice."""

    sha256: str
    second: str  # of the second photo; empty: there is none
    view: View
    asked: Asked


@dataclass(frozen=True, eq=False)
class Seen:
    """One photo, and what the network saw on it."""

    photo: Photo
    classifier: Classifier
    fit: Fit
    asked: Asked
    inside: Inspection

    @property
    def title(self) -> str:
        """The class that is explained, by its name."""
        return self.name(self.inside.cam.target)

    @property
    def rival(self) -> str:
        """The class it is set against; empty: against all."""
        return self.name(self.inside.cam.against) if self.inside.cam.against else ""

    def name(self, classes: tuple[int, ...]) -> str:
        """A class by its name, several by their group's."""
        names = [self.inside.classes[i] for i in classes]
        return names[0] if len(names) == 1 else group_name(classes, self.classifier)

    @property
    def heat(self) -> Image8:
        """The whole photo under the map of what made the decision."""
        return self._over(self.inside.cam.heat)

    def fires(self, layer: int, channel: int) -> Image8:
        """The whole photo under one channel's map, from its lowest to its highest value."""
        return self._over(scaled(self.inside.maps[layer][channel]))

    def hidden(self) -> HideTest:
        """Whether the map means anything."""
        return hide_test(self.classifier, self.inside.image8, self.inside.cam)

    def speaks_for(self, layer: int, channel: int) -> list[tuple[str, float]]:
        """The classes whose logits this channel raises most; empty where the head does not read the layer."""
        if layer != len(self.inside.stages) - 1:
            return []
        return [(self.inside.classes[i], rise) for i, rise in speaks_for(self.classifier, self.inside, channel)]

    def _over(self, values: Map) -> Image8:
        height, width = self.photo.image8.shape[:2]
        return overlay(self.photo.image8, to_photo(values, (height, width), self.classifier.spec, self.fit))


def group_name(classes: tuple[int, ...], classifier: Classifier) -> str:
    """The group of exactly these classes, such as "any dog"."""
    return next((name for name, members in groups(classifier.head).items() if members == classes), "these classes")


def see(photo: Photo, view: View, asked: Asked) -> Seen:
    """Look at a photo through the chosen network. Raises DemoError."""
    classifier, fit = load_classifier(view), view.fitting
    inside = look(classifier, fit_image(photo.image8, classifier.spec, fit), asked.config())
    return Seen(photo, classifier, fit, asked, inside)


@dataclass(frozen=True, eq=False)
class Firing:
    """A photo that fires a channel: its name, how strongly, and the picture with the place marked."""

    name: str
    peak: float
    image8: Image8


def firing(seen: Seen, photos: list[Photo], layer: str, channel: int) -> list[Firing]:
    """A few photos, those first that fire a channel most. Raises BadSetting for a channel that is not there."""
    images = [fit_image(photo.image8, seen.classifier.spec, seen.fit) for photo in photos]
    done = list(fires_most(seen.classifier, images, FiresConfig(layer, channel)))[-1]
    return [marked(fired, images[fired.index], photos[fired.index].name) for fired in done.strongest]


def marked(fired: Fired, image8: Image8, name: str) -> Firing:
    """The picture (S, S, 3) with the place that fires most hot."""
    size = len(image8)
    return Firing(name, fired.peak, overlay(image8, enlarge(scaled(fired.where), size, size)))
