"""Are a head's probabilities honest? One temperature that makes them so, and how far off they are before and after.

All of it is measured on logits of photos that the head had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import chi2

from ..types import check_number

BINS = 15  # of equal mass
DRAWS = 500  # of the bootstrap
EVIDENCE = float(chi2.ppf(0.95, 1)) / 2  # nats of all photos together that a temperature must gain (Wilks, 1938)
LIMITS = (0.05, 20.0)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationError:
    """How far probabilities are from what happens, in [0, 1], with its 95 % bootstrap interval."""

    value: float
    interval: tuple[float, float]

    def as_json(self) -> dict[str, object]:
        """For a header or a line of JSON."""
        return {"error": self.value, "interval": list(self.interval)}


@dataclass(frozen=True)
class Calibration:
    """What a temperature does to a head: calibration error and log loss (nats) without it and with it."""

    temperature: float
    before: CalibrationError
    after: CalibrationError
    loss_before: float
    loss_after: float
    photos: int

    def as_json(self) -> dict[str, object]:
        """For a header or a line of JSON."""
        sides = {"before": self.before.as_json(), "after": self.after.as_json()}
        losses = {"loss_before": self.loss_before, "loss_after": self.loss_after}
        return {"temperature": self.temperature, **sides, **losses, "photos": self.photos}


def calibrate(logits: NDArray[np.floating], labels: NDArray[np.int64], seed: int = 0) -> Calibration:
    """Find the temperature of logits (N, C) by their labels (N,), and measure what it does."""
    z = np.asarray(logits, dtype=np.float64)
    found = temperature(z, labels)
    before, after = (error(softmax(z / t, axis=1), labels, seed) for t in (1.0, found))
    return Calibration(found, before, after, log_loss(z, labels), log_loss(z / found, labels), len(labels))


def temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The number that logits (N, C) are divided by so that their log loss is least (Guo et al., arXiv:1706.04599).

    1 where the loss with it is not lower beyond chance: a temperature that is guessed from few photos does harm.
    """
    z = np.asarray(logits, dtype=np.float64)
    bounds = tuple(np.log(LIMITS))
    best = minimize_scalar(lambda power: log_loss(z / np.exp(power), labels), bounds=bounds, method="bounded")
    gain = (log_loss(z, labels) - float(best.fun)) * len(labels)
    return float(np.exp(best.x)) if gain > EVIDENCE else 1.0


def log_loss(logits: Array, labels: NDArray[np.int64]) -> float:
    """Mean cross entropy in nats of (N, C) with (N,)."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def error(probabilities: Array, labels: NDArray[np.int64], seed: int = 0) -> CalibrationError:
    """The calibration error of probabilities (N, C), and its interval from DRAWS samples of the same photos.

    Photos that are drawn twice make bins noisier, and so the error larger; the interval is moved back by that much.
    """
    check_number("seed", seed, 0, 2**31 - 1, whole=True)
    sure, right = probabilities.max(1), (probabilities.argmax(1) == labels).astype(np.float64)
    random = np.random.default_rng(seed)
    samples = random.integers(0, len(sure), (DRAWS, len(sure)))
    value, drawn = equal_mass_error(sure, right), [equal_mass_error(sure[one], right[one]) for one in samples]
    low, high = np.quantile(drawn, (0.025, 0.975)) - (np.mean(drawn) - value)
    return CalibrationError(value, (max(0.0, float(low)), min(1.0, float(high))))


def equal_mass_error(sure: Array, right: Array) -> float:
    """Mean over BINS bins of as many photos each of | mean probability of the answer - share of right ones |.

    `sure` (N,) in [0, 1], `right` (N,) 0 or 1 (Nixon et al., arXiv:1904.01685, of the answer that is given).
    """
    order = np.argsort(sure, kind="stable")
    edges = np.linspace(0, len(sure), min(BINS, len(sure)) + 1).astype(int)
    sums = np.add.reduceat((sure - right)[order], edges[:-1])
    return float(np.abs(sums).sum() / len(sure))
