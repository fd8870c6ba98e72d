"""Does Inside's map mean anything, is it Grad-CAM, and what does it cost?

    python benchmarks/inside.py DATA [--backbone NAME] [--photos N] [--stages]

DATA has dog/ and cat/, whose first N/2 photos each are looked at, or is a folder of pictures. Prints one table: how often
hiding the hottest fifth costs the best class more than hiding a random fifth (mean of 10 draws), with --stages at every
stage; the correlation with the package pytorch-grad-cam (`pip install grad-cam`) where it is installed; and the time of
`look` over that of one bare forward and backward pass, the median of pairs taken in turn.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from transferdemo.backbones import DEFAULT
from transferdemo.commands import pictures_in
from transferdemo.decode import decode, fit_image
from transferdemo.engine.hide import hide_test
from transferdemo.engine.inspect import METHODS, InspectConfig, best_layer, look
from transferdemo.engine.stages import FEATURES, layout
from transferdemo.heads import Classifier, load_classifier
from transferdemo.images import to_pixels
from transferdemo.types import Image8, View


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default=DEFAULT)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--stages", action="store_true", help="every stage, not only the chosen ones")
    args = parser.parse_args()
    classifier = load_classifier(View(args.backbone), torch.device("cpu"))
    photos = [fit_image(decode(p.read_bytes()), classifier.spec, "crop") for p in photos_in(args.data, args.photos)]
    print(f"{args.backbone}, {len(photos)} photos of {args.data.name}")
    for method, layer in wanted(classifier, args.stages):
        print(f"  {method:9} at {layer:9} {meaning(classifier, photos, InspectConfig(layer, method))}", flush=True)
    if importlib.util.find_spec("pytorch_grad_cam"):
        print(f"  correlation with pytorch-grad-cam, lowest: {correlation(classifier, photos[:10]):.4f}")
    print(f"  look / bare forward and backward: {cost(classifier, photos[0]):.2f} x")
    print(f"  hooks left: {sum(len(m._forward_hooks) + len(m._backward_hooks) for m in classifier.modules())}")


def photos_in(data: Path, count: int) -> list[Path]:
    """The first of each class, or pictures taken evenly from a folder."""
    if (data / "dog").is_dir():
        return [path for kind in ("dog", "cat") for path in sorted((data / kind).iterdir())[: count // 2]]
    found = pictures_in([data])
    return found[:: max(1, len(found) // count)][:count]


def wanted(classifier: Classifier, every: bool) -> list[tuple[str, str]]:
    """(method, layer) pairs: each method's own choice, or all."""
    plan = layout(classifier)
    if every:
        return [(method, stage.name) for method in METHODS for stage in plan.stages]
    return [(method, plan.stages[best_layer(plan, method)].name) for method in METHODS]


def meaning(classifier: Classifier, photos: list[Image8], config: InspectConfig) -> str:
    """How often, and by how much, the hottest fifth matters more than a random one."""
    tests = [hide_test(classifier, p, look(classifier, p, config).cam, seed=i) for i, p in enumerate(photos)]
    share = np.mean([test.holds for test in tests])
    means = [np.mean([getattr(test, name) for test in tests]) for name in ("probability", "hot", "random")]
    return f"holds {share:6.1%}   probability {means[0]:.3f}, hottest hidden {means[1]:.3f}, random {means[2]:.3f}"


def correlation(classifier: Classifier, photos: list[Image8]) -> float:
    """The lowest correlation with the peer's map at the last stage that is a module of its own."""
    from pytorch_grad_cam import GradCAM  # type: ignore[import-not-found]
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # type: ignore[import-not-found]

    layer = next(stage.name for stage in reversed(layout(classifier).stages) if stage.name != FEATURES)
    lowest = 1.0
    with GradCAM(model=classifier, target_layers=[classifier.backbone.net.get_submodule(layer)]) as peer:
        for photo in photos:
            cam = look(classifier, photo, InspectConfig(layer)).cam
            theirs = peer(to_pixels([photo]).requires_grad_(True), [ClassifierOutputTarget(cam.target[0])])[0]
            ours = torch.nn.functional.interpolate(
                torch.from_numpy(cam.values)[None, None], theirs.shape, mode="bilinear"
            )
            lowest = min(lowest, float(np.corrcoef(ours.flatten(), theirs.flatten())[0, 1]))
    return lowest


def cost(classifier: Classifier, photo: Image8, pairs: int = 30) -> float:
    """The median of the ratios of neighbouring runs."""

    def bare() -> None:
        pixels = to_pixels([photo]).requires_grad_(True)
        torch.autograd.grad(classifier(pixels).max(), pixels)

    look(classifier, photo), bare()
    return statistics.median(seconds(lambda: look(classifier, photo)) / seconds(bare) for _ in range(pairs))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
