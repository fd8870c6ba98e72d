"""A fresh clone without a network: a photo goes in, its answer comes out, and nothing has asked another host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

GUARD = """# sitecustomize.py: every process that starts refuses other hosts, and writes down who asked for them
import os, socket
connect, look_up = socket.socket.connect, socket.getaddrinfo

def check(host):
    if str(host) not in ("127.0.0.1", "::1", "localhost", "None", "", "0.0.0.0"):
        with open(os.environ["ASKED"], "a") as log:
            log.write(f"{host}\\n")
        raise OSError("the network is cut off")

def guarded_connect(self, address):
    if isinstance(address, tuple):
        check(address[0])
    return connect(self, address)

def guarded_look_up(host, *args, **kwargs):
    check(host.decode() if isinstance(host, bytes) else host)
    return look_up(host, *args, **kwargs)

socket.socket.connect, socket.getaddrinfo = guarded_connect, guarded_look_up
"""

VISITOR = """
import json, subprocess, sys, time
import httpx, skimage
from pathlib import Path
server = subprocess.Popen([sys.executable, "app.py", "--no-browser", "--port", "7997"], stdout=sys.stderr)
try:
    url, end = "http://127.0.0.1:7997/", time.monotonic() + 300
    while True:
        try:
            page = httpx.get(url)
            break
        except httpx.TransportError:
            if time.monotonic() > end or server.poll() is not None:
                raise
            time.sleep(0.3)
    photo = Path(skimage.__file__).parent / "data" / "chelsea.png"
    path = httpx.post(f"{url}gradio_api/upload", files={"files": ("cat.png", photo.read_bytes())}, timeout=60).json()[0]
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "tf_efficientnet_lite0", "auto"]
    event = httpx.post(f"{url}gradio_api/call/classify", json={"data": data}, timeout=60).json()["event_id"]
    said = httpx.get(f"{url}gradio_api/call/classify/{event}", timeout=120).text
    print(json.dumps({"page": page.status_code, "answer": json.loads(said.split("data: ")[-1])[0]["label"]}))
finally:
    server.terminate()
    server.wait(30)
"""


def cut_off() -> list[str]:
    """A command that runs another without any network but the loopback, where the system lets us."""
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    works = shutil.which("unshare") and shutil.which("ip")
    return command if works and subprocess.run([*command, "true"], capture_output=True).returncode == 0 else []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git does not ignore, as they are now, in another folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


def environment(tmp_path: Path) -> dict[str, str]:
    """That of someone who has just installed it: no settings, an empty home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRADIO", "HF_", "TRANSFERDEMO"))}
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "asked").touch()
    return kept | {
        "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "guard"), "ASKED": str(tmp_path / "asked"),
        "GRADIO_TEMP_DIR": str(tmp_path / "kept"),
    }  # fmt: skip


def test_photo_in_answer_out_without_a_network(clone: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [*cut_off(), sys.executable, "-c", VISITOR],
        cwd=clone,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[:3000]
    assert json.loads(run.stdout) == {"page": 200, "answer": "cat"}
    assert (tmp_path / "asked").read_text() == ""


def test_the_guard_would_notice(tmp_path: Path) -> None:
    ask = "import urllib.request; urllib.request.urlopen('http://pictures.example/')"
    run = subprocess.run([sys.executable, "-c", ask], env=environment(tmp_path), capture_output=True, text=True)
    assert run.returncode != 0 and (tmp_path / "asked").read_text() == "pictures.example\n"
