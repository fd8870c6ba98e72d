"""A model card in plain words, and the proof that a saved head says the same in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..backbones import resolve
from ..errors import BadFile
from ..head_file import read_head
from ..heads import Classifier, load_classifier
from ..images import to_pixels
from ..types import Head, Image8, View
from .evaluate import Accuracy, Report

CHECK_SECONDS = 300.0  # a fresh process may take: on a busy machine, importing is most of it
TOLERANCE = 1e-3  # of a probability
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class CheckStep:
    """The other process is at work."""

    step: int
    total: int


@dataclass(frozen=True)
class CheckDone:
    """It said the same; `difference` is the largest one between two probabilities."""

    step: int
    total: int
    difference: float


def card(head: Head, report: Report | None = None) -> str:
    """The model card of a head as Markdown, in a person's words (arXiv:1810.03993). Class names are escaped.

    Without a report it says what the head's file says.
    """
    names = ", ".join(_escaped(name) for name in head.classes)
    network = resolve(head.backbone).title
    return "\n".join(
        [
            f"# A head that tells apart {len(head.classes)} classes",
            "",
            f"It answers with one of: {names}. {_to_others(head)}",
            "",
            f"It is a linear layer on the features of {network} (`{head.backbone}`, weights `{head.digest[:12]}`), "
            f"{_network(head)} It works with that network and these weights only.",
            "",
            "## How good it is",
            "",
            *(_sentences(report, head.facts) if report else _by_facts(head)),
            *_honest(head),
            "",
            *(_table(report) if report else ()),
            "## How it was trained",
            "",
            *(f"- {_escaped(key.replace('_', ' '))}: {_escaped(str(value))}" for key, value in _settings(head).items()),
            "",
            "## What to keep in mind",
            "",
            "- It was measured on photos like those that it learned from. In other light, with other cameras, expect less.",
            "- A high probability is not a promise: it compares the classes above with each other, and with nothing else.",
            "- Near duplicates among the photos were kept on one side of the measurement.",
            "",
        ]
    )


def _network(head: Head) -> str:
    if not head.changed:
        return "which itself was not changed."
    numbers = sum(tensor.numel() for tensor in head.changed.values())
    return f"whose last stage was fine-tuned with it; the {numbers:,} numbers that changed are in the file."


def _table(report: Report) -> list[str]:
    rows = (
        f"| {_escaped(name)} | {accuracy.count} | {_percent(accuracy)} |"
        for name, accuracy in zip(report.classes, report.per_class, strict=True)
    )
    return ["| class | photos that judged | right |", "| --- | --- | --- |", *rows, ""]


def _by_facts(head: Head) -> list[str]:
    """What the file's header says was measured; anything may stand there."""
    facts: Any = head.facts
    try:
        low, high = facts["interval"]
        words = f"{facts['accuracy']:.1%} were right (95 % interval {low:.1%} to {high:.1%})."
        return [f"Of {facts['photos']:d} {_escaped(str(facts['judged_by']))}, {words}"]
    except (KeyError, TypeError, ValueError):
        return ["Nothing was measured."]


def _to_others(head: Head) -> str:
    if head.novelty is None:
        return "To anything else it gives one of these names too."
    return (
        "To what is unlike all that it learned from it answers that this is not one of them; so it does to about "
        f"{100 * head.novelty.false_alarm:.0f} in 100 photos of its own classes."
    )


def _honest(head: Head) -> list[str]:
    """What was measured of its probabilities, as the file's header says it."""
    found: Any = head.facts.get("calibration")
    try:
        shown = [_points(found[side]) for side in ("before", "after")]
        count = f"{found['photos']:d}"
    except (KeyError, TypeError, ValueError):
        return []
    with_it = f"; with its temperature of {head.temperature:.2f}, by {shown[1]}" if head.temperature != 1 else ""
    return [
        f"Its probabilities were off by {shown[0]} on average on {count} photos that it had not seen{with_it} "
        "(15 bins of equal mass, 95 % bootstrap interval)."
    ]


def _points(error: Any) -> str:
    low, high = error["interval"]
    return f"{100 * error['error']:.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def _sentences(report: Report, facts: Mapping[str, object]) -> list[str]:
    lines = [f"Of {report.held_out.count} photos that it had not seen, {_percent(report.held_out)} were right."]
    if "fine_tune" in facts:
        lines.append("The same photos decided whether to keep the fine-tuned network, so the figure flatters a little.")
    if report.leaky:
        lines.append("The photos of a class are so alike that these are not independent: the figure flatters.")
    if report.test:
        lines.append(f"Of {report.test.count} test photos, {_percent(report.test)} were right.")
    if report.folds and report.folds_random:
        lines.append(
            f"By {report.fold_count} folds, {_percent(report.folds)}; with near duplicates on both sides it would have seemed "
            f"to be {report.folds_random.share:.1%}."
        )
    return lines


def _percent(accuracy: Accuracy) -> str:
    low, high = accuracy.interval
    return f"{accuracy.share:.1%} (95 % interval {low:.1%} to {high:.1%})" if accuracy.count else "not judged"


def _settings(head: Head) -> dict[str, object]:
    settings = head.facts.get("settings", {})
    return settings if isinstance(settings, dict) else {}


def _escaped(name: str) -> str:
    plain = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return "".join("\\" + character if character in "\\`*_{}[]()#+!|~" else character for character in plain)


def probabilities(classifier: Classifier, images: Sequence[Image8]) -> torch.Tensor:
    """(N, C) on the CPU for N pictures that are fitted already, in float32."""
    with torch.no_grad():
        logits: torch.Tensor = classifier(to_pixels(images).to(classifier.device))
        return logits.softmax(1).cpu()


def verify_head(
    path: Path, images: Sequence[Image8], expected: torch.Tensor
) -> Generator[CheckStep | CheckDone, None, None]:
    """Open a saved head in a fresh process and compare its probabilities (N, C) for N fitted pictures with `expected`.

    Closing the generator ends the process. Raises BadFile when it fails, takes too long or says something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures.npy")
        np.save(pictures, np.stack(images), allow_pickle=False)
        command = [sys.executable, "-m", "transferdemo.engine.card", str(path.absolute()), str(pictures)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
        try:
            yield from waiting(child)
            yield CheckDone(1, 1, _difference(child, expected))
        finally:
            child.kill()
            child.communicate()


def waiting(child: subprocess.Popen[str]) -> Generator[CheckStep, None, None]:
    """Steps until a child process has ended; what it prints fits into a pipe's buffer. Raises BadFile after CHECK_SECONDS."""
    end = time.monotonic() + CHECK_SECONDS
    while child.poll() is None:
        if time.monotonic() > end:
            raise BadFile(
                "Opening the saved head in a fresh process took too long; try again when the computer is less busy."
            )
        yield CheckStep(0, 1)
        time.sleep(0.1)


def _difference(child: subprocess.Popen[str], expected: torch.Tensor) -> float:
    output, _ = child.communicate()
    if child.returncode:
        raise BadFile("The saved head could not be opened in a fresh process; train it again and save it once more.")
    difference = float((torch.tensor(json.loads(output)) - expected.cpu()).abs().max())
    if not difference <= TOLERANCE:
        raise BadFile(f"The saved head answers differently in a fresh process (by {difference:.3f}); save it again.")
    return difference


def main(path: str, pictures: str) -> None:
    """The fresh process: write the probabilities as JSON to standard output."""
    head = read_head(Path(path))
    classifier = load_classifier(View(head.backbone, head, head.fit), torch.device("cpu"))
    sys.stdout.write(json.dumps(probabilities(classifier, list(np.load(pictures, allow_pickle=False))).tolist()))


if __name__ == "__main__":
    main(*sys.argv[1:])
