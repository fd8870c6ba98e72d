"""Ideal pictures: the wanted class grows, the picture stays a picture, a stopped job leaves nothing behind."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from transferdemo.backbones import DEFAULT
from transferdemo.engine import ideal as module
from transferdemo.engine.ideal import METHODS, RECIPES, IdealConfig, IdealDone, IdealStep, ideal, why
from transferdemo.engine.objective import channel_objective, class_objective, skip_gradient
from transferdemo.engine.parameterise import (
    Spectrum,
    Views,
    fourier_canvas,
    look,
    total_variation,
)
from transferdemo.engine.stages import stages
from transferdemo.errors import BadSetting
from transferdemo.heads import Classifier, load_classifier
from transferdemo.types import View

RED, GREEN = (0,), (1,)


def paint(classifier: Classifier, **changes: object) -> IdealDone:
    """The last event of a short run on the toy network, for red unless told otherwise."""
    config = IdealConfig(**{"classes": RED, "steps": 12, "size": 128, **changes})
    networks = [classifier, classifier] if config.method == "agreed" else [classifier]
    *_, done = ideal(networks, config)
    assert isinstance(done, IdealDone)
    return done


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The toy's tensors are too small to share out: threads that wait for each other would take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show every step, however quick."""
    monkeypatch.setattr(module, "EVENT_SECONDS", 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_the_wanted_class_grows(toy: Classifier, method: str, every_step: None) -> None:
    networks = [toy, toy] if method == "agreed" else [toy]
    rate = 100 if method == "lesson" else 0.5
    config = IdealConfig(classes=GREEN, method=method, steps=20, tv=0, size=128, learning_rate=rate)
    first, *_, last, done = ideal(networks, config)
    assert last.probability > first.probability + 0.01
    assert last.loss < first.loss
    assert done.image8[..., 1].mean() > done.image8[..., 0].mean()


@pytest.mark.parametrize("method", METHODS)
def test_events_are_in_range_and_in_order(toy: Classifier, method: str, every_step: None) -> None:
    networks = [toy, toy] if method == "agreed" else [toy]
    *steps, done = ideal(networks, IdealConfig(classes=RED, method=method, steps=5, size=130))
    assert [e.step for e in steps] == [1, 2, 3, 4, 5] and {e.total for e in steps} == {5}
    for event in steps:
        assert isinstance(event, IdealStep)
        assert event.image8.shape == (130, 130, 3) and event.image8.dtype == np.uint8
        assert 0 <= event.probability <= 1 and 0 <= event.tv <= 2 and event.steps_per_second > 0
    assert isinstance(done, IdealDone) and done.step == done.total == 5
    assert 0 <= done.probability <= 1 and 0 <= done.robust_probability <= 1


def test_pixels_stay_in_range_however_large_the_step(toy: Classifier) -> None:
    canvas = module._Painting([toy], IdealConfig(classes=RED, method="lesson", learning_rate=100, size=128))
    for _ in range(3):
        canvas.advance()
    pixels = canvas.canvas.paint()
    assert pixels.min() >= 0 and pixels.max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_bytes_another_seed_another_picture(toy: Classifier, method: str) -> None:
    torch.manual_seed(1)
    first = paint(toy, method=method)
    torch.manual_seed(2)
    assert paint(toy, method=method).png == first.png
    assert paint(toy, method=method, seed=1).png != first.png


def test_the_global_randomness_and_the_gradient_mode_stay_as_they_were(toy: Classifier, every_step: None) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.no_grad():
        for _ in ideal([toy], IdealConfig(classes=RED, steps=3, size=128)):
            assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


class Residual(nn.Module):
    """A block as timm writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_path = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.drop_path(3 * x)


def hooks(network: nn.Module) -> int:
    """How many hooks the parts of a network carry."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in network.modules())


def test_a_closed_generator_leaves_no_hook(toy: Classifier, every_step: None) -> None:
    toy.backbone.net.block = Residual()
    with closing(ideal([toy], IdealConfig(classes=RED, steps=50, size=128))) as events:
        event = next(events)
        assert hooks(toy) == 0
    assert hooks(toy) == 0 and event.step == 1 and event.image8.any()


def test_skip_gradient_changes_the_gradient_alone() -> None:
    block, x = Residual(), torch.ones(1, requires_grad=True)
    with skip_gradient(block, 0.5):
        assert hooks(block) == 1
        y = block(x)
    y.backward()
    assert y.item() == 4 and x.grad.item() == 1 + 0.5 * 3
    assert hooks(block) == 0


def test_the_png_is_the_picture_that_was_judged(toy: Classifier) -> None:
    done = paint(toy)
    saved = np.asarray(Image.open(io.BytesIO(done.png)))
    assert np.array_equal(saved, done.image8)
    assert done.probability == pytest.approx(module.probability(toy, RED, saved))
    assert done.robust_probability == pytest.approx(module.robust_probability(toy, RED, saved))


def test_classes_together_count_as_their_sum(toy: Classifier) -> None:
    done = paint(toy, classes=(0, 1))
    apart = [module.probability(toy, (i,), done.image8) for i in (0, 1)]
    assert done.probability == pytest.approx(sum(apart), abs=1e-5)


def test_a_rival_counts_beside_the_mean_of_all(toy: Classifier) -> None:
    """Red stands as far above the mean in both; only in the first has it a neighbour."""
    pictures = torch.tensor([[1, 0.5, 0], [1, 0.25, 0.25]])[:, :, None, None].expand(2, 3, 8, 8)
    rival, alone = (class_objective(toy, [0]).score(picture[None]) for picture in pictures)
    assert float(rival.loss) > float(alone.loss) and rival.probability is not None and alone.probability is not None
    assert float(rival.probability) == pytest.approx(float(toy(pictures[:1]).softmax(1)[0, 0]))
    assert float(rival.probability) < float(alone.probability)


def test_a_channel_can_be_the_target(toy: Classifier, every_step: None) -> None:
    first, *_, done = ideal([toy], IdealConfig(channel=(0, 2), steps=20, size=128, tv=0))
    assert first.probability is None and done.probability is None and done.robust_probability is None
    assert done.image8[..., 2].mean() > first.image8[..., 2].mean() + 5


def test_a_channel_that_does_not_fire_yet_has_a_gradient() -> None:
    classifier = load_classifier(View(DEFAULT))
    last = len(stages(classifier)) - 1
    grey = torch.full((1, 3, 224, 224), 0.5)
    with torch.no_grad():
        maps = classifier.backbone.net.forward_features(classifier.backbone.normalise(grey))
    silent = int((maps[0].amax((1, 2)) == 0).nonzero()[0])
    pixels = grey.clone().requires_grad_()
    (slope,) = torch.autograd.grad(channel_objective(classifier, last, silent).score(pixels).loss, pixels)
    assert slope.abs().max() > 0
    assert not any(part._forward_pre_hooks for part in classifier.modules())


def test_smoothness_is_obeyed(toy: Classifier) -> None:
    rough, smooth = (paint(toy, method="lesson", tv=tv, steps=30) for tv in (0, 1000))
    assert (
        np.abs(np.diff(smooth.image8.astype(int), axis=0)).mean()
        < np.abs(np.diff(rough.image8.astype(int), axis=0)).mean()
    )


def test_total_variation_does_not_depend_on_the_size() -> None:
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    small = board.float().expand(1, 3, 8, 8)
    assert (
        total_variation(small) == pytest.approx(float(total_variation(small.tile(4, 4)))) == pytest.approx(2, abs=0.03)
    )
    assert total_variation(torch.full((1, 3, 8, 8), 0.3)) < 1e-6


@pytest.mark.parametrize("method", ["sharp", "lesson"])
def test_a_run_can_begin_with_a_photo(toy: Classifier, method: str) -> None:
    photo = np.full((150, 300, 3), (40, 200, 90), np.uint8)
    done = paint(toy, method=method, start=photo, steps=1, learning_rate=1e-4)
    assert done.image8.shape == (128, 128, 3)
    assert np.abs(done.image8.astype(int) - photo[0, 0]).max() <= 2


def test_the_spectrum_of_a_photo_is_that_photo() -> None:
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 3, 33, 33, generator=generator) * 0.9 + 0.05
    canvas = fourier_canvas(photo, 33, Spectrum(), generator)
    assert torch.allclose(canvas.paint(), photo, atol=1e-4)


def test_a_view_without_movement_is_the_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 16, 16, generator=generator)
    still = Views(2, (1.0, 1.0), 0.0, 0.0, noise=0.0)
    seen = look(picture, 16, still, generator)
    assert seen.shape == (2, 3, 16, 16) and torch.allclose(seen, picture.expand(2, -1, -1, -1), atol=1e-5)


def test_why_is_two_by_two_from_one_start(toy: Classifier) -> None:
    configs = why(IdealConfig(classes=RED, steps=1, size=128, seed=5))
    assert [(c.method, bool(c.recipe().tv)) for c in configs] == [
        ("lesson", False), ("lesson", True), ("sharp", False), ("sharp", True),
    ]  # fmt: skip
    assert {c.start.tobytes() for c in configs} == {configs[0].start.tobytes()} and {c.seed for c in configs} == {5}
    assert configs[0].start.std() > 0


@pytest.mark.parametrize(
    "bad",
    [
        {"tv": float("nan")}, {"tv": -1}, {"tv": "30"}, {"tv": True}, {"steps": 0}, {"steps": 10_000}, {"steps": 1.5},
        {"learning_rate": 0}, {"learning_rate": float("inf")}, {"size": 64}, {"size": 1000}, {"seed": -1},
        {"method": "blurred"}, {"classes": ()}, {"classes": (-1,)}, {"classes": (0.5,)}, {"classes": (0,), "channel": (0, 0)},
        {"classes": (), "channel": (0, -1)},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        IdealConfig(**{"classes": RED, **bad})


def test_bad_settings_come_before_the_first_event(toy: Classifier) -> None:
    with pytest.raises(BadSetting, match="0 to 2"):
        ideal([toy], IdealConfig(classes=(3,)))
    with pytest.raises(BadSetting, match="stages 0 to 0"):
        ideal([toy], IdealConfig(channel=(1, 0)))
    with pytest.raises(BadSetting, match="channels 0 to 2"):
        ideal([toy], IdealConfig(channel=(0, 3)))
    with pytest.raises(BadSetting, match="two networks"):
        ideal([toy], IdealConfig(classes=RED, method="agreed"))


def test_configs_and_events_can_be_pickled(toy: Classifier) -> None:
    config = IdealConfig(classes=RED, steps=2, size=128, start=np.zeros((128, 128, 3), np.uint8))
    again = pickle.loads(pickle.dumps(config))
    assert again.classes == RED and again.recipe() == config.recipe()
    for event in ideal([toy], config):
        copy = pickle.loads(pickle.dumps(event))
        assert np.array_equal(copy.image8, event.image8) and copy.step == event.step


def test_a_setting_takes_the_place_of_the_recipe() -> None:
    assert IdealConfig(classes=RED).recipe() == RECIPES["sharp"]
    changed = IdealConfig(classes=RED, method="lesson", steps=7, tv=0).recipe()
    assert (changed.steps, changed.tv) == (7, 0) and changed.views == RECIPES["lesson"].views


def test_a_real_network_likes_its_zebra(shared: Path) -> None:
    classifier = load_classifier(View(DEFAULT), torch.device("cpu"))
    *_, done = ideal([classifier], IdealConfig(classes=(340,), steps=80))
    assert done.probability > 0.9
    assert hooks(classifier) == 0
