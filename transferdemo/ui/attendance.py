"""Who listens to the answer they asked for: a job that nobody listens to is not run, and gives its place to one who does."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

GRACE = 3.0  # seconds between asking and listening, or of a connection that broke off
LONGEST = 3600.0  # seconds after which no job of theirs can still be in line
_STREAM = re.compile(r"/queue/data$|/call/[^/]+/([^/]+)$")


class Attendance:
    """The streams that are open, by session or event; those who never came through HTTP are always taken as present."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._expected: dict[str, tuple[float, str]] = {}  # visitor -> when they asked, their event

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        """While a client listens."""
        with self._lock:
            self._open[name] = self._open.get(name, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._open[name] -= 1
                if not self._open[name]:
                    del self._open[name]
                for visitor, (_, event) in list(self._expected.items()):
                    if name in (visitor, event):
                        self._expected[visitor] = time.monotonic(), event

    def expect(self, visitor: str, event: str) -> None:
        """This visitor has asked for something over HTTP."""
        now = time.monotonic()
        with self._lock:
            self._expected[visitor] = now, event
            for old in [v for v, (when, _) in self._expected.items() if now - when > LONGEST]:
                del self._expected[old]

    def forget(self, visitor: str) -> None:
        """They have their answer."""
        with self._lock:
            self._expected.pop(visitor, None)

    def listens(self, name: str) -> bool:
        """Whether a stream of this session or event is open."""
        with self._lock:
            return name in self._open

    def absent(self, visitor: str) -> bool:
        """Whether nobody listens to this visitor's answer just now."""
        with self._lock:
            _, event = self._expected.get(visitor, (0.0, ""))
            return visitor in self._expected and visitor not in self._open and event not in self._open

    def gone(self, visitor: str) -> bool:
        """Whether nobody has listened for longer than `GRACE`."""
        return self.absent(visitor) and time.monotonic() - self._expected.get(visitor, (0.0, ""))[0] > GRACE


attendance = Attendance()


def listener_of(path: str, query: bytes) -> str:
    """The session or event whose answers a request listens to; empty for other requests."""
    found = _STREAM.search(path)
    if not found:
        return ""
    return found[1] or parse_qs(query.decode("latin-1")).get("session_hash", [""])[0]
