"""Heads: a linear layer with names, and how it sits on its network as a classifier."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping

import torch
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn
from torch.nn import functional as F

from .backbones import OWN_WEIGHTS, Backbone, digest, load_backbone, size_of, with_parts
from .device import choose
from .errors import BadFile, BadSetting
from .head_file import read_head
from .types import Features, Head, InputSpec, Logits, Pixels, View

TUNED_BYTES = 500_000_000  # of fine-tuned networks that are kept ready
DOGS, CATS = range(151, 269), range(281, 286)  # ImageNet-1k's domestic dogs and cats


class Classifier(nn.Module):
    """Normalise + backbone + head: pixels in [0, 1] at the network's input size -> logits. It resizes nothing."""

    weight: Tensor
    bias: Tensor

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.register_buffer("weight", head.weight.to(backbone.mean.device))
        self.register_buffer("bias", head.bias.to(backbone.mean.device))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the logits, in order."""
        return self.head.classes

    @property
    def spec(self) -> InputSpec:
        """The size of the network's input, and how a picture is brought to it."""
        return self.backbone.spec

    @property
    def device(self) -> torch.device:
        """Where the weights are; pixels must be there too."""
        return self.backbone.mean.device

    def embed(self, pixels: Pixels) -> Features:
        """(N, 3, S, S) in [0, 1] -> (N, D)."""
        features: Features = self.backbone(pixels)
        return features

    def logits(self, features: Features) -> Logits:
        """(N, D) -> (N, C), divided by the head's temperature (arXiv:1706.04599)."""
        return F.linear(features, self.weight, self.bias) / self.head.temperature

    def forward(self, pixels: Pixels) -> Logits:
        """(N, 3, S, S) in [0, 1] -> (N, C)."""
        return self.logits(self.embed(pixels))


def load_classifier(view: View, device: torch.device | None = None) -> Classifier:
    """What the visitor chose above the tabs, ready to use.

    Raises BadSetting where the network has no classes of its own and no head was given, BadFile for a head of other weights.
    """
    backbone = load_backbone(view.backbone, device or choose(view.device))
    head = view.head or own_head(backbone)
    if head is None:
        raise BadSetting(f"{backbone.info.title} has no classes of its own: teach it yours first.")
    check_fits(head, backbone)
    return Classifier(tuned(backbone, head), head)


def tuned(backbone: Backbone, head: Head) -> Backbone:
    """The network with what a fine-tuned head has changed in it; others keep using the original. Plain heads: the original.

    What is not changed is shared; the last few are kept, so that what others remember of a network is found again.
    """
    if not head.changed:
        return backbone
    key = (id(head.changed), id(backbone))
    with _lock:
        if key not in _tuned:
            _tuned[key] = head.changed, backbone, _changed(backbone, head)
        _tuned.move_to_end(key)
        while len(_tuned) > 1 and sum(size_of(twin) for _, _, twin in _tuned.values()) > TUNED_BYTES:
            _tuned.popitem(last=False)
        return _tuned[key][2]


_tuned: OrderedDict[tuple[int, int], tuple[Mapping[str, Tensor], Backbone, Backbone]] = OrderedDict()
_lock = threading.Lock()


def _changed(backbone: Backbone, head: Head) -> Backbone:
    device = backbone.mean.device
    form = {4: torch.channels_last}
    parts = {
        f"net.{name}": tensor.to(device, memory_format=form.get(tensor.ndim, torch.contiguous_format))
        for name, tensor in head.changed.items()
    }
    twin = with_parts(backbone, parts)
    twin.digest = digest_of(head)
    return twin


def digest_of(head: Head) -> str:
    """What tells the network under this head from any other: the digest of its weights, changed ones included."""
    if not head.changed:
        return head.digest
    return hashlib.sha256(f"{head.digest} {digest(dict(head.changed))}".encode()).hexdigest()


def weight_of(head: Head) -> int:
    """What a head brings along of its network, in bytes."""
    return sum(tensor.nbytes for tensor in head.changed.values())


def check_fits(head: Head, backbone: Backbone) -> None:
    """Raise BadFile unless `head` was made on exactly these weights of this network, and changes only what is there."""
    if head.backbone != backbone.tag:
        raise BadFile(f"This head was made for {head.backbone}; choose that network above, not {backbone.tag}.")
    if head.digest != backbone.digest:
        raise BadFile(f"This head was made on other weights of {backbone.info.title}; train it again on these.")
    own = dict(backbone.net.named_parameters()) if head.changed else {}
    if any(name not in own or own[name].shape != tensor.shape for name, tensor in head.changed.items()):
        raise BadFile(f"This head changes parts that {backbone.info.title} does not have; save it again.")


def own_head(backbone: Backbone) -> Head | None:
    """The network's own last layer with ImageNet's names, or None where it has none."""
    layer = backbone.net.get_classifier()
    if not hasattr(layer, "weight"):
        return None
    weight = layer.weight.detach().flatten(1)
    bias = layer.bias.detach() if layer.bias is not None else weight.new_zeros(len(weight))
    return Head(_names(backbone.net, len(weight)), weight, bias, backbone.tag, backbone.digest)


def _names(net: nn.Module, count: int) -> tuple[str, ...]:
    subset = infer_imagenet_subset(net)
    if subset and count == getattr(net, "num_classes", 0):
        return imagenet_names(subset)
    return tuple(f"class {i}" for i in range(count))


@functools.cache
def imagenet_names(subset: str = "imagenet-1k") -> tuple[str, ...]:
    """ImageNet's classes by their first name; where two share it, the definition tells them apart."""
    info = ImageNetInfo(subset)
    first = [text.partition(", ")[0] for text in info.label_descriptions()]
    return tuple(
        name if first.count(name) == 1 else info.index_to_description(i, detailed=True).partition(";")[0]
        for i, name in enumerate(first)
    )


def is_imagenet(head: Head) -> bool:
    """Whether the head's classes are ImageNet-1k's thousand."""
    return len(head.classes) == 1000 and head.classes == imagenet_names()


def groups(head: Head) -> dict[str, tuple[int, ...]]:
    """Classes that are asked for together: any cat and any dog of ImageNet-1k; empty for other heads."""
    return {"any cat": tuple(CATS), "any dog": tuple(DOGS)} if is_imagenet(head) else {}


def find_classes(head: Head, name: str) -> tuple[int, ...]:
    """The class called `name` (a name, an index, or a group such as "any cat") as indices. Raises BadSetting if unknown."""
    wanted = str(name).strip()
    if wanted.isdecimal() and wanted not in head.classes:
        if int(wanted) >= len(head.classes):
            raise BadSetting(
                f"This head has {len(head.classes)} classes, 0 to {len(head.classes) - 1}; got {wanted[:12]}."
            )
        return (int(wanted),)
    together = groups(head)
    if wanted.lower() in together:
        return together[wanted.lower()]
    lowered = [c.lower() for c in head.classes]
    if wanted.lower() not in lowered:
        near = [c for c in head.classes if wanted and wanted.lower() in c.lower()][:3]
        hint = f"; did you mean {', '.join(near)}?" if near else "; choose one of its names or an index."
        raise BadSetting(f"This head has no class {wanted[:60]!r}{hint}")
    return (head.classes.index(wanted) if wanted in head.classes else lowered.index(wanted.lower()),)


def pets_head(backbone: Backbone) -> Head | None:
    """The shipped head that tells cats from dogs on exactly these weights, or None."""
    head = shipped_heads(backbone.tag).get("cats_dogs")
    return head if head and head.digest == backbone.digest else None


def shipped_heads(tag: str) -> dict[str, Head]:
    """The heads in weights/heads/ that were made on the network of this tag, by file name."""
    heads = {path.stem: read_head(path) for path in sorted((OWN_WEIGHTS / "heads").glob("*.safetensors"))}
    return {name: head for name, head in heads.items() if head.backbone == tag}
