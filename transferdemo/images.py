"""The pools of children around decode.py, and what turns decoded pictures into Pixels and files.

There are two pools: a folder keeps one busy for minutes, and a single photo must not wait behind it. Each starts with
its first picture (or with `warm`). A child that dies or hangs costs only the picture that it had.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from pebble import ProcessExpired, ProcessPool
from PIL import Image

from . import decode
from .decode import Opened, Wish
from .errors import BadImage
from .types import Fit, Image8, InputSpec, Photo, Pixels

T = TypeVar("T")
Source: TypeAlias = "bytes | Path | tuple[str, bytes | Path]"  # a picture file; with a name, if bytes should have one

SECONDS = 5.0  # a picture may take in its child
PATIENCE = 60.0  # seconds without any answer, after which a pool is given up; its children may be slow to start
PICTURES_A_CHILD = 1000  # then it is replaced, in case a decoder leaks; a new child costs as much as 50 pictures
MAX_WORKERS = 8
AHEAD = 64  # fitted pictures that `open_many` has decoded or queued before they are asked for
AHEAD_WHOLE = 16  # the same of whole pictures, of 2 MB or more
AHEAD_BYTES = 64 * 2**20  # files given as bytes are queued up to this sum, and one more

TOO_SLOW = "This picture took too long to open: save it again, for example as a JPEG, and try that."
DIED = "This picture broke its decoder: save it again, for example as a JPEG, and try that."


class Children:
    """A pebble pool that starts when it is needed, and again after it broke or this process was forked."""

    def __init__(self, workers: int, seconds: float = SECONDS) -> None:
        self.workers = workers
        self.seconds = seconds
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._owner = 0  # the process that started the pool; a fork inherits the object without its threads
        self._open: set[Future[Any]] = set()
        self._heard = 0.0  # when the last answer came

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        """Queue one task of a function that children can import; its future is for `answer`."""
        with self._lock:
            try:
                future = self._running().schedule(function, args=args, timeout=self.seconds)
            except RuntimeError as error:  # it broke in this very moment
                raise BrokenProcessPool("The decoding children do not start.") from error
            self._open.add(future)
        future.add_done_callback(self._note)
        return future

    def answer(self, future: Future[T]) -> T:
        """Wait for a task; raises BadImage if its child died or took too long, BrokenProcessPool if the pool ended."""
        while True:
            try:
                return future.result(PATIENCE)
            except ProcessExpired as error:
                raise BadImage(DIED) from error
            except TimeoutError as error:
                if future.done():
                    raise BadImage(TOO_SLOW) from error
                if time.monotonic() - self._heard > PATIENCE:
                    self.close()

    def run(self, function: Callable[..., T], *args: object) -> T:
        """Return what a task returned, tried again if the pool ended under it; raises BadImage."""
        try:
            return self.answer(self.submit(function, *args))
        except BrokenProcessPool:
            return self.answer(self.submit(function, *args))

    def close(self) -> None:
        """End the children; tasks that are under way get BrokenProcessPool, the next one starts new children."""
        with self._lock:
            pool, self._pool = self._pool, None
            abandoned, self._open = self._open, set()
        if pool is not None:
            _end(pool)
        for future in abandoned:
            with suppress(InvalidStateError):
                future.set_exception(BrokenProcessPool("The decoding children were ended."))

    def _note(self, future: Future[T]) -> None:
        self._heard = time.monotonic()
        with self._lock:
            self._open.discard(future)

    def _running(self) -> ProcessPool:
        if self._owner != os.getpid():
            self._pool, self._owner, self._open = None, os.getpid(), set()
        if self._pool is not None and not self._pool.active:
            _end(self._pool)
            self._pool = None
        if self._pool is None:
            self._heard = time.monotonic()
            self._pool = ProcessPool(
                max_workers=self.workers,
                max_tasks=PICTURES_A_CHILD,
                initializer=decode.limit_child,
                context=multiprocessing.get_context("spawn"),
            )
        return self._pool


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    threading.Thread(target=pool.join, name="end of a pool", daemon=True).start()


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MAX_WORKERS)


_single = Children(min(2, _cores()))
_folder = Children(_cores())


def warm() -> None:
    """Start the children for single photos, and return at once: the first photo then finds them ready."""
    for _ in range(_single.workers):
        _single.submit(os.getpid)


def open_photo(source: bytes | Path, name: str | None = None) -> Photo:
    """Decode one picture, given as its file's bytes or path, in a child; raises BadImage."""
    picture, given = _named(source)
    opened = _single.run(decode.open_one, picture, name or given, Wish())
    return Photo(opened.image8, opened.sha256, opened.name)


def open_many(
    sources: Iterable[Source], spec: InputSpec | None = None, fit: Fit = "auto", thumbnail: int | None = None
) -> Iterator[Opened | BadImage]:
    """Yield every picture in the order given, or the BadImage that says why not; children decode ahead of the caller.

    With a `spec` the pictures come as `decode.fit_image` makes them, otherwise whole; `thumbnail` is the long side of a
    JPEG in px. Few pictures are held at a time, however many there are. Closing the iterator cancels what was ahead.
    Raises BadSetting for a fit or thumbnail that does not exist.
    """
    return _stream(iter(sources), Wish(spec, fit, thumbnail))


def _stream(sources: Iterator[Source], wish: Wish) -> Iterator[Opened | BadImage]:
    ahead = AHEAD if wish.spec is not None else AHEAD_WHOLE
    waiting: deque[tuple[Future[Opened], tuple[bytes | Path, str, Wish]]] = deque()
    held = 0
    try:
        for source in sources:
            picture, name = _named(source)
            waiting.append((_folder.submit(decode.open_one, picture, name, wish), (picture, name, wish)))
            held += _weight(picture)
            while len(waiting) >= ahead or held > AHEAD_BYTES:
                held -= _weight(waiting[0][1][0])
                yield _opened(*waiting.popleft())
        while waiting:
            yield _opened(*waiting.popleft())
    finally:
        for future, _ in waiting:
            future.cancel()


def _opened(future: Future[Opened], args: tuple[bytes | Path, str, Wish]) -> Opened | BadImage:
    try:
        try:
            return _folder.answer(future)
        except BrokenProcessPool:  # perhaps another picture's fault
            return _folder.run(decode.open_one, *args)
    except BadImage as error:
        return BadImage(str(error))  # a new one: the traceback of the first holds the file's bytes


def _named(source: Source) -> tuple[bytes | Path, str]:
    if isinstance(source, tuple):
        return source[1], source[0]
    return source, source.name if isinstance(source, Path) else "photo"


def _weight(source: bytes | Path) -> int:
    return len(source) if isinstance(source, bytes) else 0


def to_pixels(images: Sequence[Image8]) -> Pixels:
    """Stack pictures of one size, (H, W, 3) uint8 each, to (N, 3, H, W) float32 in [0, 1], channels_last in memory."""
    import torch  # here, so that what only decodes starts without it

    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(torch.float32).div_(255)


def to_image8(pixels: Pixels) -> Image8:
    """Turn one picture, (3, H, W) or (1, 3, H, W) in [0, 1] on any device, to (H, W, 3) uint8: rounded, clipped."""
    import torch

    single = pixels.detach().reshape(pixels.shape[-3:])
    levels = single.mul(255).round().clamp(0, 255).to("cpu", torch.uint8)
    image8: Image8 = levels.permute(1, 2, 0).contiguous().numpy()
    return image8


def encode_png(image8: Image8) -> bytes:
    """Return (H, W, 3) uint8 as a PNG file, without loss."""
    return _encode(image8, "PNG")


def encode_jpeg(image8: Image8, quality: int = 90) -> bytes:
    """Return (H, W, 3) uint8 as a JPEG file; quality 1 to 95."""
    return _encode(image8, "JPEG", quality=quality)


def _encode(image8: Image8, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image8).save(out, kind, **options)
    return out.getvalue()
