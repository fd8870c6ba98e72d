"""What `train` can do beside training: the comparison with what needs no transfer."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from . import emit, with_bar

if TYPE_CHECKING:
    from ..backbones import Backbone
    from ..engine.features import Embedded
    from ..engine.recipe import TrainConfig
    from ..engine.transfer import Transfer
    from ..types import Head


def compared(
    embedded: Embedded, head: Head, config: TrainConfig, backbone: Backbone, args: argparse.Namespace
) -> Transfer:
    """The rows and the curve of `--compare`."""
    from ..data.records import LOCAL
    from ..engine.transfer import compare

    for event in with_bar(compare(embedded, head, config, backbone, LOCAL), "comparing", quiet=args.json):
        if args.json:
            emit({"event": "compare", "step": event.step, "total": event.total})
    return event.found


def say_transfer(found: Transfer) -> None:
    """The comparison as lines."""
    from ..engine.transfer import says

    print("How much came from transfer?")
    for row in found.rows:
        low, high = row.accuracy.interval
        print(f"  {row.name:<16} {row.accuracy.share:6.1%}  ({low:.1%} to {high:.1%}, {row.accuracy.count} photos)")
    points = ", ".join(f"{point.each}: {point.mean:.1%}" for point in found.curve)
    print(f"  photos a class   {points}")
    print(says(found))
