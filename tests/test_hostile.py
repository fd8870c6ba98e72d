"""Hostile callers and faults in small numbers; `python benchmarks/load.py` has the full ones."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from gradio.utils import get_upload_folder

from transferdemo.ui import bridge, guard, janitor, texts

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def load() -> ModuleType:
    """benchmarks/load.py."""
    spec = importlib.util.spec_from_file_location("load", ROOT / "benchmarks" / "load.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["load"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(load: ModuleType, url: str) -> Any:
    """The tests' own server, as load.py sees one."""
    config = httpx.get(f"{url}config", timeout=60).json()
    functions = {d["api_name"]: d for d in config["dependencies"] if d["api_visibility"] == "public"}
    return SimpleNamespace(url=url.rstrip("/"), functions=functions)


@pytest.mark.parametrize("name", ["classify", "inspect", "train", "ideal", "adversarial"])
def test_bad_inputs_get_a_sentence(
    load: ModuleType, page: Any, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(load.picture(1))
    places = len(page.functions[name]["inputs"])
    faults = [fault for fault in load.fuzzed(page, name, places, 6, secret, seed=len(name)) if fault]
    assert faults == [] and "a job failed" not in caplog.text


def test_a_killed_writer_leaves_no_half_file() -> None:
    hostile = sys.modules["hostile"]
    assert {half for _, half in hostile.written_and_killed(3).values()} == {0}


def test_no_room_is_said_and_passes(
    load: ModuleType, page: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = load.Visitor(page)
    photo = visitor.upload(load.picture(0))
    data = [photo, "anything", "fgsm", 8, 1, load.DEFAULT]
    with monkeypatch.context() as full:
        full.setattr(guard, "SPARE", 1 << 60)
        answer = visitor.client.post("/upload", files={"files": ("x.png", b"x")})
        assert answer.status_code == 507 and answer.json()["detail"] == texts.NO_ROOM
        full.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        good, said = visitor.ask("adversarial", data)
        assert not good and said == texts.NO_ROOM and "a job failed" not in caplog.text
    assert visitor.ask("adversarial", data)[0] and visitor.upload(b"x")


def test_nothing_that_is_logged_names_a_visitors_file(
    load: ModuleType, page: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    canary = "my-secret-holiday"
    visitor = load.Visitor(page)
    with caplog.at_level(logging.DEBUG):
        good = visitor.upload(load.picture(0), f"{canary}.png")
        broken = visitor.upload(b"\xff\xd8\xffbroken", f"{canary}.jpg")
        assert visitor.ask("classify", [good, load.DEFAULT, "auto"])[0]
        assert not visitor.ask("classify", [broken, load.DEFAULT, "auto"])[0]
        gone = visitor.upload(b"x", f"{canary}.zip")
        Path(gone["path"]).unlink()
        for name, data in (("train", [gone, load.DEFAULT, 1, 0]), ("classify", [gone, load.DEFAULT, "auto"])):
            assert not visitor.ask(name, data)[0]

        def failing() -> None:
            raise FileNotFoundError(2, "No such file", good["path"])

        with pytest.raises(bridge.gr.Error, match="Something went wrong"):
            bridge.told(failing)()
    said = capfd.readouterr()
    assert "a job failed" in caplog.text
    assert canary not in said.out + said.err + caplog.text


def test_whatever_gradio_leaves_is_gone_an_hour_later(load: ModuleType, page: Any) -> None:
    """Uploads, empty files and partial uploads alike; a file that is younger stays."""
    visitor = load.Visitor(page)
    kept = visitor.upload(load.picture(3))
    partial = _partial_upload(page.url)
    folder = Path(get_upload_folder())
    empty = folder / "tmpempty"
    empty.touch()
    old = time.time() - janitor.KEEP - 1
    for path in (Path(kept["path"]), empty, *partial):
        os.utime(path, (old, old))
    young = Path(visitor.upload(load.picture(4))["path"])
    janitor.sweep(folder, janitor.KEEP)
    assert young.exists() and not any(path.exists() for path in (Path(kept["path"]), empty, *partial))


def _partial_upload(url: str) -> list[Path]:
    """Send the first half of a file and leave; what lies in the folder then and did not before."""
    before = set(Path(get_upload_folder()).rglob("*"))
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'

    def parts() -> Any:
        yield head + b"\0" * 100_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        httpx.post(
            f"{url}/gradio_api/upload", content=parts(), headers={"content-type": "multipart/form-data; boundary=b"}
        )
    time.sleep(0.3)
    return [path for path in set(Path(get_upload_folder()).rglob("*")) - before if path.is_file()]


def test_the_oldest_files_go_where_there_are_too_many(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / str(i)).write_bytes(b"x" * 100)
        os.utime(tmp_path / str(i), (1000 + i, 1000 + i))
    assert janitor.bound(tmp_path, 250) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_the_log_keeps_what_is_ours() -> None:
    text = f"File '{get_upload_folder()}/ab/x y.png' in /home/me/app.py"
    assert re.fullmatch("File '<a visitor's file>' in /home/me/app.py", bridge.without_uploads(text))
