"""One file of weights from the Hugging Face hub, as a stream of events, for as many people as ask for it.

The download happens in a child process (fetch.py), because only a process can be stopped wherever it waits: the library
goes on for 46 s where a hub answers 500, and for a minute where one falls silent.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

from huggingface_hub import constants

from .errors import MissingWeights
from .fetch import BLOCK, FILE, OFFLINE, DownloadDone, DownloadStep, Order, cached, disk_errors, work

__all__ = ["FILE", "DownloadDone", "DownloadStep", "cached", "download"]

SILENCE = 8.0  # seconds without a new byte until a download is given up
_START = 60.0  # seconds that a busy machine may need to start the child


def download(
    repo_id: str, revision: str | None = None, to: Path | None = None, stem: str = "model"
) -> Generator[DownloadStep | DownloadDone, None, None]:
    """Fetch the weights of `repo_id` into the hub's cache and, given a folder `to`, copy them to `to/<stem>.safetensors`.

    Yields every 0.1 s; closing it stops the transfer unless someone else waits for the same file. Raises MissingWeights.
    """
    order = Order(repo_id, revision, constants.ENDPOINT, constants.HF_HUB_CACHE, constants.is_offline_mode())
    if order.offline and cached(repo_id, revision) is None:
        raise MissingWeights(OFFLINE)
    if to is not None:
        with disk_errors(to):
            to.mkdir(parents=True, exist_ok=True)
    with _following(order) as transfer:
        while not transfer.ended.wait(0.1):
            yield transfer.step
    done = transfer.outcome
    if isinstance(done, MissingWeights):
        raise MissingWeights(str(done))  # each follower raises its own
    if to is not None:
        yield from _copy(done.path, to / f"{stem}.safetensors")
        done = DownloadDone(done.step, done.total, to / f"{stem}.safetensors")
    yield done


def _copy(source: Path, target: Path) -> Iterator[DownloadStep]:
    """Copy, under another name until the last byte is on the stick and not only in the system's memory."""
    total = source.stat().st_size
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    with disk_errors(target.parent), ExitStack() as undo:
        undo.callback(part.unlink, missing_ok=True)
        with source.open("rb") as file, part.open("xb") as out:
            while block := file.read(BLOCK):
                out.write(block)
                out.flush()
                os.fsync(out.fileno())
                yield DownloadStep(out.tell(), total, "Copying")
        os.replace(part, target)


class _Transfer:
    """A child process that fetches one file, and how far it is, for everyone who waits for this file."""

    def __init__(self, order: Order) -> None:
        self.order, self.followers = order, 0
        self.step = DownloadStep(0, 0)
        self.outcome: DownloadDone | MissingWeights = MissingWeights(
            "The download ended before it was done; try again."
        )
        self.ended = threading.Event()
        spawn = get_context("spawn")
        self.events, sender = spawn.Pipe(duplex=False)
        self.child = spawn.Process(target=work, args=(order, sender), daemon=True)
        self.child.start()
        sender.close()  # the child has its own end; when that closes, the child is gone
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        """Take the child's events until it is done, fails, dies or falls silent; then let everyone know."""
        try:
            with suppress(EOFError, OSError):  # it died, or was stopped
                self._listen()
            self.child.join(5)
            self.child.kill()
        finally:
            self.events.close()
            self.ended.set()

    def _listen(self) -> None:
        patience = _START
        while self.events.poll(patience):
            patience = SILENCE
            event = self.events.recv()
            if not isinstance(event, DownloadStep):
                self.outcome = event
                return
            self.step = event
        self.child.terminate()
        message = f"No data came from {self.order.endpoint} for {SILENCE:g} seconds; try again on a better connection."
        self.outcome = MissingWeights(message)


_running: dict[Order, _Transfer] = {}
_lock = threading.Lock()


@contextmanager
def _following(order: Order) -> Iterator[_Transfer]:
    """The one transfer of this file, started where there is none; it is stopped when its last follower leaves."""
    with _lock:
        transfer = _running.get(order)
        if transfer is None or transfer.ended.is_set():
            transfer = _running[order] = _Transfer(order)
        transfer.followers += 1
    try:
        yield transfer
    finally:
        with _lock:
            transfer.followers -= 1
            if not transfer.followers and _running.get(order) is transfer:
                del _running[order]
                if not transfer.ended.is_set():
                    transfer.child.terminate()
