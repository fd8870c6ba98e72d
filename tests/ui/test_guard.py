"""The guard in front of the server, and the janitor behind it."""

import os
import time

import pytest

from transferdemo.ui.guard import names_address
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
