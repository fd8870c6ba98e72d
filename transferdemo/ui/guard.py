"""What may come in over HTTP: bounded bodies, only the routes that the page needs, and no address in place of a file.

Gradio fetches an address that a request names as a file before any component can refuse it, reads form fields and JSON of
any size, and streams public addresses through the server; so this stands in front of it (pure ASGI).
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from gradio.utils import get_upload_folder
from starlette.requests import ClientDisconnect

from .attendance import attendance, listener_of
from .texts import NO_ROOM

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

LARGE = "This upload is too large: at most 100 MB at once."
SPARE = 1_000_000  # bytes that an upload must leave free
QUIET = 10.0  # seconds without a stream after which a session is forgotten
UPLOAD, OTHER = 105_000_000, 1_000_000  # bytes of a body: an upload of 100 MB with its frame, anything else
_CLOSED = re.compile(
    r"/gradio_api/(file=https?:|file/https?:|deep_link|proxy=|run-history|api/)|/monitoring|/proxy=", re.I
)
_ADDRESS = re.compile(r"^\s*[a-z][a-z0-9+.-]*:/?/|^\s*//|^\s*data:", re.I)


class Guard:
    """Middleware: `Guard(app)`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._left: deque[tuple[float, str]] = deque()  # when a stream ended, whose

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 404, 413 or 400."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope.get("path", "")
        if _CLOSED.search(path):
            return await _answer(send, 404, "There is nothing here.")
        if path.endswith("/upload"):
            return await self._counted(scope, receive, send)
        if listener := listener_of(path, scope.get("query_string", b"")):
            queue = scope["app"].get_blocks()._queue
            if listener in scope["app"].state_holder:
                remember(queue, listener)
            try:
                with attendance.stream(listener):
                    return await self.app(scope, receive, send)
            finally:
                self._tidy(queue, listener)
        if scope["method"] != "POST":
            return await self.app(scope, receive, send)
        body = await _whole(receive, OTHER)
        if body is None:
            return await _answer(send, 413, "This request is too large.")
        if names_address(body):
            return await _answer(send, 400, "A file must be uploaded; an address in its place is not fetched.")
        return await self.app(scope, _again(body, receive), send)

    def _tidy(self, queue: Any, session: str) -> None:
        """A stream has ended: forget those who left a while ago."""
        now = time.monotonic()
        self._left.append((now, session))
        while now - self._left[0][0] > QUIET:
            forget(queue, self._left.popleft()[1])

    async def _counted(self, scope: Message, receive: Receive, send: Send) -> None:
        """An upload is streamed on; one that says no length and goes over the limit is cut off, and answered the same."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > UPLOAD:
            return await _answer(send, 413, LARGE)
        if not has_room(int(length)):
            return await _answer(send, 507, NO_ROOM)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return message if seen <= UPLOAD else {"type": "http.disconnect"}

        async def unless_over(message: Message) -> None:
            if seen <= UPLOAD:
                await send(message)

        try:
            await self.app(scope, counted, unless_over)
        except ClientDisconnect:
            if seen <= UPLOAD:
                raise
        if seen > UPLOAD:
            await _answer(send, 413, LARGE)


def remember(queue: Any, session: str) -> None:
    """Let one who has asked before listen before they ask again: Gradio would end the stream, and all that the page waits for.

    Its page does so where an answer came faster than the number of its question.
    """
    if session not in queue.pending_messages_per_session:
        queue.pending_messages_per_session[session] = asyncio.Queue()
    queue.pending_event_ids_session.setdefault(session, set())


def forget(queue: Any, session: str) -> None:
    """Drop what Gradio's queue keeps for good of each session that it ever saw, where nobody listens and nothing is due."""
    if not attendance.listens(session) and not queue.pending_event_ids_session.get(session):
        queue.pending_event_ids_session.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)


def has_room(size: int) -> bool:
    """Whether an upload of so many bytes fits on the disk, and something is left for results."""
    folder = Path(get_upload_folder())
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free >= size + SPARE


def names_address(body: bytes) -> bool:
    """Whether a JSON body has an address where a file's path should be, at any depth; what is no JSON has none."""
    if b"path" not in body and b"data:" not in body:
        return False
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if _bad(value.get("path")) or str(value.get("url") or "")[:9].strip().lower().startswith("data:"):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def _bad(path: object) -> bool:
    return isinstance(path, str) and bool(_ADDRESS.match(path))


async def _whole(receive: Receive, limit: int) -> bytes | None:
    """The body, or None as soon as it is over the limit."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > limit:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body once, then whatever comes."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
