"""gr.Blocks that says in a sentence what Gradio itself would answer with nothing: an input that is not what its place takes."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr

from . import texts

log = logging.getLogger("transferdemo")


class Page(gr.Blocks):
    """The page. Gradio's own refusal of an input is an error without text for the caller, and a traceback in the log."""

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        """Bring a request's values into the handlers' form. Raises gr.Error with a sentence for what cannot be."""
        try:
            return await super().preprocess_data(*args, **kwargs)  # type: ignore[no-untyped-call, unused-ignore]
        except gr.Error:
            raise
        except Exception as error:  # whatever a component of Gradio raises on a value of another kind
            log.info("an input of another kind: %s", type(error).__name__)
            raise gr.Error(texts.BAD_INPUT, print_exception=False) from None
