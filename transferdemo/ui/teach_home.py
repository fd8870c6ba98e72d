"""Teach, step 4: the head is a choice above the tabs at once; it can be downloaded, and the whole project saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ..backbones import load_backbone, resolve
from ..data.names import clean_name
from ..data.project import write_project
from ..data.records import Project
from ..decode import fit_image
from ..device import choose
from ..engine.card import card, probabilities, verify_head
from ..engine.evaluate import with_facts
from ..engine.export import written
from ..engine.features import Embedded
from ..errors import BadFile, BadFolder, BadSetting
from ..head_file import encode_head, read_head, save_head
from ..heads import check_fits, load_classifier, weight_of
from ..images import open_photo
from ..types import Head, Image8, View
from . import bar, bridge, render, texts
from .outbox import place
from .photo import examples
from .picture import uploaded
from .shared import Shared, title_of
from .teach_state import Lesson, limits_of

MOST_BYTES = 200_000_000  # of fine-tuned networks that a visitor may bring


@dataclass(frozen=True, eq=False)
class Home:
    """What runs after a report."""

    handler: Callable[..., Any]
    inputs: list[Any]
    outputs: list[Any]
    changed: tuple[Any, ...]  # events after which the view is another


def build(shared: Shared, lesson: gr.State) -> Home:
    """Lay the step out and wire it."""
    status = gr.HTML(render.empty(texts.HOME_EMPTY), elem_id="home")
    with gr.Row(elem_classes="inline"):
        name = gr.Textbox(label=texts.HEAD_NAME, max_length=64, scale=3, elem_id="head-name")
        rename = gr.Button(texts.NAME_IT, scale=1)
    with gr.Row():
        head_file = gr.DownloadButton(texts.GET_HEAD, variant="primary", visible=False, elem_id="get-head")
        card_file = gr.DownloadButton(texts.GET_CARD, visible=False)
        anywhere_file = gr.DownloadButton(texts.GET_ANYWHERE, visible=False, elem_id="get-anywhere")
        save = gr.Button(texts.SAVE_PROJECT, visible=False)
        project_file = gr.DownloadButton(texts.GET_PROJECT, visible=False, elem_id="get-project")
    with gr.Accordion(texts.BRING_HEAD, open=False):
        gr.HTML(f'<p class="fact">{texts.BRING_NOTE}</p>')
        bring = gr.File(
            file_types=[".safetensors"], label=texts.HEAD_FILE, type="filepath", height=110, elem_id="bring"
        )
    above = [shared.heads, shared.view, shared.head_menu]
    files = [status, head_file, card_file, anywhere_file, save, project_file]
    options: dict[str, Any] = {"api_visibility": "private", **bridge.LIGHT}
    here = [lesson, name, shared.heads, shared.view]
    taken = [lesson, *above, *files]
    named = rename.click(bridge.told(take_home), here, taken, **options)
    save.click(bridge.told(_project(shared)), [lesson], [project_file], **options)
    brought = bring.upload(bridge.told(_brought), [bring, name, shared.heads, shared.view], [*above, status], **options)
    return Home(bridge.told(take_home), here, taken, (named, brought))


def take_home(lesson: Lesson, name: str | None, heads: dict[str, Head], view: View) -> Iterator[tuple[Any, ...]]:
    """Put the head above the tabs, then make its files; they are offered once a fresh process gave the same answers."""
    if lesson.head is None or lesson.embedded is None or lesson.report is None:
        return
    head = with_facts(lesson.head, lesson.embedded, lesson.report)
    title = clean_name(name) if name and name.strip() else lesson.name or title_of(head.classes)
    now = replace(lesson, head=head, name=title)
    heads, view, menu = above_tabs(head, title, {k: h for k, h in heads.items() if k != lesson.name}, view)
    hidden = gr.update(visible=False)
    yield now, heads, view, menu, render.fact(texts.checking(title)), *[hidden] * 5
    path, words = place(f"head-{len(head.classes)}-classes.safetensors"), place("model-card.md")
    save_head(head, path)
    words.write_text(card(head, lesson.report), encoding="utf-8")
    images = _three(lesson.embedded, view)
    for _ in verify_head(path, images, probabilities(load_classifier(view), images)):
        yield (gr.skip(),) * 10
    offered = [gr.update(value=str(path), visible=True), gr.update(value=str(words), visible=True)]
    able = gr.update(visible=lesson.embedded.pictures)
    yield *[gr.skip()] * 4, render.fact(texts.home(title)), *offered, hidden, able, hidden
    anywhere = place(f"classifier-{len(head.classes)}-classes.zip")
    for _ in written(anywhere, view, images, words.read_text(encoding="utf-8")):
        yield (gr.skip(),) * 10
    yield *[gr.skip()] * 7, gr.update(value=str(anywhere), visible=True), gr.skip(), gr.skip()


def _three(embedded: Embedded, view: View) -> list[Image8]:
    """Three of the person's photos as the network sees them; an example where the set has features only."""
    spec = load_backbone(view.backbone, choose(view.device)).spec
    some = embedded.folder.used[:: max(1, len(embedded.folder.used) // 3)][:3] if embedded.pictures else ()
    sources: list[bytes | Path] = [photo.source.read() for photo in some] or [Path(examples()["a cat"])]
    return [fit_image(open_photo(source).image8, spec, embedded.fit) for source in sources]


def above_tabs(head: Head, title: str, heads: dict[str, Head], view: View) -> tuple[dict[str, Head], View, Any]:
    """The visitor's heads with one more, the view with it, and the menu."""
    heads = {**heads, title: head}
    menu = gr.update(choices=bar.heads_of(view.backbone, heads), value=f"mine/{title}")
    return heads, replace(view, head=head), menu


def _project(shared: Shared) -> Callable[..., Any]:
    def save(lesson: Lesson) -> Any:
        if lesson.folder is None or lesson.head is None or not lesson.runs:
            raise BadFolder(texts.HOME_EMPTY)
        runs: tuple[dict[str, object], ...] = tuple(
            {"settings": asdict(run.config), "loss": run.points("held_out_loss")} for run in lesson.runs
        )
        project = Project(asdict(lesson.runs[-1].config), runs, tuple(lesson.folder.left_out), encode_head(lesson.head))
        path = place("transferdemo-project.zip")
        write_project(path, lesson.folder, project, limits_of(shared.settings))
        return gr.update(value=str(path), visible=True)

    return save


def _brought(path: str | None, name: str | None, heads: dict[str, Head], view: View) -> tuple[Any, ...]:
    """A head file of the visitor goes above the tabs. Raises BadFile with the reason why it cannot."""
    head = read_head(uploaded(path))
    if resolve(head.backbone).tag != view.backbone:
        raise BadFile(f"This head was made for {resolve(head.backbone).title}; choose that network above first.")
    check_fits(head, load_backbone(view.backbone, choose(view.device)))
    title = clean_name(name) if name and name.strip() else title_of(head.classes)
    if len(heads) >= 20 or sum(weight_of(one) for one in heads.values()) > MOST_BYTES:
        raise BadSetting("There is no room for more heads; reload the page to start anew.")
    heads, view, menu = above_tabs(head, title, heads, view)
    return heads, view, menu, render.fact(texts.brought(title))
