"""What benchmarks share: turns that alternate, so that a busy machine is as unfair to one as to the other."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

Times = dict[str, list[float]]  # name -> seconds of each round


def interleaved(rounds: int, **works: Callable[[int], object]) -> Times:
    """Time every work once a round, in an order that turns; each gets the number of the round. One round is not counted."""
    times: Times = {name: [] for name in works}
    names = list(works)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()
            start = time.perf_counter()
            works[name](max(number - 1, 0))
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def middle(seconds: list[float]) -> float:
    """The median, in milliseconds."""
    return 1000 * statistics.median(seconds)


def ratio(times: Times, name: str, other: str) -> float:
    """The median over the rounds of `name`'s time as a share of `other`'s in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[other], strict=True))


def row(question: str, found: str, target: str, reached: bool) -> None:
    """Print one line of the table."""
    print(f"{question:54} {found:44} {target:16} {'yes' if reached else 'NO'}", flush=True)
