"""The C library's heaps: a server of many threads would keep much that it has freed. Only on Linux is there something to do."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

M_ARENA_MAX = -8  # of glibc's malloc.h


def share() -> None:
    """Let all threads share two heaps: glibc's own choice is one for most of them, and what is freed in one stays there."""
    _call("mallopt", M_ARENA_MAX, 2)


def trim() -> None:
    """Give the pages that are free back to the system."""
    _call("malloc_trim", 0)


def _call(name: str, *values: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            getattr(ctypes.CDLL(None), name)(*values)
