"""Ready sets that ship as features: what one network made of photos that are not ours to hand on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..backbones import OWN_WEIGHTS
from ..data.labelled import LabelledFolder, LabelledPhoto
from ..data.records import BytesSource, SplitName
from ..errors import BadFile
from ..types import FITS
from .features import Embedded

FORMAT, VERSION = "transferdemo set", "1"
FOLDER = OWN_WEIGHTS / "sets"
MAX_BYTES, MAX_HEADER, MAX_CLASSES, MAX_PHOTOS, MAX_ABS = 64_000_000, 65_536, 1000, 20_000, 1e4
_SIDES: tuple[SplitName, ...] = ("", "train", "val", "test")
_KINDS = {"features": "F16", "labels": "I32", "groups": "I32", "sides": "U8"}
_DAMAGED = "This is not a ready set that transferdemo wrote, or it is damaged; fetch the project again."


def names() -> tuple[str, ...]:
    """The ready sets that are here, by file name without its ending."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def encode_set(embedded: Embedded) -> bytes:
    """The used photos of a set as a safetensors file: float16 features (N, D), labels, groups, sides; no pictures."""
    folder = embedded.folder
    tensors: dict[str, NDArray[Any]] = {
        "features": embedded.features.astype(np.float16),
        "labels": folder.labels.astype(np.int32),
        "groups": folder.groups.astype(np.int32),
        "sides": np.array([_SIDES.index(side) for side in folder.splits], dtype=np.uint8),
    }
    meta = {
        "classes": folder.used_classes,
        "backbone": embedded.backbone,
        "digest": embedded.digest,
        "fit": embedded.fit,
    }
    header = {"format": FORMAT, "version": VERSION, "set": json.dumps(meta)}
    return safetensors.numpy.save(tensors, header)


def read_set_features(source: str | Path | bytes) -> Embedded:
    """A ready set by name, path or its bytes: features without pictures, ready to train. Raises BadFile with the reason."""
    if isinstance(source, str):
        if source not in names():
            raise BadFile(f"There is no ready set {source[:60]}; choose one of the list.")
        source = FOLDER / f"{source}.safetensors"
    data = source if isinstance(source, bytes) else _bounded(source)
    try:
        meta = _meta(data)
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile(_DAMAGED) from error
    _check(tensors, len(meta["classes"]))
    photos = _photos(tensors, meta["classes"])
    vectors = dict(zip((p.sha256 for p in photos), tensors["features"].astype(np.float32), strict=True))
    folder = LabelledFolder(photos, tuple(meta["classes"]))
    return Embedded(folder, vectors, meta["backbone"], meta["digest"], meta["fit"], pictures=False)


def _bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadFile(f"The ready set {path.stem[:60]} cannot be read; is the name right?") from error


def _meta(data: bytes) -> dict[str, Any]:
    """The header's JSON, each field with its type and range checked; raises ValueError and its like."""
    length = int.from_bytes(data[:8], "little")
    if len(data) > MAX_BYTES or length > MAX_HEADER:
        raise ValueError("too large")
    header = json.loads(data[8 : 8 + length])
    about = header.pop("__metadata__")
    if {name: row["dtype"] for name, row in header.items()} != _KINDS:
        raise ValueError("other tensors")
    if (about["format"], about["version"]) != (FORMAT, VERSION):
        raise ValueError("another format")
    meta: dict[str, Any] = json.loads(about["set"])
    classes = meta["classes"]
    good = (
        isinstance(classes, list)
        and 2 <= len(classes) <= MAX_CLASSES
        and all(isinstance(name, str) and 1 <= len(name) <= 200 for name in classes)
        and len(set(classes)) == len(classes)
        and all(isinstance(meta[key], str) and len(meta[key]) <= 200 for key in ("backbone", "digest"))
        and meta["fit"] in FITS
    )
    if not good:
        raise ValueError("bad description")
    return meta


def _check(tensors: dict[str, NDArray[Any]], classes: int) -> None:
    features, labels, sides = tensors["features"], tensors["labels"], tensors["sides"]
    if features.ndim != 2 or not 1 <= len(features) <= MAX_PHOTOS or not features.shape[1]:
        raise BadFile(_DAMAGED)
    if any(tensors[name].shape != (len(features),) for name in ("labels", "groups", "sides")):
        raise BadFile(_DAMAGED)
    within = labels.min() >= 0 and labels.max() < classes and sides.max() < len(_SIDES)
    if not within or not np.isfinite(features).all() or np.abs(features).max() > MAX_ABS:
        raise BadFile(_DAMAGED)


def _photos(tensors: dict[str, NDArray[Any]], classes: list[str]) -> tuple[LabelledPhoto, ...]:
    rows = zip(tensors["labels"].tolist(), tensors["groups"].tolist(), tensors["sides"].tolist(), strict=True)
    return tuple(
        LabelledPhoto(
            number, classes[label], f"{classes[label]}/{number}", BytesSource(b""), f"ready {number}",
            pixels=f"ready {number}", group=group, split=_SIDES[side],
        )
        for number, (label, group, side) in enumerate(rows)
    )  # fmt: skip
