"""A class: password, QR code, the teacher's page behind its token, short jobs; flags that exclude each other."""

from __future__ import annotations

import argparse
import io
import re

import httpx
import pytest
import segno
from gradio_client import Client
from starlette.middleware import Middleware

from transferdemo.errors import BadSetting
from transferdemo.ui import build, classroom, launch_options, serve, texts
from transferdemo.ui.classroom import Board, Classroom, new_password
from transferdemo.ui.shared import Settings


def flags(**given: object) -> argparse.Namespace:
    names = ("host", "port", "share", "auth", "device", "local", "classroom", "no_browser")
    return argparse.Namespace(**{name: None for name in names} | given)


def test_a_password_can_be_typed_and_not_guessed() -> None:
    made = {new_password() for _ in range(50)}
    assert len(made) == 50 and all(re.fullmatch("([a-z2-9]{4}-){2}[a-z2-9]{4}", one) for one in made)
    assert not set("".join(made)) & set("ilo01")


def test_terminal_and_page_say_address_password_and_code() -> None:
    board = Classroom(("class", "<b>&"), address="http://192.168.1.7:7860/")
    said = board.on_terminal("http://127.0.0.1:7860" + board.path)
    assert all(word in said for word in (board.address, "<b>&", board.token)) and "▄" in said
    page, drawn = board.page(), io.BytesIO()
    segno.make(board.address, error="m").save(drawn, "svg")
    path = re.search(r' d="([^"]+)"', drawn.getvalue().decode())
    assert "&lt;b&gt;&amp;" in page and "<b><b>" not in page and board.token not in page
    assert path and page.count("<svg") == 1 and board.address in page
    assert "http" not in page.replace(board.address, "").replace("http://www.w3.org/2000/svg", "")  # asks nobody


def test_jobs_of_a_class_are_short_and_its_photos_travel() -> None:
    settings = serve._settings(flags(classroom=True))
    assert settings.seconds == 15 and settings.share and not settings.local
    assert Settings().seconds == 120 and not serve._settings(flags()).share
    assert serve._settings(flags(host="0.0.0.0")).share and not serve._settings(flags(host="127.0.0.1")).share
    with pytest.raises(BadSetting, match="exclude each other"):
        serve._settings(flags(classroom=True, local=True))


def test_the_address_is_one_of_this_computer() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", classroom.own_address())


def test_the_class_signs_in_and_only_the_teacher_sees_the_board() -> None:
    board = Classroom(address="http://192.168.1.7:7860/")
    options = launch_options() | {"auth": board.login}
    options["app_kwargs"]["middleware"].insert(0, Middleware(Board, classroom=board))
    demo = build(Settings(classroom=True, share=True))
    _, url, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **options)
    try:
        assert httpx.get(f"{url}config", timeout=60).status_code == 401
        for query in ("", "?teacher=", "?teacher=x", "?teacher=é", f"?teacher={board.token}x", "?x=" + board.token):
            assert httpx.get(f"{url}classroom{query}", timeout=60).status_code == 404
        assert httpx.post(f"{url}classroom?teacher={board.token}", timeout=60).status_code == 404
        shown = httpx.get(f"{url.rstrip('/')}{board.path}", timeout=60)
        assert shown.status_code == 200 and board.login[1] in shown.text
        assert shown.headers["referrer-policy"] == "no-referrer" and shown.headers["cache-control"] == "no-store"
        with pytest.raises(Exception, match=r"not login"):
            Client(url, auth=("class", "wrong"), verbose=False)
        config = Client(url, auth=board.login, verbose=False).config
        assert texts.STAY_SHARED in str(config)
    finally:
        demo.close()
