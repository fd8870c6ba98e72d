"""HTML whose parts can be chosen: a click, Enter or Space on anything with `data-choose` fires `select` with its text."""

from __future__ import annotations

from typing import Any

import gradio as gr

JS = """
const choose = (event) => {
  const part = event.target.closest("[data-choose]");
  if (part && element.contains(part)) { event.preventDefault(); trigger("select", { chosen: part.dataset.choose }); }
};
element.addEventListener("click", choose);
element.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") choose(event); });
"""


def clickable(**options: Any) -> gr.HTML:
    """An HTML component; its `select` handlers take `event: gr.EventData` and read `chosen_of(event)`."""
    return gr.HTML(js_on_load=JS, **options)


def chosen_of(event: gr.EventData) -> str:
    """The text of what was chosen; empty for anything that did not come from the page's own script."""
    data = event._data
    chosen = data.get("chosen") if isinstance(data, dict) else None
    return chosen if isinstance(chosen, str) and len(chosen) <= 200 else ""
