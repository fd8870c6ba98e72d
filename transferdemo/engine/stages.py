"""The stages of any network that timm knows, what each makes of a photo, and one pass that keeps them all for a gradient."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones import Backbone
from ..errors import BadSetting
from ..heads import Classifier
from ..types import Features, Pixels

FEATURES = "features"  # the name of the last maps where they are no stage of their own


@dataclass(frozen=True)
class Stage:
    """A place in the network where its maps can be seen."""

    name: str  # timm's name of the module, or "features": the maps that the head reads
    shape: tuple[int, int, int]  # (C, h, w) of its maps
    parameters: int  # since the stage before


@dataclass(frozen=True)
class Layout:
    """All stages of a network from its input to its head; `tokens`: it keeps a list of patches, not maps."""

    stages: tuple[Stage, ...]
    tokens: bool

    def find(self, name: str) -> int:
        """The index of the stage called `name`. Raises BadSetting for one that is not there."""
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise BadSetting(f"This network has no layer {str(name)[:60]!r}; choose one of: {', '.join(names)}.")
        return names.index(name)


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward pass: the maps of every stage (N, C, h, w), and the features (N, D) still joined to `at` by the graph."""

    maps: tuple[Tensor, ...]
    features: Features
    at: Tensor  # (N, C, h, w), or what a token network keeps in its place


_layouts: weakref.WeakKeyDictionary[Backbone, Layout] = weakref.WeakKeyDictionary()


def layout(classifier: Classifier) -> Layout:
    """The stages of the classifier's network; seen in one forward pass of a blank picture, and remembered.

    Raises BadSetting for a network that shows no maps.
    """
    return _layout(classifier.backbone)


def _layout(backbone: Backbone) -> Layout:
    if backbone not in _layouts:
        _layouts[backbone] = _probe(backbone)
    return _layouts[backbone]


def stages(classifier: Classifier) -> tuple[Stage, ...]:
    """The stages of the classifier's network, from its input to its head."""
    return layout(classifier).stages


def depths(places: tuple[Stage, ...]) -> dict[str, int]:
    """Which stage stands for "early", which for "middle" and which for "late", as indices."""
    last = len(places) - 1
    return {"early": 0, "middle": (last + 1) // 2, "late": last}


def run(backbone: Backbone, pixels: Pixels, layer: int) -> Pass:
    """One forward pass with gradients from stage `layer` on. (N, 3, S, S) in [0, 1].

    Convolutional networks hand out their maps themselves; a token network hands out copies, so one hook on the block
    keeps the original. It is removed however the pass ends.
    """
    net, plan = backbone.net, _layout(backbone)
    with torch.enable_grad():
        inputs = backbone.normalise(pixels).requires_grad_(True)
        if not plan.tokens:
            final, maps = _maps(net, inputs)
            return Pass(maps, _features(net, final), maps[layer])
        with _kept(net.get_submodule(plan.stages[layer].name)) as kept:
            final, maps = _maps(net, inputs)
        return Pass(maps, _features(net, final), kept[0])


def as_maps(values: Tensor, stage: Stage) -> Tensor:
    """Tokens (N, P + h * w, C) without their P prefix tokens, or (N, h, w, C), as (N, C, h, w); maps stay as they are."""
    _, height, width = stage.shape
    if values.ndim == 3:
        patches = values[:, values.shape[1] - height * width :]
        return patches.transpose(1, 2).reshape(len(values), -1, height, width)
    return values if values.shape[1:] == stage.shape else values.permute(0, 3, 1, 2)


def maps_at(classifier: Classifier, pixels: Pixels, layer: int) -> Tensor:
    """The maps of one stage alone, (N, C, h, w), without a gradient; timm stops there where it can."""
    net, place = classifier.backbone.net, stages(classifier)[layer]
    with torch.no_grad():
        inputs = classifier.backbone.normalise(pixels)
        if place.name == FEATURES:
            features: Tensor = net.forward_features(inputs)
            return features
        kept: list[Tensor] = net.forward_intermediates(
            inputs, indices=[layer], stop_early=True, intermediates_only=True
        )
        return kept[0]


def _maps(net: Any, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What goes into the head, and the maps of all stages; the former is the last of the latter where it is maps too."""
    final, kept = net.forward_intermediates(inputs)
    extra = (final,) if _is_maps(final, kept[-1]) and final is not kept[-1] else ()
    return final, (*kept, *extra)


def _is_maps(final: Tensor, last: Tensor) -> bool:
    return final.ndim == 4 and final.shape[2:] == last.shape[2:]


def _features(net: Any, final: Tensor) -> Features:
    features: Tensor = net.forward_head(final, pre_logits=True)
    return features.flatten(1)


@contextmanager
def _kept(block: nn.Module) -> Iterator[list[Tensor]]:
    """What `block` works on in this thread's next pass; the network is shared, and others use it at the same time.

    In a block with a norm in front, what comes out of that: after the last block a class token no longer looks at the
    patches, so nothing would flow back to them.
    """
    kept: list[Tensor] = []
    mine = threading.get_ident()

    def keep(_: nn.Module, __: Any, out: Tensor) -> None:
        if threading.get_ident() == mine:
            kept.append(out)

    hook = getattr(block, "norm1", block).register_forward_hook(keep)
    try:
        yield kept
    finally:
        hook.remove()


def _probe(backbone: Backbone) -> Layout:
    net, size = backbone.net, backbone.spec.size
    if not hasattr(net, "forward_intermediates"):
        raise BadSetting(f"{backbone.info.title} does not show what happens inside it; choose another network above.")
    with torch.no_grad():
        final, maps = _maps(net, backbone.normalise(torch.zeros(1, 3, size, size, device=backbone.mean.device)))
    names = [str(info["module"]) for info in getattr(net, "feature_info", ())][: len(maps)]
    names += [FEATURES] * (len(maps) - len(names))
    shapes = [(m.shape[1], m.shape[2], m.shape[3]) for m in maps]
    counts = _parameters(net, names)
    places = (Stage(*row) for row in zip(names, shapes, counts, strict=True))
    return Layout(tuple(places), tokens=not _is_maps(final, maps[-1]))


def _parameters(net: Any, names: list[str]) -> list[int]:
    """How many parameters stand between each named module's end and the one before; "features" ends at the last layer."""
    modules = [(name, sum(p.numel() for p in m.parameters(recurse=False))) for name, m in net.named_modules()]
    ends = {module: i for i, module in enumerate(net.modules())}
    head = net.get_classifier()
    counts, start = [], 0
    for name in names:
        inside = [i for i, (module, _) in enumerate(modules) if f"{module}.".startswith(f"{name}.")]
        end = ends.get(head, len(modules)) if name == FEATURES else max(inside, default=start - 1) + 1
        counts.append(sum(count for _, count in modules[start:end]))
        start = max(start, end)
    return counts
