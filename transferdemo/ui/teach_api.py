"""/train for callers: a zip of photos in class folders -> a head and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..backbones import DEFAULT, Backbone, load_backbone, resolve
from ..data.archive import read_zip
from ..data.records import Limits, Listing
from ..device import choose
from ..engine.evaluate import Report, ReportDone, full_report, with_facts
from ..engine.features import CollectDone, Embedded, collect
from ..engine.recipe import TrainConfig
from ..engine.train import TrainDone, train
from ..engine.trust import TrustDone, trust
from ..errors import BadFile, BadFolder
from ..head_file import save_head
from ..types import Head
from . import bridge, texts
from .outbox import place
from .picture import uploaded
from .shared import Settings, Shared
from .teach_state import limits_of


@dataclass(frozen=True, eq=False)
class Trained:
    """A head, and what it is worth."""

    head: Head
    report: Report
    embedded: Embedded


def api(shared: Shared) -> None:
    """Register the endpoint."""
    settings = shared.settings

    @bridge.told
    def train_zip(
        request: gr.Request, photos: str | None, backbone: str, epochs: int, seed: int
    ) -> tuple[str, dict[str, Any]]:
        """Train a head on photos: a zip with one folder for each class.

        Args:
            photos: the zip.
            backbone: a network's name, for example tf_efficientnet_lite0.in1k.
            epochs: how often each photo is looked at, 1 to 1000.
            seed: of the split and the order of the photos.
        """
        config = TrainConfig(epochs=epochs, seed=seed)
        made = trained_on(photos, backbone, config, settings, bridge.visitor_of(request))
        path = place(f"head-{len(made.head.classes)}-classes.safetensors")
        save_head(made.head, path)
        return str(path), record(made)

    inputs: list[Any] = [gr.File(type="filepath", visible=False), gr.Textbox(DEFAULT, visible=False)]
    inputs += [gr.Number(20, precision=0, visible=False), gr.Number(0, precision=0, visible=False)]
    gr.Button(visible=False).click(
        train_zip, inputs, [gr.File(visible=False), gr.JSON(visible=False)], api_name="train", **bridge.HEAVY
    )


def trained_on(photos: str | None, backbone: str, config: TrainConfig, settings: Settings, visitor: str) -> Trained:
    """The whole run, in turn with other jobs. Raises DemoError, BadFolder when the time was not enough."""
    if not photos:
        raise BadFile("Give a zip with one folder of photos for each class.")
    listing = read_zip(uploaded(photos), limits_of(settings))
    network = load_backbone(resolve(backbone).tag, choose(settings.device))
    made: Trained | None = None
    events = bridge.in_turn(
        lambda: _events(listing, network, config, limits_of(settings)), lambda _: None, visitor, settings.seconds
    )
    for event in events:
        made = event if isinstance(event, Trained) else made
    if made is None:
        raise BadFolder(texts.NOT_ALL)
    return made


def _events(listing: Listing, network: Backbone, config: TrainConfig, limits: Limits) -> Iterator[Any]:
    """Collect, train, measure; the last event is the Trained."""
    embedded: Embedded | None = None
    head: Head | None = None
    for event in collect(listing, network, "auto", limits):
        embedded = event.embedded if isinstance(event, CollectDone) else embedded
        yield event
    if embedded is None:
        return
    for step in train(embedded, config):
        head = step.head
        yield step
        if isinstance(step, TrainDone):
            break
    if head is None:
        return
    for checked in trust(embedded, head, config):
        head = checked.trust.head if isinstance(checked, TrustDone) else head
        yield checked
    for measured in full_report(embedded, head, config):
        yield measured
        if isinstance(measured, ReportDone):
            yield Trained(with_facts(head, embedded, measured.report), measured.report, embedded)


def record(made: Trained) -> dict[str, Any]:
    """The report as JSON."""
    found = made.report
    return {
        "accuracy": found.held_out.share,
        "interval": list(found.held_out.interval),
        "held_out": found.held_out.count,
        "fold_accuracy": found.folds.share if found.folds else None,
        "fold_accuracy_random": found.folds_random.share if found.folds_random else None,
        "classes": list(made.head.classes),
        "quarantined": len(made.embedded.folder.aside),
    }
