"""Where a network is cut for fine-tuning: a frozen trunk, whose maps are computed once, and a last stage that learns.

The cut follows timm's `feature_info`, so it is found in any family; whether the two halves together are the network is not
believed but tried, on one picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones import Backbone, with_parts
from ..errors import BadSetting
from ..types import Features, Pixels

MOST = 15_500_000  # numbers that may change: a head's file holds 64 MB
TOKEN_SHARE = 0.75  # of the blocks of a network without stages stay frozen
SAME = 1e-3  # of the largest feature: how far trunk and tail together may be from the network


class Trunk(nn.Module):
    """The frozen part: (N, 3, S, S) in [0, 1] -> the maps at the cut, (N, C, h, w), or the tokens (N, P, C)."""

    def __init__(self, backbone: Backbone, place: str) -> None:
        super().__init__()
        self.reached = _Reached(backbone.net.get_submodule(place))
        self.backbone = with_parts(backbone, {f"net.{place}": self.reached})

    def forward(self, pixels: Pixels) -> Tensor:
        """What comes after the cut runs on and is thrown away; an exporter leaves it out."""
        self.backbone(pixels)
        maps, self.reached.maps = self.reached.maps, None
        if maps is None:
            raise RuntimeError("the cut was not reached")
        return maps


class _Reached(nn.Module):
    """A module that remembers what it gave last."""

    maps: Tensor | None = None

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, given: Tensor) -> Tensor:
        self.maps = self.module(given)
        return self.maps


class Tail(nn.Module):
    """The last stage, with parameters of its own: the maps at the cut -> features (N, D)."""

    def __init__(self, backbone: Backbone, place: str, names: tuple[str, ...]) -> None:
        super().__init__()
        self.given = _Given()
        parent, _, last = place.rpartition(".")
        before: dict[str, nn.Module | Tensor] = {
            f"net.{parent}.{name}".replace("..", "."): nn.Identity()
            for name in _until(backbone.net.get_submodule(parent), last)
        }
        own = {f"net.{name}": backbone.net.get_parameter(name).detach().clone() for name in names}
        self.backbone = with_parts(backbone, {**before, f"net.{place}": self.given, **own})
        self.names = names

    def forward(self, maps: Tensor) -> Features:
        """The modules before the cut were taken out, so a blank picture runs only through what timm does around them."""
        self.given.maps = maps
        size = self.backbone.spec.size
        features: Features = self.backbone(maps.new_zeros(1, 3, size, size))
        self.given.maps = None
        return features

    def learnable(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by their name in the network."""
        return {name: self.backbone.net.get_parameter(name) for name in self.names}


class _Given(nn.Module):
    """A module that gives what it was handed, whatever comes in."""

    maps: Tensor | None = None

    def forward(self, _: Tensor) -> Tensor:
        if self.maps is None:
            raise RuntimeError("nothing was handed over")
        return self.maps


def _until(parent: nn.Module, last: str) -> Iterator[str]:
    for name, _ in parent.named_children():
        if name == last:
            return
        yield name


@dataclass(frozen=True, eq=False)
class Cut:
    """A network in two halves, and the name of the last module of the first."""

    backbone: Backbone
    trunk: Trunk
    tail: Tail
    place: str
    shape: tuple[int, ...]  # of one picture's maps at the cut

    @property
    def bytes(self) -> int:
        """What the maps of one photo take as float16."""
        return 2 * math.prod(self.shape)

    def fresh_tail(self) -> Tail:
        """Another last stage, as the network has it."""
        return Tail(self.backbone, self.place, self.tail.names)


def cut(backbone: Backbone) -> Cut:
    """Cut a network before its last stage. Raises BadSetting for one that cannot be cut."""
    made: Cut | None = None
    try:
        made = _halves(backbone, last_stage(backbone.net))
    except (RuntimeError, AttributeError, LookupError, TypeError, ValueError):  # a network of another build
        made = None
    if made is None:
        raise BadSetting(f"{backbone.info.title} cannot be cut before its last stage; choose another network above.")
    return made


def _halves(backbone: Backbone, place: str) -> Cut | None:
    """The two halves, or None where together they are not the network."""
    trunk = Trunk(backbone, place)
    tail = Tail(backbone, place, learnable_after(backbone.net, place))
    size, generator = backbone.spec.size, torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, size, size, generator=generator).to(backbone.mean.device)
    with torch.no_grad():
        maps, whole = trunk(pixels), backbone(pixels)
        difference = float((tail(maps) - whole).abs().max())
    same = difference <= SAME * float(whole.abs().max())
    return Cut(backbone, trunk, tail, place, tuple(maps.shape[1:])) if same else None


def last_stage(net: Any) -> str:
    """The name of the module before the last stage: the last one whose maps are larger than the network's final ones.

    Modules without parameters that follow it, such as a pooling, belong to the frozen part. A network whose maps never
    shrink is cut after three quarters of its blocks.
    """
    rows = [(str(row["module"]), int(row["reduction"])) for row in net.feature_info]
    larger = [name for name, reduction in rows if reduction < rows[-1][1]]
    if not larger:
        return rows[int(TOKEN_SHARE * len(rows)) - 1][0]
    for name in reversed(larger):
        place = _past_empty(net, name)
        if any(True for _ in _stage_parameters(net, place, rows[-1][0])):
            return place
    raise LookupError("no stage has parameters")


def learnable_after(net: Any, place: str) -> tuple[str, ...]:
    """The names of the parameters after the cut, without the last layer; where they are too many for a head's file, of the
    last stage alone."""
    last = str(net.feature_info[-1]["module"])
    head = {id(p) for p in net.get_classifier().parameters()}
    every = _after(net, place)
    names = [name for name in every if id(net.get_parameter(name)) not in head]
    stage = [name for name in names if name in set(_stage_parameters(net, place, last))]
    count = sum(net.get_parameter(name).numel() for name in names)
    return tuple(names if count <= MOST else stage)


def _after(net: Any, place: str) -> list[str]:
    """Parameters that are registered after the module `place`."""
    names = [name for name, _ in net.named_parameters()]
    until = [i for i, name in enumerate(names) if name.startswith(f"{place}.")]
    order = [name for name, _ in net.named_modules()]
    start = max(until) + 1 if until else _first_after(names, order, order.index(place))
    return names[start:]


def _first_after(names: list[str], order: list[str], index: int) -> int:
    later = set(order[index + 1 :])
    return next((i for i, name in enumerate(names) if name.rpartition(".")[0] in later), len(names))


def _stage_parameters(net: Any, place: str, last: str) -> Iterator[str]:
    """Parameters after `place` up to the end of the module `last`."""
    order = [name for name, _ in net.named_modules()]
    end = max(i for i, name in enumerate(order) if f"{name}.".startswith(f"{last}."))
    within = set(order[: end + 1])
    return (name for name in _after(net, place) if name.rpartition(".")[0] in within)


def _past_empty(net: Any, place: str) -> str:
    """The last of the siblings without parameters that follow `place` directly, or `place`."""
    parent, _, child = place.rpartition(".")
    siblings = list(net.get_submodule(parent).named_children())
    index = [name for name, _ in siblings].index(child)
    while index + 1 < len(siblings) and not any(True for _ in siblings[index + 1][1].parameters()):
        index += 1
    return f"{parent}.{siblings[index][0]}".lstrip(".")
