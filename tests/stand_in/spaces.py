"""A stand-in for the package that a ZeroGPU Space brings: each call of a decorated stream runs in a forked process, and what
goes in and comes out travels as pickles. Like the real one, the process is a daemon: it may have no children.
"""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

CUDA_TOUCHED = "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized()
PATIENCE = 120  # seconds without an event
asked: list[float] = []  # the durations


def GPU(task: Any = None, *, duration: Any = 60) -> Any:
    """`@spaces.GPU` and `@spaces.GPU(duration=...)`, a number or a function of the arguments."""
    if CUDA_TOUCHED:
        raise RuntimeError("CUDA has been initialized before importing the `spaces` package.")
    return _forking(task, duration) if callable(task) else partial(_forking, duration=duration)


def _forking(function: Callable[..., Iterator[Any]], duration: Any) -> Callable[..., Iterator[Any]]:
    @wraps(function)
    def wrapper(*arguments: Any) -> Iterator[Any]:
        asked.append(duration(*arguments) if callable(duration) else duration)
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe(duplex=False)
        process = fork.Process(target=_child, args=(function, pickle.dumps(arguments), theirs), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
            process.start()
        theirs.close()
        try:
            while ours.poll(PATIENCE) and (data := ours.recv_bytes()):
                yield pickle.loads(data)
        except EOFError as error:
            raise RuntimeError("ZeroGPU worker error") from error
        finally:
            process.kill()
            process.join()

    return wrapper


def _child(function: Callable[..., Iterator[Any]], data: bytes, pipe: Any) -> None:
    import torch

    torch.set_num_threads(1)  # the threads of the parent are not here
    for event in function(*pickle.loads(data)):
        pipe.send_bytes(pickle.dumps(event))
    pipe.send_bytes(b"")


def gradio_auto_wrap(function: Any) -> Any:
    """Gradio asks for this on a Space; the real one returns the function as it is too, unless it is told otherwise."""
    return function
