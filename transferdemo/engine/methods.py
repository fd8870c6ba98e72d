"""The methods of an attack: what to try next, given how the network answered the last try and its gradient.

A method knows nothing of networks or files. It holds a change in grey levels (see levels.py), and every change that it
proposes is made of whole levels inside 0 to 255, but for `Lesson`, which shows what happens otherwise.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .goal import Look
from .levels import Levels, Room, largest_step


class Method(Protocol):
    """One way to search, for N pictures at once."""

    def next(self, look: Look) -> Levels:
        """The change to try after what `look` says of the last one; the first look is at no change at all."""

    def score(self, look: Look) -> Tensor:
        """How good (N,) a change that was looked at is: the best one is kept. Higher is better, also between steps."""


def start(method: str, clean: Levels, epsilon: float, steps: int) -> Method:
    """The method called `method`, before its first look; `epsilon` in the unit of the method."""
    if method == "smallest":
        return Smallest(clean, steps)
    if method == "pgd-l2":
        return L2Ball(clean, epsilon, steps)
    if method == "lesson":
        return Lesson()
    return Cube(clean, epsilon, steps if method == "pgd-linf" else 1)


def unit(rows: Tensor) -> Tensor:
    """Rows (N, P) scaled to length 1; zeros stay."""
    lengths: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / lengths.clamp_min(1e-20)


class Smallest:
    """The smallest L2 norm on the 8-bit grid: decoupled direction and norm, with the rounding inside.

    As DDN (arXiv:1811.09600) it keeps a direction and a radius apart. The direction is a running mean of unit gradients
    seen *at rounded changes*; of it, the step that gains most within the radius is taken (`largest_step`). The radius
    goes where the last look says that the goal is just met, one Newton step along the change instead of DDN's 5 %, but
    never back to the best norm found: below it the direction improves until the goal is met again.
    """

    MOST = 10.0  # grey levels for one value; lifted where a quarter of the steps has not met the goal
    FIRST_RADIUS = 150.0  # grey levels, L2
    TURN = 0.3  # the radius changes at most by this share in a step
    AIM = 0.005  # slack in logits that a step of the radius is aimed at
    TIGHTER = 0.995  # of the best norm: the radius stays below it, whether the goal is met there or not
    MEMORY, RESTART = 5.0, 0.45  # of the direction, and the share of the steps after which it begins anew; see `_pace`

    def __init__(self, clean: Levels, steps: int) -> None:
        self.room, self.steps, self.step = Room(clean, self.MOST), steps, 0
        self.radius = clean.new_full((len(clean),), self.FIRST_RADIUS)
        self.best = torch.full_like(self.radius, torch.inf)
        self.direction = torch.zeros_like(clean)
        uneven = torch.Generator().manual_seed(
            0
        )  # so that equal gradients, as of plain areas, do not round all at once
        self.weight = 1 + 1e-3 * torch.rand(clean.shape[1], generator=uneven).to(clean.device)

    def next(self, look: Look) -> Levels:
        """See `Method`."""
        if self.step:
            self._follow(look)
        if self.step == max(1, self.steps // 4):
            self.room.widen(self.best.isinf())
        newest = unit(look.gradient * self.weight)
        self.direction = self.direction.lerp(newest, self._pace()) if self.step else newest
        self.step += 1
        return largest_step(self.direction, self.room, self.radius)

    def _follow(self, look: Look) -> None:
        """Set the radius by one Newton step along the change that was looked at."""
        norm: Tensor = look.change.norm(dim=1)
        self.best = torch.where(look.slack >= 0, self.best.minimum(norm), self.best)
        slope = (look.gradient * look.change).sum(1) / norm.clamp_min(1) / 255  # logits a grey level, along the change
        slope = slope.maximum(0.3 * look.gradient.norm(dim=1) / 255).clamp_min(1e-12)
        most = self.TURN * self.radius
        self.radius = self.radius + ((self.AIM - look.slack) / slope).clamp(-most, most)
        self.radius = self.radius.minimum(self.TIGHTER * self.best)

    def _pace(self) -> float:
        """The weight of the newest gradient in the direction: about half at first, then like 5 / step.

        Once, when little changes any more, it is raised again, to look around (a warm restart as in arXiv:1608.03983).
        """
        restart = int(self.RESTART * self.steps)
        since, top = (self.step, 0.6) if self.step < restart else (self.step - restart, 0.4)
        return self.MEMORY / (since + 1 + self.MEMORY / top)

    def score(self, look: Look) -> Tensor:
        """Among changes that meet the goal the smallest, before that the nearest to the goal."""
        return torch.where(look.slack >= 0, 1 / look.change.norm(dim=1).clamp_min(1e-3), look.slack)


class Cube:
    """Projected gradient ascent in the L-infinity ball (PGD, arXiv:1706.06083); with one step, FGSM (arXiv:1412.6572).

    It starts at the picture itself. Between looks the change is kept in fractions of a level; what is looked at is rounded.
    """

    TRAVEL = 1.5  # all steps together, in epsilons

    def __init__(self, clean: Levels, epsilon: float, steps: int) -> None:
        self.room, self.epsilon = Room(clean), epsilon
        self.pace = epsilon if steps == 1 else self.TRAVEL * epsilon / steps
        self.change: Tensor | float = 0.0

    def next(self, look: Look) -> Levels:
        """See `Method`."""
        self.change = (self.change + self.pace * look.gradient.sign()).clamp(-self.epsilon, self.epsilon)
        return self.room.within(self.change.round())

    def score(self, look: Look) -> Tensor:
        """The surest."""
        return look.slack


class L2Ball:
    """Projected gradient ascent in the L2 ball (PGD, arXiv:1706.06083), its radius `epsilon` in [0, 1] units.

    The change is kept in fractions of a level; what is looked at is the best of it in whole levels that the ball holds.
    """

    TRAVEL = 2.5  # all steps together, in epsilons

    def __init__(self, clean: Levels, epsilon: float, steps: int) -> None:
        self.room, self.radius, self.pace = Room(clean), 255 * epsilon, 255 * epsilon * self.TRAVEL / steps
        self.change: Tensor | float = 0.0

    def next(self, look: Look) -> Levels:
        """See `Method`."""
        change = self.change + self.pace * unit(look.gradient)
        self.change = change * (self.radius / change.norm(dim=1, keepdim=True).clamp_min(1e-20)).clamp_max(1)
        return largest_step(change, self.room, look.slack.new_full(look.slack.shape, self.radius))

    def score(self, look: Look) -> Tensor:
        """The surest."""
        return look.slack


class Lesson:
    """Plain gradient descent on the cross-entropy, as the lesson does it: no ball, no range, no rounding.

    The faults are kept on purpose: its picture may leave 0 to 255, and nobody asks how large the change became.
    """

    RATE = 1.0  # the lesson's learning rate, for pixels in [0, 1]

    def __init__(self) -> None:
        self.step = 0

    def next(self, look: Look) -> Levels:
        """See `Method`. The gradient of log p is that of the gain times (1 - p)."""
        return look.change + 255 * self.RATE * look.gradient * (1 - look.target)[:, None]

    def score(self, look: Look) -> Tensor:
        """The latest."""
        self.step += 1
        return look.slack.new_full(look.slack.shape, self.step)
