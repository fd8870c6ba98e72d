"""The command line: what it prints, in which order, and how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from safetensors.numpy import save

from tests.fake_hub import FakeHub
from transferdemo.__main__ import main
from transferdemo.backbones import BACKBONES, DEFAULT
from transferdemo.commands import pictures_in, with_bar
from transferdemo.hub import DownloadStep

ROOT = Path(__file__).resolve().parents[1]
CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
COFFEE = CAT.with_name("coffee.png")


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str], list[str]]:
    """Exit status, lines of standard output, lines of standard error."""
    status = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"nothing")
    return path


def test_classify_prints_one_object_a_line(capsys: pytest.CaptureFixture[str], bad: Path) -> None:
    status, out, err = ran(capsys, "classify", COFFEE, bad, CAT, "--json", "--top", 3)
    assert status == 0 and err == []
    coffee, broken, cat = map(json.loads, out)
    assert set(coffee) == set(cat) == {"event", "picture", "verdict", "dog", "cat", "scores", "milliseconds"}
    assert [x["picture"] for x in (coffee, broken, cat)] == [str(COFFEE), str(bad), str(CAT)]
    assert broken == {"event": "error", "picture": str(bad), "message": broken["message"]} and broken[
        "message"
    ].endswith(".")
    assert (
        cat["event"] == "done"
        and cat["verdict"] == "cat"
        and cat["cat"] > cat["dog"]
        and coffee["verdict"] == "neither"
    )
    assert len(cat["scores"]) == 3 and set(cat["scores"][0]) == {"index", "name", "probability"}
    best = [s["probability"] for s in cat["scores"]]
    assert (
        best == sorted(best, reverse=True) and cat["scores"][0]["index"] in range(281, 286) and cat["milliseconds"] > 0
    )


def test_classify_reads_well(capsys: pytest.CaptureFixture[str], bad: Path) -> None:
    status, out, err = ran(capsys, "classify", CAT, bad)
    assert status == 0 and len(out) == len(err) == 1
    assert re.fullmatch(rf"{re.escape(str(CAT))}: cat \(.+ \d+\.\d%(, .+ \d+\.\d%){{4}}\)", out[0])
    assert err[0].startswith(f"{bad}: ") and err[0].endswith(".")


def test_a_folder_counts_as_its_pictures(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/c.webp", "notes.txt", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    named = Path("elsewhere.tiff")
    assert pictures_in([named, tmp_path]) == [named, *(tmp_path / n for n in ("a.png", "b.JPG", "sub/c.webp"))]


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_fit_changes_the_answer(capsys: pytest.CaptureFixture[str], fit: str) -> None:
    _, out, _ = ran(capsys, "classify", CAT, "--json", "--fit", fit)
    _, auto, _ = ran(capsys, "classify", CAT, "--json")
    same = json.loads(out[0])["scores"] == json.loads(auto[0])["scores"]
    assert same == (fit == "crop")


def test_exact_pixels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.open(CAT).convert("RGB").resize((224, 224)).save(small)
    status, out, _ = ran(capsys, "classify", small, "--json", "--fit", "exact")
    assert status == 0 and json.loads(out[0])["verdict"] == "cat"
    status, _, err = ran(capsys, "classify", CAT, "--fit", "exact")
    assert status == 2 and "224 x 224" in err[0]


def test_another_network(capsys: pytest.CaptureFixture[str], shared: Path) -> None:
    status, out, _ = ran(capsys, "classify", CAT, "--json", "--backbone", "mobilenetv2_100")
    assert status == 0 and json.loads(out[0])["verdict"] == "cat"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--backbone", "no_such_net"], "no network called 'no_such_net'"),
        (["--backbone", "local-dir:/etc"], "no network called"),
        (["--backbone", "vgg16"], "not on this machine"),
        (["--fit", "stretch"], "fit must be one of auto, crop, pad, exact"),
        (["--top", "0"], "--top must be a whole number from 1 to 1000"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--head", "no/such.safetensors"], "such.safetensors"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    status, out, err = ran(capsys, "classify", CAT, *arguments, "--json")
    assert status == 2 and out == [] and len(err) == 1 and says in err[0]


def test_nothing_usable_ends_with_2(capsys: pytest.CaptureFixture[str], bad: Path, tmp_path: Path) -> None:
    status, out, err = ran(capsys, "classify", bad, tmp_path / "nobody.jpg", "--json")
    assert status == 2 and [json.loads(line)["event"] for line in out] == ["error", "error"]
    assert err == ["None of the pictures could be used."]
    (tmp_path / "empty").mkdir()
    assert ran(capsys, "classify", tmp_path / "empty")[::2] == (2, ["There are no pictures there."])


def test_a_process_says_the_same(bad: Path) -> None:
    command = [sys.executable, "-m", "transferdemo", "classify", str(bad)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2 and run.stdout == "" and "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1] == "None of the pictures could be used."


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m transferdemo backbones | head -1"
    run = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stderr == "" and len(run.stdout.splitlines()) == 1


def test_help_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    for command in ("classify", "backbones", "download"):
        assert re.search(rf"^ +{command}\s+[a-z].+", text, re.MULTILINE), command
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert len(capsys.readouterr().out.splitlines()) > 5
    with pytest.raises(SystemExit) as end:
        main(["paint"])
    assert end.value.code == 2


def test_backbones_lists_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ran(capsys, "backbones", "--json")
    rows = {row["backbone"]: row for row in map(json.loads, out)}
    assert status == 0 and list(rows) == list(BACKBONES)
    default, vgg = rows[DEFAULT], rows["vgg16.tv_in1k"]
    assert default["default"] and default["here"] and default["origin"] == "the installed package"
    assert not vgg["default"] and not vgg["here"] and vgg["origin"] is None and round(vgg["megabytes"]) == 528
    _, text, _ = ran(capsys, "backbones")
    assert len(text) == len(rows) and any("528 MB" in line and "download" in line for line in text)


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    with FakeHub(save({"weight": np.zeros((100, 100), np.float32)})) as hub:
        hub.point_here(monkeypatch, tmp_path / "cache")
        yield hub


def test_download_fills_a_stick(capsys: pytest.CaptureFixture[str], loopback: FakeHub, tmp_path: Path) -> None:
    status, out, _ = ran(capsys, "download", "resnet18", "resnet34.a1_in1k", "--to", tmp_path / "stick")
    assert status == 0 and out[0].startswith("ResNet-18: ") and out[1].startswith("resnet34.a1_in1k: ")
    stick = {p.name: p.read_bytes() for p in (tmp_path / "stick").iterdir()}
    assert stick == {n: loopback.data for n in ("resnet18.tv_in1k.safetensors", "resnet34.a1_in1k.safetensors")}
    assert loopback.bodies("timm/resnet18.tv_in1k") == 1


def test_download_tells_programs_how_far_it_is(capsys: pytest.CaptureFixture[str], loopback: FakeHub) -> None:
    status, out, _ = ran(capsys, "download", "resnet18", "--json")
    events = [json.loads(line) for line in out]
    assert (
        status == 0
        and {e["event"] for e in events[:-1]} <= {"step"}
        and {"resnet18.tv_in1k"} == {e["backbone"] for e in events}
    )
    assert events[-1]["event"] == "done" and events[-1]["step"] == events[-1]["total"] == len(loopback.data)


def test_a_wrong_name_is_refused_before_the_first_byte(capsys: pytest.CaptureFixture[str], loopback: FakeHub) -> None:
    status, out, err = ran(capsys, "download", "resnet18", "resnet18x")
    assert status == 2 and out == [] and "resnet18x" in err[0] and loopback.requests == []


def test_a_hub_that_has_no_such_file_gets_one_sentence(capsys: pytest.CaptureFixture[str], loopback: FakeHub) -> None:
    loopback.mode = "404"
    status, out, err = ran(capsys, "download", "resnet18")
    assert status == 2 and out == [] and len(err) == 1 and err[0].endswith(".")


def test_the_bar_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    events = [DownloadStep(i, 4) for i in range(5)]
    assert list(with_bar(iter(events), "network")) == events and capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(with_bar(iter(events), "network")) == events
    drawn = capsys.readouterr().err
    assert drawn.endswith("\n") and "network" in drawn and "4/4" in drawn
    assert list(with_bar(iter(events), "network", quiet=True)) == events and capsys.readouterr().err == ""
