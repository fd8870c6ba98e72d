"""Between the engine's streams and Gradio: pacing, errors, one job at a time on the device, Stop."""

from __future__ import annotations

import errno
import functools
import html
import inspect
import logging
import re
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, ParamSpec, TypeVar

import gradio as gr
from gradio.context import LocalContext
from gradio.utils import get_upload_folder

from ..errors import Busy, DemoError
from . import jobs, texts
from .attendance import attendance
from .behind import behind
from .jobs import Job, gpu

__all__ = ["Job", "gpu", "in_turn", "told", "visitor_of", "wire"]

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger("transferdemo")

WAITING_ROOM = 41  # one runs, forty wait
JOB_SECONDS = 120.0
FIRST_GUESS = 10.0  # seconds of a job, before one has run
PERIOD = 0.1  # seconds between two pictures sent to a page
THREADS = 160  # as many handlers at a time: all who wait, and the light ones beside them
HEAVY: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": None, "show_progress": "hidden"}  # see Line
LIGHT: dict[str, Any] = {"concurrency_limit": 8, "show_progress": "hidden"}


class Line:
    """One job at a time on the device, the others in the order they came; one place a visitor.

    Gradio frees a cancelled job's slot while its last step still runs, so its queue alone would let two jobs meet.
    """

    def __init__(self, room: int = WAITING_ROOM) -> None:
        self.room = room
        self._lock = threading.Lock()
        self._places: list[tuple[object, str]] = []
        self._took: deque[float] = deque([FIRST_GUESS], maxlen=10)  # seconds of the last jobs
        self._since = 0.0  # when the one in front began

    @contextmanager
    def place(self, visitor: str) -> Iterator[Callable[[], int]]:
        """Stand in line; the function given says how many are ahead (0: it is your turn). Both raise Busy.

        In a full line someone who does not listen to their answer loses their place to who comes.
        """
        ticket = object()
        with self._lock:
            if visitor and any(name == visitor for _, name in self._places):
                raise Busy(texts.ONE_EACH)
            if len(self._places) >= self.room:
                absent = next((place for place in self._places[1:] if attendance.absent(place[1])), None)
                if absent is None:
                    raise Busy(texts.FULL)
                self._places.remove(absent)
            self._places.append((ticket, visitor))

        def ahead() -> int:
            tickets = [t for t, _ in self._places]
            if ticket not in tickets:
                raise Busy(texts.FULL)
            return tickets.index(ticket)

        try:
            yield ahead
        finally:
            attendance.forget(visitor)
            with self._lock:
                self._places = [p for p in self._places if p[0] is not ticket]

    @contextmanager
    def front(self) -> Iterator[None]:
        """The job in front runs; how long it took tells the others how long they wait."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._took.append(time.monotonic() - self._since)

    def seconds(self, ahead: int) -> float:
        """How long someone with so many ahead will wait, if those take as long as the last ones did."""
        took = list(self._took)
        each = sum(took) / len(took)
        running = max(0.0, each - (time.monotonic() - self._since)) if self._since else each
        return running + (ahead - 1) * each


line = Line()


def in_turn(
    events: Callable[[], Iterator[T]] | Job[T],
    waiting: Callable[[str], Any],
    visitor: str,
    seconds: float = JOB_SECONDS,
) -> Iterator[T | Any]:
    """Wait in line, yielding what `waiting` makes of a sentence; then the job's events, paced, for at most `seconds`.

    A `Job` runs where the GPU is, any other stream in the thread of heavy jobs. Raises Busy when the waiting room is full or
    this visitor already has a job.
    """
    with line.place(visitor) as ahead:
        while (others := ahead()) > 0 or attendance.absent(visitor):
            if attendance.gone(visitor):
                return
            yield waiting(texts.waiting(others, line.seconds(others)))
            time.sleep(0.25)
        yield from behind(_run(events, seconds))


def _run(events: Callable[[], Iterator[T]] | Job[T], seconds: float) -> Generator[T, None, None]:
    stream = jobs.events(events) if isinstance(events, Job) else events()
    try:
        with line.front():
            yield from paced(limited(stream, seconds))
    finally:
        if isinstance(stream, Generator):
            stream.close()


def limited(events: Iterable[T], seconds: float) -> Iterator[T]:
    """The events until the time is up."""
    end = time.monotonic() + seconds
    for event in events:
        yield event
        if time.monotonic() > end:
            return


def paced(events: Iterable[T], period: float = PERIOD) -> Iterator[T]:
    """Drop events that come within `period` seconds of the last one; the first and the last always pass."""
    due, held = 0.0, False
    event: T
    for event in events:
        held = time.monotonic() < due
        if not held:
            yield event
            due = time.monotonic() + period
    if held:
        yield event


def visitor_of(request: gr.Request | None) -> str:
    """Whose job it is: the page's session; empty for callers without one."""
    visitor = str(getattr(request, "session_hash", None) or "")
    if isinstance(request, gr.Request) and visitor:
        attendance.expect(visitor, LocalContext.event_id.get(None) or "")
    return visitor


def told(handler: Callable[P, Any]) -> Callable[P, Any]:
    """A DemoError's sentence is shown in the browser; any other error is logged, and the browser gets a neutral notice."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            with _translated():
                yield from handler(*args, **kwargs)

        return stream

    @functools.wraps(handler)
    def plain(*args: P.args, **kwargs: P.kwargs) -> Any:
        with _translated():
            return handler(*args, **kwargs)

    return plain


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DemoError as error:
        raise gr.Error(html.escape(str(error)), print_exception=False) from error
    except (gr.Error, GeneratorExit):
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _bug(error)
        raise gr.Error(texts.NO_ROOM, print_exception=False) from error
    except Exception as error:
        _bug(error)


def _bug(error: Exception) -> NoReturn:
    """The traceback goes to the log, without the names of visitors' files."""
    log.error("a job failed\n%s", without_uploads("".join(traceback.format_exception(error))))
    raise gr.Error(texts.BUG, print_exception=False) from error


def without_uploads(text: str) -> str:
    """The text with every path in the upload folder cut off where the folder ends."""
    return re.sub(re.escape(get_upload_folder()) + r"[^'\"\n]*", "<a visitor's file>", text)


def wire(run: gr.Button, stop: gr.Button, handler: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> Any:
    """A primary button and its Stop: pressing runs the stream `handler`; Stop ends it and keeps what was shown last."""
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    job = run.click(busy, None, [run, stop], **quiet).then(
        told(handler), inputs, outputs, api_visibility="private", scroll_to_output=False, **HEAVY
    )
    job.then(free, None, [run, stop], **quiet)
    stop.click(None, None, None, cancels=[job])
    return job


def busy() -> tuple[Any, Any]:
    """The primary button waits, Stop is there."""
    return gr.update(interactive=False), gr.update(interactive=True, visible=True)


def free() -> tuple[Any, Any]:
    """The primary button is back, Stop is gone."""
    return gr.update(interactive=True), gr.update(interactive=False, visible=False)
