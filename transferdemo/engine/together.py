"""Pictures of many visitors go through a network together: who comes while it is busy joins the next batch.

Nobody waits for company: a picture that comes alone goes at once, alone.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import torch

from ..backbones import Backbone
from ..images import to_pixels
from ..types import Features, Image8

MOST = 16  # pictures in a batch

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Batches(Generic[Question, Answer]):
    """One queue. Whoever holds the turn answers all who are waiting."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._turn = threading.Lock()
        self._waiting: deque[tuple[Question, Future[Answer]]] = deque()

    def ask(self, question: Question, answer: Callable[[list[Question]], Sequence[Answer]]) -> Answer:
        """The answer to one question; `answer` has one for each, in their order, and means the same for all who ask."""
        mine: Future[Answer] = Future()
        self._waiting.append((question, mine))
        while not mine.done():
            with self._turn:
                if not mine.done():
                    self._run(answer)
        return mine.result()

    def _run(self, answer: Callable[[list[Question]], Sequence[Answer]]) -> None:
        """Answer the first of the queue together; what fails, fails for each of them."""
        batch = [self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))]
        try:
            answers = answer([question for question, _ in batch])
            for (_, future), one in zip(batch, answers, strict=True):
                future.set_result(one)
        except (RuntimeError, MemoryError) as error:
            for _, future in batch:
                future.set_exception(error)
        finally:
            for _, future in batch:
                future.cancel()  # after a bug too nobody waits for ever; what is done stays as it is


_batches: WeakKeyDictionary[Backbone, dict[Hashable, Batches[Any, Any]]] = WeakKeyDictionary()
_lock = threading.Lock()


def together(
    backbone: Backbone,
    kind: Hashable,
    question: Question,
    answer: Callable[[list[Question]], Sequence[Answer]],
    most: int = MOST,
) -> Answer:
    """What `answer` says to `question`, in a batch with what others ask this network just now; `kind` names the question."""
    with _lock:
        batches: Batches[Question, Answer] = _batches.setdefault(backbone, {}).setdefault(kind, Batches(most))
    return batches.ask(question, answer)


def embed_together(backbone: Backbone, image8: Image8) -> Features:
    """Features (1, D) of one picture at the network's input size, in a batch with those that others ask for just now."""

    def embed(images: list[Image8]) -> Sequence[Features]:
        with torch.no_grad():
            features: Features = backbone(to_pixels(images).to(backbone.mean.device))
        return features.split(1)  # type: ignore[no-untyped-call,no-any-return]

    return together(backbone, "embed", image8, embed)


def _forget() -> None:
    """A forked process has none of the threads that hold turns."""
    global _lock
    _lock = threading.Lock()
    _batches.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
