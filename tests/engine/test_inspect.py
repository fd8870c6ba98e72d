"""Inside: the maps are the network's own, Grad-CAM equals plain torch on every network, and nothing is left behind."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from transferdemo.backbones import BACKBONES, Backbone, Found, build, fold, resolve
from transferdemo.decode import decode, fit_image
from transferdemo.engine import stages as inside
from transferdemo.engine.channels import (
    FiresConfig,
    FiresDone,
    at_home,
    fires_most,
    first_filters,
    project,
    speaks_for,
    strongest,
)
from transferdemo.engine.hide import hide_test
from transferdemo.engine.inspect import METHODS, InspectConfig, _answers, _Question, look
from transferdemo.errors import BadSetting
from transferdemo.heads import Classifier, own_head
from transferdemo.images import to_pixels
from transferdemo.pictures import to_photo
from transferdemo.types import Fit, Head, InputSpec

WITH_CLASSES = [tag for tag, row in BACKBONES.items() if row.top1]
DINO = "vit_small_patch14_dinov2.lvd142m"
TINY = "vit_tiny_patch16_224"


def random_classifier(tag: str, head: Head | None = None) -> Classifier:
    """A row of the table, folded as the program has it, with random weights whose features do not die out."""
    torch.manual_seed(0)
    spec = resolve(tag)
    backbone = Backbone(build(spec), spec, Found(Path("random"), "nowhere"), "digest")
    fold(backbone.net, backbone.spec.size)
    chosen = head or own_head(backbone)
    assert chosen is not None
    return Classifier(backbone, chosen).eval()


@pytest.fixture
def small(toy: Classifier) -> Classifier:
    """The toy network, which looks at 64 x 64 pixels."""
    toy.backbone.spec = InputSpec(64, 72, "bilinear")
    return toy


def picture(classifier: Classifier, seed: int = 0) -> np.ndarray:
    size = classifier.spec.size
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def hooks(classifier: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in classifier.modules())


def plain_grad_cam(classifier: Classifier, image8: np.ndarray, module: str, target: int) -> np.ndarray:
    """Grad-CAM as its paper writes it, from the module's own output, caught by a hook of this test."""
    caught: list[torch.Tensor] = []

    def catch(_: nn.Module, __: object, out: torch.Tensor) -> None:
        out.retain_grad()
        caught.append(out)

    handle = classifier.backbone.net.get_submodule(module).register_forward_hook(catch)
    try:
        classifier(to_pixels([image8]).requires_grad_(True))[0, target].backward()
    finally:
        handle.remove()
    maps, slopes = caught[0].detach()[0].double(), caught[0].grad[0].double()
    if maps.ndim == 2:  # one prefix token, then the patches row by row
        side = int((len(maps) - 1) ** 0.5)
        maps, slopes = (t[1:].T.reshape(-1, side, side) for t in (maps, slopes))
    total = sum(slopes[k].mean() * maps[k] for k in range(len(maps)))
    return total.clamp(min=0).numpy()


def close(values: np.ndarray, plain: np.ndarray) -> bool:
    """Equal to 1e-4 of the map's own height: random weights give maps of any size."""
    return plain.max() > 0 and np.abs(values - plain).max() <= 1e-4 * plain.max()


def plain_at_the_end(classifier: Classifier, image8: np.ndarray, target: int) -> np.ndarray:
    """The same at the maps that go into the head."""
    net = classifier.backbone.net
    maps = net.forward_features(classifier.backbone.normalise(to_pixels([image8]))).requires_grad_(True)
    (slopes,) = torch.autograd.grad(
        classifier.logits(net.forward_head(maps, pre_logits=True).flatten(1))[0, target], maps
    )
    return (slopes[0].mean((1, 2), keepdim=True) * maps[0]).sum(0).clamp(min=0).detach().numpy()


@pytest.mark.parametrize("tag", WITH_CLASSES)
def test_grad_cam_equals_plain_torch_on_every_row(tag: str) -> None:
    classifier = random_classifier(tag)
    image8, places = picture(classifier), inside.stages(classifier)
    modules = [stage for stage in places if stage.name != inside.FEATURES]
    checked = 0
    for stage, target in zip(modules[-2:], (3, 7), strict=True):
        seen = look(classifier, image8, InspectConfig(layer=stage.name, target=str(target)))
        assert seen.cam.values.shape == stage.shape[1:]
        if not seen.cam.empty:
            checked += 1
            assert close(seen.cam.values, plain_grad_cam(classifier, image8, stage.name, target))
    assert checked
    seen = look(classifier, image8, InspectConfig(layer=places[-1].name))
    assert seen.cam.empty or close(seen.cam.values, plain_at_the_end(classifier, image8, seen.best[0]))
    with torch.no_grad():
        assert np.allclose(seen.logits, classifier(to_pixels([image8]))[0], atol=1e-4, rtol=1e-4)
    assert [m.shape for m in seen.maps] == [stage.shape for stage in places]
    assert hooks(classifier) == 0


@pytest.mark.parametrize("tag", [DINO, TINY])
def test_token_networks_too_with_a_visitors_head(tag: str) -> None:
    spec = resolve(tag)
    head = Head(("mug", "pen"), torch.randn(2, build(spec).head_hidden_size), torch.zeros(2), spec.tag, "digest")
    classifier = random_classifier(tag, head)
    image8 = picture(classifier)
    for target, name in enumerate(head.classes):
        seen = look(classifier, image8, InspectConfig(target=name))
        assert seen.cam.layer == "blocks.11"
        assert close(seen.cam.values, plain_grad_cam(classifier, image8, "blocks.11.norm1", target))
    assert hooks(classifier) == 0


@pytest.mark.parametrize("tag", ["swin_tiny_patch4_window7_224", "resnetv2_50"])
def test_networks_outside_the_table(tag: str) -> None:
    classifier = random_classifier(tag)
    seen = look(classifier, picture(classifier), InspectConfig(target="1"))
    assert seen.cam.evidence.shape == seen.stages[-1].shape[1:]
    assert np.abs(seen.cam.evidence).max() > 0


def test_no_hook_stays_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = random_classifier(TINY)
    image8 = picture(classifier)
    look(classifier, image8)

    def fail(*_: object) -> None:
        raise RuntimeError("in the middle of it")

    monkeypatch.setattr(classifier.backbone.net.norm, "forward", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        look(classifier, image8)
    assert hooks(classifier) == 0


def test_visitors_do_not_see_each_others_photos() -> None:
    """They share the network, and so its hooks, while they look at the same time."""
    classifier = random_classifier(TINY)
    pictures = [picture(classifier, seed) for seed in range(4)]
    config = InspectConfig(target="5")
    alone = [look(classifier, image8, config).cam.evidence for image8 in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image8: look(classifier, image8, config).cam.evidence, pictures * 3))
    assert all(np.allclose(a, b, atol=1e-5 * np.abs(a).max()) for a, b in zip(alone * 3, together, strict=True))
    assert hooks(classifier) == 0


def test_photos_in_one_batch_get_the_answers_they_get_alone() -> None:
    """Each with a head, a class and a rival of its own."""
    first = random_classifier(TINY)
    head = Head(("mug", "pen"), torch.randn(2, first.weight.shape[1]), torch.zeros(2), first.backbone.tag, "digest")
    second = Classifier(first.backbone, head)
    asked = [(first, 0, (), ()), (second, 1, (1,), ()), (first, 2, (7, 9), (3,))]
    questions = [_Question(c, picture(c, seed), target, against) for c, seed, target, against in asked]
    layer = len(inside.stages(first)) - 1
    for question, seen in zip(questions, _answers(questions, layer), strict=True):
        (alone,) = _answers([question], layer)
        assert seen.target == alone.target
        for a, b in ((seen.logits, alone.logits), (seen.gradient, alone.gradient), (seen.maps[-1], alone.maps[-1])):
            assert a.shape == b.shape and torch.allclose(a, b, atol=1e-4 * float(b.abs().max()))


def test_this_rather_than_that_is_the_difference(small: Classifier) -> None:
    image8 = picture(small)
    red, green = (look(small, image8, InspectConfig(target=name)).cam.evidence for name in ("red", "green"))
    both = look(small, image8, InspectConfig(target="red", against="green")).cam
    assert np.allclose(both.evidence, red - green, atol=1e-6)
    assert np.abs(red - green).max() > 0


def test_the_finer_method_weights_every_place_on_its_own() -> None:
    classifier = random_classifier("resnet18.tv_in1k")
    image8 = picture(classifier)
    assert look(classifier, image8, InspectConfig(method="hires-cam")).cam.layer == "layer2"  # 28 x 28
    end = [look(classifier, image8, InspectConfig(layer="layer4", method=m)).cam.evidence for m in METHODS]
    assert np.allclose(*end, atol=1e-5)  # behind a mean and a linear layer the two are one
    before = [look(classifier, image8, InspectConfig(layer="layer3", method=m)).cam.evidence for m in METHODS]
    assert not np.allclose(*before, atol=1e-2 * np.abs(before[0]).max())
    spread = look(classifier, image8, InspectConfig(layer="layer3", method="hires-cam", target="1", against="2")).cam
    parts = [look(classifier, image8, InspectConfig("layer3", "hires-cam", target=t)).cam.evidence for t in "12"]
    assert np.allclose(spread.evidence, parts[0] - parts[1], atol=1e-5)


def test_an_empty_map_says_so(small: Classifier) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    assert look(small, black, InspectConfig(target="red")).cam.empty
    assert look(small, black, InspectConfig(target="red")).cam.heat.max() == 0
    assert not look(small, black + 9, InspectConfig(target="red")).cam.empty


def test_nothing_is_left_on_the_network(small: Classifier) -> None:
    with torch.no_grad():
        seen = look(small, picture(small))
        assert not torch.is_grad_enabled()
    assert all(p.grad is None and not p.requires_grad for p in small.parameters())
    again = pickle.loads(pickle.dumps(seen))
    assert np.array_equal(again.cam.evidence, seen.cam.evidence)


@pytest.mark.parametrize(
    "config", [{"layer": "nowhere"}, {"target": "unicorn"}, {"against": "99"}, {"layer": 3}, {"target": True}]
)
def test_what_is_not_there_is_refused(small: Classifier, config: dict) -> None:
    with pytest.raises(BadSetting):
        look(small, picture(small), InspectConfig(**config))


def test_a_picture_of_another_size_is_refused(small: Classifier) -> None:
    with pytest.raises(BadSetting, match="64 x 64"):
        look(small, np.zeros((8, 8, 3), np.uint8))


def test_stages_count_every_parameter_once() -> None:
    classifier = random_classifier("resnet18.tv_in1k")
    net = classifier.backbone.net
    head = sum(p.numel() for p in net.get_classifier().parameters())
    assert (
        sum(stage.parameters for stage in inside.stages(classifier)) == sum(p.numel() for p in net.parameters()) - head
    )


def planted(height: int, width: int, row: int, column: int) -> np.ndarray:
    """A black photo with one red patch of 40 px around (row, column)."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[max(row - 20, 0) : row + 20, max(column - 20, 0) : column + 20, 0] = 255
    return photo


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize(
    ("size", "place"),
    [((200, 640), (60, 270)), ((640, 200), (370, 140)), ((200, 200), (50, 150)), ((230, 190), (99, 60))],
)
def test_the_map_lies_where_the_patch_is(
    small: Classifier, fit: Fit, size: tuple[int, int], place: tuple[int, int]
) -> None:
    photo = planted(*size, *place)
    seen = look(small, fit_image(photo, small.spec, fit), InspectConfig(target="red", against="green"))
    back = to_photo(seen.cam.heat, size, small.spec, fit)
    assert back.shape == size
    hot = np.argwhere(back > 0.5)
    assert np.abs(hot.mean(0) - place).max() < 4
    assert 0.7 < len(hot) / 1600 < 1.4
    assert (fit == "pad") == (not np.isnan(back).any())


def test_the_map_follows_a_photo_that_exif_turns(small: Classifier) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    file = io.BytesIO()
    Image.fromarray(planted(200, 640, 60, 270)).save(file, "JPEG", quality=95, exif=exif)
    upright = decode(file.getvalue())
    assert upright.shape == (640, 200, 3)
    seen = look(small, fit_image(upright, small.spec, "crop"), InspectConfig(target="red", against="green"))
    back = to_photo(seen.cam.heat, (640, 200), small.spec, "crop")
    assert np.abs(np.argwhere(back > 0.5).mean(0) - (270, 140)).max() < 4


def test_exact_pictures_are_not_moved() -> None:
    values = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    assert np.allclose(to_photo(values, (64, 64), InputSpec(64, 72), "auto"), values, atol=1e-5)


def test_hiding_what_is_red_costs_more_than_hiding_anything(small: Classifier) -> None:
    image8 = planted(64, 64, 30, 30)
    seen = look(small, image8, InspectConfig(target="red", against="green"))
    result = hide_test(small, image8, seen.cam, seed=3)
    assert result.holds and result.hot < min(result.random, result.probability)
    assert result.probability == pytest.approx(seen.cam.probability, abs=1e-5)
    assert (
        hide_test(small, image8, seen.cam, seed=3).random == result.random != hide_test(small, image8, seen.cam).random
    )
    with pytest.raises(BadSetting):
        hide_test(small, image8, seen.cam, draws=0)


def test_exactly_a_fifth_is_hidden_also_under_a_flat_map(small: Classifier) -> None:
    noise, flat = picture(small), np.zeros((64, 64, 3), np.uint8)
    hidden = hide_test(small, noise, look(small, flat, InspectConfig(target="red")).cam).picture
    assert 0.19 < (hidden != noise).any(2).mean() <= 0.2001


def test_a_late_channel_speaks_through_the_heads_weights() -> None:
    classifier = random_classifier("resnet18.tv_in1k")
    seen = look(classifier, picture(classifier))
    spoken = speaks_for(classifier, seen, 17)
    expected = classifier.weight[:, 17].topk(5)
    assert [index for index, _ in spoken] == expected.indices.tolist()
    assert np.allclose([rise for _, rise in spoken], expected.values, atol=1e-4)
    with pytest.raises(BadSetting):
        speaks_for(classifier, seen, 512)


def test_a_channel_that_is_high_everywhere_is_not_strong() -> None:
    maps = np.zeros((12, 4, 4), np.float32)
    maps[3] = 100
    maps[7, 1, 2], maps[5, 0, 0] = 2, 1
    assert strongest(maps, 2) == (7, 5)


def test_the_photos_that_fire_a_channel_most(small: Classifier) -> None:
    images = [np.full((64, 64, 3), level, np.uint8) for level in range(20)]
    images[4][10, 20, 1] = 255
    events = list(fires_most(small, images, FiresConfig("features", channel=1, top=3)))
    assert isinstance(events[-1], FiresDone) and events[-1].step == events[-1].total == 20
    assert [fired.index for fired in events[-1].strongest] == [4, 19, 18]
    assert np.unravel_index(events[-1].strongest[0].where.argmax(), (64, 64)) == (10, 20)
    assert [event.step for event in events] == sorted(event.step for event in events)
    for config in (FiresConfig("nowhere", 0), FiresConfig("features", 3)):
        with pytest.raises(BadSetting):
            next(fires_most(small, images, config))
    with pytest.raises(BadSetting):
        FiresConfig("features", 0.5)  # type: ignore[arg-type]


def test_one_stage_alone_is_the_same_maps() -> None:
    classifier = random_classifier("mobilenetv3_small_100.lamb_in1k")
    image8 = picture(classifier)
    seen = look(classifier, image8)
    for layer in range(len(seen.stages)):
        alone = inside.maps_at(classifier, to_pixels([image8]), layer)[0].numpy()
        assert np.allclose(alone, seen.maps[layer], atol=1e-5)


def test_the_map_of_a_folder_keeps_groups_apart() -> None:
    features = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))
    features[20:, :32] += 5
    shown = project(features)
    assert shown.points.shape == (40, 2) and 0 < shown.explained[1] < shown.explained[0] < 1
    assert (shown.points[:20, 0] < 0).all() != (shown.points[20:, 0] < 0).all()
    assert project(torch.ones(3, 5)).explained == (0.0, 0.0)
    assert project(torch.tensor([[0.0], [1.0]])).points.shape == (2, 2)
    with pytest.raises(BadSetting):
        project(torch.ones(1, 5))


def test_whose_nearest_neighbour_is_of_its_own_class() -> None:
    features = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    apart = np.arange(4)
    assert at_home(features, np.array([0, 0, 1, 1]), apart) == 1.0
    assert at_home(features, np.array([0, 1, 1, 0]), apart) == 0.0
    assert at_home(features, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])) == 0.5  # a near duplicate does not count
    with pytest.raises(BadSetting):
        at_home(features, np.array([0, 0, 1, 1]), np.zeros(4, int))


def test_first_filters_only_where_they_make_a_picture(small: Classifier) -> None:
    filters = first_filters(random_classifier("resnet18.tv_in1k"))
    assert filters is not None and filters.shape == (64, 7, 7, 3)
    assert first_filters(random_classifier("mobilenetv3_small_100.lamb_in1k")) is None
    assert first_filters(small) is None
