"""A head taken anywhere: its network and itself as one ONNX file, with labels, a program of 25 lines that uses it, and a card.

The file takes 8-bit RGB pictures of the network's size and answers with probabilities; everything between is inside. It is
opened again in a fresh process, by the zip's own program, before it is offered.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .. import novelty
from ..embed import to_onnx
from ..errors import BadFile
from ..head_file import write_whole
from ..heads import Classifier, load_classifier
from ..images import encode_png
from ..types import Image8, View
from .card import TOLERANCE, CheckDone, CheckStep, probabilities, waiting

OPSET = 17
PROGRAM = Path(__file__).with_name("predict.py.txt")
_PACKAGES = ("onnxruntime", "numpy", "Pillow")


@dataclass(frozen=True, eq=False)
class Exported:
    """The zip's parts."""

    model: bytes  # ONNX
    labels: str  # JSON: what predict.py needs beside the model
    card: str

    def zipped(self) -> bytes:
        """The zip: model.onnx, labels.json, predict.py, model-card.md."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.onnx", self.model)
            archive.writestr("labels.json", self.labels)
            archive.writestr("predict.py", PROGRAM.read_text(encoding="utf-8"))
            archive.writestr("model-card.md", f"{self.card}{_USE}")
        return out.getvalue()


_USE = f"""
## How to use the zip

`pip install {" ".join(_PACKAGES).lower()}`, then `python predict.py PHOTO...`. `model.onnx` takes `image`, 8-bit RGB of shape
(photos, side, side, 3), and gives `probabilities` (photos, classes) in the order of `labels.json` and, where the head knows it,
`strangeness` (photos,): above `threshold` the photo is unlike all that it learned from.
"""


class Answers(nn.Module):
    """Pixels (N, 3, S, S) in [0, 1] -> probabilities (N, C), and strangeness (N,) where the head knows it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier, self.novelty = classifier, classifier.head.novelty

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """One look of the network, two questions."""
        features = self.classifier.embed(pixels)
        answers = self.classifier.logits(features).softmax(1)
        return (answers,) if self.novelty is None else (answers, novelty.score(self.novelty, features))


def export(classifier: Classifier, words: str) -> Exported:
    """The classifier as it answers, as ONNX, with its labels; `words` is its model card. Raises BadFile where ONNX has no way.

    The classifier must be on the CPU.
    """
    head, spec = classifier.head, classifier.spec
    about = {
        "classes": list(head.classes),
        "size": spec.size,
        "resize": spec.resize,
        "interpolation": spec.interpolation,
        "fit": "pad" if head.fit == "pad" else "crop",
        "threshold": head.novelty.threshold if head.novelty else None,
    }
    return Exported(_onnx(classifier), json.dumps(about, ensure_ascii=False, indent=1), words)


def _onnx(classifier: Classifier) -> bytes:
    names = ["probabilities", *(["strangeness"] if classifier.head.novelty else [])]
    try:
        return to_onnx(Answers(classifier), classifier.spec.size, names, OPSET)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise BadFile("This network cannot be written as ONNX; download the head instead.") from error


def written(
    path: Path, view: View, images: Sequence[Image8], words: str
) -> Generator[CheckStep | CheckDone, None, None]:
    """Export the visitor's choice to `path` and verify it on fitted pictures; `words` is the card. Raises BadFile."""
    classifier = load_classifier(view, torch.device("cpu"))
    save_export(export(classifier, words), path)
    yield from verify_export(path, images, classifier)


def save_export(exported: Exported, path: Path) -> None:
    """Write the zip whole or not at all. Raises BadFile when there is no room."""
    write_whole(path, exported.zipped())


def verify_export(
    path: Path, images: Sequence[Image8], classifier: Classifier
) -> Generator[CheckStep | CheckDone, None, None]:
    """Run the zip's own program in a fresh process on fitted pictures and compare with the classifier's probabilities.

    Closing the generator ends the process. Raises BadFile when it fails, takes too long or says something else.
    """
    expected = probabilities(classifier, images)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        names = [f"{number}.png" for number in range(len(images))]
        for name, image8 in zip(names, images, strict=True):
            Path(folder, name).write_bytes(encode_png(image8))
        answers = Path(folder, "answers.txt")
        with answers.open("w") as out:
            child = subprocess.Popen(
                [sys.executable, "predict.py", "--json", *names], cwd=folder, stdout=out, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUTF8": "1"}, text=True,
            )  # fmt: skip
        try:
            yield from waiting(child)
            if child.returncode:
                raise BadFile("The exported file could not be used in a fresh process; export it once more.")
            yield CheckDone(1, 1, _difference(answers.read_text(), expected))
        finally:
            child.kill()
            child.communicate()


def _difference(output: str, expected: Tensor) -> float:
    answers = np.array([json.loads(line)["probabilities"] for line in output.splitlines()])
    same = answers.shape == tuple(expected.shape)
    difference = float(np.abs(answers - expected.numpy()).max()) if same else 1.0
    if not difference <= TOLERANCE or not (answers.argmax(1) == expected.numpy().argmax(1)).all():
        raise BadFile(
            f"The exported file answers differently in a fresh process (by {difference:.3f}); it is not offered."
        )
    return difference
