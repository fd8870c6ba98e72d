"""Which device is chosen, how batches are sized, and what happens when memory runs out."""

from __future__ import annotations

import pytest
import torch

from transferdemo import device
from transferdemo.device import (
    available,
    batch_size,
    choose,
    describe,
    halving,
    is_out_of_memory,
    out_of_memory_explained,
    synchronise,
)  # fmt: skip
from transferdemo.errors import BadSetting, OutOfMemory

CPU = torch.device("cpu")


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFERDEMO_DEVICE", raising=False)
    monkeypatch.setattr(device, "available", lambda: ["cuda:0", "cpu"])


def test_the_fastest_device_is_the_default(one_gpu: None) -> None:
    assert choose() == choose("auto") == choose("") == torch.device("cuda:0")


def test_a_name_wins_over_the_environment(one_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERDEMO_DEVICE", "cpu")
    assert choose() == CPU and choose("cuda") == choose(" CUDA:0 ") == torch.device("cuda:0")
    monkeypatch.setenv("TRANSFERDEMO_DEVICE", "")
    assert choose().type == "cuda"


@pytest.mark.parametrize("name", ["gpu", "cuda:7", "mps", "cpu:0", "x" * 1000, "meta"])
def test_a_device_that_is_not_here_gets_a_sentence(one_gpu: None, name: str) -> None:
    with pytest.raises(BadSetting, match="choose one of: auto, cuda:0, cpu") as caught:
        choose(name)
    assert len(str(caught.value)) < 150


def test_the_cpu_is_always_there_and_last() -> None:
    assert available()[-1] == "cpu" and choose("cpu") == CPU and describe(CPU) == "the CPU"
    assert batch_size(CPU) >= 1
    synchronise(CPU)


def test_a_gpu_batch_follows_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda:0")
    for free, expected in ((10**6, 1), (480 * 10**6, 10), (10**11, device.GPU_BATCH)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 10**11))
        assert batch_size(gpu) == expected


class Small:
    """A device that holds at most `room` items; remembers the batches that it did."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room, self.error, self.done = room, error, []

    def __call__(self, items: list[int]) -> torch.Tensor:
        if len(items) > self.room:
            raise self.error
        self.done.append(len(items))
        return torch.tensor(items)


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
    MemoryError(),
]


@pytest.mark.parametrize("error", FULL, ids=["cuda", "cpu", "mps", "python"])
def test_out_of_memory_halves_the_batch_and_goes_on(error: Exception) -> None:
    assert is_out_of_memory(error)
    work = Small(3, error)
    assert torch.cat(list(halving(work, list(range(20)), 16))).tolist() == list(range(20))
    assert work.done == [2] * 10  # 16, 8 and 4 were too many, and are not tried again


def test_without_trouble_batches_are_whole() -> None:
    work = Small(100, MemoryError())
    assert torch.cat(list(halving(work, list(range(20)), 8))).tolist() == list(range(20))
    assert work.done == [8, 8, 4] and list(halving(work, [], 8)) == []


def test_one_item_that_is_too_much_gets_a_sentence() -> None:
    with pytest.raises(OutOfMemory, match="smaller network"):
        list(halving(Small(0, MemoryError()), [1, 2], 2))


def test_other_errors_are_bugs_and_pass() -> None:
    bug = RuntimeError("shapes cannot be multiplied")
    assert not is_out_of_memory(bug) and not is_out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(halving(Small(0, bug), [1, 2], 2))
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_explained():
        raise bug


@pytest.mark.parametrize("error", FULL, ids=["cuda", "cpu", "mps", "python"])
def test_out_of_memory_is_explained(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="smaller size"), out_of_memory_explained():
        raise error
