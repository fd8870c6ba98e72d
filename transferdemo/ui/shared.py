"""What all tabs share: the program's settings, and the components whose values are arguments of every job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..types import Head

KEEP = 3600  # seconds that a visitor's things are kept


@dataclass(frozen=True)
class Settings:
    """How the program was started."""

    local: bool = False  # the limits on sets and jobs are lifted, a folder may be named by path
    share: bool = False  # others use it over a network: their photos come to this computer
    device: str | None = None
    classroom: bool = False  # thirty share one computer: heavy jobs are short

    @property
    def seconds(self) -> float:
        """How long a heavy job may run."""
        return 15.0 if self.classroom else 86_400.0 if self.local else 120.0


@dataclass(frozen=True, eq=False)
class Shared:
    """The parts of the page that every tab may read, and events after which it may want to answer anew."""

    settings: Settings
    tabs: gr.Tabs
    picture: Any  # SafeImage: the photo as it is shown
    photo: gr.State  # types.Photo | None
    view: gr.State  # types.View
    heads: gr.State  # dict[str, Head]: the visitor's own
    head_menu: gr.Dropdown
    network_menu: gr.Dropdown
    chosen: tuple[Any, ...]  # events after which the view is another
    stamp: gr.Number  # a number that a tab raises after it has changed the view itself
    given: Any  # the event after which `photo` is another
    lesson: gr.State  # teach_state.Lesson: what the visitor taught
    trial: gr.State  # fool_trial.Trial | None: the last attempt to fool the network


def title_of(classes: tuple[str, ...]) -> str:
    """A head's name in the menu: "1,000 things", "cat or dog", "37 breeds", "mugs, pens, cups"."""
    if len(classes) > 6:
        return f"{len(classes):,} things"
    return " or ".join(classes) if len(classes) == 2 else ", ".join(classes)


def own_title(name: str, head: Head) -> str:
    """How a visitor's own head is called in the menu."""
    tuned = ", fine-tuned" if head.changed else ""
    return f"mine: {name or title_of(head.classes)}{tuned}"
