"""See inside a network: what it saw on a photo, layer by layer, and which part made the decision."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import emit, view_arguments

if TYPE_CHECKING:
    from ..engine.hide import HideTest
    from ..engine.inspect import Inspection
    from ..types import Image8

HELP = "see what a network saw on a photo, and why it said so"


def arguments(parser: argparse.ArgumentParser) -> None:
    """PICTURE --out FOLDER [--backbone] [--head] [--device] [--method] [--layer] [--class] [--against] [--fit] [--json]."""
    parser.add_argument("picture", type=Path, metavar="PICTURE")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where features.png and gradcam.png go"
    )
    view_arguments(parser)
    parser.add_argument(
        "--method", default="grad-cam", metavar="HOW", help="grad-cam (default), or the finer hires-cam"
    )
    parser.add_argument("--layer", metavar="NAME", help="where in the network to explain (default: its best layer)")
    parser.add_argument("--class", dest="target", metavar="CLASS", help="a name or an index (default: the best class)")
    parser.add_argument("--against", metavar="CLASS", help="why the class and not this one")
    parser.add_argument("--fit", default="auto", metavar="HOW", help="crop, pad, exact, or auto (default)")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")


def run(args: argparse.Namespace) -> None:
    """Look at one picture and write what was seen; the last line says it as JSON. Raises DemoError."""
    from ..backbones import DEFAULT
    from ..decode import fit_image
    from ..device import choose
    from ..engine.hide import hide_test
    from ..engine.inspect import InspectConfig, look
    from ..engine.sheet import drawn, record
    from ..head_file import read_head
    from ..heads import load_classifier
    from ..images import open_photo
    from ..types import View

    head = read_head(args.head) if args.head else None
    view = View(args.backbone or (head.backbone if head else DEFAULT), head, args.fit)
    classifier = load_classifier(view, choose(args.device))
    photo = open_photo(args.picture)
    config = InspectConfig(args.layer, args.method, args.target, args.against)
    seen = look(classifier, fit_image(photo.image8, classifier.spec, view.fitting), config)
    hidden = hide_test(classifier, seen.image8, seen.cam)
    written = _write(args.out, drawn(classifier, seen, photo.image8, view.fitting))
    if not args.json:
        _say(seen, hidden, written)
    emit({"event": "done", **record(seen, hidden)})


def _write(folder: Path, made: dict[str, Image8]) -> list[Path]:
    from ..errors import BadFile
    from ..head_file import write_whole
    from ..images import encode_png

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"{folder.name} cannot be made ({error.strerror}); choose another folder.") from error
    for name, image8 in made.items():
        write_whole(folder / name, encode_png(image8))
    return [folder / name for name in made]


def _say(seen: Inspection, hidden: HideTest, written: list[Path]) -> None:
    name = seen.classes[seen.cam.target[0]] if len(seen.cam.target) == 1 else "this group"
    print(f"{name}: {hidden.probability:.1%}, seen at {seen.cam.layer}.")
    print(f"With the hottest fifth hidden {hidden.hot:.1%}, with a random fifth {hidden.random:.1%}.")
    if seen.cam.empty:
        print("The map is empty: everything in this picture speaks against this class.")
    print("written: " + ", ".join(map(str, written)), flush=True)
