"""Is one way better than another beyond chance? Judged on the same photos, only those count where exactly one was right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Right = NDArray[np.bool_]  # (N,): whether each photo was named rightly
LEVEL = 0.05


@dataclass(frozen=True)
class Paired:
    """`gained` photos are right only in the new way, `lost` only in the old, of `count`."""

    gained: int
    lost: int
    count: int

    @property
    def difference(self) -> float:
        """Accuracy of the new way less that of the old, in [-1, 1]; 0 of no photos."""
        return (self.gained - self.lost) / self.count if self.count else 0.0

    @property
    def p(self) -> float:
        """How often chance alone does as much, in [0, 1]: the exact test of McNemar, Psychometrika 1947, two-sided."""
        changed = self.gained + self.lost
        return float(binomtest(self.gained, changed).pvalue) if changed else 1.0

    @property
    def better(self) -> bool:
        """Better beyond chance, at five in a hundred."""
        return self.difference > 0 and self.p < LEVEL

    @property
    def worse(self) -> bool:
        """Worse beyond chance, at five in a hundred."""
        return self.difference < 0 and self.p < LEVEL

    @property
    def says(self) -> str:
        """The result in words."""
        points = f"{100 * abs(self.difference):.1f} points"
        changed = f"{self.gained} photo{'' if self.gained == 1 else 's'} gained, {self.lost} lost"
        if self.better or self.worse:
            return f"{'Better' if self.better else 'Worse'} by {points} ({changed})."
        return f"No difference beyond chance ({changed})." if self.gained + self.lost else "The same answers."


def paired(new: Right, old: Right) -> Paired:
    """Compare two ways on the same photos, (N,) and (N,)."""
    return Paired(int((new & ~old).sum()), int((old & ~new).sum()), len(new))
