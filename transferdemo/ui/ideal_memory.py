"""Ideal pictures that were painted before: who asks for the same network, head, class, settings and seed has it at once."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

from ..engine.ideal_order import Prepared
from ..heads import Classifier
from . import jobs
from .ideal_run import Painting, steps
from .shared import KEEP

MOST = 64 * 2**20  # bytes


class Memory:
    """Finished pictures by what they depend on, the latest used last; none is older than `seconds`."""

    def __init__(self, most: int = MOST, seconds: float = KEEP) -> None:
        self.most, self.seconds = most, seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Painting]] = OrderedDict()

    def find(self, key: str) -> Painting | None:
        """The picture, or None."""
        with self._lock:
            self._forget()
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][1]

    def keep(self, key: str, painting: Painting) -> None:
        """Remember it, and forget the longest unused where there is no room."""
        with self._lock:
            made = self._kept[key][0] if key in self._kept else time.monotonic()
            self._kept[key] = made, painting
            self._kept.move_to_end(key)
            self._forget()

    def _forget(self) -> None:
        limit = time.monotonic() - self.seconds
        for key in [key for key, (made, _) in self._kept.items() if made < limit]:
            del self._kept[key]
        while self._kept and sum(weight(painting) for _, painting in self._kept.values()) > self.most:
            self._kept.popitem(last=False)


memory = Memory()


def weight(painting: Painting) -> int:
    """About how many bytes a picture takes with the way there."""
    pixels = 0 if painting.image8 is None else painting.image8.nbytes
    return pixels + len(painting.png) + sum(len(data) for _, data in painting.frames) + 100 * len(painting.points)


def key_of(prepared: Prepared) -> str:
    """What the picture depends on, as a digest; empty where it begins with a visitor's photo, which is kept nowhere."""
    if prepared.config.start is not None:
        return ""
    parts = [json.dumps(prepared.settings, sort_keys=True), *map(_content, prepared.classifiers)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _content(classifier: Classifier) -> str:
    """The network's weights, the head's numbers and names, and where it runs."""
    head, total = classifier.head, hashlib.sha256()
    for tensor in (head.weight, head.bias):
        total.update(tensor.detach().float().cpu().contiguous().numpy().data)
    names = json.dumps([head.classes, head.temperature])
    return f"{classifier.backbone.digest} {total.hexdigest()} {names} {classifier.device}"


def known(prepared: Prepared, begun: Painting) -> Painting | None:
    """The finished picture as this visitor's own, not judged yet, or None."""
    return _found(key_of(prepared), begun)


def _found(key: str, begun: Painting) -> Painting | None:
    found = memory.find(key) if key else None
    return replace(found, view=begun.view) if found else None


def painted(prepared: Prepared, begun: Painting) -> Iterator[Painting]:
    """The picture as it grows, or at once where it is known by now. Raises DemoError."""
    key = key_of(prepared)
    if (found := _found(key, begun)) is not None:
        yield found
        return
    for painting in jobs.events(jobs.Job(steps, (prepared, begun), begun.total)):
        if key and painting.png:
            memory.keep(key, painting)
        yield painting
