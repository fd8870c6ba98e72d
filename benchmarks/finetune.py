"""What does fine-tuning the last stage add, and what does it cost? Rows of a table.

    python benchmarks/finetune.py ../shared/data/digits [--grouped] [--folds 5] [--seeds 1] [--epochs 10]
    python benchmarks/finetune.py ../shared/data/digits --time

Accuracy: each photo by a network that has not seen it; a fold whose held-out loss got worse keeps its frozen head. Time: all
that `fine_tune` does on 300 photos in 5 epochs, opening them and the frozen part included, against a bare forward and
backward of the same stage over as many photos.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def collected(folder: Path, backbone: Any) -> Any:
    """The set with its features."""
    from transferdemo.data.archive import read_set
    from transferdemo.data.records import LOCAL
    from transferdemo.engine.features import collect

    *_, done = collect(read_set(folder, LOCAL), backbone, limits=LOCAL)
    return done.embedded


def accuracy(folder: Path, given: argparse.Namespace) -> None:
    """Print a row a seed of the folds, and one of their mean."""
    import torch

    from transferdemo.backbones import load_backbone
    from transferdemo.data.split import folds
    from transferdemo.engine.cut import cut
    from transferdemo.engine.descent import fit
    from transferdemo.engine.last_stage import FineTuneConfig, Stage
    from transferdemo.engine.maps import maps_of
    from transferdemo.engine.recipe import TrainConfig, tensors
    from transferdemo.engine.tune import judged
    from transferdemo.types import Head

    backbone = load_backbone(given.backbone)
    embedded, halves = collected(folder, backbone), cut(backbone)
    *_, maps = maps_of(halves, embedded.folder, embedded.fit)
    features, labels = tensors(embedded)
    classes, gains = embedded.folder.used_classes, []
    print(f"| {folder.name} | frozen | fine-tuned | kept | loss | seconds |", flush=True)
    for seed in range(given.seeds):
        for train, held_out in folds(labels.numpy(), embedded.folder.groups, given.folds, seed, given.grouped):
            began = time.perf_counter()
            linear = fit(features[train], labels[train], len(classes), TrainConfig(seed=seed))
            before = judged(linear.logits(features[held_out]), labels[held_out])
            head = Head(classes, linear.weight, linear.bias, backbone.tag, backbone.digest)
            config = FineTuneConfig(epochs=given.epochs, seed=seed)
            stage = Stage(halves.fresh_tail(), head, maps, labels, config)
            for _ in range(given.epochs):
                for _ in stage.epoch(torch.from_numpy(train)):
                    pass
            logits = stage.linear.logits(torch.cat(list(stage.embed(torch.from_numpy(held_out)))))
            after = judged(logits, labels[held_out])
            kept = after.better_than(before)
            gains.append((after.accuracy - before.accuracy if kept else 0.0) * len(held_out))
            print(
                f"| seed {seed} | {before.accuracy:.1%} | {after.accuracy:.1%} | {'yes' if kept else 'no'} | "
                f"{before.loss:.3f} → {after.loss:.3f} | {time.perf_counter() - began:.0f} |",
                flush=True,
            )
    print(f"| mean gain, what was refused counted as 0 | {100 * sum(gains) / len(labels) / given.seeds:+.1f} points |")


def cost(folder: Path, given: argparse.Namespace) -> None:
    """Print the time of 5 epochs over 300 photos as a multiple of bare passes."""
    import torch
    from torch.nn import functional as F

    from transferdemo.backbones import load_backbone
    from transferdemo.engine.cut import cut
    from transferdemo.engine.last_stage import FineTuneConfig
    from transferdemo.engine.train import train
    from transferdemo.engine.tune import fine_tune

    backbone = load_backbone(given.backbone)
    embedded = collected(folder, backbone)
    count = min(300, len(embedded.folder.used))
    *_, trained = train(embedded)
    halves = cut(backbone)
    parameters = [p.requires_grad_() for p in halves.tail.learnable().values()]
    maps, epochs = torch.rand(32, *halves.shape), 5

    def bare() -> float:
        began = time.process_time()
        for start in range(0, count, 32):
            features = halves.tail(maps[: count - start])
            F.cross_entropy(features, torch.zeros(len(features), dtype=torch.int64)).backward()
            for parameter in parameters:
                parameter.grad = None
        return time.process_time() - began

    bare()
    first = bare()
    began = time.process_time()
    for _ in fine_tune(backbone, embedded, trained.head, FineTuneConfig(epochs=epochs)):
        pass
    whole = time.process_time() - began
    bares = epochs * (first + bare()) / 2
    print(
        f"| {count} photos, {epochs} epochs | {whole:.1f} s of this process | bare {bares:.1f} s | {whole / bares:.2f} x |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0.in1k")
    parser.add_argument("--grouped", action="store_true", help="near duplicates stay on one side")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--time", action="store_true", help="only the row of time")
    given = parser.parse_args()
    (cost if given.time else accuracy)(given.folder, given)
