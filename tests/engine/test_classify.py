"""Naming photos: order, errors among many, what went in, the verdict, and accuracy on real photos next to a bare loop."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data.config import resolve_model_data_config
from torchvision.transforms import v2

from transferdemo.backbones import DEFAULT, Backbone, load_backbone
from transferdemo.engine.classify import (
    FEW,
    ClassifyDone,
    ClassifyStep,
    Prediction,
    Score,
    Verdict,
    by_classes,
    classify,
    classify_many,
    verdict_of,
)  # fmt: skip
from transferdemo.errors import BadImage, BadSetting
from transferdemo.heads import CATS, DOGS, Classifier, imagenet_names, load_classifier, pets_head
from transferdemo.images import encode_png
from transferdemo.types import Head, Image8, Photo, View

MOBILENET = "mobilenetv2_100.ra_in1k"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def photo(image8: Image8, name: str = "photo") -> Photo:
    return Photo(image8, "0" * 64, name)


def plain(colour: str, width: int = 16, height: int = 16) -> Image8:
    return np.full((height, width, 3), COLOURS[colour], np.uint8)


def png(image8: Image8, name: str) -> tuple[str, bytes]:
    return name, encode_png(image8)


def test_the_best_class_comes_first_with_its_probability(toy: Classifier) -> None:
    found = classify(toy, photo(plain("green"), "a meadow"))
    assert [s.name for s in found.scores] == ["green", "red", "blue"] and [s.index for s in found.scores] == [1, 0, 2]
    assert found.scores[0].probability == pytest.approx(1 / (1 + 2 * np.exp(-10)), abs=1e-6)
    assert found.probabilities.sum() == pytest.approx(1) and found.verdict == "green" and found.name == "a meadow"
    assert found.imagenet is None and found.pets is None and found.milliseconds > 0
    assert len(classify(toy, photo(plain("red")), top=1).scores) == 1


def test_a_picture_of_the_networks_size_goes_in_pixel_for_pixel(toy: Classifier) -> None:
    image8 = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for fit in ("auto", "exact", "pad"):
        found = classify(toy, photo(image8), fit)
        assert np.array_equal(found.seen, image8) and found.exact and found.lost == 0
    toy.backbone.spec = dataclasses.replace(toy.spec, resize=10)
    cropped = classify(toy, photo(image8), "crop")
    assert not cropped.exact and not np.array_equal(cropped.seen, image8) and cropped.lost == pytest.approx(0.36)
    *steps, _ = classify_many(toy, [png(image8, "a")], "crop")
    assert not steps[0].prediction.exact
    *steps, _ = classify_many(toy, [png(image8, "a")])
    assert steps[0].prediction.exact


def test_a_crop_leaves_out_what_padding_shows(toy: Classifier) -> None:
    wide = np.concatenate([plain("red", 16), plain("green", 16), plain("red", 16)], 1)  # the middle third is green
    cropped, whole = classify(toy, photo(wide)), classify(toy, photo(wide), "pad")
    assert cropped.verdict == "green" and cropped.lost == pytest.approx(2 / 3)
    assert whole.verdict == "red" and whole.lost == 0 and not whole.exact and not cropped.exact
    with pytest.raises(BadImage, match="8 x 8"):
        classify(toy, photo(wide), "exact")
    with pytest.raises(BadSetting):
        classify(toy, photo(wide), "stretch")


@pytest.mark.parametrize("count", [5, FEW + 8])
def test_many_come_in_order_and_a_bad_one_stops_nobody(toy: Classifier, count: int) -> None:
    names = list(COLOURS)
    sources = [png(plain(names[i % 3]), f"{i}.png") for i in range(count)]
    sources[2] = ("2.png", b"no picture")
    *steps, done = classify_many(toy, sources)
    assert done == ClassifyDone(count, count, 1)
    assert [s.step for s in steps] == list(range(1, count + 1)) and {s.total for s in steps} == {count}
    assert [s.name for s in steps] == [f"{i}.png" for i in range(count)]
    assert [s.prediction and s.prediction.verdict for s in steps] == [
        names[i % 3] if i != 2 else None for i in range(count)
    ]
    assert steps[2].error.endswith(".") and all(s.error is None for s in steps if s is not steps[2])
    assert all(s.thumbnail.startswith(b"\xff\xd8") for s in steps if s.prediction)


def test_many_bad_ones_and_none(toy: Classifier) -> None:
    assert list(classify_many(toy, [])) == [ClassifyDone(0, 0, 0)]
    *steps, done = classify_many(toy, [Path("/no/such/file.jpg"), b"", Path("/dev/zero")])
    assert done.failed == 3 and all(s.prediction is None and s.error for s in steps)
    assert steps[0].name == "file.jpg" and steps[1].name == "photo"


def test_one_of_many_is_what_it_is_alone(toy: Classifier) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(FEW + 3)]
    *many, _ = classify_many(toy, [png(image, str(i)) for i, image in enumerate(images)])
    for step, image in zip(many, images, strict=True):
        alone = classify(toy, photo(image))
        assert np.array_equal(step.prediction.seen, alone.seen)
        assert np.allclose(step.prediction.probabilities, alone.probabilities, atol=1e-5)


def test_events_can_be_pickled_and_gradients_are_as_before(toy: Classifier) -> None:
    events = classify_many(toy, [png(plain("red"), "a"), ("b", b"")])
    for event in events:
        assert torch.is_grad_enabled()
        again = pickle.loads(pickle.dumps(event))
        assert type(again) is type(event) and again.step == event.step


def test_closing_the_stream_ends_it(toy: Classifier) -> None:
    events = classify_many(toy, [png(plain("red"), str(i)) for i in range(200)])
    assert isinstance(next(events), ClassifyStep)
    events.close()
    assert list(events) == [] and torch.is_grad_enabled()
    assert classify(toy, photo(plain("blue"))).verdict == "blue"


def row(dogs: float, cats: float) -> np.ndarray:
    """ImageNet probabilities: what one dog class and one cat class have, the rest elsewhere."""
    probabilities = np.zeros(1000, np.float32)
    probabilities[DOGS[0]], probabilities[CATS[0]], probabilities[500] = dogs, cats, 1 - dogs - cats
    return probabilities


def test_the_verdict_weighs_five_cats_against_118_dogs() -> None:
    assert by_classes(row(0.0, 0.0)).word == "neither" == by_classes(row(0.05, 0.04)).word
    assert by_classes(row(0.9, 0.0)) == Verdict("dog", pytest.approx(0.9), 0)
    assert by_classes(row(0.0, 0.101)).word == "cat"
    fair = by_classes(row(0.6, 0.3))
    assert fair.word == "cat" and fair.dog + fair.cat == pytest.approx(0.9) and fair.cat > fair.dog
    assert by_classes(row(0.6, 0.02)).word == "dog"
    assert verdict_of(0.05, 0.04999).word == "neither" and verdict_of(0.06, 0.05).word == "dog"


def prediction(imagenet: Verdict | None, pets: Verdict | None) -> Prediction:
    empty = np.zeros((1, 1, 3), np.uint8)
    return Prediction("photo", (Score(0, "mug", 1.0),), np.ones(1, np.float32), imagenet, pets, empty, 0.0, False, 1.0)


def test_a_trained_head_decides_where_the_question_makes_sense() -> None:
    dog, cat, neither = Verdict("dog", 0.9, 0.0), Verdict("cat", 0.1, 0.9), Verdict("neither", 0.01, 0.0)
    assert prediction(dog, cat).verdict == "cat"
    assert prediction(neither, cat).verdict == "neither"  # a head that knows only cats and dogs sees one everywhere
    assert prediction(dog, None).verdict == "dog"
    assert prediction(None, None).verdict == "mug"


def test_pets_are_read_from_a_head_on_the_same_network() -> None:
    backbone = load_backbone(DEFAULT)
    classifier = load_classifier(View(DEFAULT))
    weight = torch.zeros(2, backbone.width)
    pets = Head(("cat", "dog"), weight, torch.tensor([2.0, 0.0]), backbone.tag, backbone.digest)
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    found = classify(classifier, photo(image), pets=pets)
    assert found.pets.word == "cat" and found.pets.cat == pytest.approx(torch.tensor([2.0, 0.0]).softmax(0)[0].item())
    assert found.imagenet is not None and len(found.seen) == 224


# ------------------------------------------------------------------------------------------------ on real photos


@dataclass(frozen=True)
class Sample:
    """The same photos by a bare loop (plain timm, plain torchvision), by our folded network, and by the engine."""

    labels: np.ndarray
    bare: np.ndarray
    folded: np.ndarray
    predictions: list[Prediction]

    def right(self, answers: np.ndarray) -> int:
        return int((answers == self.labels).sum())


def bare_network(backbone: Backbone) -> tuple[torch.nn.Module, v2.Transform]:
    """timm's own network with the very file that was found, not folded, and torchvision's transform for it."""
    found = backbone.found
    if found.package:
        net = timm.create_model(backbone.tag.partition(".")[0])
        tensors = torch.load(found.path, map_location="cpu", weights_only=True)
        net.load_state_dict(dict(zip(net.state_dict(), tensors.values(), strict=True)))
        mean, std = [127 / 255] * 3, [128 / 255] * 3
    else:
        net = timm.create_model(backbone.tag, pretrained=True, pretrained_cfg_overlay={"file": str(found.path)})
        cfg = resolve_model_data_config(net)
        mean, std = cfg["mean"], cfg["std"]
    steps = [
        v2.Resize(backbone.spec.resize, v2.InterpolationMode(backbone.spec.interpolation)),
        v2.CenterCrop(backbone.spec.size), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std),
    ]  # fmt: skip
    return net.eval(), v2.Compose(steps)


@pytest.fixture(scope="module", params=[DEFAULT, "tf_efficientnet_lite2.in1k", MOBILENET])
def sample(request: pytest.FixtureRequest, shared: Path) -> Sample:
    every = 1 if request.param == DEFAULT else 3  # a third is enough to see another preprocessing
    paths = sorted((shared / "data" / "imagenet_sample").glob("*.jpg"))[::every]
    classifier = load_classifier(View(request.param))
    net, transform = bare_network(classifier.backbone)
    net = net.to(memory_format=torch.channels_last)
    unnormalise = v2.Lambda(lambda x: (x * classifier.backbone.std[0] + classifier.backbone.mean[0]).clamp(0, 1))
    bare, folded = [], []
    for start in range(0, len(paths), 16):
        batch = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths[start : start + 16]])
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            bare.append(net(batch).argmax(1))
            folded.append(classifier(unnormalise(batch)).argmax(1))
    *steps, _ = classify_many(classifier, paths)
    labels = np.array([int(path.name[:4]) for path in paths])
    return Sample(labels, torch.cat(bare).numpy(), torch.cat(folded).numpy(), [s.prediction for s in steps])


def test_top_1_is_that_of_a_bare_loop(sample: Sample) -> None:
    ours = np.array([p.scores[0].index for p in sample.predictions])
    assert abs(sample.right(ours) - sample.right(sample.bare)) <= 2
    assert sample.right(ours) > 0.7 * len(ours)
    names = imagenet_names()
    assert all(s.name == names[s.index] for p in sample.predictions for s in p.scores)


def test_folding_changes_the_best_class_of_no_photo(sample: Sample) -> None:
    assert np.array_equal(sample.folded, sample.bare)


@pytest.fixture(scope="module")
def predictions(shared: Path) -> dict[str, list[tuple[str, Prediction]]]:
    """The default network's answers, each with its folder, to pets that it has not seen and to things that are neither."""
    classifier, pets = load_classifier(View(DEFAULT)), {*DOGS, *CATS}
    things = sorted((shared / "data" / "imagenet_sample").glob("*.jpg"))
    paths = {
        "pets": sorted((shared / "data" / "cats_dogs" / "test").glob("*/*.jpg")),
        "neither": [path for path in things if int(path.name[:4]) not in pets],
    }
    answered = {}
    for name, some in paths.items():
        *steps, _ = classify_many(classifier, some, pets=pets_head(classifier.backbone))
        answered[name] = [(path.parent.name, step.prediction) for path, step in zip(some, steps, strict=True)]
    return answered


def word(prediction: Prediction, by: str) -> str:
    return prediction.verdict if by == "with the shipped head" else prediction.imagenet.word


JUDGES = pytest.mark.parametrize("by", ["the classes alone", "with the shipped head"])


@JUDGES
def test_cats_and_dogs_are_told_apart(predictions: dict[str, list[tuple[str, Prediction]]], by: str) -> None:
    found = predictions["pets"]
    right = sum(word(one, by) == folder for folder, one in found)
    assert len(found) == 500 and right >= 0.925 * 500


@JUDGES
def test_what_is_neither_is_called_neither(predictions: dict[str, list[tuple[str, Prediction]]], by: str) -> None:
    found = predictions["neither"]
    assert len(found) == 177 and [word(one, by) for _, one in found].count("neither") >= 0.98 * 177
