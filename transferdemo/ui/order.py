"""A visitor's presses in their order, each answered whole; those of others go on beside them."""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

from gradio.context import LocalContext

PATIENCE = 60.0  # seconds; by then an earlier stream is one that nobody listens to any more
P = ParamSpec("P")
_lines: dict[str, deque[threading.Event]] = {}
_lock = threading.Lock()


def in_order(handler: Callable[P, Iterator[Any]]) -> Callable[P, Iterator[Any]]:
    """A stream that begins when this visitor's earlier ones have ended: what they still show cannot cross with its own."""

    @functools.wraps(handler)
    def stream(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        with turn(getattr(LocalContext.request.get(None), "session_hash", None) or ""):
            yield from handler(*args, **kwargs)

    return stream


@contextmanager
def turn(visitor: str) -> Iterator[None]:
    """Wait until all turns of this visitor that were asked for before are over; a caller without a name waits for nobody."""
    if not visitor:
        yield
        return
    mine = threading.Event()
    with _lock:
        line = _lines.setdefault(visitor, deque())
        line.append(mine)
        if line[0] is mine:
            mine.set()
    mine.wait(PATIENCE)
    try:
        yield
    finally:
        with _lock:
            line.remove(mine)
            if line:
                line[0].set()
            else:
                _lines.pop(visitor, None)
