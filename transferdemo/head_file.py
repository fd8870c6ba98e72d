"""A head's file: safetensors with a versioned list of tensors, written whole, and read as if a stranger had made it."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from . import novelty as strange
from .errors import BadFile
from .types import FITS, Head

VERSION, READABLE = 2, ("1", "2")
MAX_BYTES, MAX_HEADER, MAX_CLASSES, MAX_ABS = 4_000_000, 65_536, 1000, 1e4
MAX_TUNED_BYTES, MAX_CHANGED = 64_000_000, 400  # of a fine-tuned head's file, and tensors that it may change
CHANGED = "changed."  # before the names of these in the file


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
