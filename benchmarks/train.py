"""What does training cost beside a bare pass over the same photos? Rows as ratios, all measured in this run.

    python benchmarks/train.py ../shared/data/cats_dogs/train [--memory]

bare: Pillow decodes in this process, torch's folded network embeds 32 at a time, nothing else. best: the same through ONNX
Runtime. lesson: decode and forward again in each of 10 epochs, float32 (one epoch is measured, times 10).
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
EPOCHS_OF_THE_LESSON = 10


def last(events: Generator[Any, None, None]) -> Any:
    """The event that a stream ends with."""
    for event in events:
        result = event
    return result


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def bare_pass(paths: list[Path], forward: Callable[[list[Any]], Any], spec: Any) -> None:
    """Decode and forward, 32 photos at a time, one after the other."""
    import numpy as np
    from PIL import Image

    from transferdemo.decode import fit_image

    for start in range(0, len(paths), 32):
        pictures = (np.asarray(Image.open(path).convert("RGB")) for path in paths[start : start + 32])
        forward([fit_image(picture, spec, "auto") for picture in pictures])


def whole_run(folder: Path, backbone: Any) -> tuple[Any, dict[str, float]]:
    """What `train` does: decode, embed, 20 epochs, report."""
    from transferdemo.data.folder import read_folder
    from transferdemo.engine.evaluate import full_report
    from transferdemo.engine.features import collect
    from transferdemo.engine.train import TrainConfig, train

    done = last(collect(read_folder(folder), backbone, limits=_local()))
    seconds, trained = timed(lambda: last(train(done.embedded)))
    report_seconds, _ = timed(lambda: last(full_report(done.embedded, trained.head, TrainConfig())))
    parts = {"decode": done.decode, "embed": done.embed, "train": seconds, "report": report_seconds}
    return done.embedded, parts


def _local() -> Any:
    from transferdemo.data.records import LOCAL

    return LOCAL


def rows(folder: Path) -> None:
    """Print the timing rows."""
    from transferdemo.backbones import load_backbone
    from transferdemo.embed import _with_torch, embed
    from transferdemo.engine.evaluate import full_report
    from transferdemo.engine.features import FeatureCache, collect
    from transferdemo.engine.train import TrainConfig, train

    backbone = load_backbone()
    paths = sorted(folder.rglob("*.jpg"))
    bare_pass(paths[:64], lambda images: embed(backbone, images), backbone.spec)
    last(_first(folder, backbone))
    best, _ = timed(lambda: bare_pass(paths, lambda images: embed(backbone, images), backbone.spec))
    total, (embedded, parts) = timed(lambda: whole_run(folder, backbone))
    best_again, _ = timed(lambda: bare_pass(paths, lambda images: embed(backbone, images), backbone.spec))
    best = (best + best_again) / 2
    eager = partial(_with_torch, backbone, backbone.mean.device)
    plain, _ = timed(lambda: bare_pass(paths, eager, backbone.spec))
    cache = FeatureCache()
    cache.keep(embedded)
    known = cache.known(backbone, "auto")
    again, done = timed(lambda: last(collect(embedded.folder, backbone, limits=_local(), known=known)))
    config = TrainConfig(learning_rate=3e-3, seed=1)
    other, trained = timed(lambda: last(train(embedded, config)))
    judged, _ = timed(lambda: last(full_report(embedded, trained.head, config)))
    print(f"{len(paths)} photos, " + ", ".join(f"{name} {value:.2f} s" for name, value in parts.items()))
    print("| row | seconds | ratio | wanted |")
    print("| --- | --- | --- | --- |")
    print(f"| one bare pass, best precision | {best:.2f} | 1 | |")
    print(f"| whole run | {total:.2f} | {total / best:.2f} x a bare pass | at most 1.25 |")
    lesson = EPOCHS_OF_THE_LESSON * plain
    print(f"| the lesson's way, 10 epochs | {lesson:.1f} | the whole run is {lesson / total:.1f} x faster | 15 |")
    print(f"| a second run, other settings | {again + other + judged:.2f} | {done.new} embedded again | under 2 s |")


def _first(folder: Path, backbone: Any) -> Any:
    """A few photos, so that the decoding children have started, as they have in the page."""
    from transferdemo.data.folder import read_photos
    from transferdemo.engine.features import collect

    some = sorted(folder.rglob("*.jpg"))[:40]
    return collect(read_photos({"a": some[:20], "b": some[20:]}), backbone)


def memory(folder: Path, count: int = 10_000) -> None:
    """Print the memory of this process above start for `count` photos, made by repeating (a byte more makes each new)."""
    from transferdemo.backbones import load_backbone

    backbone = load_backbone()
    last(_first(folder, backbone))
    before = _resident()
    with tempfile.TemporaryDirectory() as name:
        paths = sorted(folder.rglob("*.jpg"))
        for number in range(count):
            path = paths[number % len(paths)]
            target = Path(name, path.parent.name, f"{number}.jpg")
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes() + number.to_bytes(4, "big"))
        whole_run(Path(name), backbone)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| memory for {count:,} photos | {peak - before:.2f} GiB above start | | under 1.5 GB |")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**30


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory", action="store_true", help="only the row of memory (takes minutes)")
    given = parser.parse_args()
    (memory if given.memory else rows)(given.folder)
