"""Train a head on a folder or zip with one sub-folder for each class, measure it, and save it."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import emit, view_arguments, with_bar
from ._fine_tune import config_of, tuned_on, words_of
from ._train_more import Beside, beside, check_more, more_arguments, settings_of, with_views

if TYPE_CHECKING:
    from ..backbones import Backbone
    from ..engine.evaluate import Accuracy, FoldsDone, Report
    from ..engine.features import CollectDone, Embedded
    from ..engine.recipe import TrainConfig
    from ..engine.train import TrainDone, TrainStep
    from ..engine.trust import Trust
    from ..types import Head

HELP = "train a head on your own folder of photos"


def arguments(parser: argparse.ArgumentParser) -> None:
    """FOLDER_OR_ZIP --out HEAD [--backbone] [--test] [--folds] [--epochs] [--lr] [--seed] [--fit] [--device] [--json]."""
    parser.add_argument("set", type=Path, metavar="FOLDER_OR_ZIP", help="one sub-folder of photos for each class")
    parser.add_argument("--out", type=Path, required=True, metavar="HEAD.safetensors", help="the file to write")
    view_arguments(parser, head=False)
    parser.add_argument("--test", type=Path, metavar="FOLDER", help="measure on this folder or zip too")
    parser.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="K",
        help="measure by K folds as well, and then train the head on all photos (default: keep a fifth of them out)",
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="times through the photos (default 20)")
    parser.add_argument("--lr", type=float, metavar="RATE", help="learning rate (default: the optimiser's own)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and of chance (default 0)")
    parser.add_argument("--fit", default="auto", metavar="HOW", help="auto, crop the middle, or pad the whole picture")
    parser.add_argument(
        "--fine-tune",
        action="store_true",
        help="train the network's last stage too, and keep it if the held-out photos speak for it",
    )
    parser.add_argument(
        "--fine-tune-epochs", type=int, metavar="N", help="times through the photos for that (default 10)"
    )
    more_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> None:
    """Raises BadFolder, BadFile, BadSetting, MissingWeights; nothing is written then."""
    from ..backbones import DEFAULT, load_backbone
    from ..device import choose
    from ..engine.evaluate import with_facts
    from ..engine.trust import with_alarms
    from ..head_file import save_head
    from ..heads import tuned as through

    config, tuning = _config(args), config_of(args)
    check_more(args)
    _check_out(args.out)
    backbone = load_backbone(args.backbone or DEFAULT, choose(args.device))
    own = with_views(_collected(args.set, backbone, args), config, backbone, args)
    test = _collected(args.test, backbone, args) if args.test else None
    began = time.monotonic()
    head = _trained(own.embedded, config, args)
    report, known = _reported(own.embedded, head, config, test.embedded if test else None, args)
    plain = time.monotonic() - began
    more = beside(own.embedded, head, config, backbone, args)
    if args.folds:
        head = _on_all(own.embedded, config)
        report = _tested_again(report, head, test)
    tuned = tuned_on(backbone, own.embedded, head, (tuning, config), args) if tuning else None
    if tuned:
        more.add("fine_tune", tuned.as_json(), words_of(tuned))
    if tuned and tuned.accepted:
        head, report = tuned.head, tuned.report(report)
        test = _collected(args.test, through(backbone, head), args) if args.test else None
        report = _tested_again(report, head, test)
    else:
        trusted = _trusted(own.embedded, head, config, known if args.folds else None, args)
        head = with_alarms(trusted.head, test.embedded) if test else trusted.head
    head = with_facts(head, own.embedded, report, on_all=bool(args.folds))
    save_head(head, args.out)
    collected = [own, *([test] if test else [])]
    seconds = {
        "decode": sum(x.decode for x in collected),
        "embed": sum(x.embed for x in collected),
        "train": plain,
    }
    (_emit if args.json else _say)(report, head, own.embedded, seconds, args.out, more)


def _config(args: argparse.Namespace) -> TrainConfig:
    from ..engine.recipe import TrainConfig
    from ..types import check_choice, check_number

    check_choice("--fit", args.fit, ("auto", "crop", "pad"))
    if args.folds:
        check_number("--folds", args.folds, 2, 100, whole=True)
    given = {"epochs": args.epochs, "learning_rate": args.lr, "seed": args.seed, **settings_of(args)}
    return TrainConfig.from_settings({key: value for key, value in given.items() if value is not None})


def _check_out(out: Path) -> None:
    """Better now than after the training."""
    from ..errors import BadFile

    if out.suffix != ".safetensors":
        raise BadFile(f"A head is a .safetensors file; name it {out.with_suffix('.safetensors').name}, for example.")
    if not out.absolute().parent.is_dir():
        raise BadFile(f"There is no folder {out.parent} to write the head to; make it, or choose another.")


def _collected(path: Path, backbone: Backbone, args: argparse.Namespace) -> CollectDone:
    from ..data.archive import read_set
    from ..data.records import LOCAL
    from ..engine.features import CollectDone, collect
    from ..errors import BadFolder

    for event in with_bar(collect(read_set(path, LOCAL), backbone, args.fit, LOCAL), "looking", quiet=args.json):
        if isinstance(event, CollectDone):
            return event
        if args.json:
            emit({"event": "collect", "step": event.step, "total": event.total, "embedded": event.embedded})
    raise BadFolder(f"Nothing came of {path.name}; choose another folder.")


def _trained(embedded: Embedded, config: TrainConfig, args: argparse.Namespace) -> Head:
    from ..engine.train import TrainDone, train

    for event in with_bar(train(embedded, config), "training", quiet=args.json):
        if args.json:
            emit(_record(event))
        elif isinstance(event, TrainDone) and event.note:
            print(event.note)
    return event.head


def _record(event: TrainStep | TrainDone) -> dict[str, object]:
    from ..engine.train import TrainDone

    place: dict[str, object] = {"step": event.step, "total": event.total}
    if isinstance(event, TrainDone):
        return {"event": "trained", **place, "note": event.note}
    names = ("train_loss", "train_accuracy", "held_out_loss", "held_out_accuracy")
    numbers = {name: getattr(event, name) for name in names}
    return {"event": "train", **place} | {key: x if math.isfinite(x) else None for key, x in numbers.items()}


def _reported(
    embedded: Embedded, head: Head, config: TrainConfig, test: Embedded | None, args: argparse.Namespace
) -> tuple[Report, FoldsDone | None]:
    from ..engine.evaluate import ReportDone, full_report

    for event in with_bar(full_report(embedded, head, config, test, args.folds), "measuring", quiet=args.json):
        if isinstance(event, ReportDone):
            found = event.report, event.folds
        elif args.json:
            emit({"event": "folds", "step": event.step, "total": event.total})
    return found


def _trusted(
    embedded: Embedded, head: Head, config: TrainConfig, known: FoldsDone | None, args: argparse.Namespace
) -> Trust:
    """The head with its temperature and its sense for what is not one of its classes."""
    from ..engine.trust import TrustDone, trust

    events = trust(embedded, head, config, on_all=bool(args.folds), known=known)
    for event in with_bar(events, "checking", quiet=args.json):
        if isinstance(event, TrustDone):
            found = event.trust
    return found


def _on_all(embedded: Embedded, config: TrainConfig) -> Head:
    from ..engine.evaluate import train_on_all
    from ..types import Head

    return next(event for event in train_on_all(embedded, config) if isinstance(event, Head))


def _tested_again(report: Report, head: Head, test: CollectDone | None) -> Report:
    from dataclasses import replace

    from ..engine.evaluate import accuracy_on

    return replace(report, test=accuracy_on(head, test.embedded)) if test else report


def _emit(report: Report, head: Head, embedded: Embedded, seconds: dict[str, float], out: Path, more: Beside) -> None:
    emit(
        {
            "event": "done",
            "accuracy": report.held_out.share,
            "interval": list(report.held_out.interval),
            "held_out": report.held_out.count,
            "test_accuracy": _share(report.test),
            "fold_accuracy": _share(report.folds),
            "fold_accuracy_random": _share(report.folds_random),
            "classes": list(head.classes),
            "temperature": head.temperature,
            "calibration": head.facts.get("calibration"),
            "novelty": _novelty(head),
            "quarantined": len(embedded.folder.aside),
            "skipped": embedded.folder.skipped,
            "seconds": {key: round(value, 3) for key, value in seconds.items()},
            "head": str(out),
            **more.json,
        }
    )


def _novelty(head: Head) -> dict[str, float] | None:
    own = head.novelty
    return {"threshold": own.threshold, "false_alarm": own.false_alarm} if own else None


def _share(accuracy: Accuracy | None) -> float | None:
    return accuracy.share if accuracy else None


def _say(report: Report, head: Head, embedded: Embedded, seconds: dict[str, float], out: Path, more: Beside) -> None:
    folder = embedded.folder
    print(f"{len(folder.used)} photos of {len(head.classes)} classes; {len(folder.aside)} set aside.")
    for photo in folder.aside[:5]:
        print(f"  {photo.name}: {photo.aside}")
    _line("held out", report.held_out)
    _line("test", report.test)
    _line(f"{report.fold_count} folds", report.folds)
    _line("folds at random", report.folds_random)
    if report.leaky:
        print("The photos of a class are too alike to be kept apart: the held-out accuracy flatters.")
    for line in more.lines:
        print(line)
    print(f"Saved as {out}. " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()) + ".")


def _line(name: str, accuracy: Accuracy | None) -> None:
    if accuracy:
        low, high = accuracy.interval
        print(f"  {name:<16} {accuracy.share:6.1%}  ({low:.1%} to {high:.1%}, {accuracy.count} photos)")
