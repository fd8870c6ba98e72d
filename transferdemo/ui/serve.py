"""From flags to a served page: password, public link, browser window, and what is warmed up meanwhile."""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import sys
import threading
import webbrowser
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware

from .. import images
from ..backbones import load_backbone
from ..device import choose
from ..errors import BadSetting, DemoError
from . import build, heaps, janitor, launch_options
from .classroom import Board, Classroom, own_address
from .jobs import is_zero
from .shared import Settings

EXPOSED = """A public link is about to be made. Whoever has it can reach this page from anywhere, for up to a week: they can
classify pictures, train heads and run jobs on this computer, through Gradio's servers. Your files stay closed to them,
and photos that visitors give come to this computer and are deleted an hour after use."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WARM_AFTER = 1.0  # seconds: the first page comes first
LATER = ("onnxruntime", "scipy.stats", "sklearn.model_selection", "skimage.metrics", "imagehash")  # used by jobs only


def serve(args: argparse.Namespace) -> None:
    """Build and serve the page; returns on Ctrl-C. Exits with one sentence on a flag that cannot be used."""
    if is_zero():
        os.environ.setdefault("TRANSFERDEMO_DEVICE", "cpu")  # of the page itself; jobs get the GPU where they run
    try:
        settings = _settings(args)
        choose(args.device)
        board = Classroom() if args.classroom else None
        options = launch_options() | {"auth": board.login if board and not args.auth else _auth(args)}
    except DemoError as error:
        sys.exit(str(error))
    if board:
        board.login = options["auth"]
        options["app_kwargs"]["middleware"].insert(0, Middleware(Board, classroom=board))
    heaps.share()
    demo = build(settings)
    janitor.start()
    _, local, public = demo.launch(
        server_name=args.host or ("0.0.0.0" if board and not args.share else None), server_port=args.port,
        share=args.share, inbrowser=not args.no_browser and _has_screen() and not board,
        prevent_thread_lock=True, **options,
    )  # fmt: skip
    if board:
        _announce(board, local, public, show=not args.no_browser and _has_screen())
    later = threading.Timer(WARM_AFTER, _warm, (args.device,))
    later.daemon = True
    later.start()
    demo.block_thread()


def _settings(args: argparse.Namespace) -> Settings:
    if args.classroom and args.local:
        raise BadSetting("--classroom and --local exclude each other: a class needs the limits that --local lifts.")
    others = bool(args.share or args.classroom or os.environ.get("SPACE_ID") or args.host not in (None, *LOOPBACK))
    return Settings(args.local, others, args.device, args.classroom)


def _announce(board: Classroom, local: str, public: str | None, show: bool) -> None:
    """Address, password and QR code on the terminal; the teacher's page in the browser."""
    port = urlsplit(local).port or 80
    board.address = public or f"http://{own_address()}:{port}/"
    mine = f"http://127.0.0.1:{port}{board.path}"
    print(board.on_terminal(mine))
    if show:
        webbrowser.open(mine)


def _auth(args: argparse.Namespace) -> tuple[str, str] | None:
    """The name and password to ask for. With --share and none given, say what is exposed and offer one."""
    if args.auth:
        user, colon, password = args.auth.partition(":")
        if not (user and colon and password):
            raise BadSetting("--auth must be USER:PASSWORD, for example --auth class:mimosa-42.")
        return user, password
    return _offered() if args.share else None


def _offered() -> tuple[str, str] | None:
    print(EXPOSED)
    password = secrets.token_urlsafe(9)
    if sys.stdin.isatty() and input("Protect it with a password? [Y/n] ").strip().lower() in ("n", "no"):
        return None
    print(f"Name: guest   Password: {password}")
    return "guest", password


def _has_screen() -> bool:
    """Whether a browser window can open here."""
    if os.environ.get("SPACE_ID") or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _warm(device: Any) -> None:
    """Start the decoding children, load the default network and what jobs need while the first visitor looks at the page."""
    images.warm()
    load_backbone(device=choose(device))
    for library in LATER:
        importlib.import_module(library)
