"""What the child process of hub.py does: bring one file of weights into the Hugging Face cache, checked, and say how far it is.

huggingface_hub does the work: its cache, its retries, which go on where a connection broke off, and its check of the length.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from huggingface_hub import (
    close_session,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
from safetensors import SafetensorError, safe_open

from .errors import MissingWeights

FILE = "model.safetensors"  # nothing else is ever asked for: no pickle
OFFLINE = "HF_HUB_OFFLINE is set, so nothing is downloaded; unset it, or choose a network that is here."
BLOCK = 1 << 20  # bytes that are copied or hashed at a time
_PATIENCE = 3  # seconds until a silent transfer is opened anew: twice before hub.py gives up
_ANSWER = 6  # seconds that the hub may take to say what it has
_CHUNK = 32 * 1024  # bytes; with the library's own 10 MB a slow download would look like a silent one
_DEAD = 600  # seconds after which a partial file belongs to nobody: its process was killed


@dataclass(frozen=True)
class DownloadStep:
    """`step` of `total` bytes are there; `total` is 0 until the hub has said how many there are."""

    step: int
    total: int
    title: str = "Downloading"


@dataclass(frozen=True)
class DownloadDone:
    """The file is at `path`, whole: its checksum and its header were checked."""

    step: int
    total: int
    path: Path


Report = Callable[[DownloadStep], None]


@dataclass(frozen=True)
class Order:
    """Which file, from which hub, into which cache: all that the child needs to know."""

    repo_id: str
    revision: str | None
    endpoint: str
    cache: str
    offline: bool


def cached(repo_id: str, revision: str | None = None) -> Path | None:
    """The weights of `repo_id` in the hub's cache, or None; asks no network and does not read the file."""
    found = try_to_load_from_cache(repo_id, FILE, revision=revision)
    return Path(found) if isinstance(found, str) else None


def work(order: Order, pipe: Connection) -> None:
    """Send DownloadSteps and then DownloadDone or MissingWeights; SIGTERM ends this at once, and nothing partial is left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that waits
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    warnings.simplefilter("ignore")
    logging.disable()
    constants.HF_HUB_CACHE = order.cache
    constants.HF_HUB_OFFLINE = order.offline
    constants.HF_HUB_DISABLE_TELEMETRY = True  # ask for the file and for nothing else
    constants.HF_HUB_DISABLE_XET = True  # plain HTTP, which every hub and mirror speaks
    constants.HF_HUB_DOWNLOAD_TIMEOUT = _PATIENCE
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    with suppress(BrokenPipeError):  # nobody waits any more
        pipe.send(DownloadStep(0, 0))  # awake
        pipe.send(_outcome(order, pipe.send))


def _outcome(order: Order, report: Report) -> DownloadDone | MissingWeights:
    try:
        with disk_errors(Path(order.cache)):
            path = _fetch(order, report)
        return DownloadDone(path.stat().st_size, path.stat().st_size, path)
    except MissingWeights as error:
        return error
    except (OSError, httpx.HTTPError, SafetensorError) as error:
        return MissingWeights(_sentence(error, order))


def _fetch(order: Order, report: Report) -> Path:
    """The file, checked: from the cache, or from the hub where the cache holds none or a bad one."""
    path = cached(order.repo_id, order.revision)
    if path is not None:
        try:
            return _checked(path, path.readlink().name if path.is_symlink() else "", report)
        except (MissingWeights, SafetensorError):
            _discard(path)
    if order.offline:
        raise MissingWeights(OFFLINE)
    url = hf_hub_url(order.repo_id, FILE, revision=order.revision, endpoint=order.endpoint)
    # Asked once and briefly; the library itself would ask a failing hub for 46 s.
    facts = get_hf_file_metadata(url, token=False, timeout=_ANSWER, endpoint=order.endpoint)
    if facts.commit_hash is None or facts.etag is None:
        raise MissingWeights(
            f"{order.endpoint} answered with some other page; sign in to your network, then try again."
        )
    close_session()  # a connection that the hub has closed meanwhile would end the library's first request
    report(DownloadStep(0, facts.size or 0))
    _make_room(order, facts.size or 0)
    where: dict[str, Any] = {"revision": order.revision, "endpoint": order.endpoint, "etag_timeout": _ANSWER}
    bar = cast(Any, partial(_Bar, report))
    with ExitStack() as undo:
        path = Path(hf_hub_download(order.repo_id, FILE, token=False, tqdm_class=bar, **where))
        undo.callback(_discard, path)  # also when it is stopped before it was checked
        _checked(path, facts.etag, report)
        undo.pop_all()
    return path


def _make_room(order: Order, size: int) -> None:
    """Remove what killed processes left of this file, and refuse before the first byte what the disk cannot hold."""
    blobs = Path(order.cache, repo_folder_name(repo_id=order.repo_id, repo_type="model"), "blobs")
    blobs.mkdir(parents=True, exist_ok=True)
    for left in blobs.glob("*.incomplete"):
        if time.time() - left.stat().st_mtime > _DEAD:
            left.unlink(missing_ok=True)
    if shutil.disk_usage(blobs).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _checked(path: Path, etag: str, report: Report) -> Path:
    """`path`, if it has the SHA-256 that a 64-digit etag promises, and opens as safetensors."""
    if re.fullmatch("[0-9a-f]{64}", etag) and _sha256(path, report) != etag:
        raise MissingWeights("The file that came is damaged (its checksum differs) and was thrown away; try again.")
    with safe_open(path, framework="numpy"):
        return path


def _discard(path: Path) -> None:
    for link in (path.resolve(), path):
        link.unlink(missing_ok=True)


def _sha256(path: Path, report: Report) -> str:
    digest, total = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            report(DownloadStep(file.tell(), total, "Checking"))
    return digest.hexdigest()


class _Bar:
    """What the library takes for tqdm: reports at most ten times a second, and only what was not reached before.

    So a hub that breaks off and starts over, for ever, counts as silent.
    """

    def __init__(self, report: Report, *, total: int | None = None, initial: int = 0, **_: object) -> None:
        self.report, self.total = report, total or 0
        self.at = self.best = initial
        self.due = 0.0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """`n` more bytes are there; less than 0 where the library has to start over."""
        self.at += n
        if self.at > self.best:
            self.best = self.at
            if time.monotonic() >= self.due:
                self.due = time.monotonic() + 0.1
                self.report(DownloadStep(self.at, self.total))


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says of a disk into MissingWeights; errors of the hub have no errno and pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise MissingWeights(f"There is not enough room in {folder}; free some and try again.") from error
        if error.errno is not None:
            raise MissingWeights(f"{folder} cannot be used ({error.strerror}); choose another folder.") from error
        raise


def _sentence(error: Exception, order: Order) -> str:
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 404:
            return f"{order.repo_id} has no safetensors file on the hub, and no other kind is opened; choose another network."
        if status in (401, 403):
            return f"The hub gives {order.repo_id} only to people who signed in for it; choose another network."
        return f"{order.endpoint} answered with error {status}; try again later."
    if isinstance(error, httpx.HTTPError):
        return f"{order.endpoint} cannot be reached, or the connection broke off; check the internet and try again."
    if isinstance(error, SafetensorError):
        return "The file that came is no safetensors file and was thrown away; try again, or choose another network."
    return f"The file that came from {order.endpoint} has the wrong length and was thrown away; try again."
