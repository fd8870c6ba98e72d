"""Downloads from a hub on the loopback address that misbehaves in every way of fake_hub.MODES."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from tests.fake_hub import COMMIT, MODES, FakeHub
from transferdemo import hub
from transferdemo.errors import MissingWeights
from transferdemo.hub import DownloadDone, DownloadStep

DATA = save({"weight": np.random.default_rng(0).random((500, 800), dtype=np.float32)})  # 1.6 MB
OTHER = save({"weight": np.zeros((500, 800), dtype=np.float32)})  # as good and as long, but not what was asked for
GOOD = ("ok", "slow", "xet", "hiccup")
SAYS = {
    "404": "no safetensors file on the hub",
    "401": "signed in",
    "403": "signed in",
    "gated": "signed in",
    "429": "error 429",
    "500": "error 500",
    "500 later": "error 500",
    "html": "some other page",
    "html later": "wrong length",
    "short": "wrong length",
    "wrong": "checksum",
    "junk": "no safetensors file and",
    "stall": "No data came",
    "restart": "No data came",
    "huge": "room",
}


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(DATA) as served:
        served.point_here(monkeypatch, tmp_path)
        yield served


def fetch(repo: str, **options: object) -> DownloadDone:
    *_, done = hub.download(repo, **options)
    assert isinstance(done, DownloadDone)
    return done


def held(repo: str) -> list[Path]:
    """What the cache holds of a repository: blobs, partial files, links."""
    base = Path(constants.HF_HUB_CACHE, "models--" + repo.replace("/", "--"))
    return [path for kind in ("blobs", "snapshots") for path in (base / kind).rglob("*") if not path.is_dir()]


def wait_until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def test_the_file_lands_whole_in_the_cache(loopback: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert hub.cached("lab/one") is None
    *steps, done = hub.download("lab/one")
    assert done == DownloadDone(len(DATA), len(DATA), hub.cached("lab/one"))
    assert done.path.read_bytes() == DATA
    assert steps and all(isinstance(step, DownloadStep) for step in steps)
    assert pickle.loads(pickle.dumps([*steps, done])) == [*steps, done]
    assert {path for _, path in loopback.requests} == {"/lab/one/resolve/main/model.safetensors"}
    assert loopback.bodies("lab/one") == 1
    assert loopback.tokens == []


def test_what_is_here_is_not_asked_for_again(loopback: FakeHub) -> None:
    first, asked = fetch("lab/one"), len(loopback.requests)
    assert fetch("lab/one") == first
    assert fetch("lab/one", revision=COMMIT).path == first.path
    assert len(loopback.requests) == asked


def test_progress_of_a_slow_hub(loopback: FakeHub) -> None:
    loopback.mode, loopback.pause = "slow", 0.3
    events = [event for event in hub.download("lab/one") if getattr(event, "title", "") == "Downloading"]
    sizes = [event.step for event in events]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 5
    assert {event.total for event in events} == {0, len(DATA)}


def test_xet_storage_is_not_in_the_way(loopback: FakeHub) -> None:
    loopback.mode = "xet"
    assert fetch("lab/one").path.read_bytes() == DATA
    assert all(path.endswith("/model.safetensors") for _, path in loopback.requests)


def test_goes_on_where_the_connection_broke_off(loopback: FakeHub) -> None:
    loopback.mode = "hiccup"
    assert fetch("lab/one").path.read_bytes() == DATA
    assert [int(asked.strip("bytes=-")) > 0 for asked in loopback.ranges] == [True]


@dataclass(frozen=True)
class Failure:
    message: str
    seconds: float  # since the hub was first asked
    steps: int
    left: list[Path]
    again: bytes  # what the second try brought


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Failure]]:
    """Every bad mode, tried twice: the hub misbehaves and then does not. Four at a time, since they mostly wait."""

    def fail(mode: str) -> Failure:
        repo, steps, message = f"lab/{mode.replace(' ', '-')}", 0, ""
        served.modes[repo] = mode
        try:
            for _ in hub.download(repo):
                steps += 1
        except MissingWeights as error:
            message = str(error)
        seconds, left = time.monotonic() - served.first[repo], held(repo)
        served.modes[repo] = "ok"
        return Failure(message, seconds, steps, left, fetch(repo).path.read_bytes())

    bad = [mode for mode in MODES if mode not in GOOD]
    with pytest.MonkeyPatch.context() as monkeypatch, FakeHub(DATA) as served, ThreadPoolExecutor(4) as four:
        served.point_here(monkeypatch, tmp_path_factory.mktemp("cache"))
        yield dict(zip(bad, four.map(fail, bad), strict=True))
        assert all(path.endswith("/model.safetensors") for _, path in served.requests)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in GOOD])
def test_a_bad_hub(mode: str, failures: dict[str, Failure]) -> None:
    failure = failures[mode]
    assert SAYS.get(mode, "cannot be reached, or the connection broke off") in failure.message
    assert failure.message.endswith(".") and "\n" not in failure.message
    assert failure.seconds < 15
    assert failure.steps >= 4 * failure.seconds
    assert failure.left == []
    assert failure.again == DATA


def test_nobody_is_there(loopback: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingWeights, match=r"127\.0\.0\.1:9 cannot be reached"):
        fetch("lab/one")
    assert held("lab/one") == []


def test_offline_says_so_and_uses_what_is_here(loopback: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("lab/one")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(loopback.requests)
    with pytest.raises(MissingWeights, match="HF_HUB_OFFLINE"):
        next(hub.download("lab/two"))
    assert fetch("lab/one").path.read_bytes() == DATA
    hub.cached("lab/one").resolve().write_bytes(b"spoiled")
    with pytest.raises(MissingWeights, match="HF_HUB_OFFLINE"):
        fetch("lab/one")
    assert len(loopback.requests) == asked


def test_two_visitors_cause_one_download(loopback: FakeHub) -> None:
    loopback.mode = "slow"
    with ThreadPoolExecutor(2) as two:
        first, second = two.map(fetch, ["lab/one", "lab/one"])
    assert first == second
    assert [method for method, _ in loopback.requests] == ["HEAD", "HEAD", "GET"]  # ours, and the library's two


def test_the_second_visitor_goes_on_when_the_first_leaves(loopback: FakeHub) -> None:
    loopback.mode, loopback.pause = "slow", 0.3
    first, second = hub.download("lab/one"), hub.download("lab/one")
    next(second)
    while next(first).step == 0:
        next(second)
    first.close()
    *_, done = second
    assert done.path.read_bytes() == DATA
    assert loopback.bodies("lab/one") == 1


def test_stopping_leaves_nothing(loopback: FakeHub) -> None:
    loopback.mode, loopback.pause = "slow", 1.0
    events = hub.download("lab/one")
    while next(events).step == 0:
        assert hub.cached("lab/one") is None
    assert len(held("lab/one")) == 1  # the partial file
    events.close()
    assert wait_until(lambda: held("lab/one") == [])
    loopback.mode = "ok"
    assert fetch("lab/one").path.read_bytes() == DATA
    assert loopback.bodies("lab/one") == 2


def test_a_killed_child_is_one_sentence(loopback: FakeHub) -> None:
    loopback.mode, loopback.pause = "slow", 1.0
    events = hub.download("lab/one")
    while next(events).step == 0:
        pass
    for transfer in hub._running.values():
        transfer.child.kill()
    with pytest.raises(MissingWeights, match="ended before it was done"):
        list(events)
    loopback.mode = "ok"
    (partial,) = held("lab/one")  # the library could not remove it
    assert partial.suffix == ".incomplete"
    os.utime(partial, (0, 0))
    assert fetch("lab/one").path.read_bytes() == DATA
    assert not partial.exists()


@pytest.mark.parametrize("spoil", [OTHER, DATA[:1000], b""], ids=["other", "cut", "empty"])
def test_a_bad_file_in_the_cache_is_replaced(loopback: FakeHub, spoil: bytes) -> None:
    path = fetch("lab/one").path
    path.resolve().write_bytes(spoil)
    assert fetch("lab/one").path.read_bytes() == DATA
    assert loopback.bodies("lab/one") == 2


def test_a_copy_for_the_usb_stick(loopback: FakeHub, tmp_path: Path) -> None:
    stick = tmp_path / "stick" / "weights"
    *steps, done = hub.download("lab/one", to=stick, stem="net.tag")
    assert done.path == stick / "net.tag.safetensors"
    assert [path.name for path in stick.iterdir()] == ["net.tag.safetensors"]
    assert done.path.read_bytes() == DATA
    assert steps[-1] == DownloadStep(len(DATA), len(DATA), "Copying")


def test_a_copy_that_is_stopped_or_does_not_fit(
    loopback: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("lab/one")
    stick = tmp_path / "stick"
    events = hub.download("lab/one", to=stick)
    while next(events).title != "Copying":
        pass
    assert len(list(stick.iterdir())) == 1
    events.close()
    assert list(stick.iterdir()) == []

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingWeights, match=r"room in .*stick"):
        fetch("lab/one", to=stick)
    assert list(stick.iterdir()) == []


def test_a_folder_that_cannot_be_is_refused_first(loopback: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MissingWeights, match="choose another folder"):
        next(hub.download("lab/one", to=tmp_path / "file"))
    assert loopback.requests == []


def test_the_disk_fills_up(loopback: FakeHub) -> None:
    """The system refuses to let a file grow over 500 kB, which the child inherits."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(MissingWeights, match="not enough room"):
            fetch("lab/one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert held("lab/one") == []
    assert fetch("lab/one").path.read_bytes() == DATA


def test_the_environment_alone_points_at_a_hub(tmp_path: Path) -> None:
    program = "from transferdemo import hub; *_, done = hub.download('lab/one'); print(done.path)"
    with FakeHub(DATA) as served:
        command = [sys.executable, "-c", program]
        run = subprocess.run(command, env=served.environment(tmp_path), capture_output=True, text=True, check=True)
    assert Path(run.stdout.strip()).read_bytes() == DATA
    assert tmp_path in Path(run.stdout.strip()).parents
    assert run.stderr == ""
    assert {path for _, path in served.requests} == {"/lab/one/resolve/main/model.safetensors"}


def test_no_thread_stays(loopback: FakeHub) -> None:
    before = threading.active_count()
    fetch("lab/one")
    assert wait_until(lambda: threading.active_count() <= before)
