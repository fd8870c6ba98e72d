"""Fooling: what is promised of the saved file holds, whatever the method; and what the search keeps, refuses and repeats."""

from __future__ import annotations

import io
import pickle
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from transferdemo.engine.adversarial import METHODS, AttackConfig, AttackDone, AttackStep, attack
from transferdemo.engine.goal import Goal, smooth
from transferdemo.engine.levels import Room, largest_step, to_flat, to_levels, to_pixels
from transferdemo.engine.receipt import noise_control, receipt, treatments
from transferdemo.engine.robustness import RobustnessDone, robustness
from transferdemo.engine.verdict import Result, classify_alone, judge
from transferdemo.errors import BadSetting
from transferdemo.heads import Classifier, load_classifier
from transferdemo.images import to_pixels as image_pixels
from transferdemo.types import Image8, View

CAT, DOGS = 283, range(151, 269)


def reddish(count: int = 3, seed: int = 0) -> list[Image8]:
    """Pictures that the toy network calls red; green is near, blue is not."""
    random = np.random.default_rng(seed)
    pictures = [random.integers(0, 256, (8, 8, 3), dtype=np.uint8) // 2 + 60 for _ in range(count)]
    for picture in pictures:
        picture[..., 2] -= 30
        picture[..., 0] += (picture.mean((0, 1)).max() - picture[..., 0].mean() + 4).astype(np.uint8)
    return pictures


def done(classifier: Classifier, images: list[Image8], config: AttackConfig) -> tuple[Result, ...]:
    events = list(attack(classifier, images, config))
    assert isinstance(events[-1], AttackDone) and all(isinstance(e, AttackStep) for e in events[:-1])
    return events[-1].results


def read(result: Result) -> Image8:
    with Image.open(io.BytesIO(result.png)) as file:
        assert file.format == "PNG" and file.mode == "RGB"
        return np.array(file)


@pytest.mark.parametrize("targets", [None, (1,), (1, 2)])
@pytest.mark.parametrize("method", METHODS)
def test_the_saved_file_says_what_the_result_says(
    toy: Classifier, method: str, targets: tuple[int, ...] | None
) -> None:
    images = reddish()
    for clean, result in zip(images, done(toy, images, AttackConfig(targets, method, steps=30)), strict=True):
        saved = read(result)
        change = saved.astype(int) - clean.astype(int)
        assert np.array_equal(saved, result.image8)
        assert result.l2 == pytest.approx(np.sqrt(((change / 255) ** 2).sum()))
        assert result.linf_levels == np.abs(change).max()
        assert result.changed_share == pytest.approx((change != 0).mean())
        assert (result.before, result.after) == (classify_alone(toy, clean), classify_alone(toy, saved))
        assert result.fooled == (result.after.index in (targets or (1, 2)))
        assert 0 < result.gradients <= 30


@pytest.mark.parametrize("method", ["pgd-linf", "fgsm"])
def test_inside_the_cube(toy: Classifier, method: str) -> None:
    for result in done(toy, reddish(), AttackConfig((1,), method, epsilon=3, steps=20)):
        assert result.linf_levels == 3  # a linear network is worth the whole ball


def test_inside_the_l2_ball(toy: Classifier) -> None:
    for result in done(toy, reddish(), AttackConfig((1,), "pgd-l2", epsilon=0.5, steps=20)):
        assert 0.4 < result.l2 <= 0.5


def test_the_smallest_change_is_small_and_enough(toy: Classifier) -> None:
    images = reddish()
    small, large = (done(toy, images, AttackConfig((1,), method, steps=30)) for method in ("smallest", "pgd-l2"))
    for a, b in zip(small, large, strict=True):
        assert a.fooled and a.l2 < 0.5 * b.l2


def test_nearly_the_smallest_there_is(toy: Classifier) -> None:
    """For two classes of a linear network the distance to the border is known: margin / |gradient|."""
    for clean, result in zip(images := reddish(), done(toy, images, AttackConfig((1,), steps=40)), strict=True):
        logits = toy(image_pixels([clean]))[0]
        gap = float(logits[0] - logits[1]) + 0.05
        assert result.l2 == pytest.approx(gap / (10 * (2 / 64) ** 0.5), rel=0.1)


def test_the_lesson_leaves_the_range_and_its_file_does_not(toy: Classifier) -> None:
    bright = [picture + 60 for picture in reddish()]
    for result in done(toy, bright, AttackConfig((1,), "lesson", steps=50)):
        assert result.high > 1.0 and result.l2 > 2 and read(result).max() == 255
    for result in done(toy, reddish(), AttackConfig((1,))):
        assert 0 <= result.low <= result.high <= 1


def test_confidence_is_reached(toy: Classifier) -> None:
    plain, sure = (done(toy, reddish(), AttackConfig((1,), steps=40, confidence=c)) for c in (0.0, 0.8))
    for a, b in zip(plain, sure, strict=True):
        assert a.after.probability < 0.6 and b.after.probability >= 0.8 and b.l2 > a.l2


def test_same_result_every_time_and_in_any_company(toy: Classifier) -> None:
    images = reddish(3)
    together, again = (done(toy, images, AttackConfig((1,), steps=25)) for _ in range(2))
    alone = [done(toy, [image], AttackConfig((1,), steps=25))[0] for image in images]
    for a, b, c in zip(together, again, alone, strict=True):
        assert a.png == b.png
        assert a.fooled == c.fooled and a.l2 == pytest.approx(c.l2, rel=0.01)


def test_stop_keeps_the_best_so_far(toy: Classifier) -> None:
    images, best = reddish(1), float("inf")
    with closing(attack(toy, images, AttackConfig((1,)))) as events:
        for event in events:
            (state,) = event.photos
            if state.found:
                assert state.l2 <= best
                best = state.l2
            if event.step == 12:
                break
    assert torch.is_grad_enabled()
    kept = judge(toy, images[0], state.image8, (1,))
    assert kept.fooled and kept.l2 == pytest.approx(best, rel=1e-5)


def test_events_count_up_and_can_be_sent(toy: Classifier) -> None:
    config = AttackConfig((1,), "pgd-linf", steps=4)
    events = pickle.loads(pickle.dumps(list(attack(toy, reddish(), pickle.loads(pickle.dumps(config))))))
    steps = [event.step for event in events]
    assert steps == sorted(steps) and {event.total for event in events} == {events[-1].step}
    assert {state.photo for event in events[:-1] for state in event.photos} == {0, 1, 2}


def test_it_ends_early_when_nothing_shrinks(toy: Classifier) -> None:
    assert all(result.gradients < 250 for result in done(toy, reddish(), AttackConfig((1,), steps=500)))


def test_gradient_mode_is_left_alone_between_events(toy: Classifier) -> None:
    with torch.no_grad():
        for event in attack(toy, reddish(1), AttackConfig(steps=20)):
            assert not torch.is_grad_enabled()
            last = event
    assert last.results[0].fooled


@pytest.mark.parametrize(
    "bad",
    [
        {"method": "magic"}, {"steps": 0}, {"steps": 2.5}, {"steps": True}, {"tv": -1}, {"tv": float("nan")},
        {"confidence": 1.0}, {"confidence": "high"}, {"targets": ()}, {"targets": [1]}, {"targets": (-1,)},
        {"method": "fgsm", "epsilon": 0}, {"method": "pgd-linf", "epsilon": 0}, {"method": "pgd-linf", "epsilon": 1.5},
        {"method": "pgd-l2", "epsilon": 0}, {"method": "pgd-l2", "epsilon": float("inf")},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        AttackConfig(**bad)


@pytest.mark.parametrize(
    ("images", "targets", "sentence"),
    [
        (reddish(1), (0,), "This photo is red for the network already"),
        (reddish(2), (0, 1), "Photo 1 is red"),
        (reddish(1), (3,), "no class 3"),
        (reddish(1), (0, 1, 2), "any answer would do"),
        ([np.zeros((9, 9, 3), np.uint8)], None, "8 x 8"),
        ([], None, "Choose a photo"),
    ],
)
def test_what_cannot_be_attacked_is_said_before_the_first_event(
    toy: Classifier, images: list[Image8], targets: tuple[int, ...] | None, sentence: str
) -> None:
    with pytest.raises(BadSetting, match=sentence):
        next(attack(toy, images, AttackConfig(targets)))


def test_largest_step_is_whole_within_the_radius_and_the_range() -> None:
    torch.manual_seed(0)
    clean = torch.randint(0, 256, (4, 300)).float()
    clean[:, :40], clean[:, 40:80] = 0, 255
    direction, radius = torch.randn(4, 300) ** 3, torch.tensor([0.5, 2.0, 9.0, 50.0])
    change = largest_step(direction, Room(clean, most=10), radius)
    norms = change.norm(dim=1)
    assert torch.equal(change, change.round()) and change.abs().max() <= 10
    assert (norms <= radius).all() and norms[0] == 0 and (norms[1:3] > radius[1:3] - 1.5).all()
    assert ((clean + change) >= 0).all() and ((clean + change) <= 255).all()
    assert (change * direction >= 0).all()


def test_levels_are_the_pixels_that_every_other_job_sees() -> None:
    images = reddish(2)
    levels = to_levels(images, torch.device("cpu"))
    pixels = to_pixels(levels)
    assert torch.equal(pixels, image_pixels(images)) and pixels.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(to_flat(pixels) * 255, levels)


def test_the_goal_counts_sets_and_anything_else() -> None:
    logits, original = torch.tensor([[2.0, 1.0, 1.5, 0.0]]), torch.tensor([0])
    any_of = Goal(original, 4, (1, 2))
    assert any_of.slack(logits).item() == pytest.approx(-0.55)
    odds = torch.logit(logits.softmax(1)[0, 1:3].sum()).item()
    assert any_of.gain(logits).item() == pytest.approx(odds, rel=1e-5)
    assert Goal(original, 4, None).slack(torch.tensor([[0.0, 0.0, 0.0, 1.0]])).item() == pytest.approx(0.95)
    assert Goal(original, 4, (1, 2), 0.9).slack(logits).item() == pytest.approx(odds - np.log(9), rel=1e-4)


def test_tv_smooths() -> None:
    torch.manual_seed(0)
    noise = torch.randn(1, 3, 16, 16)

    def roughness(x: torch.Tensor) -> float:
        return float((x.diff(dim=2) ** 2).mean() / (x**2).mean())

    assert roughness(smooth(noise, 10.0)) < 0.2 * roughness(noise)
    assert torch.allclose(smooth(noise, 1e-9), noise, atol=1e-5)
    assert torch.allclose(smooth(noise, 5.0).mean((2, 3)), noise.mean((2, 3)), atol=1e-5)


def test_receipt(toy: Classifier) -> None:
    (clean,) = images = reddish(1)
    (result,) = done(toy, images, AttackConfig((1,)))
    paper = receipt(toy, clean, result, [toy])
    assert [line.name for line in paper.lines] == list(treatments(clean))
    assert paper.lines[0].answer == result.after and paper.lines[0].fooled
    assert paper.psnr == pytest.approx(10 * np.log10(clean.size / result.l2**2), rel=1e-3) and 0.9 < paper.ssim < 1
    (opinion,) = paper.others
    assert (opinion.before, opinion.after, opinion.fooled) == ("red", "green", True)
    assert paper == receipt(toy, clean, result, [toy])


def test_the_control_is_noise_of_the_same_size(toy: Classifier) -> None:
    clean = np.full((8, 8, 3), (140, 100, 100), np.uint8)
    nudged = clean.copy()
    nudged[0, 0] += 9
    assert noise_control(toy, clean, nudged, draws=5).changed == 0
    random = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert noise_control(toy, np.full((8, 8, 3), (101, 100, 100), np.uint8), random, draws=20).changed > 0


def test_robustness_falls_with_epsilon_from_the_clean_accuracy(toy: Classifier) -> None:
    *steps, last = robustness(toy, reddish(4), [0, 0, 0, 1], epsilons=(0, 1, 4, 16))
    assert isinstance(last, RobustnessDone) and last.step == last.total
    assert all(a.step <= b.step for a, b in pairwise(steps))
    assert last.curve.accuracy[0] == 0.75 and last.curve.accuracy[-1] == 0
    assert list(last.curve.right) == sorted(last.curve.right, reverse=True)
    for bad in (
        {"epsilons": (2, 1)},
        {"epsilons": ()},
        {"epsilons": (0.5,)},
        {"labels": [0]},
        {"labels": [0, 0, 0, 3]},
    ):
        with pytest.raises(BadSetting):
            next(robustness(toy, reddish(4), **{"labels": [0] * 4, **bad}))


@pytest.fixture(scope="module")
def default() -> Classifier:
    return load_classifier(View("tf_efficientnet_lite0.in1k"), torch.device("cpu"))


def photo(path: object, classifier: Classifier) -> Image8:
    from transferdemo.decode import fit_image

    with Image.open(str(path)) as file:
        return fit_image(np.array(file.convert("RGB")), classifier.spec, "crop")


def dogs(shared, classifier: Classifier, count: int) -> list[Image8]:
    """Photos that the network calls a dog."""
    found: list[Image8] = []
    for path in sorted((shared / "data/cats_dogs/test/dog").iterdir()):
        image8 = photo(path, classifier)
        if classify_alone(classifier, image8).index in DOGS:
            found.append(image8)
        if len(found) == count:
            break
    return found


def test_a_real_dog_becomes_a_persian_cat(shared, default: Classifier) -> None:
    images = dogs(shared, default, 2)
    for clean, result in zip(images, done(default, images, AttackConfig((CAT,), steps=50)), strict=True):
        assert result.fooled and result.after.index == CAT
        assert result.l2 < 0.8 and result.linf_levels <= 10
        logits = default(image_pixels([read(result)]))[0].sort(descending=True).values
        assert logits[0] - logits[1] >= 0.049
        assert noise_control(default, clean, result.image8, draws=3).changed == 0


def test_real_balls(shared, default: Classifier) -> None:
    images = dogs(shared, default, 1)
    (cube,) = done(default, images, AttackConfig((CAT,), "pgd-linf", epsilon=4, steps=20))
    (ball,) = done(default, images, AttackConfig((CAT,), "pgd-l2", epsilon=1.0, steps=20))
    assert cube.fooled and cube.linf_levels == 4 and cube.l2 <= 3.5
    assert ball.fooled and ball.l2 <= 1.02
