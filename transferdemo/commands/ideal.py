"""Paint the picture that a class likes best, and say what the network makes of the very file that is written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import emit, view_arguments, with_bar

if TYPE_CHECKING:
    from ..engine.ideal import IdealDone, IdealStep
    from ..engine.ideal_order import Prepared

HELP = "paint what a network thinks a class looks like"


def arguments(parser: argparse.ArgumentParser) -> None:
    """--class CLASS --out FILE.png [--method] [--second] [--steps] [--tv] [--size] [--seed] and what all commands share."""
    parser.add_argument(
        "--class", dest="name", required=True, metavar="CLASS", help='a name, an index, "any cat" or "any dog"'
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where the picture goes")
    view_arguments(parser)
    parser.add_argument(
        "--method",
        default="sharp",
        metavar="HOW",
        help="sharp (default); agreed, by two networks; lesson, pixels by plain descent",
    )
    parser.add_argument(
        "--second", metavar="NAME", help="the network that must agree (default: the first other one that is here)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="1 to 1,000 (default: the method's own)")
    parser.add_argument(
        "--tv",
        type=float,
        metavar="W",
        help="weight of total variation: how smooth it must be (default: the method's own)",
    )
    parser.add_argument("--size", type=int, default=224, metavar="N", help="pixels a side, 128 to 384 (default 224)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random start and looks (default 0)")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON, one object a line")


def run(args: argparse.Namespace) -> None:
    """Paint one picture, write it whole, and print the last line as JSON. Raises DemoError before anything is written."""
    from ..backbones import DEFAULT
    from ..engine.ideal import IdealDone, ideal
    from ..engine.ideal_file import with_settings
    from ..engine.ideal_order import Order, measured, prepare
    from ..head_file import read_head, write_whole
    from ..types import View

    _check_out(args.out)
    head = read_head(args.head) if args.head else None
    view = View(args.backbone or (head.backbone if head else DEFAULT), head, device=args.device)
    order = Order(args.name, args.method, args.steps, args.tv, size=args.size, seed=args.seed, second=args.second)
    prepared = prepare(view, order)
    events = ideal(prepared.classifiers, prepared.config)
    _announce(prepared, args.json)
    for event in with_bar(events, "painting", quiet=args.json):
        if isinstance(event, IdealDone):
            write_whole(args.out, with_settings(event.png, prepared.settings | measured(event)))
            _finish(prepared, event, args)
        elif args.json:
            emit(_step(event))


def _check_out(path: Path) -> None:
    """Make the folder of the file that is to be written. Raises BadSetting, BadFile."""
    from ..errors import BadFile, BadSetting

    if path.suffix.lower() != ".png":
        raise BadSetting("The picture is written without loss, as a PNG; let --out end in .png.")
    if path.is_dir():
        raise BadSetting(f"{path.name} is a folder; give the name of a file as --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"{path.parent.name} cannot be made ({error.strerror}); choose another folder.") from error


def _announce(prepared: Prepared, as_json: bool) -> None:
    """What is about to be painted, and which networks look."""
    if as_json:
        emit({"event": "start", **prepared.settings})
    else:
        titles = " and ".join(classifier.backbone.info.title for classifier in prepared.classifiers)
        steps = prepared.config.recipe().steps
        print(f"{prepared.title} for {titles}: {prepared.config.method}, {steps} steps", flush=True)


def _step(event: IdealStep) -> dict[str, object]:
    return {
        "event": "step",
        "step": event.step,
        "total": event.total,
        "probability": None if event.probability is None else round(event.probability, 6),
        "loss": round(event.loss, 5),
        "tv": round(event.tv, 6),
        "steps_per_second": round(event.steps_per_second, 2),
    }


def _finish(prepared: Prepared, done: IdealDone, args: argparse.Namespace) -> None:
    if not args.json:
        print(f"{args.out}: {done.probability:.1%}; on random crops and shifts {done.robust_probability:.1%}")
    classes = prepared.config.classes
    emit(
        {
            "event": "done",
            "class": classes[0] if len(classes) == 1 else list(classes),
            "probability": round(done.probability or 0.0, 6),
            "robust_probability": round(done.robust_probability or 0.0, 6),
            "steps": done.step,
            "seconds": round(done.seconds, 3),
            "steps_per_second": round(done.steps_per_second, 2),
        }
    )
