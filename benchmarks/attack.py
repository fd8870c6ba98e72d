"""How small and how sure a fooling change is: `python benchmarks/attack.py [row ...] [--photos N] [--skip N]`.

Dogs of ../shared that the network calls a dog, target Persian cat; success is read from the saved PNG. Prints a line a row;
where foolbox and torchattacks are installed (not in the requirements), the same photos are given to them in the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
sys.path.insert(0, str(PROJECT))
os.environ.setdefault("TRANSFERDEMO_WEIGHTS", str(SHARED / "weights"))

from transferdemo.backbones import DEFAULT  # noqa: E402
from transferdemo.decode import fit_image  # noqa: E402
from transferdemo.engine.adversarial import AttackConfig, attack  # noqa: E402
from transferdemo.engine.receipt import noise_control  # noqa: E402
from transferdemo.engine.verdict import Result, classify_alone, judge  # noqa: E402
from transferdemo.head_file import read_head  # noqa: E402
from transferdemo.heads import Classifier, load_classifier  # noqa: E402
from transferdemo.images import open_photo, to_pixels  # noqa: E402
from transferdemo.types import Image8, View  # noqa: E402

CAT, DOGS, MOBILENET = 283, range(151, 269), "mobilenetv2_100.ra_in1k"
HEAD = PROJECT / "weights/heads/cats_dogs.safetensors"
SPEED_PHOTOS, SPEED_STEPS = 10, 40  # PGD's own number of steps in the rows above


def dogs(classifier: Classifier, count: int, skip: int = 0, names: Sequence[int] = DOGS) -> list[Image8]:
    """`count` photos of dogs that the network calls one of `names`, after the first `skip` such photos."""
    found: list[Image8] = []
    for path in sorted((SHARED / "data/cats_dogs/test/dog").iterdir()):
        with Image.open(path) as file:
            image8 = fit_image(np.array(file.convert("RGB")), classifier.spec, "crop")
        if classify_alone(classifier, image8).index in names:
            found.append(image8)
        if len(found) == skip + count:
            break
    return found[skip:]


def ours(classifier: Classifier, images: Sequence[Image8], config: AttackConfig) -> tuple[Result, ...]:
    """The results of one attack."""
    *_, done = attack(classifier, images, config)
    return done.results


def show(row: str, results: Sequence[Result]) -> None:
    """One line of the table."""
    l2 = np.array([result.l2 for result in results])
    print(
        f"{row:34} fooled {np.mean([r.fooled for r in results]):6.1%}   L2 median {np.median(l2):.3f}, largest {l2.max():.3f}"
        f"   L-inf {max(r.linf_levels for r in results):3}   values {np.mean([r.changed_share for r in results]):6.1%}"
        f"   p {np.median([r.after.probability for r in results]):.2f}   gradients {max(r.gradients for r in results)}",
        flush=True,
    )


def given_back(classifier: Classifier, results: Sequence[Result]) -> None:
    """The downloaded files through the door that every picture comes in by."""
    photos = [open_photo(result.png, "fooled.png").image8 for result in results]
    answers = [classify_alone(classifier, fit_image(image8, classifier.spec, "auto")) for image8 in photos]
    same = sum(answer == result.after for answer, result in zip(answers, results, strict=True))
    print(f"{'the PNG given back to classify':34} {same} of {len(results)} as the result says")


def noise(classifier: Classifier, images: Sequence[Image8], results: Sequence[Result]) -> None:
    """Random noise of the same size, several draws a photo."""
    controls = [noise_control(classifier, a, b.image8) for a, b in zip(images, results, strict=True)]
    share = sum(control.changed for control in controls) / sum(control.draws for control in controls)
    print(f"{'same-size random noise':34} changes the answer in {share:.1%}")


def speed(classifier: Classifier, images: Sequence[Image8]) -> None:
    """Gradients a second for a batch of 10, against a bare loop over the same network; the two take turns."""
    batch = [images[i % len(images)] for i in range(SPEED_PHOTOS)]
    target = torch.full((len(batch),), CAT, device=classifier.device)
    pixels = to_pixels(batch).to(classifier.device)

    def bare() -> None:
        for _ in range(SPEED_STEPS):
            seen = pixels.clone().requires_grad_()
            torch.autograd.grad(nn.functional.cross_entropy(classifier(seen), target), seen)

    methods: dict[str, Callable[[], object]] = {
        method: lambda m=method: ours(classifier, batch, AttackConfig((CAT,), m, steps=SPEED_STEPS))  # type: ignore[misc]
        for method in ("smallest", "pgd-linf", "pgd-l2")
    }
    seconds: dict[str, list[float]] = {name: [] for name in ("bare", *methods)}
    for _ in range(3):
        for name, run in {"bare": bare, **methods}.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    best = {name: SPEED_PHOTOS * SPEED_STEPS / min(times) for name, times in seconds.items()}
    print(f"gradients a second, batch of {SPEED_PHOTOS}: bare loop {best['bare']:.1f}")
    for name in methods:
        print(
            f"{'  ' + name + ', verdicts included':34} {best[name]:.1f} = {best[name] / best['bare']:.2f} of the bare loop"
        )


def peers(classifier: Classifier, images: Sequence[Image8]) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, changed pixels before 8 bits) of foolbox's and torchattacks' attacks, with their own default numbers."""
    pixels = to_pixels(images).to(classifier.device).contiguous()
    target = torch.full((len(images),), CAT, device=classifier.device)
    if importlib.util.find_spec("foolbox"):
        import foolbox as fb

        model = fb.PyTorchModel(classifier.eval(), bounds=(0, 1), device=classifier.device)
        aim = fb.criteria.TargetedMisclassification(target)
        attacks = {
            "foolbox DDN, 100 steps": (fb.attacks.DDNAttack(steps=100), None),
            "foolbox FMN, 100 steps": (fb.attacks.L2FMNAttack(steps=100), None),
            "foolbox PGD L-inf, 4 levels": (fb.attacks.LinfPGD(steps=40), 4 / 255),
            "foolbox PGD L2, 1.0": (fb.attacks.L2PGD(steps=40), 1.0),
        }
        for name, (method, radius) in attacks.items():
            _, clipped, _ = method(model, pixels, aim, epsilons=radius)
            yield name, clipped
    if importlib.util.find_spec("torchattacks"):
        import torchattacks as ta

        attacks = {
            "torchattacks PGD L-inf, 4 levels": ta.PGD(classifier, eps=4 / 255, alpha=1 / 255, steps=40),
            "torchattacks PGD L2, 1.0": ta.PGDL2(classifier, eps=1.0, alpha=0.1, steps=40),
        }
        for name, method in attacks.items():
            method.set_mode_targeted_by_label(quiet=True)
            yield name, method(pixels, target)


def show_peers(classifier: Classifier, images: Sequence[Image8]) -> None:
    """The peers' rows, before and after 8 bits."""
    start = time.perf_counter()
    for name, changed in peers(classifier, images):
        with torch.no_grad():
            before = sum(int(classifier(one[None]).argmax()) == CAT for one in changed)
        levels = (changed.detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        show(name, [judge(classifier, a, b, (CAT,)) for a, b in zip(images, levels, strict=True)])
        print(f"{'':34} {before / len(images):.0%} before 8 bits, {time.perf_counter() - start:.0f} s", flush=True)
        start = time.perf_counter()


def head(count: int) -> None:
    """The shipped head of cats and dogs: dog to cat."""
    if not HEAD.is_file():
        print(f"{'the head cats_dogs':34} is not here: {HEAD.relative_to(PROJECT)}")
        return
    shipped = read_head(HEAD)
    classifier = load_classifier(View(shipped.backbone, shipped))
    cat, dog = (shipped.classes.index(name) for name in ("cat", "dog"))
    images = dogs(classifier, count, names=(dog,))
    results = ours(classifier, images, AttackConfig((cat,)))
    show("the head cats_dogs, dog to cat", results)
    noise(classifier, images, results)


def default_rows(rows: Sequence[str], count: int, skip: int) -> None:
    """The rows on the default network."""
    classifier = load_classifier(View(DEFAULT))
    images = dogs(classifier, count, skip)
    if "smallest" in rows:
        results = ours(classifier, images, AttackConfig((CAT,)))
        show("smallest change", results)
        given_back(classifier, results)
        noise(classifier, images, results)
    if "pgd" in rows:
        show("PGD L-inf, 4 levels, 40 steps", ours(classifier, images, AttackConfig((CAT,), "pgd-linf", 4, steps=40)))
        show("PGD L2, 1.0, 40 steps", ours(classifier, images, AttackConfig((CAT,), "pgd-l2", 1.0, steps=40)))
    if "untargeted" in rows:
        show("untargeted smallest change", ours(classifier, images, AttackConfig()))
    if "speed" in rows:
        speed(classifier, images)
    if "peers" in rows:
        show_peers(classifier, images)


def main() -> None:
    """Read the flags, print the rows."""
    rows = ("smallest", "pgd", "untargeted", "speed", "peers", "mobilenet", "head")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(rows)}; all of them without")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of the first dogs")
    args = parser.parse_args()
    chosen = args.rows or rows
    if unknown := set(chosen) - set(rows):
        parser.error(f"there is no row {', '.join(unknown)}; choose of {', '.join(rows)}")
    default_rows(chosen, args.photos, args.skip)
    if "mobilenet" in chosen:
        classifier = load_classifier(View(MOBILENET))
        images = dogs(classifier, args.photos, args.skip)
        show("MobileNetV2, smallest change", ours(classifier, images, AttackConfig((CAT,))))
    if "head" in chosen:
        head(args.photos)


if __name__ == "__main__":
    main()
