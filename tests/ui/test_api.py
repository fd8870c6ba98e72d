"""The page's server from outside: /classify for programs, and the doors that stay closed to strangers."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skimage
from gradio.data_classes import FileData
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from transferdemo.backbones import DEFAULT

CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
MOBILENET = "mobilenetv2_100.ra_in1k"
ENDPOINTS = {"/classify", "/train", "/ideal", "/adversarial", "/inspect"}  # every event of the page itself is private
IS_FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, verbose=False, download_files=tmp_path_factory.mktemp("client"))


def classify(client: Client, backbone: str = DEFAULT, fit: str = "auto", path: Path = CAT) -> dict[str, Any]:
    answer: dict[str, Any] = client.predict(handle_file(str(path)), backbone, fit, api_name="/classify")
    return answer


def upload(url: str, name: str, data: bytes) -> str:
    answer = httpx.post(f"{url}gradio_api/upload", files={"files": (name, data)}, timeout=60)
    return str(answer.json()[0])


def call(url: str, *data: object, name: str = "classify") -> str:
    """Everything that the event stream of one call says."""
    asked = httpx.post(f"{url}gradio_api/call/{name}", json={"data": list(data)}, timeout=60)
    if asked.status_code != 200:
        return f"event: error {asked.status_code} {asked.text}"
    event = asked.json()["event_id"]
    return httpx.get(f"{url}gradio_api/call/{name}/{event}", timeout=120).text


def refused(said: str) -> bool:
    return "event: error" in said and "confidences" not in said


def test_the_names_that_programs_may_call(client: Client) -> None:
    info = client.view_api(return_format="dict", print_info=False)
    assert (
        "/classify" in info["named_endpoints"]
        and set(info["named_endpoints"]) <= ENDPOINTS
        and not info["unnamed_endpoints"]
    )
    parameters = info["named_endpoints"]["/classify"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == ["picture", "backbone", "fit"]


def test_classify_answers_with_a_label_and_scores(client: Client) -> None:
    answer = classify(client)
    shares = [c["confidence"] for c in answer["confidences"]]
    assert answer["label"] == "cat" and len(shares) == 5 and shares == sorted(shares, reverse=True)
    assert "cat" in answer["confidences"][0]["label"].lower() or "tabby" in answer["confidences"][0]["label"]
    assert classify(client, fit="pad") != answer


def test_a_head_that_ships_says_what_is_not_its_own(client: Client, tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)).save(noise)
    answers = [classify(client, f"{DEFAULT}/cats_dogs", path=path) for path in (CAT, noise)]
    assert [answer["label"] for answer in answers] == ["cat", "not one of yours"]
    assert [answer["strange"] for answer in answers] == [False, True]
    with pytest.raises(Exception, match="not here any more"):
        classify(client, f"{DEFAULT}/mice")


def test_a_raw_upload_is_enough(url: str) -> None:
    path = upload(url, "cat.png", CAT.read_bytes())
    said = call(url, {"path": path, **IS_FILE}, DEFAULT, "auto")
    assert json.loads(said.split("data: ")[-1])[0]["label"] == "cat"


@pytest.mark.parametrize(
    ("backbone", "fit", "says"),
    [
        ("no_such_net", "auto", "no network called"),
        ("local-dir:/etc", "auto", "no network called"),
        ("hf-hub:someone/evil", "auto", "no network called"),
        ("<img src=x onerror=alert(1)>", "auto", "&lt;img"),
        ("vgg16", "auto", "not on this machine"),
        (DEFAULT, "stretch", "fit must be one of"),
        (DEFAULT, "exact", "224 x 224"),
    ],
)
def test_what_cannot_be_done_is_said_to_programs(client: Client, backbone: str, fit: str, says: str) -> None:
    with pytest.raises(AppError) as caught:
        classify(client, backbone, fit)
    assert says in str(caught.value) and "<img" not in str(caught.value)


@pytest.mark.parametrize("value", [None, True, 7, [], {}, ["tf_efficientnet_lite0"], "x" * 100_000, "\0", 1e308])
def test_odd_values_are_no_bugs(url: str, value: object, caplog: pytest.LogCaptureFixture) -> None:
    path = upload(url, "cat.png", CAT.read_bytes())
    picture = {"path": path, **IS_FILE}
    for data in ((picture, value, "auto"), (picture, DEFAULT, value)):
        assert refused(call(url, *data)), data
    assert "a job failed" not in caplog.text


@pytest.mark.parametrize("extra", [{}, IS_FILE, {"meta": {"_type": "x"}}], ids=["bare", "file", "other"])
def test_only_uploads_are_opened(url: str, tmp_path: Path, extra: dict[str, object]) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(CAT.read_bytes())
    inside = upload(url, "cat.png", CAT.read_bytes())
    folder = Path(inside).parent
    (tmp_path / "link.png").symlink_to(inside)
    link = folder / f"out-{len(extra)}-{extra.get('meta') != IS_FILE['meta']}.png"
    link.symlink_to(secret)
    paths = [secret, "/etc/passwd", "/proc/self/environ", "app.py", "../app.py", f"{folder}/../../../../../{secret}", folder,
             link, "", "\0", tmp_path / "nobody.png"]  # fmt: skip
    for path in paths:
        assert refused(call(url, {"path": str(path), **extra}, DEFAULT, "auto")), path
    data = f"data:image/png;base64,{base64.b64encode(CAT.read_bytes()).decode()}"
    for picture in ({"url": data, **extra}, {"path": data, **extra}, data, str(secret)):
        assert refused(call(url, picture, DEFAULT, "auto")), picture


class _Trap(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CAT.read_bytes())

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    """A server inside that must not be asked: its address, and what was asked."""
    handler = type("Trap", (_Trap,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    server.server_close()


def test_an_address_in_place_of_a_picture_is_never_asked(
    url: str, trap: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    look_up = socket.getaddrinfo

    def watched(host: str, *args: object, **kwargs: object) -> object:
        looked_up.append(str(host))
        return look_up("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    for address in (f"{trap[0]}/cat.png", "http://pictures.example/cat.png", "http://169.254.169.254/latest/"):
        for picture in (
            {"path": address, **IS_FILE},
            {"url": address, **IS_FILE},
            {"path": address, "url": address},
            address,
        ):
            assert refused(call(url, picture, DEFAULT, "auto")), picture
    assert trap[1] == [] and set(map(str, looked_up)) <= {"127.0.0.1", "localhost", "b'127.0.0.1'"}


@pytest.mark.parametrize("path", ["run/classify", "api/classify"])
def test_the_queue_cannot_be_skipped(url: str, path: str) -> None:
    answer = httpx.post(f"{url}gradio_api/{path}", json={"data": [None, DEFAULT, "auto"]}, timeout=60)
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize(
    "path",
    ["gradio_api/file=/etc/passwd", "gradio_api/file=app.py", "gradio_api/file=../../etc/passwd", "monitoring",
     "gradio_api/file=http://127.0.0.1:1/", "gradio_api/proxy=http://127.0.0.1:1/", "monitoring/summary", "file=/etc/passwd"],
)  # fmt: skip
def test_other_doors_are_closed(url: str, path: str) -> None:
    assert httpx.get(f"{url}{path}", timeout=60).status_code in (400, 403, 404)


def test_names_of_uploads_stay_in_the_folder(url: str) -> None:
    for name in ("../../evil.png", "/etc/evil.png", "..\\evil.png", "<img src=x>.png"):
        path = upload(url, name, CAT.read_bytes())
        assert ".." not in Path(path).parts and Path(path).is_relative_to(uploads())
        assert (
            json.loads(call(url, {"path": path, **IS_FILE}, DEFAULT, "auto").split("data: ")[-1])[0]["label"] == "cat"
        )


def uploads() -> Path:
    return Path(get_upload_folder()).resolve()


def test_hostile_files_get_a_sentence(url: str, shared: Path) -> None:
    for path in sorted((shared / "data" / "awkward" / "broken").iterdir()):
        said = call(url, {"path": upload(url, path.name, path.read_bytes()), **IS_FILE}, DEFAULT, "auto")
        message = json.loads(said.split("data: ")[-1])["error"]
        assert refused(said) and message.endswith((".", "again.")) and "/" not in message, path.name


def test_two_visitors_with_different_networks_at_the_same_time(url: str, shared: Path, tmp_path: Path) -> None:
    clients = {name: Client(url, verbose=False, download_files=tmp_path) for name in (DEFAULT, MOBILENET)}
    alone = {name: classify(client, name) for name, client in clients.items()}
    assert alone[DEFAULT]["confidences"] != alone[MOBILENET]["confidences"]
    with ThreadPoolExecutor(2) as pool:
        asked = [(name, pool.submit(classify, client, name)) for _ in range(5) for name, client in clients.items()]
        for name, answer in asked:
            for got, expected in zip(answer.result()["confidences"], alone[name]["confidences"], strict=True):
                assert got["label"] == expected["label"] and got["confidence"] == pytest.approx(
                    expected["confidence"], abs=1e-4
                )


def test_a_file_is_what_gradio_calls_one() -> None:
    """Else the tests above would send something that no page sends."""
    assert FileData(path="x").meta == IS_FILE["meta"]
