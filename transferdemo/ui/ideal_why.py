"""Show why: pixels and waves, without and with smoothness, painted side by side from one start. No Gradio here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from ..engine.ideal import IdealDone, IdealStep, ideal, why
from ..engine.ideal_order import Order, prepare
from ..types import View


@dataclass(frozen=True)
class Why:
    """The four pictures so far, in the order of `engine.ideal.why`."""

    title: str
    events: tuple[IdealStep | IdealDone | None, ...] = (None,) * 4

    @property
    def done(self) -> bool:
        """Whether all four are finished."""
        return all(isinstance(event, IdealDone) for event in self.events)


def side_by_side(view: View, order: Order) -> Generator[Why, None, None]:
    """All four after each one's next event, in turn. Raises DemoError before the first."""
    prepared = prepare(view, replace(order, method="sharp", tv=None, learning_rate=None, second=None))
    shown = Why(prepared.title)
    with ExitStack() as stack:
        runs = [stack.enter_context(closing(ideal(prepared.classifiers, config))) for config in why(prepared.config)]
        while not shown.done:
            for i, run in enumerate(runs):
                if (event := next(run, None)) is not None:
                    shown = replace(shown, events=(*shown.events[:i], event, *shown.events[i + 1 :]))
                    yield shown
