"""The live camera: the bars follow it. A frame is sent only when the last one was answered, so none is ever queued.

Frames travel inside the event and leave no file. (Gradio's own streaming input waits without end in version 6.31.)
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from ..engine.classify import Prediction
from ..errors import BadImage
from ..images import open_photo
from ..types import Photo, View
from . import bridge, render, texts
from .shared import Shared

MAX_FRAME = 400_000  # characters

HTML = """<div class="livecam"><video muted playsinline hidden></video>
<p><button type="button" class="plain">${start}</button></p><p class="fact" role="status"></p></div>"""

JS = """
const video = element.querySelector("video"), button = element.querySelector("button"), say = element.querySelector(".fact");
const canvas = document.createElement("canvas"); let stream = null, frame = 0, sent = 0;
const answered = () => document.querySelector(`#live [data-frame="${frame}"]`) || performance.now() - sent > 5000;
const stop = () => {
  stream?.getTracks().forEach(t => t.stop()); stream = null;
  video.hidden = true; button.textContent = props.start;
};
const tick = () => {
  if (!stream) return;
  if (!element.isConnected) return stop();
  if (video.videoWidth && !document.hidden && (!frame || answered()) && performance.now() - sent > 120) {
    const scale = 320 / Math.min(video.videoWidth, video.videoHeight);
    canvas.width = video.videoWidth * scale; canvas.height = video.videoHeight * scale;
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    frame += 1; sent = performance.now();
    props.value = JSON.stringify({frame, picture: canvas.toDataURL("image/jpeg", 0.85)}); trigger("input");
  }
  setTimeout(tick, 15);
};
button.addEventListener("click", async () => {
  if (stream) return stop();
  try { stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}}); }
  catch (error) { say.textContent = props.none; return; }
  say.textContent = ""; frame = 0; video.srcObject = stream; video.hidden = false; await video.play();
  button.textContent = props.stop; tick();
});
"""


def build(shared: Shared, answer: Callable[[Photo, View], Prediction]) -> None:
    """The camera beside its bars."""

    @bridge.told
    def follow(sent: str | None, view: View) -> str:
        number, picture = read_frame(sent)
        seen = answer(picture, view)
        words = f"{render.verdict(seen)}{render.scores(seen)}{render.fact(f'{seen.milliseconds:.0f} ms')}"
        return f'<div data-frame="{number}">{words}</div>'

    with gr.Row():
        props: dict[str, Any] = {"start": texts.LIVE_START, "stop": texts.LIVE_STOP, "none": texts.NO_CAMERA}
        camera = gr.HTML(html_template=HTML, js_on_load=JS, elem_id="camera", min_width=260, **props)
        bars = gr.HTML(render.empty(texts.LIVE_NOTE), elem_id="live", min_width=260)
    options: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "live", "trigger_mode": "multiple"}
    camera.input(follow, [camera, shared.view], bars, **options, **bridge.LIGHT)


def read_frame(sent: str | None) -> tuple[int, Photo]:
    """The number and the picture of a frame that the page sent. Raises BadImage for anything else."""
    try:
        message = json.loads((sent or "")[:MAX_FRAME])
        kind, _, data = message["picture"].partition(",")
        number = int(message["frame"])
        if kind != "data:image/jpeg;base64":
            raise ValueError(kind)
        return number, open_photo(base64.b64decode(data, validate=True), "camera")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error) as error:
        raise BadImage(texts.NO_FRAME) from error
