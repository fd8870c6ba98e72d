"""python -m transferdemo inspect: the pictures it writes, its last line, and one sentence for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import chelsea

from transferdemo.__main__ import main


@pytest.fixture(scope="module")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-image's cat, 451 x 300, with EXIF's word that it lies on its side."""
    path = tmp_path_factory.mktemp("photo") / "cat.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(chelsea()).rotate(90, expand=True).save(path, quality=95, exif=exif)
    return path


def test_pictures_and_a_last_line(cat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(cat), "--out", str(tmp_path / "seen")]) == 0
    lines = capsys.readouterr().out.splitlines()
    done = json.loads(lines[-1])
    assert len(lines) > 1
    assert done["event"] == "done" and done["layer"] == "features" and done["shape"] == [1280, 7, 7]
    assert 281 <= done["class"] <= 285 and done["probability"] > 0.3
    assert done["hidden_hot"] < done["hidden_random"] <= 1
    assert len(set(done["strongest"])) == 8 and all(0 <= channel < 1280 for channel in done["strongest"])
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["features.png", "gradcam.png"]
    with Image.open(tmp_path / "seen" / "gradcam.png") as picture:
        assert picture.size == (451, 300)  # upright
        seen = np.asarray(picture)
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 1000
    assert (np.ptp(seen[:, :20].astype(int), axis=2) == 0).all()  # the crop did not show this to the network: no colour


def test_choices_and_json(cat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--layer", "blocks.4", "--class", "any cat", "--against", "207", "--fit", "pad", "--json"]
    assert main(["inspect", str(cat), "--out", str(tmp_path), *options]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    done = json.loads(line)
    assert done["layer"] == "blocks.4" and done["shape"] == [112, 14, 14]
    assert done["class"] == [281, 282, 283, 284, 285]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layer", "blocks.99"], "choose one of"),
        (["--class", "unicorn"], "no class"),
        (["--fit", "melt"], "fit must"),
    ],
)
def test_one_sentence(
    cat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["inspect", str(cat), "--out", str(tmp_path / "new"), *options]) == 2
    written = capsys.readouterr()
    assert said in written.err and len(written.err.splitlines()) == 1 and not written.out
    assert not (tmp_path / "new").exists()
