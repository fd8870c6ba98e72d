"""How good a head is: right counts, honest intervals, groups kept whole, a card, and proof in a fresh process."""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from transferdemo.backbones import load_backbone
from transferdemo.data.folder import read_folder
from transferdemo.engine import ready
from transferdemo.engine.card import CheckDone, card, probabilities, verify_head
from transferdemo.engine.evaluate import (
    Accuracy,
    FoldsDone,
    ReportDone,
    accuracy_on,
    cross_validate,
    full_report,
    report,
    train_on_all,
    with_facts,
)  # fmt: skip
from transferdemo.engine.features import CollectDone, Embedded, collect
from transferdemo.engine.train import TrainConfig, TrainDone, train
from transferdemo.errors import BadFile, BadFolder, BadSetting
from transferdemo.head_file import encode_head, read_head, save_head
from transferdemo.heads import load_classifier
from transferdemo.types import Head, View

ROOT = Path(__file__).resolve().parents[2]
Clouds = Callable[..., Embedded]
CONFIG = TrainConfig(epochs=5)


def trained(embedded: Embedded, config: TrainConfig = CONFIG) -> tuple[Head, TrainDone]:
    *_, done = train(embedded, config)
    assert isinstance(done, TrainDone)
    return done.head, done


def last(events: Any) -> Any:
    *_, done = events
    return done


def test_wilson_interval_is_the_textbook_one() -> None:
    # 15 of 20: Brown, Cai and DasGupta's formula by hand
    z, p, n = 1.959963985, 0.75, 20
    middle, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n),
    )
    assert Accuracy(15, 20).interval == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert Accuracy(20, 20).interval[1] == pytest.approx(1) and Accuracy(20, 20).interval[0] > 0.8
    assert Accuracy(0, 0).interval == (0, 1)


def test_the_report_counts_right(clouds: Clouds) -> None:
    embedded = clouds(classes=4, each=30, apart=1.5)
    head, done = trained(embedded)
    made = report(embedded, head, CONFIG)
    held_out = done.split.held_out
    truth = embedded.folder.labels[held_out]
    answers = (torch.from_numpy(embedded.features[held_out]) @ head.weight.T + head.bias).softmax(1)
    assert (
        made.held_out.share == pytest.approx(accuracy_score(truth, answers.argmax(1))) and 0.3 < made.held_out.share < 1
    )
    assert made.held_out.count == len(held_out) == made.confusion.sum() == sum(map(len, made.cells.values()))
    assert [a.count for a in made.per_class] == np.bincount(truth).tolist()
    for (row, column), ids in made.cells.items():
        assert made.confusion[row, column] == len(ids)
        assert all(embedded.folder.photos[i].label == made.classes[row] for i in ids)
    wrong = sorted((float(p.max()) for p, t in zip(answers, truth, strict=True) if p.argmax() != t), reverse=True)[:6]
    assert [w.probability for w in made.wrong] == pytest.approx(wrong)
    assert all(w.truth == embedded.folder.photos[w.id].label != w.answer for w in made.wrong)


def twins(embedded_of: Callable[..., Embedded]) -> Embedded:
    """Noise with random labels, each photo ten times almost the same: only a leaky split can know anything."""
    random = np.random.default_rng(0)
    base = random.normal(size=(40, 32))
    features = np.repeat(base, 10, 0) + 0.01 * random.normal(size=(400, 32))
    labels = np.repeat(random.permutation(np.arange(40) % 2), 10)
    return embedded_of(features, [f"class {i}" for i in labels], [i // 10 for i in range(400)])


def test_near_duplicates_flatter_only_at_random(embedded_of: Callable[..., Embedded]) -> None:
    embedded = twins(embedded_of)
    head, _ = trained(embedded)
    made = last(full_report(embedded, head, CONFIG)).report
    assert made.folds_random.share > 0.95 and made.folds.share < 0.75 and made.fold_count == 5
    assert made.held_out.share < 0.85


def test_without_near_duplicates_nothing_more_is_trained(clouds: Clouds) -> None:
    events = list(full_report(clouds(), trained(clouds())[0], CONFIG))
    assert len(events) == 1 and isinstance(events[0], ReportDone) and events[0].report.folds is None


def test_every_photo_is_judged_by_a_head_that_has_not_seen_it(clouds: Clouds) -> None:
    embedded = clouds()
    events = list(cross_validate(embedded, CONFIG, 4))
    done = events[-1]
    assert isinstance(done, FoldsDone) and len(done.per_fold) == 4 and done.judged.all()
    assert [event.step for event in events[:-1]] == list(range(1, 21)) and done.total == 20
    right = (done.logits.argmax(1).numpy() == embedded.folder.labels).mean()
    assert right == pytest.approx(done.accuracy.share) and right > 0.9
    assert torch.equal(last(cross_validate(embedded, CONFIG, 4)).logits, done.logits)
    noise = dataclasses.replace(embedded, vectors={k: np.random.default_rng(i).normal(size=16).astype(np.float32)
                                                   for i, k in enumerate(embedded.vectors)})  # fmt: skip
    assert last(cross_validate(noise, CONFIG, 4)).accuracy.share < 0.6


def test_folds_that_cannot_be_get_a_sentence(clouds: Clouds) -> None:
    with pytest.raises(BadSetting, match="folds"):
        cross_validate(clouds(), CONFIG, 1)
    one_group = dataclasses.replace(
        clouds().folder, photos=tuple(dataclasses.replace(photo, group=0) for photo in clouds().folder.photos)
    )
    with pytest.raises(BadFolder, match="too few"):
        cross_validate(clouds().with_folder(one_group), CONFIG)


def test_another_set_is_matched_by_name(clouds: Clouds) -> None:
    embedded, other = clouds(), clouds()
    head, _ = trained(embedded)
    renamed = other.folder.rename("class 0", "zebra").rename("class 1", "CLASS 1")
    assert accuracy_on(head, other.with_folder(renamed)).count == 40
    assert report(embedded, head, CONFIG, other).test == accuracy_on(head, other)
    with pytest.raises(BadFolder, match="another network"):
        accuracy_on(head, dataclasses.replace(other, digest="other"))
    nothing = renamed.rename("CLASS 1", "x").rename("class 2", "y")
    with pytest.raises(BadFolder, match="No class"):
        accuracy_on(head, other.with_folder(nothing))


def test_the_header_says_what_was_measured(clouds: Clouds) -> None:
    embedded = clouds()
    head, _ = trained(embedded)
    made = last(full_report(embedded, head, CONFIG, k=3)).report
    facts = read_head(encode_head(with_facts(head, embedded, made))).facts
    assert facts["accuracy"] == made.held_out.share and facts["judged_by"] == "held-out photos"
    assert facts["trained_on"] == 60 - made.held_out.count and facts["interval"] == list(made.held_out.interval)
    whole = last(train_on_all(embedded, CONFIG))
    facts = with_facts(whole, embedded, made, on_all=True).facts
    assert facts["accuracy"] == made.folds.share and facts["judged_by"] == "3 folds" and facts["trained_on"] == 60
    assert "held_out" not in facts


def test_the_card_is_plain_and_hostile_names_stay_text(clouds: Clouds) -> None:
    embedded = clouds()
    folder = embedded.folder.rename("class 0", "<img src=x onerror=alert(1)>").rename("class 1", "a|b](http://x)")
    embedded = dataclasses.replace(embedded.with_folder(folder), backbone="tf_efficientnet_lite0.in1k")
    head, _ = trained(embedded)
    made = report(embedded, head, CONFIG)
    text = card(head, made)
    assert "<img" not in text and "](http" not in text and "a\\|b" in text
    assert f"{made.held_out.share:.1%}" in text and f"Of {made.held_out.count} photos" in text
    assert "EfficientNet-Lite0" in text and "learning rate: 0.01" in text


def test_a_saved_head_says_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    backbone = load_backbone()
    random = torch.Generator().manual_seed(0)
    head = Head(
        ("mug", "pen"), torch.randn(2, backbone.width, generator=random), torch.zeros(2), backbone.tag, backbone.digest
    )
    path = tmp_path / "head.safetensors"
    save_head(head, path)
    images = [np.random.default_rng(i).integers(0, 255, (224, 224, 3), dtype=np.uint8) for i in range(3)]
    expected = probabilities(load_classifier(View(backbone.tag, head), torch.device("cpu")), images)
    done = last(verify_head(path, images, expected))
    assert isinstance(done, CheckDone) and done.difference < 1e-3
    with pytest.raises(BadFile, match="differently"):
        last(verify_head(path, images, expected.flip(1)))


def test_a_damaged_head_is_found_in_the_fresh_process(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(BadFile, match="could not be opened"):
        last(verify_head(path, [np.zeros((224, 224, 3), dtype=np.uint8)], torch.ones(1, 2)))


def test_a_ready_set_survives_a_round_trip(clouds: Clouds) -> None:
    embedded = clouds()
    embedded = embedded.with_folder(embedded.folder.set_aside([3]))
    again = ready.read_set_features(ready.encode_set(embedded))
    assert not again.pictures and again.folder.classes == embedded.folder.classes
    assert np.allclose(again.features, embedded.features, atol=0.01)
    assert again.folder.labels.tolist() == embedded.folder.labels.tolist()
    assert again.folder.groups.tolist() == embedded.folder.groups.tolist()
    assert report(again, trained(again)[0], CONFIG).held_out.share > 0.9


def test_a_ready_set_is_read_with_suspicion(clouds: Clouds) -> None:
    good = ready.encode_set(clouds())
    length = int.from_bytes(good[:8], "little")
    header = good[8 : 8 + length]
    bad = [
        b"", b"PK\x03\x04", good[:100], good[:-1], good + b"x", good.replace(b'"F16"', b'"F64"'),
        good.replace(b"transferdemo set", b"transferdemo het"), good.replace(b"class 0", b"class 1"),
        (2**40).to_bytes(8, "little") + header, good[:-4] + b"\xff\x7f\xff\x7f",
    ]  # fmt: skip
    for data in bad:
        with pytest.raises(BadFile):
            ready.read_set_features(data)
    broken = clouds()
    broken.vectors["sha 0"][0] = np.inf  # type: ignore[index]
    with pytest.raises(BadFile):
        ready.read_set_features(ready.encode_set(broken))
    with pytest.raises(BadFile, match="no ready set"):
        ready.read_set_features("../heads/cats_dogs")


@pytest.mark.parametrize("name", ["cats_dogs", "pets37"])
def test_what_ships_works_without_a_photo(name: str) -> None:
    embedded = ready.read_set_features(name)
    assert embedded.digest == load_backbone().digest
    head = read_head(ready.FOLDER.parent / "heads" / f"{name}.safetensors")
    assert head.classes == embedded.folder.classes and head.digest == embedded.digest
    folds = last(cross_validate(embedded, TrainConfig()))
    assert folds.accuracy.share == pytest.approx(head.facts["folds"]["accuracy"], abs=0.02)


@pytest.mark.parametrize(("name", "folder"), [("cats_dogs", "cats_dogs/test"), ("pets37", "pets37")])
def test_the_shipped_headers_are_true(shared: Path, name: str, folder: str) -> None:
    backbone = load_backbone()
    head = read_head(ready.FOLDER.parent / "heads" / f"{name}.safetensors")
    done = last(collect(read_folder(shared / "data" / folder), backbone))
    assert isinstance(done, CollectDone)
    if name == "cats_dogs":
        measured = accuracy_on(head, done.embedded)
        assert measured.share >= 0.984 and head.facts["judged_by"] == "test photos"
    else:
        measured = last(cross_validate(done.embedded, TrainConfig())).accuracy
        assert head.facts["judged_by"] == "5 folds" and head.facts["trained_on"] == len(done.embedded.folder.used)
    assert measured.share == pytest.approx(head.facts["accuracy"], abs=0.011)
    assert measured.count == head.facts["photos"]
    assert list(Accuracy(round(head.facts["accuracy"] * measured.count), measured.count).interval) == pytest.approx(
        head.facts["interval"]
    )


def test_the_card_of_the_weights_shows_what_the_script_prints(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "benchmarks" / "heads.py"))["table"]()
    printed = [line for line in capsys.readouterr().out.splitlines() if line]
    card_lines = (ROOT / "weights" / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(printed) >= 9 and set(printed) <= set(card_lines)
