"""A class of thirty: a password that can be typed, the address as a QR code on the terminal and on a page for the projector."""

from __future__ import annotations

import io
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from . import texts

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Message, Any, Any], Awaitable[None]]

PLAIN = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else on a wall
PATH = "/classroom"


def new_password() -> str:
    """Three groups of four: 59 bits, since nothing slows down who guesses."""
    return "-".join("".join(secrets.choice(PLAIN) for _ in range(4)) for _ in range(3))


@dataclass
class Classroom:
    """What the class needs to come in; the teacher's page needs a token that only the terminal shows."""

    login: tuple[str, str] = field(default_factory=lambda: ("class", new_password()))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    address: str = ""  # known once the page is served

    @property
    def path(self) -> str:
        """Of the teacher's page."""
        return f"{PATH}?teacher={self.token}"

    def on_terminal(self, mine: str) -> str:
        """The address as a QR code of blocks, the name and the password in words."""
        out = io.StringIO()
        self._code().terminal(out, compact=True)
        return f"{out.getvalue()}\n{texts.classroom_terminal(self.address, *self.login, mine)}"

    def _code(self) -> Any:
        import segno  # here: only a class needs it

        return segno.make(self.address, error="m")

    def page(self) -> str:
        """The same for the projector."""
        code = self._code().svg_inline(scale=1, border=2, omitsize=True, dark="#111", light="#fff")
        name, password = map(escape, self.login)
        return PAGE.format(
            title=texts.TITLE, code=code, address=escape(self.address), name_label=texts.CLASS_NAME, name=name,
            password_label=texts.CLASS_PASSWORD, password=password, note=escape(texts.CLASS_NOTE),
        )  # fmt: skip


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-content: center; justify-items: center; gap: 2vh; padding: 2vh 4vw;
  box-sizing: border-box; font-family: system-ui, sans-serif; color: #111; background: #fff; text-align: center; }}
svg {{ width: min(56vh, 88vw); height: auto; }}
h1 {{ margin: 0; font-size: clamp(1.4rem, 4.5vw, 4rem); overflow-wrap: anywhere; }}
p {{ margin: 0; font-size: clamp(1.1rem, 3vw, 2.4rem); }} b {{ display: inline-block; font-family: ui-monospace, monospace; }}
small {{ color: #555; max-width: 60ch; font-size: clamp(0.9rem, 1.4vw, 1.3rem); }}
</style>
<body><main style="display: contents">{code}<h1>{address}</h1>
<p>{name_label} <b>{name}</b> &nbsp; {password_label} <b>{password}</b></p><small>{note}</small></main></body></html>"""


class Board:
    """Middleware with the teacher's page. A share link's visitors come from this computer too, so only the token counts."""

    def __init__(self, app: App, classroom: Classroom) -> None:
        self.app, self.classroom = app, classroom

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answer /classroom, pass everything else on."""
        if scope["type"] != "http" or scope.get("path", "").rstrip("/") != PATH:
            return await self.app(scope, receive, send)
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("teacher", [""])[0]
        known = scope["method"] == "GET" and secrets.compare_digest(given.encode(), self.classroom.token.encode())
        body = (self.classroom.page() if known else "There is nothing here.").encode()
        headers = {
            "content-type": "text/html; charset=utf-8" if known else "text/plain", "content-length": str(len(body)),
            "cache-control": "no-store", "referrer-policy": "no-referrer",
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        }  # fmt: skip
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


def own_address() -> str:
    """This computer's address in the local network, as other computers see it; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: chooses the route, sends no packet
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
