"""The command `attack`: what it writes, what it says of each picture, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transferdemo import heads
from transferdemo.__main__ import main
from transferdemo.engine.verdict import classify_alone
from transferdemo.head_file import save_head
from transferdemo.heads import Classifier

RED, GREEN, BLUE = 0, 1, 2


@pytest.fixture(autouse=True)
def network(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    monkeypatch.setattr(heads, "load_classifier", lambda *_: toy)
    return toy


def picture(path: Path, colour: int = RED, seed: int = 0) -> Path:
    """An 8 x 8 picture that is called by its strongest channel, by a little."""
    image8 = np.random.default_rng(seed).integers(100, 140, (8, 8, 3), dtype=np.uint8)
    image8[..., colour] += 25
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image8).save(path)
    return path


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, the records, standard error."""
    status = main(["attack", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def read(path: Path | str) -> Any:
    with Image.open(path) as file:
        assert file.format == "PNG"
        return np.array(file)


def test_a_line_says_what_the_file_is_worth(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, network: Classifier
) -> None:
    given, out = picture(tmp_path / "a.png"), tmp_path / "fooled.png"
    status, (record,), err = ran(capsys, given, "--target", "green", "--out", out)
    assert (status, err) == (0, "")
    assert list(record) == [
        "event", "picture", "file", "fooled", "before", "after", "l2", "linf_levels", "changed_share", "gradients", "seconds",
    ]  # fmt: skip
    clean, saved = read(given), read(out)
    change = saved.astype(int) - clean
    before, after = classify_alone(network, clean), classify_alone(network, saved)
    assert (record["event"], record["picture"], record["file"]) == ("done", str(given), str(out))
    assert record["fooled"] is True and (before.index, after.index) == (RED, GREEN)
    assert record["before"] == {"index": RED, "probability": pytest.approx(before.probability, abs=1e-6)}
    assert record["after"] == {"index": GREEN, "probability": pytest.approx(after.probability, abs=1e-6)}
    assert record["l2"] == pytest.approx(np.linalg.norm(change / 255), abs=1e-4)
    assert record["linf_levels"] == np.abs(change).max() > 0
    assert record["changed_share"] == pytest.approx((change != 0).mean(), abs=1e-5)
    assert 0 < record["gradients"] <= 100


def test_one_bad_picture_among_many(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """More than are attacked together, with one that cannot be read and one that is the target already."""
    folder = tmp_path / "in"
    for number in range(12):
        picture(folder / f"{number:02}.png", GREEN if number == 5 else RED, number)
    (folder / "03.png").write_bytes(b"nothing")
    status, records, err = ran(capsys, folder, "--target", GREEN, "--out", tmp_path / "out", "--steps", 40)
    assert (status, err) == (0, "")
    assert [Path(r["picture"]).name for r in records] == [f"{n:02}.png" for n in range(12)]
    assert [n for n, r in enumerate(records) if r["event"] == "error"] == [3, 5]
    assert records[5]["message"] == "This photo is green for the network already; choose another target."
    assert all(r["fooled"] for r in records if r["event"] == "done")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{n:02}.png" for n in range(12)} - {"03.png", "05.png"}


def test_a_photo_gets_in_company_what_it_gets_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    photos = [picture(tmp_path / f"{seed}.png", RED, seed) for seed in range(3)]
    many = ran(capsys, *photos, "--target", "anything", "--out", tmp_path / "many")[1]
    for photo, record in zip(photos, many, strict=True):
        alone = ran(capsys, photo, "--target", "anything", "--out", tmp_path / "alone.png")[1][0]
        assert alone["after"]["index"] == record["after"]["index"] != RED
        assert alone["l2"] == pytest.approx(record["l2"], rel=0.01)


def test_names_are_unique_and_no_photo_is_replaced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a" / "x.png"), picture(tmp_path / "b" / "X.bmp", seed=1)
    data = first.read_bytes()
    _, records, _ = ran(capsys, first, second, "--target", "green", "--out", tmp_path / "a")
    assert [Path(r["file"]).name for r in records] == ["x-2.png", "X-3.png"] and first.read_bytes() == data
    assert {
        Path(r["file"]).name for r in ran(capsys, tmp_path / "b", "--target", "green", "--out", tmp_path / "c")[1]
    } == {"X.png"}


def test_the_strength_is_a_limit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for method, epsilon in (("pgd-linf", 3), ("fgsm", 2), ("pgd-l2", 0.3)):
        arguments = ("--target", "blue", "--method", method, "--epsilon", epsilon, "--out", tmp_path / f"{method}.png")
        record = ran(capsys, picture(tmp_path / "a.png"), *arguments)[1][0]
        assert 0 < (record["l2"] if method == "pgd-l2" else record["linf_levels"]) <= epsilon


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--target", "mauve", "--out", "o.png"), "no class 'mauve'"),
        (("--target", "3", "--out", "o.png"), "0 to 2"),
        (("--target", "green", "--out", "o.png", "--method", "pgd-linf", "--epsilon", "0"), "epsilon must be"),
        (("--target", "green", "--out", "o.png", "--method", "pgd-linf", "--epsilon", "nan"), "epsilon must be"),
        (("--target", "green", "--out", "o.png", "--epsilon", "4"), "--epsilon goes with"),
        (("--target", "green", "--out", "o.png", "--steps", "0"), "steps must be"),
        (("--target", "green", "--out", "o.png", "--steps", "1001"), "steps must be"),
        (("--target", "green", "--out", "o.png", "--method", "magic"), "method must be one of"),
        (("--target", "green", "--out", "o.jpg"), "end in .png"),
        (("--target", "green", "--out", "a.png"), "replace the photo itself"),
        (("b.png", "--target", "green", "--out", "o.png"), "do not fit into one file"),
        (("--target", "red", "--out", "o.png"), "None of the pictures"),
        (("--target", "green", "--out", "a.png/b"), "cannot be made"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    status, records, err = ran(capsys, "a.png", *arguments)
    assert status == 2 and all(r["event"] == "error" for r in records)
    assert sentence in err and len(err.splitlines()) == 1
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "b.png"}


def test_it_reads_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "fooled.png"
    assert main(["attack", str(picture(tmp_path / "a.png")), "--target", "green", "--out", str(out)]) == 0
    line = capsys.readouterr().out
    assert "a.png: fooled: red " in line and " -> green " in line and f"of 255; saved as {out}" in line


def test_a_head_of_ones_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, network: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head's file reaches the classifier, and its network is chosen without being named."""
    seen: list[Any] = []
    monkeypatch.setattr(heads, "load_classifier", lambda view, device: seen.append(view) or network)
    save_head(network.head, tmp_path / "own.safetensors")
    arguments = (picture(tmp_path / "a.png"), "--target", "green", "--out", tmp_path / "o.png")
    assert ran(capsys, *arguments, "--head", tmp_path / "own.safetensors")[0] == 0
    assert seen[0].head.classes == ("red", "green", "blue") and seen[0].backbone == "toy.test"
