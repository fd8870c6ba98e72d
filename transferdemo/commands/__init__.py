"""The command line, one file a command. A command module has HELP, `arguments(parser)` and `run(args)`, and imports nothing
heavy at its top, so that `--help` answers at once. `run` raises DemoError; `__main__` turns it into one sentence.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


class Event(Protocol):
    """What every event of an engine carries."""

    @property
    def step(self) -> int: ...
    @property
    def total(self) -> int: ...


E_ = TypeVar("E_", bound=Event)


def view_arguments(parser: argparse.ArgumentParser, *, head: bool = True) -> None:
    """The choices above the tabs: --backbone, --head, --device."""
    parser.add_argument(
        "--backbone", metavar="NAME", help="a network of `transferdemo backbones`, or any name timm knows"
    )
    if head:
        parser.add_argument("--head", type=Path, metavar="FILE", help="a head saved by `train` or in Teach")
    parser.add_argument("--device", metavar="NAME", help="cuda, mps, xpu or cpu (default: the fastest here)")


def emit(record: dict[str, object]) -> None:
    """Print one JSON object on a line of its own, at once."""
    print(json.dumps(record, ensure_ascii=False, allow_nan=False), flush=True)


def with_bar(events: Iterable[E_], label: str, *, quiet: bool = False) -> Iterator[E_]:
    """Pass the events on; on a terminal, draw a progress bar on standard error beside them."""
    draw = not quiet and sys.stderr.isatty()
    for event in events:
        if draw:
            share = event.step / max(event.total, 1)
            sys.stderr.write(f"\r{label} {'█' * int(24 * share):<24} {event.step}/{event.total} ")
            sys.stderr.flush()
        yield event
    if draw:
        sys.stderr.write("\n")


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """The paths themselves; a folder counts as its pictures, in the order of their names, sub-folders included."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
        else:
            found.append(path)
    return found
