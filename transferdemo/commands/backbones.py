"""List the networks of the table, and whether their weights are on this machine."""

from __future__ import annotations

import argparse

from . import emit

HELP = "list the networks, and which are here"


def arguments(parser: argparse.ArgumentParser) -> None:
    """[--json]."""
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> None:
    """Print a row for each network of the table."""
    from ..backbones import BACKBONES, DEFAULT, find_weights

    for tag, row in BACKBONES.items():
        found = find_weights(row)
        if args.json:
            emit(
                {
                    "backbone": tag,
                    "title": row.title,
                    "family": row.family,
                    "parameters": row.parameters,
                    "megabytes": round(row.megabytes, 1),
                    "top1": row.top1,
                    "licence": row.licence,
                    "default": tag == DEFAULT,
                    "here": found is not None,
                    "origin": found.origin if found else None,
                }
            )
        else:
            top1 = f"{row.top1:.1f} %" if row.top1 else "  –   "
            here = found.origin if found else "not here: `download` fetches it"
            print(f"{tag:36} {row.megabytes:5.0f} MB  {top1}  {row.licence:13} {here}")
