"""A Hugging Face hub on the loopback address, as much of one as a single file needs, that misbehaves when told to.

    with FakeHub(data) as hub:
        hub.mode = "slow"                 # how it treats everyone
        hub.modes["lab/one"] = "cut30"    # how it treats one repository
        hub.point_here(monkeypatch, tmp_path)

`requests` and `bodies(repo)` say what it was asked for; `MODES` says what each mode does.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import pytest
from huggingface_hub import constants

COMMIT = "a" * 40
JUNK = b"not a tensor" * 1000
PAGE = b"<html><body>Welcome to the hotel. Please sign in.</body></html>"
MODES = {
    "ok": "sends the file",
    "slow": "sends the file in ten pieces, `pause` seconds apart",
    "xet": "says that the file is in Xet storage as well, as the real hub does",
    "cut0": "breaks off before the first byte, however often it is asked",
    "cut30": "breaks off at 30 %",
    "cut99": "breaks off at 99 %",
    "hiccup": "breaks off at 30 %, once, and then goes on from there",
    "restart": "breaks off at 30 % and does not know how to resume",
    "short": "announces the whole file, sends less and says so",
    "lying": "announces more than it has",
    "huge": "announces more than any disk holds",
    "404": "has no such file",
    "401": "wants to know who is asking",
    "403": "does not want to give it",
    "gated": "wants a licence to be accepted first",
    "429": "is asked too often, for the next five minutes",
    "500": "is broken",
    "500 later": "knows the file and then breaks",
    "html": "is really the sign-in page of a hotel",
    "html later": "knows the file and then is the hotel",
    "wrong": "sends as many bytes, the last one another",
    "junk": "holds a file that is no safetensors",
    "stall": "falls silent at 30 %",
    "hang": "accepts the connection and never answers",
    "hang up": "accepts the connection and drops it",
    "loop": "redirects to itself",
    "loop later": "knows the file and then redirects to itself",
}
_STATUS = {"404": 404, "401": 401, "403": 403, "gated": 403, "429": 429, "500": 500}
_CUTS = {"cut0": 0.0, "cut30": 0.3, "cut99": 0.99, "restart": 0.3, "stall": 0.3, "short": 0.5}


class FakeHub(ThreadingHTTPServer):
    """Serves `data` as model.safetensors of every repository; anything else is a 404."""

    def __init__(self, data: bytes, mode: str = "ok", pause: float = 0.1) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data, self.mode, self.pause = data, mode, pause
        self.digest = hashlib.sha256(data).hexdigest()
        self.modes: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []  # method, path
        self.ranges: list[str] = []  # how a transfer was resumed
        self.tokens: list[str] = []  # that anyone sent
        self.first: dict[str, float] = {}  # when each repository was asked for
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def bodies(self, repo: str) -> int:
        """How often the file itself was asked for."""
        return sum(method == "GET" and path.startswith(f"/{repo}/") for method, path in self.requests)

    def environment(self, cache: Path) -> dict[str, str]:
        """What a program needs in its environment to take this for the real hub."""
        here = {"HF_ENDPOINT": self.url, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        return {**os.environ, **here}

    def point_here(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Let this process take it for the real hub, with an empty cache: huggingface_hub read its environment long ago."""
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub, repo = self.server, "/".join(self.path.split("/")[1:3])
        hub.requests.append((self.command, self.path))
        hub.tokens += self.headers.get_all("authorization", [])
        hub.ranges += self.headers.get_all("range", [])
        hub.first.setdefault(repo, time.monotonic())
        mode = hub.modes.get(repo, hub.mode)
        if self.path not in [f"/{repo}/resolve/{revision}/model.safetensors" for revision in ("main", COMMIT)]:
            mode = "404"
        if mode.endswith(" later"):
            mode = mode.removesuffix(" later") if self.command == "GET" else "ok"
        if mode in _STATUS:
            code = {"404": "EntryNotFound", "gated": "GatedRepo"}.get(mode, "Other")
            self.head(_STATUS[mode], {"X-Error-Code": code, "Retry-After": "300", "Content-Length": "0"})
        elif mode == "html":
            self.head(200, {"Content-Type": "text/html", "Content-Length": str(len(PAGE)), "ETag": '"page"'}, PAGE)
        elif mode == "hang":
            hub.closing.wait(60)
        elif mode == "hang up":
            self.close_connection = True
        elif mode == "loop":
            self.head(302, {"Location": self.path, "Content-Length": "0"})
        else:
            self.send_file(mode, repo)

    def send_file(self, mode: str, repo: str) -> None:
        data = JUNK if mode == "junk" else self.server.data
        announced = len(data) + {"lying": 1000, "huge": 10**18}.get(mode, 0)
        asked = None if mode == "restart" else self.headers.get("range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        digest = hashlib.sha256(JUNK).hexdigest() if mode == "junk" else self.server.digest
        facts = {"ETag": f'"{digest}"', "X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(announced)}
        facts |= {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if mode == "xet":
            facts |= {"X-Xet-Hash": "b" * 64, "X-Xet-Refresh-Route": f"{self.server.url}/api/xet"}
        facts["Content-Length"] = str((len(data) // 2 if mode == "short" else announced) - start)
        first = mode == "hiccup" and self.server.bodies(repo) == 1
        end = int(len(data) * (0.3 if first else _CUTS.get(mode, 1.0)))
        body = data[: end - 1] + bytes([data[end - 1] ^ 1]) if mode == "wrong" else data
        pause = self.server.pause if mode == "slow" else 0.0
        self.head(206 if asked else 200, facts, memoryview(body)[start:end], pause)
        if self.command == "GET" and mode == "stall":
            self.server.closing.wait(60)
        if self.command == "GET" and mode != "ok":
            self.close_connection = True

    def head(self, status: int, facts: dict[str, str], body: bytes | memoryview = b"", pause: float = 0.0) -> None:
        self.send_response(status)
        for name, value in facts.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            piece = len(body) // 10 + 1
            for start in range(0, len(body), piece):
                self.wfile.write(body[start : start + piece])
                self.wfile.flush()
                self.server.closing.wait(pause)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
