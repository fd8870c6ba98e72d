"""What `train` can do beside training a head: the comparison, all networks, and the tricks of the lesson as flags."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import emit, with_bar

if TYPE_CHECKING:
    from ..backbones import Backbone
    from ..engine.evaluate import Accuracy
    from ..engine.features import CollectDone, Embedded
    from ..engine.hidden import HiddenConfig
    from ..engine.recipe import TrainConfig
    from ..types import Head


@dataclass
class Beside:
    """What was found beside the head: keys of the last JSON object, and lines for people."""

    json: dict[str, object] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add(self, key: str, value: object, line: str) -> None:
        """One more finding."""
        self.json[key] = value
        self.lines.append(line)


def more_arguments(parser: argparse.ArgumentParser) -> None:
    """[--compare] [--all-networks], the choices of `TrainConfig`, and the hidden layer's."""
    parser.add_argument(
        "--compare", action="store_true", help="how much came from transfer, and would more photos help?"
    )
    parser.add_argument("--all-networks", action="store_true", help="also train a head on every network that is here")
    tricks = parser.add_argument_group("tricks of the lesson")
    tricks.add_argument("--optimizer", metavar="NAME", help="sgd, momentum, adagrad, rmsprop, adam or adamw")
    tricks.add_argument("--decay", metavar="NAME", help="of the learning rate: none, exponential or cosine")
    tricks.add_argument("--init", metavar="NAME", help="first weights: zeros, uniform, lecun, xavier or normal")
    tricks.add_argument("--no-standardise", action="store_true", help="take the features as the network gives them")
    tricks.add_argument("--weight-decay", type=float, metavar="X", help="pulls the weights towards zero (default 0.04)")
    tricks.add_argument("--patience", type=int, metavar="N", help="stop after N epochs without a lower held-out loss")
    tricks.add_argument("--class-weights", action="store_true", help="every class the same say")
    tricks.add_argument("--augment", metavar="NAME", help="other views of each photo: flip, crop or flip-crop")
    tricks.add_argument("--average", type=int, metavar="N", help="the mean of N heads with seeds of their own")
    hidden = parser.add_argument_group("one hidden layer: an experiment beside the head, it is not saved")
    hidden.add_argument("--hidden", type=int, metavar="N", help="units between features and answer")
    hidden.add_argument("--dropout", type=float, metavar="SHARE", help="units that are silent in each step")
    hidden.add_argument("--batch-norm", action="store_true", help="standardise the units in each step")
    hidden.add_argument("--clip", type=float, metavar="LENGTH", help="no step's gradient is longer")


def settings_of(args: argparse.Namespace) -> dict[str, object]:
    """The flags as settings of a `TrainConfig`; None where it keeps its own."""
    names = ("optimizer", "decay", "init", "weight_decay", "patience", "augment", "average")
    own: dict[str, object] = {name: getattr(args, name) for name in names}
    return own | {"standardise": False if args.no_standardise else None, "class_weights": args.class_weights or None}


def check_more(args: argparse.Namespace) -> None:
    """Raise BadSetting for a hidden layer that cannot be, before any photo is opened."""
    from ..errors import BadSetting

    if args.hidden is not None:
        _hidden(args)
    elif args.dropout is not None or args.clip is not None or args.batch_norm:
        raise BadSetting("--dropout, --batch-norm and --clip belong to a hidden layer; add --hidden 256, for example.")


def _hidden(args: argparse.Namespace) -> HiddenConfig:
    from ..engine.hidden import HiddenConfig

    return HiddenConfig(args.hidden, args.dropout or 0.0, args.batch_norm, args.clip or 0.0)


def with_views(done: CollectDone, config: TrainConfig, backbone: Backbone, args: argparse.Namespace) -> CollectDone:
    """The set with the other views that the config wants."""
    from ..engine.augment import ViewsDone, collect_views

    if config.augment == "none":
        return done
    events = collect_views(done.embedded, done.embedded.folder.used, config.augment, backbone)
    for event in with_bar(events, "views", quiet=args.json):
        if isinstance(event, ViewsDone):
            done = replace(done, embedded=event.embedded)
        elif args.json:
            emit({"event": "views", "step": event.step, "total": event.total})
    return done


def beside(embedded: Embedded, head: Head, config: TrainConfig, backbone: Backbone, args: argparse.Namespace) -> Beside:
    """Everything that was asked for beside the head, one after the other."""
    more = Beside()
    if args.compare:
        _compare(more, embedded, head, config, backbone, args)
    if args.all_networks:
        _all_networks(more, embedded, config, backbone, args)
    if args.hidden is not None:
        _experiment(more, embedded, head, config, args)
    return more


def _compare(
    more: Beside, embedded: Embedded, head: Head, config: TrainConfig, backbone: Backbone, args: argparse.Namespace
) -> None:
    from ..data.records import LOCAL
    from ..engine.transfer import compare, says

    for event in with_bar(compare(embedded, head, config, backbone, LOCAL), "comparing", quiet=args.json):
        if args.json:
            emit({"event": "compare", "step": event.step, "total": event.total})
    more.json |= event.found.as_json()
    more.lines.append("How much came from transfer?")
    more.lines += [_line(row.name, row.accuracy) for row in event.found.rows]
    points = ", ".join(f"{point.each}: {point.mean:.1%}" for point in event.found.curve)
    more.lines += [f"  photos a class   {points}", says(event.found)]


def _all_networks(
    more: Beside, embedded: Embedded, config: TrainConfig, backbone: Backbone, args: argparse.Namespace
) -> None:
    from ..backbones import load_backbone
    from ..data.records import LOCAL
    from ..engine.networks import NetworksDone, here, train_all

    networks = [load_backbone(tag, backbone.mean.device) for tag in here()]
    config, known = replace(config, augment="none"), {embedded.digest: embedded.vectors}
    events = train_all(embedded.folder, networks, config, embedded.fit, LOCAL, known)
    for event in with_bar(events, "all networks", quiet=args.json):
        if isinstance(event, NetworksDone):
            more.json |= {"networks": [result.as_json() for result in event.results], "networks_say": event.says}
            more.lines += [_line(result.title, result.accuracy) for result in event.results]
            more.lines.append(event.says)
        elif args.json:
            emit({"event": "networks", "step": event.step, "total": event.total})


def _experiment(more: Beside, embedded: Embedded, head: Head, config: TrainConfig, args: argparse.Namespace) -> None:
    from ..engine.experiment import ExperimentDone, Variant, run_variant

    variant = Variant(f"{args.hidden} hidden units", replace(config, augment="none"), _hidden(args))
    for event in with_bar(run_variant(embedded, head, config, variant), "hidden layer", quiet=args.json):
        if isinstance(event, ExperimentDone):
            found = {"accuracy": event.accuracy.share, "interval": list(event.accuracy.interval)}
            tested = {"difference": event.paired.difference, "p": event.paired.p, "says": event.says}
            more.json["hidden"] = {"units": args.hidden, **found, **tested}
            more.lines += [_line(event.title, event.accuracy), event.says]
        elif args.json:
            emit({"event": "hidden", "step": event.step, "total": event.total})


def _line(name: str, accuracy: Accuracy) -> str:
    low, high = accuracy.interval
    return f"  {name:<16} {accuracy.share:6.1%}  ({low:.1%} to {high:.1%}, {accuracy.count} photos)"
