"""What a training run is before it runs: its settings, the photos that train and those that judge, and what may be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from ..data.labelled import LabelledFolder
from ..data.split import Indices, Split, split
from ..errors import BadFolder, BadSetting
from ..types import Features, check_choice, check_number
from . import tricks
from .features import Embedded


@dataclass(frozen=True)
class TrainConfig:
    """How a head is trained. Raises BadSetting for what is out of range; what is None follows the optimiser."""

    epochs: int = 20
    learning_rate: float | None = None
    seed: int = 0  # of the split, the order of the photos and the first weights
    batch_size: int = 32
    optimizer: tricks.OptimizerName = "momentum"
    decay: tricks.DecayName = "cosine"
    init: tricks.InitName = "zeros"
    standardise: bool = True
    augment: tricks.AugmentName = (
        "none"  # other views of each training photo, which `augment.collect_views` has embedded
    )
    average: int = 1  # heads with seeds of their own, whose mean is the head
    weight_decay: float = 0.04
    label_smoothing: float = 0.0
    class_weights: bool = False  # every class the same say, however many photos it has
    patience: int = 0  # epochs without a lower held-out loss after which it stops; 0: never
    held_out: float = 0.2  # share of photos that judge, unless the folder says which

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, 1, 1000, whole=True)
        if self.learning_rate is not None:
            check_number("learning rate", self.learning_rate, 1e-7, 1000)
        check_number("seed", self.seed, 0, 2**31 - 1, whole=True)
        check_number("batch size", self.batch_size, 1, 100_000, whole=True)
        check_choice("optimizer", self.optimizer, tricks.OPTIMIZER_NAMES)
        check_choice("decay", self.decay, tricks.DECAY_NAMES)
        check_choice("init", self.init, tricks.INIT_NAMES)
        check_choice("augmentation", self.augment, tricks.AUGMENT_NAMES)
        check_number("average", self.average, 1, 20, whole=True)
        check_number("weight decay", self.weight_decay, 0, 100)
        check_number("label smoothing", self.label_smoothing, 0, 0.9)
        check_number("patience", self.patience, 0, 1000, whole=True)
        check_number("held-out share", self.held_out, 0.05, 0.5)
        for name in ("standardise", "class_weights"):
            if not isinstance(getattr(self, name), bool):
                raise BadSetting(f"{name} must be true or false, got {str(getattr(self, name))[:40]}.")

    @property
    def rate(self) -> float:
        """The learning rate: the one chosen, or the optimiser's own."""
        return tricks.OPTIMIZERS[self.optimizer].rate if self.learning_rate is None else self.learning_rate

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> TrainConfig:
        """The config that `asdict` wrote into a project or a head; keys that it does not know are passed over.

        Raises BadSetting for values out of range.
        """
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in settings.items() if key in known})  # type: ignore[arg-type]


def tensors(embedded: Embedded) -> tuple[Features, Tensor]:
    """Features (N, D) and class indices (N,) of the used photos. Raises BadFolder when some were not embedded yet."""
    if embedded.missing:
        raise BadFolder("Some photos have not been looked at by this network yet; prepare the set again.")
    return torch.from_numpy(embedded.features), torch.from_numpy(embedded.folder.labels)


def training_part(embedded: Embedded, indices: Indices, config: TrainConfig) -> tuple[Features, Tensor]:
    """Features and labels of the used photos at `indices`, and of their other views where the config augments.

    Raises BadFolder when views are missing.
    """
    features, labels = tensors(embedded)
    part = features[indices], labels[indices]
    if config.augment == "none":
        return part
    views, used = embedded.views.get(config.augment, {}), embedded.folder.used
    if any(used[i].sha256 not in views for i in indices):
        raise BadFolder(
            "Other views of these photos have not been looked at by this network yet; prepare the set again."
        )
    more = [torch.from_numpy(views[used[i].sha256]) for i in indices]
    counts = torch.tensor([len(own) for own in more])
    return torch.cat([part[0], *more]), torch.cat([part[1], part[1].repeat_interleave(counts)])


def sides(folder: LabelledFolder, config: TrainConfig) -> Split:
    """Which used photos train and which judge: always the same for the same folder, share and seed."""
    return split(folder.labels, folder.groups, config.held_out, config.seed, folder.splits)


def settings(config: TrainConfig) -> dict[str, object]:
    """The config as JSON, with the learning rate that was used; `TrainConfig.from_settings` reads it back."""
    return {**asdict(config), "learning_rate": config.rate}


def check_trainable(folder: LabelledFolder) -> None:
    """Raise BadFolder, with what to do, unless there are two classes and two photos in each."""
    if not folder.used:
        raise BadFolder(_why_nothing(folder))
    counts = Counter(photo.label for photo in folder.used)
    names = folder.used_classes
    if len(names) < 2:
        raise BadFolder(f"There is only one class, {names[0][:60]}; a classifier needs at least two, so add another.")
    for name in names:
        if counts[name] == 0:
            raise BadFolder(f"The class {name[:60]} has no photos that can be used; add some, or leave it out.")
        if counts[name] == 1:
            raise BadFolder(
                f"The class {name[:60]} has only one photo, and one must be held out to judge by; add more, or leave it out."
            )


def _why_nothing(folder: LabelledFolder) -> str:
    readable = [photo for photo in folder.photos if photo.readable and photo.label not in folder.left_out]
    if not folder.photos:
        return "There are no photos yet; record some or add files."
    if not readable:
        return f"None of the {len(folder.photos)} photos can be opened; save them again, for example as JPEG."
    if len(readable) > 1 and len({photo.pixels for photo in readable}) == 1:
        return "All photos are the same picture; add photos that differ."
    return "All photos are set aside; look at the reasons, and take back those that are good."


def check_sides(classes: tuple[str, ...], labels: Tensor, features: Features, parts: Split) -> None:
    """Raise BadFolder unless each class has a photo to train on, there is one to judge by, and not all look the same."""
    here = set(labels[parts.train].tolist())
    for index, name in enumerate(classes):
        if index not in here:
            raise BadFolder(
                f"The class {name[:60]} has no photo in the training part of the folder; add some, or leave it out."
            )
    if not len(parts.held_out):
        raise BadFolder("No photo is left to judge by; add more photos to each class.")
    train = features[parts.train]
    if not bool((train != train[0]).any()):
        raise BadFolder("All photos look the same to the network; add photos that differ.")
