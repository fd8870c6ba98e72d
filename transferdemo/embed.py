"""Many pictures -> features, as fast as the machine can.

On a CPU the folded network is exported once and run by ONNX Runtime, in float32: measured two and a half times as fast as
torch's eager convolutions on the same cores. On a GPU torch runs it in bfloat16 or float32.
"""

from __future__ import annotations

import io
import threading
import warnings
import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from .backbones import Backbone
from .device import batch_size, halving
from .types import Features, Image8

if TYPE_CHECKING:
    import onnxruntime

_sessions: weakref.WeakKeyDictionary[nn.Module, onnxruntime.InferenceSession | None] = weakref.WeakKeyDictionary()
_lock, _exporting = threading.Lock(), threading.Lock()


class FromBytes(nn.Module):
    """(N, S, S, 3) uint8 RGB -> what `inner` makes of (N, 3, S, S) float32 in [0, 1]."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image8: Tensor) -> Tensor:
        """The pictures as a file or a camera gives them."""
        result: Tensor = self.inner(image8.permute(0, 3, 1, 2).float() / 255)
        return result


def to_onnx(module: nn.Module, size: int, outputs: Sequence[str] = ("output",), opset: int | None = None) -> bytes:
    """`module` behind `FromBytes` as an ONNX file: input `image` (N, size, size, 3) uint8, outputs (N, ...) float32.

    torch's TorchScript exporter: a third of a second, where the newer one takes seven. It bears one export at a time.
    """
    target = io.BytesIO()
    with _exporting, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older exporter
        torch.onnx.export(
            FromBytes(module).eval(),
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            target,  # type: ignore[arg-type]  # it takes a file as well as a path
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes={name: {0: "n"} for name in ("image", *outputs)},
            opset_version=opset,
            dynamo=False,
        )
    return target.getvalue()


def open_onnx(model: bytes) -> onnxruntime.InferenceSession:
    """A session on the CPU with as many threads as torch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def embed(backbone: Backbone, images: Sequence[Image8]) -> Features:
    """N pictures of (S, S, 3) uint8, already fitted -> (N, D) float32 on the CPU. Out of memory halves the batch.

    Raises OutOfMemory when one picture is too much.
    """
    return run(backbone, backbone, images) if images else torch.empty(0, backbone.width)


def run(module: nn.Module, backbone: Backbone, images: Sequence[Image8]) -> Tensor:
    """What a module that takes what `backbone` takes makes of N > 0 pictures, (N, ...) float32 on the CPU; as `embed`."""
    device = backbone.mean.device
    session = _session(module, backbone.spec.size) if device.type == "cpu" else None
    work = partial(_with_onnx, session) if session else partial(_with_torch, module, device)
    return torch.cat(list(halving(work, images, batch_size(device))))


def _with_onnx(session: onnxruntime.InferenceSession, images: Sequence[Image8]) -> Tensor:
    return torch.from_numpy(session.run(None, {"image": np.stack(images)})[0])


def _with_torch(module: nn.Module, device: torch.device, images: Sequence[Image8]) -> Tensor:
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    stack = torch.from_numpy(np.stack(images)).to(device, non_blocking=True)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        values: Tensor = FromBytes(module)(stack)
        return values.float().cpu()


def _session(module: nn.Module, size: int) -> onnxruntime.InferenceSession | None:
    """The module in ONNX Runtime, made once; None for the rare network that the exporter cannot write."""
    with _lock:
        if module not in _sessions:
            try:
                _sessions[module] = open_onnx(to_onnx(module, size))
            except (torch.onnx.errors.OnnxExporterError, RuntimeError):
                _sessions[module] = None
        return _sessions[module]
