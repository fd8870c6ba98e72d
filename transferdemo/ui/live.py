"""The live camera: the bars follow it. A frame is sent only when the last one was answered, so none is ever queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from ..engine.classify import Prediction
from ..types import Photo, View
from . import bridge, render, texts
from .picture import SafeImage
from .shared import Shared

EVERY = 0.15  # seconds between two frames at the least


def build(shared: Shared, answer: Callable[[Photo, View], Prediction]) -> None:
    """The camera beside its bars."""

    @bridge.told
    def follow(frame: Photo | None, view: View) -> str:
        if frame is None:
            return ""
        seen = answer(frame, view)
        return f"{render.verdict(seen)}{render.bars(seen.scores)}{render.fact(f'{seen.milliseconds:.0f} ms')}"

    with gr.Row():
        camera = SafeImage(sources=["webcam"], streaming=True, label=texts.LIVE, height=260, elem_id="camera")
        bars = gr.HTML(render.empty(texts.LIVE_NOTE), elem_id="live")
    options: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "live", "trigger_mode": "once"}
    camera.stream(follow, [camera, shared.view], bars, stream_every=EVERY, **options, **bridge.LIGHT)
