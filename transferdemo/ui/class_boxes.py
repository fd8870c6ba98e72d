"""Two boxes, one a class, filled from the camera or with files: the quickest way to teach something.

Photos stay in the browser until they are sent together as a project zip (class_boxes.js); frames of one hold are a burst.
The component's `upload` event passes a value for `folder_picker.picked`.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from .folder_picker import scripts

TEXTS = {
    "class": "Class",
    "photo": "photo",
    "photos": "photos",
    "record": "Hold to record",
    "add": "Add photos",
    "more": "+ class",
    "send": "Use these photos",
    "name": "Name of the class",
    "sending": "Sending the photos …",
    "notSent": "The photos could not be sent; check the connection and try again.",
    "noCamera": "No camera can be used here: allow it in the browser, or add photos.",
    "large": "A file over 20 MB was left out.",
}

HTML = """
<div class="teach-boxes">
  <template><div class="box" role="group"><input class="name" type="text" maxlength="64" aria-label="${texts.name}">
    <div class="view"></div><div class="strip"></div><p class="count" role="status">0 ${texts.photos}</p>
    <p><button type="button" class="record">${texts.record}</button>
    <button type="button" class="add">${texts.add}</button></p>
    <input type="file" accept="image/*" multiple hidden tabindex="-1" aria-hidden="true"></div></template>
  <div class="boxes"></div>
  <p><button type="button" class="more">${texts.more}</button>
  <button type="button" class="send" disabled>${texts.send}</button> <span class="news" role="status"></span></p>
</div>"""

CSS = """
.boxes{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:14px}
.box{border:1px solid var(--border-color-primary);border-radius:var(--radius-lg);padding:12px;
 background:var(--background-fill-primary)}
.box .name{width:100%;font-weight:600;font-size:1.05rem;border:0;border-bottom:1px solid var(--border-color-primary);
 background:none;color:var(--body-text-color);padding:4px 0}
.box .view video{width:100%;border-radius:var(--radius-md);margin-top:8px;transform:scaleX(-1)}
.box .strip{display:flex;gap:4px;height:44px;margin:8px 0 2px;overflow:hidden}
.box .strip img{height:44px;width:44px;object-fit:cover;border-radius:6px;margin:0}
.box .count{margin:2px 0 8px;color:var(--body-text-color-subdued);font-size:.9rem}
.teach-boxes p{margin:10px 0 0} .teach-boxes button{border:1px solid var(--border-color-primary);cursor:pointer;font-weight:500;
 border-radius:var(--radius-md);padding:8px 14px;background:var(--button-secondary-background-fill);
 color:var(--button-secondary-text-color);touch-action:none;user-select:none}
.teach-boxes .send{background:var(--button-primary-background-fill);color:var(--button-primary-text-color);
 border-color:transparent}
.teach-boxes button:disabled{opacity:.5;cursor:default} .teach-boxes button.on{background:#b91c1c;color:#fff}
.teach-boxes button:focus-visible,.box .name:focus-visible{outline:3px solid var(--color-accent);outline-offset:2px}
"""


def class_boxes(photos: int = 2000, classes: int = 50, **options: Any) -> gr.HTML:
    """Boxes with editable names, *Hold to record*, *Add photos* and *+ class*."""
    return gr.HTML(
        value=None,
        html_template=HTML,
        css_template=CSS,
        js_on_load=scripts("zip.js", "class_boxes.js"),
        texts=TEXTS,
        max_photos=photos,
        max_classes=classes,
        **options,
    )
