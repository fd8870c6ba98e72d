"""Name what is on pictures: the best classes, and dog, cat or neither."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import emit, pictures_in, view_arguments, with_bar

if TYPE_CHECKING:
    from ..engine.classify import ClassifyStep, Prediction

HELP = "name what is on pictures"


def arguments(parser: argparse.ArgumentParser) -> None:
    """PICTURE... [--backbone] [--head] [--device] [--top] [--fit] [--json]."""
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a picture, or a folder of pictures")
    view_arguments(parser)
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many classes to name (default 5)")
    parser.add_argument(
        "--fit",
        default="auto",
        metavar="HOW",
        help="crop the middle, pad the whole picture, exact pixels, or auto: exact where the size fits, else crop",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> None:
    """Classify every picture in the order given; a bad one is reported and the others go on.

    Raises BadImage where there is none at all, or none of them could be used.
    """
    from ..backbones import DEFAULT
    from ..device import choose
    from ..engine.classify import ClassifyDone, classify_many
    from ..errors import BadImage
    from ..head_file import read_head
    from ..heads import load_classifier, pets_head
    from ..types import View, check_number

    check_number("--top", args.top, 1, 1000, whole=True)
    head = read_head(args.head) if args.head else None
    view = View(args.backbone or (head.backbone if head else DEFAULT), head, args.fit)
    classifier = load_classifier(view, choose(args.device))
    paths = pictures_in(args.pictures)
    failed = 0
    sources = [(str(path), path) for path in paths]
    pets = None if head else pets_head(classifier.backbone)
    events = classify_many(classifier, sources, view.fitting, pets, args.top)
    for event in with_bar(events, "classifying", quiet=args.json or len(paths) < 8):
        if isinstance(event, ClassifyDone):
            failed = event.failed
        elif args.json:
            emit(_record(event))
        else:
            _say(event)
    if failed == len(paths):
        raise BadImage("None of the pictures could be used." if failed else "There are no pictures there.")


def _record(event: ClassifyStep) -> dict[str, object]:
    if event.prediction is None:
        return {"event": "error", "picture": event.name, "message": event.error}
    seen = event.prediction
    sums = seen.pets if seen.pets and seen.imagenet and seen.imagenet.word != "neither" else seen.imagenet
    record: dict[str, object] = {"event": "done", "picture": event.name, "verdict": seen.verdict}
    if sums:
        record |= {"dog": sums.dog, "cat": sums.cat}
    if seen.odd:
        record |= {"strange": seen.strange, "strangeness": seen.odd.score, "threshold": seen.odd.threshold}
    record["scores"] = [{"index": s.index, "name": s.name, "probability": s.probability} for s in seen.scores]
    return record | {"milliseconds": round(seen.milliseconds, 2)}


def _say(event: ClassifyStep) -> None:
    if event.prediction is None:
        print(f"{event.name}: {event.error}", file=sys.stderr)
    else:
        otherwise = "it would have said: " if event.prediction.strange else ""
        print(f"{event.name}: {event.prediction.verdict} ({otherwise}{_classes(event.prediction)})", flush=True)


def _classes(prediction: Prediction) -> str:
    return ", ".join(f"{s.name} {s.probability:.1%}" for s in prediction.scores)
