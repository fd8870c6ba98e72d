"""Visitors' files are gone an hour after use. Gradio's own clean-up leaves partial uploads and empty files, and a request that
names a folder can end it; so this one goes by age alone, over everything in the upload folder.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from gradio.utils import get_upload_folder

from . import heaps
from .shared import KEEP

EVERY = 60.0  # seconds between two rounds
MOST = 10 * 10**9  # bytes of all visitors' files together


def sweep(folder: Path, older_than: float) -> int:
    """Remove the files in `folder` that nobody has changed for `older_than` seconds, then empty folders; return how many."""
    limit, removed = time.time() - older_than, 0
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):  # another one was quicker, or it is in use
            if path.is_dir() and not path.is_symlink():
                if path.stat().st_mtime < limit:
                    path.rmdir()  # only if it is empty
            elif path.lstat().st_mtime < limit:
                path.unlink()
                removed += 1
    return removed


def bound(folder: Path, most: int) -> int:
    """Remove the oldest files until those in `folder` together have at most `most` bytes; return how many."""
    files, removed = [], 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if not path.is_dir():
                facts = path.lstat()
                files.append((facts.st_mtime, facts.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files, key=lambda one: one[0]):
        if total <= most:
            break
        with suppress(OSError):
            path.unlink()
            total, removed = total - size, removed + 1
    return removed


def start() -> threading.Event:
    """Sweep in the background until the event is set."""
    stop = threading.Event()

    def rounds() -> None:
        while not stop.wait(EVERY):
            sweep(Path(get_upload_folder()), KEEP)
            bound(Path(get_upload_folder()), MOST)
            heaps.trim()

    threading.Thread(target=rounds, name="janitor", daemon=True).start()
    return stop
