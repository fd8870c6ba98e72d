"""The guard in front of the server, and the janitor behind it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import gradio as gr
import httpx
import pytest
from starlette.middleware import Middleware

from transferdemo.ui import guard, sessions
from transferdemo.ui.guard import Guard, names_address
from transferdemo.ui.janitor import sweep


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[{"path":"http://127.0.0.1/x"}]}', b'{"data":[{"path":"  HTTPS://a.b/c","meta":{}}]}',
        b'{"data":[[{"a":{"path":"ftp://x/y"}}]]}', b'{"data":[{"path":"//host/x"}]}',
        b'{"data":[{"url":"data:image/png;base64,AA"}]}',
        b'{"a":{"path":"\\u0068ttp://x"}}',
    ],
)  # fmt: skip
def test_an_address_in_place_of_a_file_is_seen(body: bytes) -> None:
    assert names_address(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[{"path":"/tmp/gradio/ab/photo.jpg","url":"http://127.0.0.1/gradio_api/file=/tmp/x"}]}',
        b'{"data":["the path http://x is text"]}', b"not json path", b"[" * 100_000 + b'"path"', b'{"data":[{"path":null}]}',
    ],
)  # fmt: skip
def test_what_the_page_sends_passes(body: bytes) -> None:
    assert not names_address(body)


def test_old_files_go_and_young_ones_stay(tmp_path) -> None:
    old, young = tmp_path / "a" / "old.part", tmp_path / "b" / "young.png"
    for path in (old, young):
        path.parent.mkdir()
        path.write_bytes(b"x")
    long_ago = time.time() - 100
    os.utime(old, (long_ago, long_ago))
    assert sweep(tmp_path, 50) == 1 and young.exists() and not old.exists()
    os.utime(old.parent, (long_ago, long_ago))
    sweep(tmp_path, 50)
    assert not old.parent.exists()


@pytest.fixture
def served() -> Iterator[tuple[gr.Blocks, httpx.Client]]:
    """A small page behind the guard, and a client of its routes."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Button().click(lambda: "done", None, gr.Textbox(), api_name="do")
    demo.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, app_kwargs={"middleware": [Middleware(Guard)]})
    with closing(demo), httpx.Client(base_url=f"{demo.local_url}gradio_api", timeout=60) as client:
        yield demo, client


def asked(client: httpx.Client, session: str) -> str:
    """What a session is answered."""
    joined = {"data": [], "fn_index": 0, "session_hash": session}
    assert client.post("/queue/join", json=joined).status_code == 200
    return client.get("/queue/data", params={"session_hash": session}).text


def test_nothing_is_kept_of_sessions_that_left(
    served: tuple[gr.Blocks, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "QUIET", 0.2)
    demo, client = served
    client.post("/queue/join", json={"data": [], "fn_index": 0, "session_hash": "not fetched yet"})
    for number in [*range(3), 2, 2]:
        said = asked(client, f"visitor{number}")
        assert json.loads(said.split("data: ")[-2])["output"]["data"] == ["done"]
        time.sleep(0.3)
    for kept in (demo._queue.pending_messages_per_session, demo._queue.pending_event_ids_session):
        assert set(kept) <= {"not fetched yet", "visitor2"} and "not fetched yet" in kept


def test_one_who_has_asked_may_listen_before_they_ask_again(served: tuple[gr.Blocks, httpx.Client]) -> None:
    demo, client = served  # Gradio's page does, where its answer came faster than the number of its question
    asked(client, "visitor")
    demo._queue.pending_messages_per_session.pop("visitor", None)
    demo._queue.pending_event_ids_session.pop("visitor", None)
    with client.stream("GET", "/queue/data", params={"session_hash": "visitor"}) as stream:
        client.post("/queue/join", json={"data": [], "fn_index": 0, "session_hash": "visitor"})
        assert "done" in "".join(stream.iter_text())


def test_nothing_is_kept_for_one_who_never_asked(served: tuple[gr.Blocks, httpx.Client]) -> None:
    demo, client = served
    with suppress(httpx.RemoteProtocolError):  # Gradio breaks its stream off
        client.get("/queue/data", params={"session_hash": "stranger"})
    assert "stranger" not in demo._queue.pending_messages_per_session


def test_an_upload_that_says_no_length_is_cut_off_at_the_limit(
    served: tuple[gr.Blocks, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "UPLOAD", 100_000)

    def body(megabytes: float) -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
        yield from [b"x" * 10_000] * int(100 * megabytes)
        yield b"\r\n--b--\r\n"

    form = {"content-type": "multipart/form-data; boundary=b"}
    answers = [served[1].post("/upload", content=body(size), headers=form) for size in (0.05, 0.5)]
    assert [answer.status_code for answer in answers] == [200, 413] and answers[1].json()["detail"] == guard.LARGE


def test_a_new_session_begins_without_the_config_of_every_component(served: tuple[gr.Blocks, httpx.Client]) -> None:
    demo, client = served
    sessions.lean()
    assert "done" in asked(client, "light")
    state = demo.state_holder["light"]
    assert len(state.config_values) < len(demo.blocks) == len(state.blocks_config.blocks)
