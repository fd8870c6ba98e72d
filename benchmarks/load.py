"""What thirty visitors, floods and hostile callers do to the page: `python benchmarks/load.py [class line flood fuzz ...]`.

Each question starts `python app.py` on a port and in a folder of its own, asks it over raw HTTP, and prints a row with its
target. Questions: class, line, flood, fuzz, bodies, disk, kill, soak; all of them in full take about twenty minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from hostile import BAD, FORMS, written_and_killed  # noqa: E402
from timing import row  # noqa: E402

SHARED = PROJECT.parent / "shared" / "data"
DEFAULT = "tf_efficientnet_lite0.in1k"
IS_FILE = {"meta": {"_type": "gradio.FileData"}}
PATIENCE = 300.0  # seconds


@dataclass
class Server:
    """A page that runs, its files and what it has said."""

    url: str
    folder: Path
    command: list[str]
    environment: dict[str, str]
    functions: dict[str, dict[str, Any]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Run it; what it says goes into a file."""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(self.command, cwd=PROJECT, env=self.environment, stdout=log, stderr=log)

    def stop(self) -> None:
        """End it, kindly at first."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()

    @property
    def uploads(self) -> Path:
        """Where visitors' files are."""
        return self.folder / "uploads"

    @property
    def log(self) -> str:
        """Everything that was printed."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def megabytes(self) -> float:
        """Resident memory of the server's own process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def served(uploads: Path | None = None, *flags: str, **environment: str) -> Iterator[Server]:
    """A server of our own, which has answered its first photo."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        (folder / "uploads").mkdir()
        if uploads:
            (folder / "uploads").rmdir()
            (folder / "uploads").symlink_to(uploads)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        own = {"GRADIO_TEMP_DIR": str(folder / "uploads"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "app.py", "--no-browser", "--port", str(port), *flags]
        server = Server(f"http://127.0.0.1:{port}", folder, command, os.environ | own | environment)
        try:
            yield _ready(server)
        finally:
            server.stop()


def _ready(server: Server, tries: int = 4) -> Server:
    """Start it and wait; Gradio gives up where its own page takes longer than three seconds, so on a busy machine again."""
    server.start()
    while server.process.poll() is None:
        with suppress(httpx.TransportError):
            config = httpx.get(f"{server.url}/config", timeout=60).json()
            server.functions = {d["api_name"]: d for d in config["dependencies"] if d["api_visibility"] == "public"}
            Visitor(server).classify(picture(0))
            return server
        time.sleep(0.2)
    if tries and "localhost is not accessible" in server.log:
        return _ready(server, tries - 1)
    raise SystemExit(f"The server ended: {server.log[-2000:]}")


class Visitor:
    """One session over raw HTTP, as the page does it: join, listen, read the answer."""

    def __init__(self, server: Server) -> None:
        self.server, self.session = server, uuid.uuid4().hex[:12]
        self.client = httpx.Client(base_url=f"{server.url}/gradio_api", timeout=PATIENCE, verify=False)

    def upload(self, data: bytes, name: str = "photo.png") -> dict[str, Any]:
        """A file as the API takes it. Raises HTTPStatusError."""
        answer = self.client.post("/upload", files={"files": (name, data)})
        answer.raise_for_status()
        return {"path": answer.json()[0], **IS_FILE}

    def join(self, name: str, data: list[Any]) -> httpx.Response:
        """Ask, and do not listen yet."""
        body = {"data": data, "fn_index": self.server.functions[name]["id"], "session_hash": self.session}
        return self.client.post("/queue/join", json=body)

    def ask(self, name: str, data: list[Any]) -> tuple[bool, Any]:
        """Whether it worked, and the answer or the sentence."""
        joined = self.join(name, data)
        if joined.status_code != 200:
            return False, f"{joined.status_code} {joined.text[:300]}"
        return self.listen()

    def listen(self) -> tuple[bool, Any]:
        """Whether the first thing that ends worked, and its answer or sentence."""
        with self.client.stream("GET", "/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                said = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if said.get("msg") == "process_completed":
                    output = said["output"]
                    return said["success"], output.get("data") if said["success"] else output.get("error")
        return False, "the stream ended"

    def classify(self, photo: bytes) -> dict[str, float]:
        """Class -> probability of the best five."""
        good, answer = self.ask("classify", [self.upload(photo), DEFAULT, "auto"])
        if not good:
            raise RuntimeError(str(answer))
        return {c["label"]: c["confidence"] for c in answer[0]["confidences"]}


def picture(number: int) -> bytes:
    """A photo of its own for each visitor: of ../shared, else random coarse colours."""
    found = sorted((SHARED / "cats_dogs").rglob("*.jpg"))[:200]
    if found:
        return found[number % len(found)].read_bytes()
    coarse = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    with tempfile.TemporaryFile() as file:
        Image.fromarray(coarse).resize((320, 240)).save(file, "PNG")
        file.seek(0)
        return file.read()


def same(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether two answers are the same but for rounding."""
    return one.keys() == other.keys() and all(abs(one[k] - other[k]) < 1e-4 for k in one)


def p95(seconds: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else sum(seconds)


# ---------------------------------------------------------------------------------------------- a class of thirty


def class_(full: bool) -> None:
    """Everyone has a photo; one in three paints, one teaches, one fools; all classify meanwhile."""
    visitors, steps = (30, 40) if full else (6, 3)
    with served() as server:
        alone = [Visitor(server).classify(picture(i)) for i in range(visitors)]
        took: list[float] = []
        wrong: list[str] = []
        at_work = threading.Event()

        def light(i: int) -> int:
            answered = 0
            while not at_work.is_set() and answered < 40:
                start = time.monotonic()
                if not same(Visitor(server).classify(picture(i)), alone[i]):
                    wrong.append(f"classify {i}")
                took.append(time.monotonic() - start)
                answered += 1
                time.sleep(2)
            return answered

        heavy = [paint, teach, fool]
        with ThreadPoolExecutor(2 * visitors) as pool:
            lights = [pool.submit(light, i) for i in range(visitors)]
            jobs = [pool.submit(heavy[i % 3], Visitor(server), i, steps) for i in range(visitors)]
            said = [job.result() for job in jobs]
            at_work.set()
            counts = [one.result() for one in lights]
        wrong += [text for text in said if text != "own"]
    slow = p95(took)
    found = f"{visitors - len([s for s in said if s != 'own'])} of {visitors} jobs, {sum(counts)} photos, {len(wrong)} wrong"
    row(f"{visitors} visitors, heavy jobs of all three kinds", found, "all, 0 wrong", not wrong and all(counts))
    row("Classify meanwhile, 95th percentile", f"{slow:.2f} s", "at most 3 s", slow <= 3)
    for text in sorted(set(wrong))[:5]:
        print(f"    {text}")


def paint(visitor: Visitor, number: int, steps: int) -> str:
    """An ideal picture of a class and a seed that nobody else asks for, read back from the file."""
    good, answer = visitor.ask("ideal", [str(300 + number), DEFAULT, "sharp", steps, None, 128, number])
    if not good:
        return f"ideal: {answer}"
    from transferdemo.engine.ideal_file import settings_of

    settings = settings_of(Path(answer[0]["path"]))
    mine = settings["classes"] == [300 + number] and settings["seed"] == number == answer[1]["seed"]
    return "own" if mine else "ideal: of someone else"


def teach(visitor: Visitor, number: int, steps: int) -> str:
    """A small zip with class names that nobody else has."""
    import io
    import zipfile

    names, out = [f"a{number}", f"b{number}"], io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for k, name in enumerate(names):
            for i in range(6):
                archive.writestr(f"{name}/{i}.jpg", picture(12 * number + 6 * k + i))
    good, answer = visitor.ask("train", [visitor.upload(out.getvalue(), "set.zip"), DEFAULT, 5, number])
    if not good:
        return f"train: {answer}"
    return "own" if answer[1]["classes"] == names else "train: of someone else"


def fool(visitor: Visitor, number: int, steps: int) -> str:
    """The visitor's photo, changed: the clean answer must be that photo's."""
    mine = visitor.classify(picture(number))
    data = [visitor.upload(picture(number)), "anything", "smallest", None, steps, DEFAULT]
    good, answer = visitor.ask("adversarial", data)
    if not good:
        return f"adversarial: {answer}"
    before = answer[1]["before"]
    best = max(mine, key=lambda name: mine[name])
    return (
        "own" if before["name"] == best and abs(before["probability"] - mine[best]) < 1e-3 else "adversarial: foreign"
    )


def line(full: bool) -> None:
    """The 42nd who wants a heavy job, and the second one of one visitor, get a sentence at once."""
    crowd = 41
    with served() as server, ThreadPoolExecutor(crowd + 2) as pool:
        visitors = [Visitor(server) for _ in range(crowd)]
        data = ["zebra", DEFAULT, "sharp", 1000, None, 128, 0]
        greedy = Visitor(server)
        for _ in range(2):
            greedy.join("ideal", data)
        again = greedy.listen()
        for visitor in visitors:
            pool.submit(_listen, visitor, data)
        time.sleep(10)
        late = Visitor(server).ask("ideal", data)
        row("second heavy job of one visitor", str(again[1])[:43], "a sentence", "already have" in str(again[1]))
        row("one more than the line holds", str(late[1])[:43], "a sentence", "Too many" in str(late[1]))
        server.process.kill()


def _listen(visitor: Visitor, data: list[Any]) -> None:
    with suppress(httpx.HTTPError):
        visitor.ask("ideal", data)


def flood(full: bool) -> None:
    """Requests for heavy jobs that nobody listens to, then someone honest."""
    joins = 500 if full else 60
    data = ["zebra", DEFAULT, "sharp", 1000, None, 224, 1]
    with served() as server:
        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(lambda _: Visitor(server).join("ideal", data).status_code, range(joins)))
        start, took = time.monotonic(), []
        with ThreadPoolExecutor(1) as pool:
            honest = pool.submit(Visitor(server).ask, "ideal", ["zebra", DEFAULT, "sharp", 3, None, 128, 2])
            while not honest.done() or len(took) < 5:
                began = time.monotonic()
                Visitor(server).classify(picture(0))
                took.append(time.monotonic() - began)
                time.sleep(0.3)
            good, answer = honest.result()
        waited = time.monotonic() - start
    found = f"{statuses.count(200)} of {joins} taken, served after {waited:.0f} s"
    row(
        "flood of joins, then an honest visitor",
        found if good else str(answer)[:43],
        "at most 130 s",
        good and waited <= 130,
    )
    row("Classify meanwhile, the slowest", f"{max(took):.2f} s", "at most 3 s", max(took) <= 3)


# ------------------------------------------------------------------------------------------------- hostile callers


def fuzz(full: bool) -> None:
    """Each endpoint with values that its schema does not allow, in turn at each of its places."""
    count = 200 if full else 12
    with served() as server:
        secret = server.folder / "secret.png"
        secret.write_bytes(picture(1))
        bad = 0
        for name, function in server.functions.items():
            answers = fuzzed(server, name, len(function["inputs"]), count, secret)
            faults = [text for text in answers if text]
            bad += len(faults)
            row(f"/{name}: {len(answers)} bad inputs", f"{len(faults)} without a sentence", "0", not faults)
            for text in faults[:5]:
                print(f"    {text}")
        traced = server.log.count("a job failed")
        row("bugs in the log", str(traced), "0", not traced)


def fuzzed(server: Server, name: str, places: int, count: int, secret: Path, seed: int = 0) -> list[str]:
    """For each bad input an empty string, or what was wrong with the answer."""
    visitor, found = Visitor(server), []
    foreign = Visitor(server).upload(picture(2))["path"]
    values = BAD(str(secret), str(foreign))
    order = np.random.default_rng(seed).permutation(count * len(values)) % len(values)
    good = FORMS[name](visitor.upload(picture(0)))
    for i in range(count):
        data = list(good)
        data[i % places] = values[order[i]]
        raw = json.dumps({"data": data, "fn_index": server.functions[name]["id"], "session_hash": visitor.session})
        found.append(_fault(visitor, raw, data[i % places]))
    return found


def _fault(visitor: Visitor, raw: str, value: object) -> str:
    """What is wrong with the answer to one request; empty where it is a 4xx, a sentence, or a result that may be."""
    shown = repr(value)[:80]
    joined = visitor.client.post("/queue/join", content=raw, headers={"content-type": "application/json"})
    if 400 <= joined.status_code < 500:
        return ""
    if joined.status_code != 200:
        return f"{shown}: {joined.status_code} {joined.text[:100]}"
    with visitor.client.stream("GET", "/queue/data", params={"session_hash": visitor.session}) as stream:
        for text in stream.iter_lines():
            said = json.loads(text.removeprefix("data: ")) if text.startswith("data: ") else {}
            if said.get("msg") == "process_completed":
                error = said["output"].get("error")
                if "Traceback" in text or "secret" in str(said["output"].get("data")):
                    return f"{shown}: {text[:200]}"
                return "" if said["success"] or error else f"{shown}: an error without a sentence"
    return f"{shown}: no answer"


def bodies(full: bool) -> None:
    """Bodies that are too large, and clients that send a byte a second."""
    with served() as server:
        before = server.megabytes
        client = httpx.Client(base_url=f"{server.url}/gradio_api", timeout=PATIENCE)
        field_ = client.post("/upload", data={"x": "a" * 8_000_000})
        body = client.post("/queue/join", content=b'{"data": ["' + b"a" * 4_000_000 + b'"]}')
        large = _stream_upload(server, 200_000_000 if full else 110_000_000)
        row("8 MB form field", str(field_.status_code), "4xx or bounded", field_.status_code >= 400)
        row("4 MB of JSON", str(body.status_code), "413", body.status_code == 413)
        row("an upload over the limit", large, "413", large == "413")
        slow = [_slow_client(server) for _ in range(100 if full else 20)]
        took = []
        for _ in range(20):
            start = time.monotonic()
            httpx.get(f"{server.url}/", timeout=60).raise_for_status()
            took.append(time.monotonic() - start)
        for connection in slow:
            connection.close()
        row(f"{len(slow)} slow clients: the page, 95th percentile", f"{p95(took):.2f} s", "at most 1 s", p95(took) <= 1)
        row(
            "memory that this took",
            f"{server.megabytes - before:.0f} MB",
            "at most 150 MB",
            server.megabytes - before <= 150,
        )


def _stream_upload(server: Server, size: int) -> str:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'

    def parts() -> Iterator[bytes]:
        yield head
        for _ in range(size // 1_000_000):
            yield b"\0" * 1_000_000
        yield b"\r\n--b--\r\n"

    try:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        return str(
            httpx.post(f"{server.url}/gradio_api/upload", content=parts(), headers=headers, timeout=60).status_code
        )
    except httpx.HTTPError as error:
        return type(error).__name__


def _slow_client(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n")

    def drip() -> None:
        with suppress(OSError):
            while True:
                connection.sendall(b"X")
                time.sleep(1)

    threading.Thread(target=drip, daemon=True).start()
    return connection


# ----------------------------------------------------------------------------------------------------- faults


def disk(full: bool) -> None:
    """A small file system in memory that fills up: at the upload and at the export; then there is room again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", name], capture_output=True)
        if mounted.returncode:
            row("a full disk", "mounting is not allowed here", "(not measured)", True)
            return
        try:
            with served(folder) as server:
                _disk(server, folder)
        finally:
            subprocess.run(["umount", name], check=True)


def _disk(server: Server, folder: Path) -> None:
    visitor, ballast = Visitor(server), folder / "ballast"
    photo = visitor.upload(picture(0))
    fill(ballast)
    with suppress(httpx.HTTPStatusError):
        visitor.upload(picture(1) + b"\0" * 500_000)
    answer = visitor.client.post("/upload", files={"files": ("x.jpg", picture(1) + b"\0" * 500_000)})
    row("disk full at an upload", f"{answer.status_code} {answer.text[:38]}", "a sentence", answer.status_code == 507)
    good, said = visitor.ask("adversarial", [photo, "anything", "fgsm", 8, 1, DEFAULT])
    row("disk full where a result is written", str(said)[:43], "a sentence", not good and "room" in str(said))
    ballast.unlink()
    again = Visitor(server).classify(picture(1))
    good, said = visitor.ask("adversarial", [photo, "anything", "fgsm", 8, 1, DEFAULT])
    row("when there is room again", "both work" if good and again else str(said)[:43], "works by itself", good)


def fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


def kill(full: bool) -> None:
    """kill -9 while a file is written: under its final name is the old file, the new one, or none."""
    for kind, (rounds, half) in written_and_killed(60 if full else 3).items():
        row(f"kill -9 while a {kind} is written, {rounds} times", f"{half} half files", "0", half == 0)


def soak(full: bool) -> None:
    """A thousand photos after a warm-up."""
    warm, count = (300, 1000) if full else (30, 60)
    with served() as server:
        visitor = Visitor(server)
        for i in range(warm):
            Visitor(server).classify(picture(i % 20))
        before = server.megabytes
        for i in range(count):
            Visitor(server).classify(picture(i % 20))
        grown = server.megabytes - before
        del visitor
    row(f"{count} photos: memory grows by", f"{grown:.1f} MB", "at most 2 MB", grown <= 2)


QUESTIONS: dict[str, Callable[[bool], None]] = {
    "class": class_, "line": line, "flood": flood, "fuzz": fuzz, "bodies": bodies, "disk": disk, "kill": kill, "soak": soak,
}  # fmt: skip


def main() -> None:
    """Answer the questions named, or all."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--small", action="store_true", help="few of each, to see that it works")
    args = parser.parse_args()
    for name in args.questions or QUESTIONS:
        QUESTIONS[name](not args.small)


if __name__ == "__main__":
    main()
