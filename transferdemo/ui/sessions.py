"""What Gradio keeps of each visitor, without what nobody reads.

A new session begins with the config of every component, some 25 ms for a page like this. Only deep links read it, which the
guard closes; what an answer changes is added when it changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradio import state_holder

_Whole = state_holder.SessionState


@dataclass
class _Few:
    """As much of a page as a new session needs."""

    default_config: Any
    blocks: dict[int, Any] = field(default_factory=dict)


def _lean(blocks: Any) -> state_holder.SessionState:
    return _Whole(_Few(blocks.default_config))  # type: ignore[arg-type]


def lean() -> None:
    """From now on new sessions begin light."""
    state_holder.SessionState = _lean  # type: ignore[assignment, misc]
