"""The Fool tab without a browser: the attempt step by step, what is said of it, and the curve of a head."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from transferdemo.data.folder import read_photos
from transferdemo.engine.evaluate import report
from transferdemo.engine.features import CollectDone, collect
from transferdemo.engine.receipt import Opinion
from transferdemo.engine.recipe import TrainConfig
from transferdemo.engine.robustness import RobustnessDone
from transferdemo.engine.train import train
from transferdemo.engine.verdict import classify_alone
from transferdemo.errors import BadImage, BadSetting
from transferdemo.heads import CATS, DOGS, Classifier, imagenet_names
from transferdemo.images import encode_png
from transferdemo.types import Head, Image8, Photo, View
from transferdemo.ui import fool_show, fool_strength, fool_trial, texts
from transferdemo.ui.fool_parts import choices
from transferdemo.ui.fool_trial import Trial, Wish, judged, proved, start, steps
from transferdemo.ui.teach_state import Lesson


@pytest.fixture(autouse=True)
def network(toy: Classifier, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    for module in (fool_trial, fool_strength):
        monkeypatch.setattr(module, "load_classifier", lambda *_: toy)
    monkeypatch.setattr(fool_trial, "BACKBONES", {})
    return toy


@pytest.fixture
def photo() -> Photo:
    """8 x 8, called red by a little."""
    image8 = np.random.default_rng(0).integers(100, 140, (8, 8, 3), dtype=np.uint8)
    image8[..., 0] += 25
    return Photo(image8, "0" * 64)


def ended(photo: Photo, wish: Wish) -> Trial:
    return list(steps(*start(photo, View("toy.test"), wish)))[-1]


def test_the_attempt_grows_step_by_step(photo: Photo) -> None:
    trials = list(steps(*start(photo, View("toy.test"), Wish("green"))))
    assert [t.step for t in trials] == sorted(t.step for t in trials)
    assert [len(t.curve) for t in trials[:-1]] == list(range(1, len(trials)))
    assert trials[-1].result and trials[-1].result.fooled and trials[-2].result is None
    assert trials[-1].title == "green" and trials[-1].classes[trials[-1].before.index] == "red"
    assert pickle.loads(pickle.dumps(trials[-1].config)) == trials[-1].config


def test_stopped_on_the_way_the_best_is_judged(photo: Photo) -> None:
    classifier, begun = start(photo, View("toy.test"), Wish("green", method="pgd-linf", strength=20))
    assert judged(begun).result is None  # before the first step there is nothing to judge
    last = list(islice(steps(classifier, begun), 30))[-1]
    end = judged(last)
    assert last.result is None and end.result is not None
    assert np.array_equal(end.picture, last.picture) and end.result.gradients == 30
    assert end.result.after == classify_alone(classifier, last.picture)


def test_the_receipt_follows(photo: Photo) -> None:
    first, second = proved(ended(photo, Wish("green")))
    for trial in (first, second):
        assert trial.receipt and trial.receipt.lines[0].name == "PNG" and trial.receipt.lines[0].fooled
        table = fool_show.table(trial)
        assert all(word in table for word in ("JPEG 75", "SSIM", "green", f"of {trial.receipt.noise.draws}"))
    assert list(proved(start(photo, View("toy.test"), Wish("green"))[1])) == []


def test_three_lines(photo: Photo) -> None:
    trial = ended(photo, Wish("green"))
    assert trial.result is not None
    early, late = fool_show.result(trial), fool_show.result(next(proved(trial)))
    assert early.count("<li>") == late.count("<li>") == 3
    assert texts.FOOL_NOISE_SOON in early and "Same amount of random noise: still red" in late
    assert "Saved file: green" in late and f"by at most {trial.result.linf_levels} of 255" in late
    weak = fool_show.result(ended(photo, Wish("green", method="fgsm", strength=1)))
    assert "Saved file: still red" in weak and texts.FOOL_NOT in weak
    assert "its values ran from" in fool_show.result(ended(photo, Wish("green", method="lesson")))


def test_names_are_escaped(photo: Photo, network: Classifier) -> None:
    evil = "<img src=x onerror=alert(1)>"
    network.head = replace(network.head, classes=("red", evil, "blue"))
    trial = next(proved(ended(photo, Wish(evil))))
    assert trial.receipt is not None
    trial = replace(trial, receipt=replace(trial.receipt, others=(Opinion(evil, evil, 0.5, evil, 0.5, True),)))
    for html in (
        fool_show.result(trial),
        fool_show.table(trial),
        *(fool_show.reply(q, trial) for q in texts.FOOL_CHIPS),
    ):
        assert "<img src" not in html and html


@pytest.mark.parametrize("question", texts.FOOL_CHIPS)
def test_answers_are_one_line(photo: Photo, question: str) -> None:
    trial = next(proved(ended(photo, Wish("green"))))
    assert fool_show.reply(question, trial).count("<p") == 1
    assert fool_show.reply(question, None) == fool_show.reply(question, replace(trial, receipt=None)) == ""
    weak = next(proved(ended(photo, Wish("green", method="fgsm", strength=1))))
    assert texts.FOOL_NOT in fool_show.reply(question, weak)


def test_the_change_is_magnified() -> None:
    clean: Image8 = np.full((2, 2, 3), 100, np.uint8)
    changed = clean.copy()
    changed[0, 0] = (103, 98, 100)
    seen = fool_show.magnified(clean, changed, 20)
    assert seen[0, 0].tolist() == [188, 88, 128] and (seen[1] == 128).all()
    assert fool_show.magnified(clean, changed + np.uint8(50), 50).max() == 255
    assert "× 50" in texts.fool_magnified(50) and "×" not in texts.fool_magnified(1)


def test_curves_are_thin(photo: Photo) -> None:
    trial = ended(photo, Wish("green", method="pgd-linf", steps=700))
    assert len(trial.curve) == 700
    chances, sizes = fool_show.chances(trial), fool_show.sizes(trial)
    assert len(sizes) <= 100 and sizes["step"].iloc[-1] == 700
    assert set(chances["class"]) == {"red", "green"} and chances["probability"].between(0, 1).all()


@pytest.mark.parametrize(
    "wish",
    [
        Wish("mauve"), Wish("3"), Wish("green", steps=1001), Wish("green", steps=True), Wish("green", tv=float("nan")),
        Wish("green", method="magic"), Wish("green", confidence=1.0), Wish("green", method="pgd-linf", strength=0),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be(photo: Photo, wish: Wish) -> None:
    with pytest.raises(BadSetting):
        start(photo, View("toy.test"), wish)


def test_the_strength_of_a_method_that_has_none_is_ignored(photo: Photo) -> None:
    assert start(photo, View("toy.test"), Wish("green", strength=-3))[1].config.epsilon is None


def test_without_a_photo() -> None:
    assert fool_trial.preset(None, View("toy.test")) == "anything"
    with pytest.raises(BadImage):
        start(None, View("toy.test"), Wish("green"))


def test_the_target_that_is_offered(network: Classifier) -> None:
    def head(*classes: str) -> Head:
        return replace(network.head, classes=classes)

    own = head(*imagenet_names())
    assert {fool_trial.opposite(own, i) for i in DOGS} == {"any cat"}
    assert {fool_trial.opposite(own, i) for i in CATS} == {"any dog"} and fool_trial.opposite(own, 504) == "anything"
    assert [fool_trial.opposite(head("cat", "Dog"), i) for i in (0, 1)] == ["Dog", "cat"]
    assert fool_trial.opposite(head("mug", "pen"), 0) == "anything"
    assert fool_trial.aim(own, "anything else") is None and fool_trial.aim(own, "any cat") == tuple(CATS)
    assert fool_trial.aim(head("pen", "anything"), "anything") == (1,)
    assert [value for _, value in choices(("mug", "pen"), ())] == ["anything", "mug", "pen"]


def test_a_picture_of_the_networks_size_is_not_resized(network: Classifier) -> None:
    view = View("toy.test", network.head)
    assert network.head.fit == "crop" and view.fitting == "auto"
    assert replace(view, fit="pad").fitting == "pad" and replace(view, head=None, fit="exact").fitting == "exact"


def test_the_curve_of_a_head(photo: Photo, network: Classifier) -> None:
    images = [photo.image8, photo.image8[..., ::-1].copy()]
    event = list(fool_strength.robustness_of(network, images))[-1]
    assert isinstance(event, RobustnessDone)
    shares = event.curve.accuracy
    assert shares[0] == 1 and list(shares) == sorted(shares, reverse=True) and len(shares) == 9
    wrong = list(fool_strength.robustness_of(network, images, [1, 1]))[-1]
    assert set(wrong.curve.right) == {0}


def test_two_heads_are_compared(photo: Photo, network: Classifier) -> None:
    held = fool_strength.Held((photo.image8,), (0,))
    view = View("toy.test", network.head)
    progress = list(fool_strength.curves(held.images, view, held))
    assert progress[-1].step == progress[-1].total and progress[-1].note == ""
    assert set(progress[-1].curves) == {texts.FOOL_MY_HEAD, texts.FOOL_OWN_CLASSES}
    text, plot = fool_strength.drawn(progress[-1])
    assert texts.FOOL_MY_HEAD.capitalize() in text and plot["visible"] and len(plot["value"]) == 18


def test_the_photos_that_judged_a_head_in_teach_judge_it_here(network: Classifier) -> None:
    random = np.random.default_rng(0)
    given = {
        name: [encode_png(random.integers(0, 90, (8, 8, 3), dtype=np.uint8) + shade) for _ in range(10)]
        for name, shade in (("red", np.uint8([120, 0, 0])), ("blue", np.uint8([0, 0, 120])))
    }
    done = list(collect(read_photos(given), network.backbone))[-1]
    assert isinstance(done, CollectDone)
    config, embedded = TrainConfig(epochs=2), done.embedded
    trained = list(train(embedded, config))
    head = trained[-1].head
    lesson = Lesson(embedded, head=head, report=report(embedded, head, config)).with_run(config, trained[:-1])
    lesson = replace(lesson, head=head)
    held = fool_strength.held_of(lesson, View("toy.test", head))
    assert held is not None and len(held.images) == len(held.labels) == lesson.report.held_out.count
    redder = [int(image[..., 0].mean() > image[..., 2].mean()) for image in held.images]
    assert [head.classes[label] == "red" for label in held.labels] == [bool(r) for r in redder]
    assert fool_strength.held_of(lesson, View("toy.test")) is None
    aside = lesson.with_folder(lesson.folder.set_aside([photo.id for photo in lesson.folder.used[:5]]))
    assert fool_strength.held_of(aside, View("toy.test", head)) is None
