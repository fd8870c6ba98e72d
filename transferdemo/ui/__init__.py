"""The page. Only this package imports gradio; it imports no torch."""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ..backbones import DEFAULT
from ..types import View
from . import bar, bridge, classify_tab, fool_tab, ideal_tab, inside_tab, photo, sessions, teach_api, teach_tab, texts
from .guard import Guard
from .page import Page
from .shared import KEEP, Settings, Shared
from .teach_state import Lesson
from .theme import CSS, theme

HEAD = """<script>
(() => {  // /?tab=ideal&try=zebra opens a tab and presses one of its chips
  const query = new URLSearchParams(location.search), tab = query.get("tab"), chip = query.get("try");
  const named = (text) => /^[a-z-]+$/.test(text || ""), at = (id) => document.getElementById(id);
  let tries = 0;
  const timer = named(tab) && setInterval(() => {
    const button = at(tab + "-button"), wanted = named(chip) && at("try-" + tab + "-" + chip);
    if (++tries > 300) return clearInterval(timer);
    if (!button) return;
    if (button.ariaSelected !== "true") return button.click();
    if (named(chip) && !wanted) return;
    clearInterval(timer);
    if (wanted) setTimeout(() => wanted.click(), 400);
  }, 100);
})();
</script>"""


def build(settings: Settings) -> gr.Blocks:
    """The whole page, wired; nothing is served yet."""
    with Page(title=texts.TITLE, analytics_enabled=False, delete_cache=(600, KEEP)) as demo:
        view = gr.State(View(DEFAULT, device=settings.device), time_to_live=KEEP)
        heads = gr.State({}, time_to_live=KEEP)
        seen = gr.State(None, time_to_live=KEEP)
        lesson = gr.State(Lesson(), time_to_live=KEEP)
        trial = gr.State(None, time_to_live=KEEP)
        stamp = gr.Number(0, visible="hidden", label="stamp")  # a State's change is not heard when a stream made it
        with gr.Row(elem_id="top"):
            gr.Markdown(f"# {texts.TITLE}\n{texts.LEAD}")
            menus = bar.menus()
        bar.panel(settings, menus, view)
        with gr.Row(elem_id="body"):
            with gr.Column(scale=2, min_width=260, elem_id="photo"):
                picture = photo.box(settings)
            with gr.Column(scale=5, min_width=320), gr.Tabs(elem_id="tabs") as tabs:
                changed = stamp.change(_nothing, None, None, api_visibility="private", **bridge.LIGHT)
                chosen = (*_chosen(menus, view, heads, tabs), changed)
                given = picture.change(_same, picture, seen, api_visibility="private", **bridge.LIGHT)
                shared = Shared(
                    settings, tabs, picture, seen, view, heads, menus.head, menus.network, chosen, stamp, given, lesson,
                    trial,
                )  # fmt: skip
                with gr.Tab(texts.CLASSIFY, id="classify", elem_id="classify"):
                    classify_tab.build(shared)
                with gr.Tab(texts.INSIDE, id="inside", elem_id="inside"):
                    inside_tab.build(shared)
                with gr.Tab(texts.TEACH, id="teach", elem_id="teach"):
                    teach_tab.build(shared)
                with gr.Tab(texts.IDEAL, id="ideal", elem_id="ideal"):
                    ideal_tab.build(shared)
                with gr.Tab(texts.FOOL, id="fool", elem_id="fool"):
                    fool_tab.build(shared)
        classify_tab.api(shared)
        inside_tab.api(shared)
        teach_api.api(shared)
        ideal_tab.api(shared)
        fool_tab.api(shared)
    blocks: gr.Blocks = demo.queue(api_open=False, max_size=200)
    return blocks


def _nothing() -> None:
    """Only its end counts."""


def _same(photo: Any) -> Any:
    """What the photo box decoded is kept for every tab."""
    return photo


def _chosen(menus: bar.Bar, view: gr.State, heads: gr.State, tabs: gr.Tabs) -> tuple[Any, ...]:
    """Wire the two menus; the events after which every tab may answer anew."""
    quiet: dict[str, Any] = {"api_visibility": "private", **bridge.LIGHT}
    network = menus.network.input(
        bar.choose_network, [menus.network, view, heads], [view, menus.head, tabs], **quiet
    )  # fmt: skip
    head = menus.head.input(bar.choose_head, [menus.head, view, heads], view, **quiet)
    return network, head


def launch_options() -> dict[str, Any]:
    """What the page is served with: our look, and every door closed that it does not need."""
    sessions.lean()
    return {
        "theme": theme(),
        "css_paths": [CSS],
        "head": HEAD,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "ssr_mode": False,
        "show_error": False,
        "max_threads": bridge.THREADS,
        "max_file_size": "100mb",
        "allowed_paths": [],
        "state_session_capacity": 200,
        "app_kwargs": {"middleware": [Middleware(Guard)]},
    }
