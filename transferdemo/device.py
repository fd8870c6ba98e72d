"""Where tensors live: which device, how it is called, how large a batch may be, and what to do when memory runs out."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from .errors import BadSetting, OutOfMemory

T = TypeVar("T")
KINDS = ("cuda", "mps", "xpu", "cpu")
CPU_BATCH, GPU_BATCH = 32, 128
CPU_GRADIENTS, GPU_GRADIENTS = 5, 32


def available() -> list[str]:
    """The devices of this machine by torch's names, fastest first; the CPU is always the last."""
    here = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    here += ["mps"] if torch.backends.mps.is_available() else []
    here += ["xpu"] if torch.xpu.is_available() else []
    return [*here, "cpu"]


def choose(name: str | None = None) -> torch.device:
    """The device called `name`, else the one of TRANSFERDEMO_DEVICE, else the fastest. Raises BadSetting if it is not here."""
    wanted = (name or os.environ.get("TRANSFERDEMO_DEVICE") or "auto").strip().lower()
    here = available()
    if wanted == "auto":
        return torch.device(here[0])
    full = "cuda:0" if wanted == "cuda" else wanted
    if full not in here:
        raise BadSetting(f"There is no device {wanted[:40]!r} here; choose one of: auto, {', '.join(here)}.")
    return torch.device(full)


def describe(device: torch.device) -> str:
    """The device in a person's words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"mps": "the Apple GPU", "xpu": "the Intel GPU"}.get(device.type, "the CPU")


def batch_size(device: torch.device, bytes_each: int = 24_000_000) -> int:
    """How many pictures go through the network together; `bytes_each` is what one needs at its largest layers."""
    if device.type != "cuda":
        return CPU_BATCH if device.type == "cpu" else GPU_BATCH // 2
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(GPU_BATCH, free // 2 // bytes_each)))


def gradient_batch(device: torch.device) -> int:
    """How many pictures go through together where a gradient comes back: on a CPU more than a few bring nothing."""
    return CPU_GRADIENTS if device.type == "cpu" else GPU_GRADIENTS


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given; needed before the clock is read."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on any device."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and ("DefaultCPUAllocator" in str(error) or "out of memory" in str(error))
    )


def halving(work: Callable[[Sequence[T]], torch.Tensor], items: Sequence[T], batch: int) -> Iterator[torch.Tensor]:
    """Run `work` over `items` in batches and yield its results; out of memory halves the batch and goes on.

    Raises OutOfMemory when a single item is too much.
    """
    done = 0
    while done < len(items):
        with _freed_on_failure() as failed:
            result = work(items[done : done + batch])
        if not failed:
            done += batch
            yield result
        elif batch == 1:
            raise OutOfMemory("The memory is full even for one picture; choose a smaller network.")
        else:
            batch = max(1, batch // 2)


@contextmanager
def _freed_on_failure() -> Iterator[list[bool]]:
    """Swallow an out-of-memory error, say so in the list, and give the memory back once its traceback is gone."""
    failed: list[bool] = []
    try:
        yield failed
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failed.append(True)
    if failed:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def out_of_memory_explained() -> Iterator[None]:
    """Turn an out-of-memory error of a job that cannot halve anything into OutOfMemory with advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory("The memory is full; choose a smaller size or a smaller network.") from error
