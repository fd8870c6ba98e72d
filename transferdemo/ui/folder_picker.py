"""A folder of the visitor's computer comes here with the names of its sub-folders: gr.File loses them.

The browser makes large photos smaller and sends one zip (folder_picker.js); a zip of the visitor's own is sent as it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from ..errors import BadFile, BadImage
from .picture import uploaded

ZIP_BYTES = 100_000_000  # what the page takes in one request
ROOM = 95_000_000  # of it for the photos of a folder
SIDE = 640  # px, the short side that photos are reduced to
PHOTOS = 2_000

TEXTS = {
    "hint": "Drop a folder here, one sub-folder for each class, or its zip.",
    "folder": "Choose a folder",
    "zip": "Choose a zip",
    "looking": "Looking into the folder: {} files",
    "preparing": "Preparing photo {} of {}",
    "sending": "Sending {} photos, {} …",
    "sendingZip": "Sending the zip, {} …",
    "sent": "{} photos are here.",
    "sentWithout": "{} photos are here, {} files were left out.",
    "sentZip": "The zip is here.",
    "nothing": "There are no pictures in it; choose a folder with one sub-folder of photos for each class.",
    "tooLarge": "These photos do not fit into {}; choose fewer of them.",
    "largeZip": "This zip has {} and at most {} can be sent; choose its folder instead, then the photos are made smaller.",
    "notSent": "The photos could not be sent; check the connection and try again.",
    "failed": "This folder could not be read; try again, or choose its zip.",
    "hidden": "hidden or system file",
    "noPicture": "not a picture",
    "tooMany": "more than {} photos: every so many was taken",
    "unreadable": "could not be read",
    "noRoom": "too large to be sent",
}
NOT_UPLOADED = "That folder was not uploaded here; choose it again."

HTML = """
<div class="picker" role="group" aria-label="${label}" aria-busy="false">
  <input class="folder" type="file" webkitdirectory multiple hidden tabindex="-1" aria-hidden="true">
  <input class="zip" type="file" accept=".zip,application/zip" hidden tabindex="-1" aria-hidden="true">
  <p>${texts.hint}</p>
  <button type="button" class="folder">${texts.folder}</button>
  <button type="button" class="zip">${texts.zip}</button>
  <progress hidden aria-label="${label}"></progress>
  <p class="news" role="status" aria-live="polite"></p>
</div>"""
CSS = """
.picker{border:2px dashed var(--border-color-primary);border-radius:var(--radius-lg);padding:20px;text-align:center;
 color:var(--body-text-color)}
.picker.over{border-color:var(--color-accent);background:var(--background-fill-secondary)}
.picker p{margin:0 0 10px} .picker .news{margin:10px 0 0;min-height:1.4em}
.picker button{border:1px solid var(--border-color-primary);border-radius:var(--radius-md);padding:9px 18px;margin:2px 4px;
 background:var(--button-secondary-background-fill);color:var(--button-secondary-text-color);cursor:pointer;font-size:inherit;font-weight:500}
.picker button:focus-visible{outline:3px solid var(--color-accent);outline-offset:2px}
.picker button:disabled{opacity:.5;cursor:default}
.picker progress{appearance:none;display:block;width:100%;height:8px;margin:12px 0 0;border:0;border-radius:4px;overflow:hidden;
 background:var(--border-color-primary)}
.picker progress::-webkit-progress-bar{background:var(--border-color-primary)}
.picker progress::-webkit-progress-value{background:var(--primary-500)}
.picker progress::-moz-progress-bar{background:var(--primary-500)}
.picker [hidden]{display:none}
"""


@dataclass(frozen=True)
class Picked:
    """What a folder picker sent: a zip in the upload folder, and what the browser left out of it."""

    path: Path
    sent: int = 0  # photos; 0 when it is a zip of the visitor's own
    left_out: tuple[tuple[str, str], ...] = ()  # name and reason of the first 200
    counts: dict[str, int] = field(default_factory=dict)  # reason -> how many files


def scripts(*names: str) -> str:
    """The page's own scripts of these names, one behind the other."""
    return "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)


def folder_picker(label: str = "A folder of photos", photos: int = PHOTOS, room: int = ROOM, **options: Any) -> gr.HTML:
    """A box to choose or drop a folder or a zip, keyboard and phone included; its `upload` event passes a value for `picked`.

    Of more than `photos` pictures every so many is taken, and they are made smaller until they fit into `room` bytes.
    (A function, because Gradio writes a .pyi file beside a module that has a subclass.)
    """
    limits: dict[str, Any] = {"max_photos": photos, "max_bytes": room, "max_zip_bytes": ZIP_BYTES, "max_side": SIDE}
    return gr.HTML(
        value=None,
        label=label,
        html_template=HTML,
        css_template=CSS,
        js_on_load=scripts("zip.js", "folder_picker.js"),
        texts=TEXTS,
        **limits,
        **options,
    )


def picked(value: object) -> Picked:
    """Read a folder picker's value, which comes from a browser or from anyone. Raises BadFile unless the file was uploaded."""
    try:
        facts = json.loads(value) if isinstance(value, str) and len(value) < 200_000 else None
        path = uploaded(facts["path"])  # type: ignore[index]
        names = tuple((str(name)[:200], str(reason)[:200]) for name, reason in facts.get("left_out", [])[:200])  # type: ignore[union-attr]
        counts = {str(reason)[:200]: int(count) for reason, count in list(facts.get("counts", {}).items())[:20]}  # type: ignore[union-attr]
        return Picked(path, int(facts.get("sent", 0)), names, counts)  # type: ignore[union-attr]
    except (BadImage, TypeError, ValueError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise BadFile(NOT_UPLOADED) from error
