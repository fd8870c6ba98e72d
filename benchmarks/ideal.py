"""How good and how quick ideal pictures are: `python benchmarks/ideal.py [sharp agreed lesson speed head] [--quick]`.

Prints one table a question. Where ../shared is, a network that took no part judges the pictures (needs ai-edge-litert),
and MobileNetV2 gives a second opinion; where torch-lucent is installed, its render_vis is timed in the same run.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import nn

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
sys.path.insert(0, str(PROJECT))
os.environ.setdefault("TRANSFERDEMO_WEIGHTS", str(SHARED / "weights"))

from transferdemo.backbones import DEFAULT  # noqa: E402
from transferdemo.engine.ideal import RECIPES, IdealConfig, IdealDone, ideal, to_square  # noqa: E402
from transferdemo.engine.parameterise import total_variation  # noqa: E402
from transferdemo.errors import DemoError  # noqa: E402
from transferdemo.head_file import read_head  # noqa: E402
from transferdemo.heads import Classifier, load_classifier  # noqa: E402
from transferdemo.images import to_pixels  # noqa: E402
from transferdemo.types import View  # noqa: E402

CLASSES = (1, 9, 130, 207, 281, 284, 285, 292, 323, 340, 386, 779, 817, 933, 954)
SECOND, OTHER = "tf_efficientnet_lite2.in1k", "mobilenetv2_100.ra_in1k"
LESSON = (340, 281, 284)


@dataclass
class Made:
    """One picture, and what was found out about it."""

    label: int
    seed: int
    done: IdealDone
    path: Path
    judged: int | None = None
    other: int | None = None


def load(tag: str) -> Classifier | None:
    """The network called `tag`, or None where its weights are not here."""
    try:
        return load_classifier(View(tag))
    except DemoError as error:
        print(f"without {tag}: {error}")
        return None


def make(networks: Sequence[Classifier], config: IdealConfig, folder: Path) -> Made:
    """Paint one picture and save it."""
    *_, done = ideal(networks, config)
    path = folder / f"{config.method}_{config.classes[0]}_{config.seed}.png"
    path.write_bytes(done.png)
    return Made(config.classes[0], config.seed, done, path)


def judge(pictures: Sequence[Made]) -> None:
    """Ask ../shared/judge.py for the rank of each picture's class."""
    script = SHARED / "judge.py"
    command = [sys.executable, str(script), *(f"{made.path}:{made.label}" for made in pictures)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    ranks = [int(rank) for rank in re.findall(r" rank (\d+) ", result.stdout)]
    if len(ranks) != len(pictures):
        print("without the judge: needs ../shared/judge.py and ai-edge-litert")
        return
    for made, rank in zip(pictures, ranks, strict=True):
        made.judged = rank


@torch.no_grad()
def ask_other(pictures: Sequence[Made], other: Classifier) -> None:
    """The rank that a network of the table that took no part gives each picture's class."""
    for made in pictures:
        logits = other(to_square(made.done.image8, other))[0]
        made.other = int((logits > logits[made.label]).sum()) + 1


def share(ranks: Sequence[int | None], first: int) -> str:
    """How many of `ranks` are within the first so many, in words."""
    known = [rank for rank in ranks if rank is not None]
    return f"{sum(rank <= first for rank in known) / len(known):.0%} of {len(known)}" if known else "not measured"


def quality(method: str, networks: Sequence[Classifier], options: argparse.Namespace) -> None:
    """The table of one method over all classes and seeds."""
    pairs = [(label, seed) for seed in range(options.seeds) for label in options.classes]
    made = []
    for label, seed in pairs:
        made.append(make(networks, IdealConfig(classes=(label,), method=method, seed=seed), options.out))
        print(f"  {method} {label} seed {seed}: p {made[-1].done.probability:.3f}", file=sys.stderr)
    judge(made)
    if (other := load(OTHER)) is not None:
        ask_other(made, other)
    own = [m.done.probability or 0.0 for m in made]
    robust = [m.done.robust_probability or 0.0 for m in made]
    print(f"\n{method}: {RECIPES[method].steps} steps, {len(made)} pictures in {options.out}")
    print(f"  p >= 0.95 after PNG             {sum(p >= 0.95 for p in own)} of {len(own)}")
    print(f"  mean p of 32 crops >= 0.9       {sum(p >= 0.9 for p in robust)} of {len(robust)}")
    print(
        f"  the judge: first / first five   {share([m.judged for m in made], 1)} / {share([m.judged for m in made], 5)}"
    )
    print(f"  {OTHER}: first five  {share([m.other for m in made], 5)}")
    print(f"  seconds a picture, median       {statistics.median(m.done.seconds for m in made):.1f}")
    print("  class:seed rank at the judge, at the other: ", end="")
    print(*(f"{m.label}:{m.seed} {m.judged},{m.other}" for m in made), sep="  ")


def lesson(classifier: Classifier, options: argparse.Namespace) -> None:
    """The lesson's method without and with smoothness: how rough, how sure, and what the judge says."""
    made = []
    for tv in (0.0, None):
        for label in LESSON:
            for seed in range(options.seeds):
                folder = options.out / ("smooth" if tv is None else "noise")
                folder.mkdir(exist_ok=True)
                config = IdealConfig(classes=(label,), method="lesson", seed=seed, tv=tv)
                made.append(make([classifier], config, folder))
    judge(made)
    print(f"\nlesson: {RECIPES['lesson'].steps} steps, TV 0 and {RECIPES['lesson'].tv:g}")
    for noise, smooth in zip(made[: len(made) // 2], made[len(made) // 2 :], strict=True):
        rough = [float(total_variation(to_pixels([m.done.image8]), 1e-6)) * 255 / 2 for m in (noise, smooth)]
        print(
            f"  class {noise.label} seed {noise.seed}: p {noise.done.probability:.3f} -> {smooth.done.probability:.3f}, "
            f"neighbours {rough[0]:.1f} -> {rough[1]:.1f} levels (1/{rough[0] / rough[1]:.1f}), "
            f"judge {noise.judged} -> {smooth.judged}"
        )


def bare_passes(classifier: Classifier, count: int, size: int, passes: int) -> float:
    """Network passes a second of a loop that does nothing but forward and backward."""
    pixels = torch.rand(count, 3, size, size, device=classifier.device, requires_grad=True)

    def once() -> None:
        torch.autograd.grad(classifier(pixels)[:, 340].sum(), pixels)

    return passes / clock(lambda: [once() for _ in range(passes // count)], once)


def clock(work: Callable[[], object], warm: Callable[[], object]) -> float:
    """Seconds that `work` takes after `warm`."""
    warm()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def speed(classifier: Classifier, options: argparse.Namespace) -> None:
    """One default picture beside a bare loop, and beside Lucent, in turns."""
    recipe = RECIPES["sharp"]
    count, size = recipe.views.count, recipe.view_size(classifier.spec.size)
    for turn in range(options.turns):
        events = ideal([classifier], IdealConfig(classes=(340,), seed=turn))
        started = time.perf_counter()
        next(events)
        first = time.perf_counter() - started
        *_, done = events
        bare = recipe.steps * count / bare_passes(classifier, count, size, 24)
        print(
            f"\nspeed, turn {turn + 1}: first picture {first:.2f} s, whole picture {done.seconds:.1f} s, the same "
            f"{recipe.steps * count} passes of {size} px bare {bare:.1f} s: {bare / done.seconds:.2f} of a bare loop's speed"
        )
        if (peer := lucent_seconds(classifier)) is not None:
            print(f"  Lucent's render_vis, 256 steps: {peer:.1f} s; ours takes {done.seconds / peer:.2f} of that")


class Whole(nn.Module):
    """A network with its own last layer as a module, as Lucent wants it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.backbone = classifier.backbone

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.backbone.net(self.backbone.normalise(pixels))
        return logits


def lucent_seconds(classifier: Classifier) -> float | None:
    """Seconds of Lucent's render_vis with its defaults and 256 steps, or None where it is not installed."""
    try:
        from lucent.optvis import render
    except ImportError:
        return None
    model = Whole(classifier).eval()
    started = time.perf_counter()
    render.render_vis(
        model, "backbone_net_classifier:340", thresholds=(256,), preprocess=False, verbose=False, progress=False,
        show_image=False,
    )  # fmt: skip
    return time.perf_counter() - started


def own_heads(options: argparse.Namespace) -> None:
    """A picture of each class of each shipped head."""
    for path in sorted((PROJECT / "weights" / "heads").glob("*.safetensors")):
        head = read_head(path)
        classifier = load_classifier(View(head.backbone, head))
        for label, name in list(enumerate(head.classes))[: options.heads]:
            folder = options.out / path.stem
            folder.mkdir(exist_ok=True)
            made = make([classifier], IdealConfig(classes=(label,)), folder)
            print(f"  {path.stem}, {name}: p {made.done.probability:.3f}, robust {made.done.robust_probability:.3f}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["sharp", "agreed", "lesson", "speed", "head"])
    parser.add_argument("--quick", action="store_true", help="three classes, one seed, one turn")
    parser.add_argument("--classes", type=int, nargs="+", default=list(CLASSES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3, help="of the speed measurement")
    parser.add_argument("--heads", type=int, default=2, help="classes of each shipped head")
    parser.add_argument("--out", type=Path, default=None, help="folder for the pictures")
    options = parser.parse_args()
    if options.quick:
        options.classes, options.seeds, options.turns = options.classes[:3], 1, 1
    options.out = options.out or Path(mkdtemp(prefix="ideal_"))
    options.out.mkdir(parents=True, exist_ok=True)
    run(options)


def run(options: argparse.Namespace) -> None:
    """The parts in order."""
    classifier = load(DEFAULT)
    if classifier is None:
        sys.exit("The default network is not installed: pip install -r requirements.txt")
    if "speed" in options.parts:
        speed(classifier, options)
    if "sharp" in options.parts:
        quality("sharp", [classifier], options)
    if "agreed" in options.parts and (second := load(SECOND)) is not None:
        quality("agreed", [classifier, second], options)
    if "lesson" in options.parts:
        lesson(classifier, options)
    if "head" in options.parts:
        own_heads(options)


if __name__ == "__main__":
    main()
