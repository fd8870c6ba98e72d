"""How far can a head be trusted? Prints the rows on photos that are not its own, on temperatures, and on the exported file.

python benchmarks/trust.py ../shared/data [--cache FOLDER]      features are kept in FOLDER, so that a second run is quick
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from transferdemo import novelty  # noqa: E402
from transferdemo.backbones import load_backbone  # noqa: E402
from transferdemo.data.archive import read_set  # noqa: E402
from transferdemo.data.records import LOCAL  # noqa: E402
from transferdemo.data.split import folds  # noqa: E402
from transferdemo.engine.blind import BlindDescent  # noqa: E402
from transferdemo.engine.calibration import calibrate, log_loss, temperature  # noqa: E402
from transferdemo.engine.classify import classify  # noqa: E402
from transferdemo.engine.descent import fit  # noqa: E402
from transferdemo.engine.export import export, save_export  # noqa: E402
from transferdemo.engine.features import CollectDone, collect  # noqa: E402
from transferdemo.engine.recipe import TrainConfig  # noqa: E402
from transferdemo.engine.trust import learn_novelty, out_of_fold  # noqa: E402
from transferdemo.heads import load_classifier, shipped_heads  # noqa: E402
from transferdemo.images import open_photo  # noqa: E402
from transferdemo.types import View  # noqa: E402

SETS = ("pets37", "clothing", "digits", "tile_defects", "horse_zebra", "cats_dogs/train")
OVERFITTED = TrainConfig(epochs=200, decay="none", weight_decay=0.0)
ROOM = 1_000_000


@dataclass(frozen=True, eq=False)
class Photos:
    """A set as numbers: features (N, D), class indices (N,), groups of near duplicates (N,), the fold of each (N,)."""

    features: torch.Tensor
    labels: torch.Tensor
    groups: NDArray[np.int64]
    fold: torch.Tensor

    def part(self, indices: NDArray[np.int64] | torch.Tensor, seed: int = 0) -> Photos:
        """Some of the photos, with folds of their own."""
        labels, groups = self.labels[indices], self.groups[np.asarray(indices)]
        return Photos(
            self.features[indices], labels, groups, torch.from_numpy(out_of_fold(labels.numpy(), groups, seed))
        )


def photos_of(folder: Path, cache: Path | None) -> Photos:
    """The set in a folder, by the default network."""
    kept = cache / f"{'-'.join(folder.parts[-2:])}.npz" if cache else None
    if kept is None or not kept.is_file():
        events = collect(read_set(folder, LOCAL), load_backbone(), "auto", LOCAL)
        done = next(event for event in events if isinstance(event, CollectDone)).embedded
        found = {"features": done.features, "labels": done.folder.labels, "groups": done.folder.groups}
        if kept is not None:
            np.savez(kept, **found)
    else:
        with np.load(kept) as file:
            found = dict(file)
    labels = torch.from_numpy(found["labels"])
    whole = Photos(torch.from_numpy(found["features"]), labels, found["groups"], torch.zeros(len(labels)))
    return whole.part(np.arange(len(labels)))


def far(name: str, own: Photos, others: dict[str, torch.Tensor]) -> None:
    """A head of one set shown others: false alarms and what is caught, over five rounds of folds."""
    alarms: list[float] = []
    caught: dict[str, list[float]] = {other: [] for other in others}
    for train, test in folds(own.labels.numpy(), own.groups, 5, 0, grouped=True):
        known = learn_novelty(own.part(train), ROOM)
        if known is None:
            continue
        alarms.append(strange_share(known, own.features[test]))
        for other, features in others.items():
            caught[other].append(strange_share(known, features))
    shown = ", ".join(f"{other} {100 * np.mean(shares):.1f} %" for other, shares in caught.items())
    print(f"| strange to a head of {name}, false alarms {100 * np.mean(alarms):.1f} % | {shown} |", flush=True)


def strange_share(known: Any, features: torch.Tensor) -> float:
    """The share of photos beyond the threshold."""
    return float((novelty.score(known, features) > known.threshold).float().mean())


def hard(pets: Photos) -> None:
    """A head of 30 breeds shown the other 7, against held-out photos of the 30: area under the ROC curve, five draws."""
    areas = []
    for draw in range(5):
        out = torch.from_numpy(np.random.default_rng(draw).choice(37, 7, replace=False))
        inside = torch.flatten(torch.nonzero(~torch.isin(pets.labels, out)))
        strangers = pets.features[torch.isin(pets.labels, out)]
        rounds = []
        for train, test in folds(pets.labels[inside].numpy(), pets.groups[inside.numpy()], 5, draw, grouped=True):
            own = novelty.learn(pets.features[inside[train]], pets.labels[inside[train]])
            scores = [novelty.score(own, x) for x in (pets.features[inside[test]], strangers)]
            rounds.append(roc_auc_score(np.repeat([0, 1], [len(s) for s in scores]), torch.cat(scores)))
        areas.append(float(np.mean(rounds)))
    shown = f"{np.mean(areas):.3f} ({min(areas):.3f} to {max(areas):.3f})"
    print(f"| 30 breeds shown the other 7, area under the ROC curve, five draws | {shown} |", flush=True)


def honest(name: str, own: Photos, config: TrainConfig, title: str = "") -> None:
    """Five rounds: the temperature from the training part's own folds, log loss and error on the photos held out from it."""
    logits, cooled, labels, warm = [], [], [], []
    for train, test in folds(own.labels.numpy(), own.groups, 5, 0, grouped=True):
        part, classes = own.part(train), int(own.labels.max()) + 1
        descent = BlindDescent(part, classes, config)
        for _ in range(config.epochs):
            for _ in descent.epoch():
                pass
        warmth = temperature(descent.logits.numpy(), part.labels[descent.judged].numpy())
        raw = fit(part.features, part.labels, classes, config).logits(own.features[test]).numpy().astype(np.float64)
        logits.append(raw)
        cooled.append(raw / warmth)
        labels.append(own.labels[test].numpy())
        warm.append(warmth)
    truth = np.concatenate(labels)
    losses = [log_loss(np.concatenate(z), truth) for z in (logits, cooled)]
    errors = [calibrate(np.concatenate(z), truth).before for z in (logits, cooled)]
    words = [f"{100 * e.value:.1f} % ({100 * e.interval[0]:.1f} to {100 * e.interval[1]:.1f})" for e in errors]
    warmths = " ".join(f"{w:.2f}" for w in warm)
    print(
        f"| {name}{title}, temperatures {warmths} | log loss {losses[0]:.4f} to {losses[1]:.4f} "
        f"| calibration error {words[0]} to {words[1]} |",
        flush=True,
    )


def anywhere(data: Path) -> None:
    """The shipped heads as zips, their predict.py in a fresh process on the files of 50 photos, against the page's answers."""
    for name, head in shipped_heads(load_backbone().tag).items():
        view = View(head.backbone, head)
        classifier = load_classifier(view, torch.device("cpu"))
        paths = sorted((data / "cats_dogs" / "test").glob("*/*.jpg"))[::10]
        with tempfile.TemporaryDirectory() as folder:
            save_export(export(classifier, ""), Path(folder, "out.zip"))
            zipfile.ZipFile(Path(folder, "out.zip")).extractall(folder)
            command = [sys.executable, "predict.py", "--json", *map(str, paths)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        theirs = [json.loads(line) for line in done.stdout.splitlines()]
        ours = [classify(classifier, open_photo(path), view.fitting) for path in paths]
        pairs = list(zip(theirs, ours, strict=True))
        same = sum(a["class"] == b.scores[0].name and a["strange"] is b.strange for a, b in pairs)
        apart = max(float(np.abs(np.array(a["probabilities"]) - b.probabilities).max()) for a, b in pairs)
        print(
            f"| {name} as ONNX in a fresh process | {same} of {len(paths)} the same, probabilities within {apart:.1e} |"
        )


def main(data: Path, cache: Path | None) -> None:
    """Print all rows."""
    sets = {name: photos_of(data / name, cache) for name in SETS}
    print("| row | measured |\n| --- | --- |")
    for name in ("pets37", "clothing"):
        far(name, sets[name], {other: sets[other].features for other in SETS[:-1] if other != name})
    hard(sets["pets37"])
    for name, own in sets.items():
        honest(name, own, TrainConfig())
    for name in ("clothing", "tile_defects", "digits", "pets37"):
        honest(name, sets[name], OVERFITTED, ", overfitted on purpose")
    anywhere(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    if given.cache:
        given.cache.mkdir(parents=True, exist_ok=True)
    main(given.data.resolve(), given.cache)
