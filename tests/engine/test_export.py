"""Taken anywhere: the zip's own program answers as the page does, with onnxruntime, numpy and Pillow alone."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from transferdemo import novelty
from transferdemo.decode import fit_image
from transferdemo.engine.card import CheckDone
from transferdemo.engine.classify import classify
from transferdemo.engine.export import PROGRAM, export, save_export, verify_export
from transferdemo.errors import BadFile
from transferdemo.heads import Classifier
from transferdemo.images import open_photo


@pytest.fixture
def strange_toy(toy: Classifier) -> Classifier:
    """The toy, warm, knowing red, green and blue photos."""
    features = torch.eye(3).repeat(4, 1) + 0.05
    own = dataclasses.replace(novelty.learn(features, torch.arange(12) % 3), threshold=0.2, false_alarm=0.05)
    return Classifier(toy.backbone, dataclasses.replace(toy.head, temperature=2.0, novelty=own))


def pictures(folder: Path) -> list[Path]:
    """A large JPEG that lies on its side, a tall PNG with transparency, a small grey one, and one of the network's size."""
    random = np.random.default_rng(0)
    made = {
        "a.jpg": Image.fromarray(random.integers(0, 255, (900, 1300, 3), dtype=np.uint8)).resize((2600, 1800)),
        "b.png": Image.fromarray(random.integers(0, 255, (90, 40, 4), dtype=np.uint8), "RGBA"),
        "c.png": Image.fromarray(random.integers(0, 255, (30, 31), dtype=np.uint8)),
        "d.png": Image.fromarray(np.full((8, 8, 3), (200, 20, 20), dtype=np.uint8)),
    }
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, image in made.items():
        image.save(folder / name, **({"exif": exif} if name.endswith("jpg") else {}))
    return [folder / name for name in made]


def unpacked(classifier: Classifier, folder: Path) -> Path:
    save_export(export(classifier, "# A card\n"), folder / "out.zip")
    with zipfile.ZipFile(folder / "out.zip") as archive:
        assert sorted(archive.namelist()) == ["labels.json", "model-card.md", "model.onnx", "predict.py"]
        archive.extractall(folder / "out")
    return folder / "out"


def only_three(folder: Path) -> Path:
    """A folder with links to onnxruntime, numpy and Pillow, and what these three bring along."""
    site = folder / "site"
    site.mkdir()
    for name in ("onnxruntime", "numpy", "PIL"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        package = Path(found.origin).parent
        for part in (package, *package.parent.glob(f"{'pillow' if name == 'PIL' else name}.libs")):
            (site / part.name).symlink_to(part)
    return site


def predicted(folder: Path, paths: list[Path]) -> list[dict]:
    """predict.py in an interpreter that sees the standard library and three packages, nothing else."""
    program, seen = str(folder / "out" / "predict.py"), [str(only_three(folder))]
    code = (
        f"import runpy, sys; sys.path[:0] = {seen}; sys.argv = {['predict.py', '--json', *map(str, paths)]}; "
        f"runpy.run_path({program!r})"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_three_packages_answer_as_the_page_does(strange_toy: Classifier, tmp_path: Path, fit: str) -> None:
    classifier = Classifier(strange_toy.backbone, dataclasses.replace(strange_toy.head, fit=fit))
    unpacked(classifier, tmp_path)
    paths = pictures(tmp_path)
    theirs = predicted(tmp_path, paths)
    ours = [classify(classifier, open_photo(path), "pad" if fit == "pad" else "auto") for path in paths]
    for one, other in zip(theirs, ours, strict=True):
        assert np.allclose(one["probabilities"], other.probabilities, atol=2e-3), one["picture"]
        assert one["class"] == other.scores[0].name and one["strange"] is other.strange
    assert [one["strange"] for one in theirs] == [True, True, True, False]


def test_the_program_is_short_and_the_zip_is_checked_before_it_is_offered(
    strange_toy: Classifier, tmp_path: Path
) -> None:
    assert len(PROGRAM.read_text(encoding="utf-8").splitlines()) <= 25
    save_export(export(strange_toy, "# A card\n"), tmp_path / "out.zip")
    images = [fit_image(np.asarray(Image.open(p).convert("RGB")), strange_toy.spec, "auto") for p in pictures(tmp_path)]
    *_, done = verify_export(tmp_path / "out.zip", images, strange_toy)
    assert isinstance(done, CheckDone) and done.difference < 1e-5
    other = Classifier(strange_toy.backbone, dataclasses.replace(strange_toy.head, temperature=0.1))
    with pytest.raises(BadFile, match="differently"):
        list(verify_export(tmp_path / "out.zip", images, other))
    assert "onnxruntime" in zipfile.ZipFile(tmp_path / "out.zip").read("model-card.md").decode()
