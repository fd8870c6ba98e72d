"""`python -m transferdemo train` from the outside: what it prints, what it writes, and its sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transferdemo.head_file import read_head

ROOT = Path(__file__).resolve().parents[1]


def command(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "transferdemo", "train", *map(str, args)],
        cwd=ROOT, env={**os.environ, "TRANSFERDEMO_DEVICE": "cpu"}, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten noisy photos, one broken file, one copy, one stray file."""
    root = tmp_path_factory.mktemp("set")
    random = np.random.default_rng(0)
    for name, colour in {"red": (200, 60, 60), "blue": (60, 60, 200)}.items():
        (root / name).mkdir()
        for i in range(10):
            noise = random.integers(-50, 50, (40, 40, 3))
            Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(root / name / f"{i}.png")
    (root / "red" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    (root / "red" / "copy.png").write_bytes((root / "red" / "0.png").read_bytes())
    (root / "red" / "notes.txt").write_text("stray")
    return root


def test_json_ends_with_all_that_was_measured(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "head.safetensors"
    done = command(
        folder, "--out", out, "--test", folder, "--folds", 3, "--epochs", 5, "--seed", 1, "--compare", "--json",
        "--fine-tune", "--fine-tune-epochs", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"collect", "train", "folds", "compare", "fine_tune", "done"} <= {line["event"] for line in lines}
    last = lines[-1]
    assert last["event"] == "done" and last["classes"] == ["blue", "red"] and last["quarantined"] == 2
    assert set(last["seconds"]) == {"decode", "embed", "train"} and all(s >= 0 for s in last["seconds"].values())
    low, high = last["interval"]
    assert 0 <= low <= last["accuracy"] <= high <= 1 and last["held_out"] >= 2
    assert last["test_accuracy"] == last["fold_accuracy"] == last["fold_accuracy_random"] == 1
    assert [line["step"] for line in lines if line["event"] == "train"][-1] == 5
    assert list(last["transfer"]) == list(last["transfer_intervals"]) == ["chance", "pixels", "random", "mean", "head"]
    assert last["transfer"]["chance"] == 0.5 and last["transfer"]["head"] == last["accuracy"]
    assert last["curve"][-1] == {
        "photos": 8,
        "accuracy": last["accuracy"],
        "low": last["accuracy"],
        "high": last["accuracy"],
    }
    assert "hoto" in last["transfer_says"]
    tuning, head = last["fine_tune"], read_head(out)
    assert tuning["accepted"] == (tuning["loss_after"] < tuning["loss_before"]) == bool(head.changed)
    assert tuning["accuracy_before"] == 1 and 0 <= tuning["accuracy_after"] <= 1
    assert head.classes == ("blue", "red") and head.facts["trained_on"] == 20
    assert head.facts["settings"]["epochs"] == 5 and head.facts["settings"]["seed"] == 1


def test_a_zip_trains_the_same_head_in_words(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(folder))
    done = [command(source, "--out", tmp_path / f"{i}.safetensors") for i, source in enumerate((folder, archive))]
    assert [d.returncode for d in done] == [0, 0], done[1].stderr
    assert "20 photos of 2 classes; 2 set aside" in done[0].stdout and "held out" in done[0].stdout
    one, two = (read_head(tmp_path / f"{i}.safetensors") for i in range(2))
    assert one.weight.equal(two.weight) and one.bias.equal(two.bias)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--epochs", "0"], "epochs must be"),
        (["--lr", "nan"], "learning rate must be"),
        (["--folds", "1"], "--folds must be"),
        (["--fine-tune-epochs", "0"], "fine-tuning epochs must be"),
        (["--fit", "stretch"], "--fit must be one of"),
        (["--backbone", "no_such_net"], "no network called"),
        (["--test", "/nowhere"], "no folder"),
        (["--optimizer", "lbfgs"], "optimizer must be one of"),
        (["--dropout", "0.5"], "add --hidden"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder: Path, tmp_path: Path, args: list[str], words: str) -> None:
    out = tmp_path / "head.safetensors"
    done = command(folder, "--out", out, *args)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not out.exists()


def test_tricks_are_flags(folder: Path, tmp_path: Path) -> None:
    tricks = ["--optimizer", "adam", "--init", "xavier", "--decay", "none", "--augment", "flip", "--average", 2]
    out = tmp_path / "head.safetensors"
    done = command(
        folder, "--out", out, *tricks, "--epochs", 3, "--hidden", 16, "--dropout", 0.5, "--all-networks", "--json"
    )
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    wanted = {
        "optimizer": "adam",
        "init": "xavier",
        "decay": "none",
        "augment": "flip",
        "average": 2,
        "learning_rate": 3e-3,
    }
    assert wanted.items() <= read_head(out).facts["settings"].items()
    assert last["hidden"]["units"] == 16 and last["hidden"]["p"] > 0.05 and last["hidden"]["says"]
    assert last["networks"][0]["network"] == "tf_efficientnet_lite0.in1k" and last["networks"][0]["accuracy"] == 1
    assert last["networks_say"]


def test_the_name_of_the_head_is_checked_first(folder: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "head.pkl", tmp_path / "nowhere" / "head.safetensors"):
        done = command(folder, "--out", out)
        assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_of_one_class_is_told(folder: Path, tmp_path: Path) -> None:
    done = command(folder / "blue", "--out", tmp_path / "head.safetensors")
    assert done.returncode == 2 and "class" in done.stderr


def test_trained_on_photos_and_judged_on_others(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "cats_dogs"
    out = tmp_path / "head.safetensors"
    done = command(data / "train", "--out", out, "--test", data / "test", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["test_accuracy"] >= 0.984 and last["accuracy"] >= 0.95
    assert read_head(out).facts["test"]["photos"] == 500
