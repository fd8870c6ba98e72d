"""Pictures of many visitors go through a network together: who comes while it is busy joins the next batch.

Nobody waits for company: a picture that comes alone goes at once, alone.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future
from weakref import WeakKeyDictionary

import torch

from ..backbones import Backbone
from ..images import to_pixels
from ..types import Features, Image8

MOST = 16  # pictures in a batch


class Batches:
    """One network's queue. Whoever holds the turn embeds for all who are waiting."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: deque[tuple[Image8, Future[Features]]] = deque()

    def embed(self, backbone: Backbone, image8: Image8) -> Features:
        """(S, S, 3) at the network's input size -> (1, D)."""
        mine: Future[Features] = Future()
        self._waiting.append((image8, mine))
        while not mine.done():
            with self._turn:
                if not mine.done():
                    self._run(backbone)
        return mine.result()

    def _run(self, backbone: Backbone) -> None:
        """Embed the first of the queue together; what fails, fails for each of them."""
        batch = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        try:
            with torch.no_grad():
                features = backbone(to_pixels([image8 for image8, _ in batch]).to(backbone.mean.device))
            for (_, future), row in zip(batch, features.split(1), strict=True):
                future.set_result(row)
        except (RuntimeError, MemoryError) as error:
            for _, future in batch:
                future.set_exception(error)
        finally:
            for _, future in batch:
                future.cancel()  # after a bug too nobody waits for ever; what is done stays as it is


_batches: WeakKeyDictionary[Backbone, Batches] = WeakKeyDictionary()
_lock = threading.Lock()


def embed_together(backbone: Backbone, image8: Image8) -> Features:
    """Features (1, D) of one picture at the network's input size, in a batch with those that others ask for just now."""
    with _lock:
        batches = _batches.setdefault(backbone, Batches())
    return batches.embed(backbone, image8)


def _forget() -> None:
    """A forked process has none of the threads that hold turns."""
    global _lock
    _lock = threading.Lock()
    _batches.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
