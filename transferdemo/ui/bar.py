"""The bar above the tabs, which is the lesson itself: a frozen network, and a head that says what it can name."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from ..backbones import BACKBONES, DEFAULT, PUBLIC_MEGABYTES, BackboneSpec, fetch, find_weights, load_backbone, resolve
from ..device import available
from ..errors import BadSetting, MissingWeights
from ..heads import shipped_heads
from ..hub import DownloadDone
from ..types import Head, View
from . import bridge, render, texts
from .shared import Settings, own_title, title_of

OWN = "own"
SHIPPED = {"cats_dogs": "cat or dog", "pets37": "37 breeds"}


@dataclass(frozen=True, eq=False)
class Bar:
    """The bar's menus, and the components of its panel that are laid out below it."""

    network: gr.Dropdown
    head: gr.Dropdown
    others: gr.Button


def menus() -> Bar:
    """Two menus and the button that opens the panel; placed by the caller."""
    network = gr.Dropdown(here(), value=DEFAULT, label=texts.NETWORK, scale=0, min_width=290, elem_id="network")
    head = gr.Dropdown(heads_of(DEFAULT, {}), value=OWN, label=texts.HEAD, scale=0, min_width=230, elem_id="head")
    others = gr.Button(texts.OTHERS, scale=0, min_width=150, size="md", elem_id="others")
    return Bar(network, head, others)


def here() -> list[tuple[str, str]]:
    """(title, tag) of the table's networks whose weights are on this machine."""
    return [(_title(row), tag) for tag, row in BACKBONES.items() if find_weights(row)]


def _title(row: BackboneSpec) -> str:
    return f"{row.title} · {row.megabytes:.0f} MB" + (f" · {row.top1:.0f} %" if row.top1 else "")


def heads_of(tag: str, own: dict[str, Head]) -> list[tuple[str, str]]:
    """(title, key) of the heads for a network: its own classes, those that ship, the visitor's.

    The visitor's heads for other networks are there too, with the reason why they cannot be chosen now.
    """
    spec = resolve(tag)
    choices = [(texts.OWN_HEAD if spec.top1 is not None or spec.tag not in BACKBONES else texts.NO_CLASSES, OWN)]
    choices += [(SHIPPED.get(k, title_of(h.classes)), k) for k, h in shipped_heads(spec.tag).items()]
    for name, head in own.items():
        reason = "" if head.backbone == spec.tag else f" (needs {resolve(head.backbone).title})"
        choices.append((own_title(name, head) + reason, f"mine/{name}"))
    return choices


def head_called(key: str, tag: str, own: dict[str, Head]) -> Head | None:
    """The head behind a menu entry; None for the network's own classes. Raises BadSetting for one of another network."""
    if key == OWN:
        return None
    head = own.get(key.removeprefix("mine/")) if key.startswith("mine/") else shipped_heads(tag).get(key)
    if head is None:
        raise BadSetting("That head is not here any more; choose another.")
    if head.backbone != resolve(tag).tag:
        raise BadSetting(f"This head was made for {resolve(head.backbone).title}; choose that network first.")
    return head


@bridge.told
def choose_network(tag: str, view: View, own: dict[str, Head]) -> tuple[Any, Any, Any]:
    """A new network starts with its own classes; where it has none, Teach opens. -> view, head menu, tabs."""
    spec = resolve(tag)
    if find_weights(spec) is None:
        raise MissingWeights(f"The weights of {spec.title} are not here; download them under “{texts.OTHERS}”.")
    backbone = load_backbone(tag)
    without = not hasattr(backbone.net.get_classifier(), "weight")
    if without:
        gr.Info(texts.TEACH_FIRST)
    menu = gr.update(choices=heads_of(tag, own), value=OWN)
    tabs = gr.update(selected="teach") if without else gr.skip()
    return replace(view, backbone=backbone.tag, head=None), menu, tabs


@bridge.told
def choose_head(key: str, view: View, own: dict[str, Head]) -> View:
    """The same network with another head on it."""
    return replace(view, head=head_called(key, view.backbone, own))


def panel(settings: Settings, bar: Bar, view: gr.State) -> None:
    """The table of networks, downloads with progress and Stop, any timm name; hidden until the button is pressed."""
    with gr.Column(visible=False, elem_id="panel") as box:
        listing = gr.HTML()
        with gr.Row():
            missing = gr.Dropdown(absent(), label=texts.MISSING, value=None, scale=3)
            name = gr.Textbox(
                label=texts.ANY_NAME, placeholder=texts.ANY_NAME_INFO, max_length=100, scale=3, elem_id="any-name"
            )
            get = gr.Button(texts.DOWNLOAD, variant="primary", scale=1, min_width=120)
            stop = gr.Button(texts.STOP, scale=1, min_width=90, visible=False, interactive=False)
        if len(available()) > 1:
            device = gr.Dropdown(["auto", *available()], value=settings.device or "auto", label=texts.DEVICE)
            device.input(lambda name, view: replace(view, device=name), [device, view], view, **_quiet())
        status = gr.HTML(render.fact(texts.DOWNLOAD_NOTE), elem_id="download-status")
    opened = gr.State(False)
    bar.others.click(_toggle, opened, [opened, box, listing], **_quiet())
    outputs = [status, listing, missing, bar.network]
    bridge.wire(get, stop, partial(download, settings), [name, missing], outputs)


def _toggle(now: bool) -> tuple[bool, Any, str]:
    return not now, gr.update(visible=not now), network_table()


def _quiet() -> dict[str, Any]:
    return {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def absent() -> list[tuple[str, str]]:
    """(title, tag) of the table's networks whose weights are not here."""
    return [(_title(row), tag) for tag, row in BACKBONES.items() if not find_weights(row)]


def network_table() -> str:
    """The table of networks as HTML."""
    rows = []
    for row in BACKBONES.values():
        found = find_weights(row)
        top1 = f"{row.top1:.1f} %" if row.top1 else "no classes"
        state = escape(found.origin) if found else texts.NOT_HERE
        rows.append(
            [
                f"<b>{escape(row.title)}</b>",
                top1,
                f"{row.megabytes:.0f} MB",
                escape(row.licence),
                state,
                escape(row.advice),
            ]
        )
    return render.table(texts.TABLE_HEAD, rows, wrap=(4, 5))


def download(settings: Settings, name: str, chosen: str | None) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Fetch one network's weights, showing how far it is; then it is in the menu."""
    wanted = (name or "").strip() or chosen
    if not wanted:
        raise BadSetting("Choose a network to download, or type its name.")
    spec = resolve(wanted)
    if spec.megabytes > PUBLIC_MEGABYTES and not settings.local:
        raise BadSetting(
            f"{spec.title} has {spec.megabytes:,.0f} MB; here at most {PUBLIC_MEGABYTES} MB can be fetched."
        )
    with closing(_fetched(spec)) as events:
        for event in bridge.paced(events, 0.25):
            megabytes = f"{event.step / 2**20:.1f} of {event.total / 2**20:.0f} MB" if event.total else "asking the hub"
            yield render.progress(event.step, event.total, f"{spec.title}: {megabytes}"), *[gr.skip()] * 3
    choices = here() if spec.tag in BACKBONES else [*here(), (_title(spec), spec.tag)]
    yield (
        render.fact(f"{spec.title} is here; choose it above."),
        network_table(),
        gr.update(choices=absent(), value=None),
        gr.update(choices=choices),
    )


def _fetched(spec: BackboneSpec) -> Generator[Any, None, None]:
    if find_weights(spec) is None:
        yield from fetch(spec)
    else:
        yield DownloadDone(1, 1, find_weights(spec).path)  # type: ignore[union-attr]
