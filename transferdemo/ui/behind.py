"""The thread of heavy jobs: it stands behind the light handlers, so that a class is answered while someone's job runs.

On Linux each thread has a priority of its own and hands it on to those that it starts, so torch's and ONNX Runtime's threads of
a job stand back with it. Elsewhere all are equal.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
NICE = 10  # a tenth of the others' share where both want to run

_here = threading.local()


def _stand_back() -> None:
    _here.behind = True
    if sys.platform == "linux":
        me = threading.get_native_id()
        os.setpriority(
            os.PRIO_PROCESS, me, os.getpriority(os.PRIO_PROCESS, me) + NICE
        )  # 19 is the most, more counts as 19


_thread = ThreadPoolExecutor(1, "heavy", _stand_back)


def behind(events: Generator[T, None, None]) -> Iterator[T]:
    """The same events, each made in the thread of heavy jobs, in the caller's context; one stream at a time."""
    context = copy_context()

    def step() -> list[T]:
        return list(islice(events, 1))

    try:
        while event := _thread.submit(context.run, step).result():
            yield event[0]
    finally:
        if getattr(_here, "behind", False):  # a stream that nobody holds may be collected in that very thread
            events.close()
        else:
            _thread.submit(events.close).result()
