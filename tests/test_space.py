"""A Hugging Face Space runs app.py as it is: what its README says, and a start with its environment and a ZeroGPU stand-in."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import skimage
import yaml
from packaging.requirements import Requirement

from transferdemo.backbones import DEFAULT

ROOT = Path(__file__).resolve().parents[1]
CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
ZERO_TORCH, ZERO_PYTHON = ("2.8.0", "2.9.1", "2.10.0", "2.11.0"), ("3.12", "3.10")  # what ZeroGPU offers


def requirements() -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return {made.name: made for made in map(Requirement, filter(None, lines))}


def front_matter() -> dict[str, object]:
    _, head, _ = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(yaml.safe_load(head))


def test_the_readme_says_what_a_space_must_know() -> None:
    said, needs = front_matter(), requirements()
    assert said["sdk"] == "gradio" and str(needs["gradio"].specifier) == f"=={said['sdk_version']}"
    assert said["app_file"] == "app.py" and (ROOT / "app.py").is_file()
    assert {said["colorFrom"], said["colorTo"]} <= COLOURS and len(str(said["short_description"])) <= 60
    assert said["python_version"] in ZERO_PYTHON and any(v in needs["torch"].specifier for v in ZERO_TORCH)


def test_the_requirements_are_what_is_installed_here() -> None:
    """They install as they are, and a Space needs no more: `spaces` comes with the machine."""
    needs = requirements()
    assert all(version(name) in one.specifier for name, one in needs.items()) and "spaces" not in needs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of app.py, started with nothing but a Space's environment."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT / "tests" / "stand_in"),
        "SPACE_ID": "someone/transferdemo", "SYSTEM": "spaces", "SPACE_HOST": "someone-transferdemo.hf.space",
        "SPACE_AUTHOR_NAME": "someone", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SSR_MODE": "True", "SPACES_ZERO_GPU": "true", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(home / "gradio"),
    }  # fmt: skip
    log = (home / "log").open("w")
    server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/"
    try:
        while server.poll() is None:
            try:
                httpx.get(address, timeout=60).raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        log.close()
    assert "transferdemo/" not in (home / "log").read_text()  # no frame of ours in a traceback


def test_a_space_serves_the_page_and_its_jobs_run_where_the_gpu_is(space: str) -> None:
    config = httpx.get(f"{space}config", timeout=60).json()
    assert config["space_id"] == "someone/transferdemo" and not config.get("auth_required")
    assert "Photos go to the computer that shared this page" in json.dumps(config)
    path = httpx.post(f"{space}gradio_api/upload", files={"files": ("cat.png", CAT.read_bytes())}, timeout=60).json()[0]
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [picture, "anything", "fgsm", 8, 1, DEFAULT]
    asked = httpx.post(f"{space}gradio_api/call/adversarial", json={"data": data}, timeout=60)
    said = httpx.get(f"{space}gradio_api/call/adversarial/{asked.json()['event_id']}", timeout=120).text
    assert re.search("event: complete", said) and json.loads(said.split("data: ")[-1])[1]["gradients"] == 1
