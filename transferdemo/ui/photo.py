"""The photo at the side of every tab: upload, drag, paste, camera, or an example of an installed package."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import skimage
from gradio.media import get_image

from . import texts
from .outbox import filed
from .picture import SafeImage
from .shared import Settings


def examples() -> dict[str, str]:
    """Label -> file, from packages that are installed anyway; chelsea and coffee are CC0."""
    samples = Path(skimage.__file__).parent / "data"
    return {
        "a cat": str(samples / "chelsea.png"),
        "a lion": get_image("lion.jpg"),
        "a cheetah": get_image("cheetah1.jpg"),
        "coffee": str(samples / "coffee.png"),
        "a silhouette": str(samples / "horse.png"),
    }


def shown(path: str) -> str:
    """A copy of an example's file, where a handler may show it."""
    return filed(Path(path).read_bytes(), Path(path).name)


def box(settings: Settings) -> SafeImage:
    """The picture input with its examples and the sentence that says where photos stay."""
    picture = SafeImage(
        label=texts.PHOTO, sources=["upload", "webcam", "clipboard"], height=300, buttons=[], elem_id="picture"
    )  # fmt: skip
    files = examples()
    gr.Examples([[path] for path in files.values()], picture, label=texts.TRY_ONE, example_labels=list(files))
    stay = texts.STAY_SHARED if settings.share else texts.STAY_LOCAL
    gr.HTML(f'<p class="fact">{stay}</p>')
    return picture
