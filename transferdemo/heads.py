"""Heads: a linear layer with names. How one is read and written, and how it sits on its network as a classifier."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import struct
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn
from torch.nn import functional as F

from . import novelty as strange
from .backbones import OWN_WEIGHTS, Backbone, digest, load_backbone, size_of, with_parts
from .device import choose
from .errors import BadFile, BadSetting
from .types import FITS, Features, Head, InputSpec, Logits, Pixels, View

VERSION, READABLE = 2, ("1", "2")
MAX_BYTES, MAX_HEADER, MAX_CLASSES, MAX_ABS = 4_000_000, 65_536, 1000, 1e4
MAX_TUNED_BYTES, MAX_CHANGED = 64_000_000, 400  # of a fine-tuned head's file, and tensors that it may change
CHANGED = "changed."  # before the names of these in the file
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


def encode_head(head: Head) -> bytes:
    """The head as a safetensors file: float32 `weight`, `bias` and what was changed; all else as JSON in the header.

    A head that knows what is strange to it has the tensors of novelty.KINDS too.
    """
    meta: dict[str, object] = {
        "classes": list(head.classes),
        "backbone": head.backbone,
        "digest": head.digest,
        "fit": head.fit,
        "temperature": head.temperature,
        "facts": head.facts,
    }
    named = {"weight": head.weight, "bias": head.bias, **{CHANGED + name: t for name, t in head.changed.items()}}
    tensors = {name: tensor.float().cpu().contiguous() for name, tensor in named.items()}
    if head.novelty:
        tensors |= strange.tensors(head.novelty)
        meta["novelty"] = {"threshold": head.novelty.threshold, "false_alarm": head.novelty.false_alarm}
    header = {"format": "transferdemo head", "version": str(VERSION), "head": json.dumps(meta, allow_nan=False)}
    return safetensors.torch.save(tensors, header)


def save_head(head: Head, path: Path) -> None:
    """Write the head's file whole or not at all."""
    write_whole(path, encode_head(head))


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash leaves the old file or the new one, never half of it.

    Raises BadFile when the disk is full or the folder cannot be written to.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
            try:
                part.write(data)
                part.flush()
                os.fsync(part.fileno())
                os.chmod(part.name, 0o644)  # a temporary file is its maker's alone
                os.replace(part.name, path)
            except BaseException:
                os.unlink(part.name)
                raise
    except OSError as error:
        raise BadFile(
            f"{path.name} could not be written ({error.strerror}); make room or choose another folder."
        ) from error


def read_head(source: bytes | Path) -> Head:
    """The head in a safetensors file that a stranger may have made. Raises BadFile with the reason; opens no pickle."""
    data = source if isinstance(source, bytes) else _bounded(source)
    _check_header(data)
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise BadFile("This head file is damaged; save it again.") from error
    meta = _meta(data)
    weight, bias = tensors.pop("weight"), tensors.pop("bias")
    _check_tensors(weight, bias, len(meta["classes"]))
    odd = {name: tensors.pop(name) for name in strange.KINDS if name in tensors}
    own = strange.read(odd, meta.get("novelty"), (len(bias), weight.shape[1])) if odd else None
    _check_finite(*tensors.values())
    changed = {name.removeprefix(CHANGED): tensor for name, tensor in tensors.items()}
    return Head(
        tuple(meta["classes"]), weight, bias, meta["backbone"], meta["digest"], meta["fit"], meta["temperature"], meta["facts"],
        changed, own,
    )  # fmt: skip


def _bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_TUNED_BYTES + 1)
    except OSError as error:
        raise BadFile(f"The head file {path.name[:60]} cannot be read; is the name right?") from error


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _header(data: bytes) -> dict[str, Any]:
    length = struct.unpack("<Q", data[:8])[0]
    if length > MAX_HEADER:
        raise ValueError("the header is too large")
    header = json.loads(data[8 : 8 + length], object_pairs_hook=_no_twins)
    if not isinstance(header, dict):
        raise ValueError("the header is not an object")
    return header


def _check_header(data: bytes) -> None:
    if len(data) > MAX_TUNED_BYTES:
        raise BadFile(f"A head file has at most {MAX_TUNED_BYTES // 1_000_000} MB; this is something else.")
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x04") or data[:1] == b"\x80":
        raise BadFile(
            "This is a pickle (.pt, .pth, .pkl), which can run code and is never opened; save the head as .safetensors."
        )
    try:
        header = _header(data)
        meta = header["__metadata__"]
        more = set(header) - {"weight", "bias", "__metadata__"} - set(strange.KINDS)
        known = meta["format"] == "transferdemo head" and all(name.startswith(CHANGED) for name in more)
        odd = {name: header[name]["dtype"] for name in strange.KINDS if name in header}
        dtypes = {header[name]["dtype"] for name in ("weight", "bias", *more)}
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile("This is not a head that transferdemo saved; choose a .safetensors file from Teach.") from error
    if not known or dtypes != {"F32"} or odd not in ({}, strange.KINDS) or len(more) > MAX_CHANGED:
        raise BadFile("This safetensors file holds something else than a head; choose one from Teach.")
    if meta.get("version") not in READABLE:
        raise BadFile(
            f"This head was saved by another version of transferdemo; this one reads up to version {VERSION}."
        )
    if not more and len(data) > MAX_BYTES:
        raise BadFile(f"A head without a fine-tuned network has at most {MAX_BYTES // 1_000_000} MB; this is not one.")


def _meta(data: bytes) -> dict[str, Any]:
    """The header's JSON, each field with its type and range checked."""
    try:
        meta = json.loads(_header(data)["__metadata__"]["head"], object_pairs_hook=_no_twins)
        good = (
            isinstance(meta["classes"], list)
            and 1 <= len(meta["classes"]) <= MAX_CLASSES
            and all(isinstance(c, str) and 1 <= len(c) <= 200 for c in meta["classes"])
            and len(set(meta["classes"])) == len(meta["classes"])
            and all(isinstance(meta[k], str) and len(meta[k]) <= 200 for k in ("backbone", "digest"))
            and meta["fit"] in FITS
            and type(meta["temperature"]) in (int, float)
            and 1e-3 <= meta["temperature"] <= 1e3
            and isinstance(meta["facts"], dict)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile("The description inside this head file is damaged; save it again.") from error
    if not good:
        raise BadFile("The description inside this head file is not one that transferdemo wrote.")
    return dict(meta)


def _check_tensors(weight: Tensor, bias: Tensor, classes: int) -> None:
    if weight.ndim != 2 or weight.shape[0] != classes or bias.shape != (classes,) or weight.shape[1] < 1:
        raise BadFile("The shapes inside this head file do not match its classes.")
    _check_finite(weight, bias)


def _check_finite(*tensors: Tensor) -> None:
    if not all(t.numel() and t.isfinite().all() and t.abs().max() <= MAX_ABS for t in tensors):
        raise BadFile("This head file holds numbers that are not finite or far too large.")


def pets_head(backbone: Backbone) -> Head | None:
    """The shipped head that tells cats from dogs on exactly these weights, or None."""
    head = shipped_heads(backbone.tag).get("cats_dogs")
    return head if head and head.digest == backbone.digest else None


def shipped_heads(tag: str) -> dict[str, Head]:
    """The heads in weights/heads/ that were made on the network of this tag, by file name."""
    heads = {path.stem: read_head(path) for path in sorted((OWN_WEIGHTS / "heads").glob("*.safetensors"))}
    return {name: head for name, head in heads.items() if head.backbone == tag}
