"""The command `ideal`: what it prints, that the file is the one that was judged, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transferdemo.__main__ import main
from transferdemo.backbones import BACKBONES, DEFAULT
from transferdemo.engine import ideal_order
from transferdemo.engine.ideal import probability, robust_probability
from transferdemo.engine.ideal_file import settings_of, with_settings
from transferdemo.head_file import save_head
from transferdemo.heads import Classifier, load_classifier
from transferdemo.images import encode_png
from transferdemo.types import Head, View

LAST = ["event", "class", "probability", "robust_probability", "steps", "seconds", "steps_per_second"]
QUICK = ("--size", "128", "--steps", "6")


@pytest.fixture
def network(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(ideal_order, "load_classifier", lambda *_: toy)
    return toy


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, the records, standard error."""
    status = main(["ideal", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def read(path: Path) -> Any:
    with Image.open(path) as file:
        assert file.format == "PNG"
        return np.array(file)


def test_the_file_is_the_one_that_was_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, network: Classifier
) -> None:
    out = tmp_path / "new" / "green.png"
    status, records, err = ran(capsys, "--class", "green", "--out", out, *QUICK, "--seed", 3)
    assert (status, err) == (0, "") and [r["event"] for r in records[:2]] == ["start", "step"]
    last = records[-1]
    assert list(last) == LAST and (last["event"], last["class"], last["steps"]) == ("done", 1, 6)
    saved = read(out)
    assert saved.shape == (128, 128, 3)
    assert last["probability"] == pytest.approx(probability(network, (1,), saved), abs=1e-5)
    assert last["robust_probability"] == pytest.approx(robust_probability(network, (1,), saved), abs=1e-5)
    settings = settings_of(out)
    assert {k: settings[k] for k in ("class", "classes", "method", "steps", "size", "seed", "second", "start")} == {
        "class": "green", "classes": [1], "method": "sharp", "steps": 6, "size": 128, "seed": 3, "second": None,
        "start": "noise",
    }  # fmt: skip
    assert settings["probability"] == last["probability"] and records[0] == {"event": "start", **_asked(settings)}


def _asked(settings: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in settings.items() if not k.endswith("probability")}


def test_a_picture_is_remade_from_its_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, network: Classifier
) -> None:
    first, again, other = (tmp_path / f"{name}.png" for name in ("first", "again", "other"))
    ran(capsys, "--class", "red", "--out", first, *QUICK, "--method", "lesson", "--tv", 20, "--seed", 5)
    s = settings_of(first)
    numbers = [x for k in ("method", "steps", "tv", "size", "seed") for x in (f"--{k}", s[k])]
    ran(capsys, "--class", s["class"], "--out", again, *numbers)
    ran(capsys, "--class", "red", "--out", other, *QUICK, "--method", "lesson", "--tv", 20, "--seed", 6)
    assert first.read_bytes() == again.read_bytes() and (read(first) != read(other)).any()


def test_it_reads_well(capsys: pytest.CaptureFixture[str], tmp_path: Path, network: Classifier) -> None:
    out = tmp_path / "blue.png"
    assert main(["ideal", "--class", "2", "--out", str(out), *QUICK]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "blue for Toy: sharp, 6 steps" and second.startswith(f"{out}: ") and json.loads(last)["class"] == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--class", "mauve", "--out", "o.png"), "no class 'mauve'"),
        (("--class", "3", "--out", "o.png"), "0 to 2"),
        (("--class", "any cat", "--out", "o.png"), "no class 'any cat'"),
        (("--class", "red", "--out", "o.png", "--steps", "0"), "steps must be"),
        (("--class", "red", "--out", "o.png", "--steps", "10000"), "steps must be"),
        (("--class", "red", "--out", "o.png", "--tv", "nan"), "tv must be"),
        (("--class", "red", "--out", "o.png", "--size", "64"), "size must be"),
        (("--class", "red", "--out", "o.png", "--seed", "-1"), "seed must be"),
        (("--class", "red", "--out", "o.png", "--method", "magic"), "method must be one of"),
        (("--class", "red", "--out", "o.png", "--second", DEFAULT), "goes with the method agreed"),
        (("--class", "red", "--out", "o.png", "--method", "agreed", "--second", "nonet"), "no network called"),
        (("--class", "red", "--out", "o.png", "--method", "agreed"), "classes that both have"),
        (("--class", "red", "--out", "o.jpg"), "end in .png"),
        (("--class", "red", "--out", "file/o.png"), "cannot be made"),
        (("--class", "red", "--out", "folder.png"), "is a folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: Classifier,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    status, records, err = ran(capsys, *arguments)
    assert (status, records) == (2, []) and sentence in err and len(err.splitlines()) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder.png"}


def test_two_networks_agree_on_a_group(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The real networks of the installed packages; the second one is named without being asked for."""
    out = tmp_path / "cat.png"
    arguments = ("--class", "any cat", "--out", out, "--size", 128, "--steps", 2, "--method", "agreed")
    status, records, err = ran(capsys, *arguments)
    second = str(records[0]["second"])
    assert (status, err) == (0, "") and second in BACKBONES and second != DEFAULT
    assert records[-1]["class"] == list(range(281, 286)) and settings_of(out)["class"] == "any cat"
    status, _, err = ran(capsys, *arguments, "--second", DEFAULT)
    assert status == 2 and "its own second network" in err


def test_a_head_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its network is chosen without being named, and its classes are what can be painted."""
    own = load_classifier(View(DEFAULT)).head
    pair = Head(("mug", "pen"), own.weight[:2], own.bias[:2], own.backbone, own.digest)
    save_head(pair, tmp_path / "own.safetensors")
    out = tmp_path / "pen.png"
    arguments = ("--class", "pen", "--out", out, "--size", 128, "--steps", 1, "--head", tmp_path / "own.safetensors")
    status, records, err = ran(capsys, *arguments)
    assert (status, err) == (0, "") and records[-1]["class"] == 1 and settings_of(out)["head"] == "mug, pen"


def test_settings_in_a_png_leave_its_pixels_alone() -> None:
    image8 = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    png = encode_png(image8)
    marked = with_settings(png, {"class": "crêpe", "tv": 30.0})
    assert settings_of(marked) == {"class": "crêpe", "tv": 30.0} and settings_of(png) == {}
    with Image.open(io.BytesIO(marked)) as file:
        assert (np.array(file) == image8).all()
    assert marked.replace(marked[33 : 33 + len(marked) - len(png)], b"", 1) == png
