"""The photo box: a picture input that opens only what its visitor uploaded, through our own door."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder

from ..errors import BadImage
from ..images import open_photo
from ..types import Photo
from . import texts


def uploaded(path: str | None) -> Path:
    """The file that a request names, if it lies in the upload folder. Raises BadImage for any other path."""
    found, root = Path(path or "").resolve(), Path(get_upload_folder()).resolve()
    if not (path and found.is_relative_to(root) and found.is_file()):
        raise BadImage(texts.NOT_UPLOADED)
    return found


class SafeImage(gr.Image):
    """gr.Image whose value for a handler is a types.Photo, decoded in a child, or None.

    gr.Image opens any path that a request names, and with every plugin that Pillow has; here only uploads open.
    """

    def get_block_name(self) -> str:
        """What the page calls this component: it has no "safeimage"."""
        return "image"

    def preprocess(self, payload: ImageData | None) -> Any:
        """An upload becomes a Photo. Raises gr.Error with the sentence of a BadImage."""
        if payload is None:
            return None
        try:
            photo: Photo = open_photo(uploaded(payload.path), payload.orig_name)
        except BadImage as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from error
        return photo

    def api_info(self) -> dict[str, Any]:
        """For API callers it is a file like any other picture."""
        return dict(super().api_info())
