"""A job that can be sent away: on a ZeroGPU Space to the forked process that has the GPU, everywhere else it runs here.

There, `spaces.GPU` pickles what a job is given and each of its events. Networks travel by their names, so that the other
process loads them onto its GPU; the page's own process has none and stays on the CPU. What opens pictures runs in the page's
process: the other one may not start the children that do it, and the seconds of a lent GPU are few.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..backbones import Backbone, is_shared, load_backbone
from ..errors import DemoError
from ..heads import Classifier, load_classifier
from ..types import View

try:  # on a ZeroGPU Space this package comes with the machine
    import spaces  # type: ignore[import-not-found, unused-ignore]

    gpu: Callable[..., Any] = spaces.GPU
except ImportError:

    def gpu(function: Any = None, **_: Any) -> Any:
        """Off ZeroGPU: the function as it is."""
        return function if function is not None else gpu


T = TypeVar("T")
START, EACH, MOST = 15.0, 0.1, 120.0  # seconds on a GPU: to load the networks, a step, and at most


def is_zero() -> bool:
    """Whether this is a ZeroGPU Space, whose page has no GPU of its own."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


@dataclass(frozen=True, eq=False)
class Job(Generic[T]):
    """A stream by what makes it: a function that every process can import, and its arguments."""

    function: Callable[..., Iterator[T]]
    arguments: tuple[Any, ...]
    steps: int = 100  # from which its time is estimated

    @property
    def duration(self) -> int:
        """Seconds that are asked of a GPU that is lent."""
        return round(min(MOST, START + EACH * self.steps))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (_packed((self.function, self.arguments, self.steps)),)


class _Packer(pickle.Pickler):
    """Writes a network that all visitors share as its name."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Classifier) and value.head.changed:
            return load_classifier, (View(value.backbone.tag, value.head),)
        if isinstance(value, Classifier):
            return Classifier, (value.backbone, value.head)
        if isinstance(value, Backbone) and is_shared(value):
            return load_backbone, (value.tag,)
        return NotImplemented


def _packed(values: object) -> bytes:
    out = io.BytesIO()
    _Packer(out).dump(values)
    return out.getvalue()


def _unpacked(data: bytes) -> Job[Any]:
    """What this very program has packed, in another of its processes."""
    return Job(*pickle.loads(data))


@dataclass(frozen=True)
class Failed:
    """A sentence for the person, from the process in which the job ran."""

    error: DemoError


def stream(job: Job[T]) -> Iterator[T | Failed]:
    """What runs where the GPU is."""
    if is_zero():
        os.environ["TRANSFERDEMO_DEVICE"] = "auto"
    try:
        yield from job.function(*job.arguments)
    except DemoError as error:
        yield Failed(error)


def duration(job: Job[Any]) -> int:
    """How long a job will need the GPU, seconds."""
    return job.duration


on_device: Callable[[Any], Any] = gpu(duration=duration)(stream)


def events(job: Job[T]) -> Iterator[T]:
    """The job's events, wherever it runs. Raises its DemoError."""
    with closing(on_device(job)) as arriving:
        for event in arriving:
            if isinstance(event, Failed):
                raise event.error
            yield event
