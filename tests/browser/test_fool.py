"""Fool as a person uses it: the result is the file that is downloaded, and as my photo it fools every tab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Visit
from transferdemo.backbones import DEFAULT
from transferdemo.decode import fit_image
from transferdemo.engine.verdict import classify_alone
from transferdemo.heads import CATS, DOGS, load_classifier
from transferdemo.images import open_photo
from transferdemo.types import View
from transferdemo.ui import texts

expect.set_options(timeout=3 * PATIENCE)
CAT = Path(skimage.__file__).parent / "data" / "chelsea.png"
JUDGED = texts.fool_noise(0, 20, "")


def open_tab(page: Page) -> Page:
    page.set_default_timeout(3 * PATIENCE)
    page.get_by_role("tab", name=texts.FOOL, exact=True).click()
    return page


def give(page: Page, path: Path) -> None:
    page.locator("#picture input[type=file]").set_input_files(path)


def offered(page: Page, target: str) -> None:
    expect(page.locator("#fool-target input")).to_have_value(target)


def fool(page: Page) -> str:
    """Press the button and wait until the receipt is there; the three lines."""
    page.locator("#fool-run").click()
    result = page.locator("#fool-result")
    expect(result).to_contain_text(JUDGED.partition(":")[0])
    expect(result).not_to_contain_text(texts.FOOL_NOISE_SOON)
    return str(result.inner_text())


def downloaded(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#fool-download").click()
    download.value.save_as(folder / "got.png")
    return folder / "got.png"


def test_a_cat_becomes_a_dog_for_every_tab(page: Page, tmp_path: Path) -> None:
    """What is downloaded is what was judged; the photo box hands it on pixel for pixel."""
    open_tab(page)
    give(page, CAT)
    offered(page, "any dog")
    said = fool(page)
    classifier = load_classifier(View(DEFAULT))
    clean = fit_image(open_photo(CAT).image8, classifier.spec, "auto")
    path = downloaded(page, tmp_path)
    with Image.open(path) as file:
        assert file.format == "PNG"
        saved = np.array(file)
    before, after = classify_alone(classifier, clean), classify_alone(classifier, saved)
    change = saved.astype(int) - clean.astype(int)
    assert before.index in CATS and after.index in DOGS
    assert f"{texts.FOOL_SAVED}: {classifier.classes[after.index]} {after.probability:.1%}".replace("%", " %") in said
    assert texts.fool_changed(float((change != 0).mean()), int(np.abs(change).max())) in said
    page.locator("#fool-use").click()
    offered(page, "any cat")  # the photo is a dog now
    page.get_by_role("tab", name=texts.CLASSIFY, exact=True).click()
    expect(page.locator("#answer")).to_contain_text(texts.EXACT)
    first = page.locator("#answer .bars span")
    assert first.nth(0).inner_text() == classifier.classes[after.index]
    assert first.nth(1).inner_text() == f"{after.probability:.1%}".replace("%", " %")
    page.get_by_role("button", name="Remove").or_(page.get_by_label("Clear")).first.click()
    give(page, path)  # and dropped in as a file
    expect(page.locator("#answer")).to_contain_text(texts.EXACT)
    assert first.nth(0).inner_text() == classifier.classes[after.index]


def test_stop_keeps_the_best_so_far(page: Page) -> None:
    open_tab(page)
    give(page, CAT)
    offered(page, "any dog")
    page.get_by_label(texts.FOOL_STEPS, exact=False).first.fill("500")
    page.locator("#fool-run").click()
    expect(page.locator("#fool-out")).to_contain_text("it is fooled, the change shrinks")
    page.locator("#fool-stop").click()
    result = page.locator("#fool-result")
    expect(result).to_contain_text(texts.FOOL_SAVED)
    expect(result).not_to_contain_text(texts.FOOL_STILL + " ", timeout=1)
    expect(page.locator("#fool-run")).to_be_enabled()
    expect(page.locator("#fool-stop")).to_be_hidden()
    expect(page.locator("#fool-slider img").first).to_be_visible()


@pytest.mark.parametrize("question", list(texts.FOOL_CHIPS))
def test_a_question_is_answered_without_a_photo(visit: Visit, question: str) -> None:
    """On a phone: an example is taken, and the answer is one line in view."""
    page = open_tab(visit(390))
    page.locator(f"#try-fool-{question}").click()
    reply = page.locator("#fool-reply .reply")
    expect(reply).to_be_in_viewport()
    assert len(reply.inner_text().splitlines()) == 1
    expect(page.locator("#picture img").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_strength_is_there_only_where_the_method_has_one(page: Page) -> None:
    open_tab(page)
    page.get_by_role("button", name=texts.MORE).filter(visible=True).click()
    strength = page.locator("#fool-strength-slider")
    for method in ("pgd-linf", "pgd-l2", "smallest", "fgsm", "lesson"):
        page.get_by_label(texts.FOOL_METHOD, exact=True).filter(visible=True).click()
        page.get_by_role("option", name=texts.FOOL_METHODS[method], exact=True).click()
        expect(page.get_by_text(texts.FOOL_STEPS_INFO[method])).to_be_visible()
        if method in texts.FOOL_EPSILON:
            expect(strength).to_contain_text(texts.FOOL_EPSILON[method][0])
        else:
            expect(strength).to_be_hidden()


def test_the_curve_of_a_head(page: Page) -> None:
    open_tab(page)
    page.get_by_role("button", name=texts.FOOL_STRENGTH).click()
    page.locator("#fool-measure").click()
    expect(page.locator("#fool-strong")).to_contain_text("photos")


def call(client: Client, *values: Any) -> Any:
    return client.predict(handle_file(str(CAT)), *values, api_name="/adversarial")


def test_the_same_for_programs(url: str, tmp_path: Path) -> None:
    client = Client(url, verbose=False, download_files=tmp_path)
    path, record = call(client, "any dog", "pgd-linf", 4, 40, DEFAULT)
    classifier = load_classifier(View(DEFAULT))
    with Image.open(path) as file:
        after = classify_alone(classifier, np.array(file))
    assert record["fooled"] and after.index in DOGS and record["linf_levels"] == 4
    assert record["after"] == {
        "index": after.index,
        "name": classifier.classes[after.index],
        "probability": pytest.approx(after.probability),
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record


@pytest.mark.parametrize(
    "values",
    [
        ("any cat", "smallest", None, 20),  # it is one
        ("unicorn", "smallest", None, 20),
        ("any dog", "magic", None, 20),
        ("any dog", "pgd-linf", 0, 20),
        ("any dog", "smallest", None, 1001),
        ("any dog", "smallest", None, 0),
    ],
)
def test_what_programs_may_not(url: str, tmp_path: Path, values: tuple[Any, ...]) -> None:
    client = Client(url, verbose=False, download_files=tmp_path)
    with pytest.raises(Exception, match=r"\.$"):
        call(client, *values, DEFAULT)
