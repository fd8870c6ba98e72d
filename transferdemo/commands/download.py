"""Fetch the weights of networks, into the hub's cache or onto a USB stick (then name its folder in TRANSFERDEMO_WEIGHTS)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import emit, with_bar

HELP = "fetch the weights of networks"


def arguments(parser: argparse.ArgumentParser) -> None:
    """NAME... [--to FOLDER] [--json]."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a network of the table, or any name that timm knows")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="also copy the files there, say onto a USB stick")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> None:
    """Download one network after the other; the names are checked before the first byte."""
    from ..backbones import fetch, resolve

    for spec in [resolve(name) for name in args.names]:
        last = 0
        for event in with_bar(fetch(spec, args.to), spec.title, quiet=args.json):
            last = event.total
            if args.json:
                emit({"event": type(event).__name__.removeprefix("Download").lower(), "backbone": spec.tag,
                      "step": event.step, "total": event.total})  # fmt: skip
        print(f"{spec.title}: {last / 2**20:.0f} MB are here.", file=sys.stderr if args.json else sys.stdout)
