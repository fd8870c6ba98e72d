"""What does transfer give on like and on unlike pictures? And what does asking cost?

    python benchmarks/transfer.py ../shared/data [--plot docs/transfer.svg]   the table and the plot
    python benchmarks/transfer.py ../shared/data --time [--photos N]          the timing rows, as ratios of one process

Every row is out of five folds, so that each photo judges once. Interval: 95 %, Wilson. TRANSFERDEMO_WEIGHTS names the folder of
the third network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from train import bare_pass, last, timed, whole_run  # noqa: E402

NETWORKS = ("tf_efficientnet_lite0.in1k", "tf_efficientnet_lite2.in1k", "mobilenetv2_100")
SHORT = {"tf_efficientnet_lite0": "Lite0", "tf_efficientnet_lite2": "Lite2", "mobilenetv2_100": "MobileNetV2"}
SETS = {  # title -> (folder, photos a class at most)
    "cats and dogs": ("cats_dogs/train", 150),
    "horses and zebras": ("horse_zebra", 100),
    "37 breeds": ("pets37", 10),
    "clothing, 10 kinds": ("clothing", 30),
    "hand-written digits": ("digits", 30),
    "tile defects, 6 kinds": ("tile_defects", 1000),
}
COLOURS = {"chance": "#94a3b8", "pixels": "#d97706", "random": "#64748b", "mean": "#a5b4fc", "head": "#4f46e5"}
NAMES = {"chance": "guessing", "pixels": "raw pixels", "random": "random weights", "mean": "class mean", "head": "head"}


@dataclass
class Found:
    """A set's accuracies: rows of the default network, heads of all networks, on random and on grouped folds."""

    title: str
    photos: int
    rows: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, Any] = field(default_factory=dict)
    grouped: dict[str, Any] = field(default_factory=dict)


def some_of(folder: Path, each: int) -> dict[str, list[Path]]:
    """The first photos of each class, evenly taken."""
    classes = {
        sub.name: sorted(p for p in sub.iterdir() if p.is_file()) for sub in sorted(folder.iterdir()) if sub.is_dir()
    }
    return {name: paths[:: max(1, len(paths) // each)][:each] for name, paths in classes.items()}


def measure(title: str, photos: dict[str, list[Path]]) -> Found:
    """All rows of one set."""
    from transferdemo.backbones import load_backbone, load_random
    from transferdemo.data.folder import read_photos
    from transferdemo.data.records import LOCAL
    from transferdemo.engine.evaluate import cross_validate
    from transferdemo.engine.features import collect
    from transferdemo.engine.networks import train_all
    from transferdemo.engine.recipe import TrainConfig

    config, networks = TrainConfig(), [load_backbone(name) for name in NETWORKS]
    done = last(train_all(read_photos(photos), networks, config, limits=LOCAL))
    found = Found(title, len(done.results[0].embedded.folder.used))
    for result in done.results:
        name = SHORT[result.tag.partition(".")[0]]
        found.heads[name] = last(cross_validate(result.embedded, config, grouped=False)).accuracy
        found.grouped[name] = last(cross_validate(result.embedded, config, grouped=True)).accuracy
    own = done.results[0].embedded
    random = last(collect(own.folder, load_random(networks[0]), limits=LOCAL)).embedded
    found.rows = {**rows_of(own, random, config), "head": found.heads["Lite0"]}
    return found


def rows_of(own: Any, random: Any, config: Any) -> dict[str, Any]:
    """Accuracy of each way without a trained head on the network's features, out of five folds."""
    from transferdemo.data.split import folds
    from transferdemo.engine.baselines import Material, chance, class_means, raw_pixels, trained
    from transferdemo.engine.evaluate import Accuracy
    from transferdemo.engine.recipe import tensors

    right: dict[str, list[int]] = {}
    features, labels = tensors(own)
    small, blind = raw_pixels(own.folder.used), tensors(random)[0]
    for train, test in folds(own.folder.labels, own.folder.groups, 5, config.seed, False):
        material = Material(features, labels, len(own.folder.used_classes), train, test)
        pixels = ended(trained("pixels", replace(material, features=small), config))
        other = ended(trained("random", replace(material, features=blind), config))
        for row in (chance(material), class_means(material), pixels, other):
            right.setdefault(row.name, []).append(int(row.right.sum()))
    return {name: Accuracy(sum(counts), len(labels)) for name, counts in right.items()}


def ended(work: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def table(found: list[Found]) -> Iterator[str]:
    """The Markdown table."""
    heads = [f"head on {name}" for name in SHORT.values()]
    columns = [
        "photos of",
        "number",
        "guessing",
        "raw pixels",
        "random weights",
        "class mean",
        *heads,
        "near duplicates apart",
    ]
    yield f"| {' | '.join(columns)} |"
    yield "|" + " --- |" * len(columns)
    for one in found:
        plain = [f"{100 * one.rows[name].share:.1f}" for name in ("chance", "pixels", "random", "mean")]
        own = [words(one.heads[name]) for name in SHORT.values()]
        yield f"| {one.title} | {one.photos} | {' | '.join(plain)} | {' | '.join(own)} | {words(one.grouped['Lite0'])} |"


def words(accuracy: Any) -> str:
    """79.3 (74 to 84)."""
    low, high = accuracy.interval
    return f"{100 * accuracy.share:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def plot(found: list[Found]) -> str:
    """The rows of the default network as dots with intervals, one line of photos each, as SVG."""
    left, right, top, step = 170, 690, 50, 44
    height = top + step * len(found) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" font-family="sans-serif" font-size="14">',
        f'<rect width="720" height="{height}" rx="10" fill="#fff"/>',
    ]
    x = lambda share: left + (right - left) * share  # noqa: E731
    for place, (name, colour) in enumerate(COLOURS.items()):
        parts.append(f'<circle cx="{40 + 132 * place}" cy="20" r="6" fill="{colour}"/>')
        parts.append(f'<text x="{50 + 132 * place}" y="25" fill="#334155">{NAMES[name]}</text>')
    for percent in (0, 25, 50, 75, 100):
        at = x(percent / 100)
        parts.append(f'<line x1="{at}" x2="{at}" y1="{top - 8}" y2="{height - 30}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{at}" y="{height - 12}" text-anchor="middle" fill="#64748b">{percent} %</text>')
    for line, one in enumerate(found):
        y = top + step * (line + 0.5)
        parts.append(f'<text x="{left - 14}" y="{y + 5}" text-anchor="end" fill="#0f172a">{one.title}</text>')
        for place, (name, colour) in enumerate(COLOURS.items()):
            low, high = one.rows[name].interval
            own = y + 6 * (place - 2)
            parts.append(
                f'<line x1="{x(low)}" x2="{x(high)}" y1="{own}" y2="{own}" stroke="{colour}" stroke-width="2.5"/>'
            )
            parts.append(f'<circle cx="{x(one.rows[name].share)}" cy="{own}" r="5" fill="{colour}"/>')
    return "\n".join([*parts, "</svg>", ""])


def timing(data: Path, count: int) -> None:
    """The two timing rows of the issue: the comparison beside the plain run, all networks against bare passes."""
    from transferdemo.backbones import load_backbone, load_random
    from transferdemo.data.folder import read_photos
    from transferdemo.data.records import LOCAL
    from transferdemo.embed import embed
    from transferdemo.engine.networks import train_all
    from transferdemo.engine.train import TrainConfig, train
    from transferdemo.engine.transfer import compare

    networks, folder, config = [load_backbone(name) for name in NETWORKS], data / "cats_dogs" / "train", TrainConfig()
    for network in (*networks, load_random(networks[0])):  # sessions are there, as in the page
        embed(network, [__import__("numpy").zeros((network.spec.size,) * 2 + (3,), "uint8")] * 2)
    paths = sorted(folder.rglob("*.jpg"))
    chosen = paths[:: max(1, len(paths) // count)][:count]
    last(train_all(read_photos({"a": chosen[:8], "b": chosen[-8:]}), networks, config))  # and the children
    plain, (embedded, _) = timed(lambda: whole_run(folder, networks[0]))
    head = last(train(embedded, config)).head
    more, done = timed(lambda: last(compare(embedded, head, config, networks[0], LOCAL)))
    print(
        f"| comparison beside the plain run, {len(embedded.folder.used)} photos | {(plain + more) / plain:.2f} x its time | 2 |"
    )
    print(
        f"|   its random row: {done.found.row('random').accuracy.count} judged | plain {plain:.1f} s, more {more:.1f} s | |"
    )
    half = len(chosen) // 2
    sorted_in = {"a": chosen[:half], "b": chosen[half:]}
    bare = 0.0
    for network in networks:
        bare += timed(lambda n=network: bare_pass(chosen, lambda images: embed(n, images), n.spec))[0]
    ours, _ = timed(lambda: last(train_all(read_photos(sorted_in), networks, config, limits=LOCAL)))
    print(
        f"| all three networks, {len(chosen)} photos | {ours / bare:.2f} x bare passes ({ours:.1f} of {bare:.1f} s) | 1.1 |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--time", action="store_true", help="the timing rows instead")
    parser.add_argument("--photos", type=int, default=1000, help="of the row of all networks")
    parser.add_argument("--plot", type=Path, help="write the plot there, as SVG")
    given = parser.parse_args()
    if given.time:
        timing(given.data, given.photos)
    else:
        all_found = []
        for title, (folder, each) in SETS.items():
            all_found.append(measure(title, some_of(given.data / folder, each)))
            print(list(table(all_found))[-1], flush=True)
        print("\n".join(table(all_found)))
        if given.plot:
            given.plot.write_text(plot(all_found), encoding="utf-8")
