"""Fixtures that all tests share: where the test data is, and a toy network whose logits are channel means."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

if workers := os.environ.get(
    "PYTEST_XDIST_WORKER_COUNT"
):  # each test process, and what it starts, computes with its share
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
    # and looks for free ports where no other test process does
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 100 * int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")))

import torch
from torch import nn

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Gradio shows every file below the system's temporary folder: of that, only what the program itself puts there is here.
os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="transferdemo-tests-")
os.environ.setdefault("GRADIO_TEMP_DIR", os.path.join(tempfile.tempdir, "gradio"))

from transferdemo.backbones import Backbone, BackboneSpec, Found, digest
from transferdemo.heads import Classifier
from transferdemo.types import Head

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """The second family's weights; and what Gradio's queue and its threads' event loops leave behind is no fault of ours."""
    if (SHARED / "weights").is_dir():
        os.environ["TRANSFERDEMO_WEIGHTS"] = str(SHARED / "weights")
    for known in (
        "ignore::DeprecationWarning:gradio.*",
        "ignore:unclosed event loop",
        "ignore:unclosed <socket",
        "ignore:(?s)Exception in thread .*message_manager_loop.*handle is closed",  # pebble's, where it stops its pool
    ):
        config.addinivalue_line("filterwarnings", known)


@pytest.fixture(autouse=True)
def heard() -> None:
    """The program's log is on, whatever a library did to logging in an earlier test."""
    log = logging.getLogger("transferdemo")
    log.disabled, log.propagate = False, True
    logging.disable(logging.NOTSET)


def absent(what: str) -> NoReturn:
    """Skip a test that needs something which is not here; where CI=true nothing may be missing, so there it fails."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs {what}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test data beside the project; tests that need it are skipped where it is absent, and fail in CI."""
    if not (SHARED / "data").is_dir():
        absent("../shared")
    return SHARED


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of the page, served by this process as `app.py` serves it."""
    from transferdemo.ui import build, launch_options
    from transferdemo.ui.shared import Settings

    demo = build(Settings())
    _, address, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    demo.close()


class ToyNet(nn.Module):
    """A network with timm's face: its one stage is the picture itself, its features are the picture's channel means."""

    head_hidden_size = num_features = 3
    num_classes = 3
    pretrained_cfg = {  # noqa: RUF012
        "input_size": (3, 8, 8), "crop_pct": 1.0, "interpolation": "bilinear", "mean": (0.0,) * 3, "std": (1.0,) * 3,
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.fc.weight.data, self.fc.bias.data = 10 * torch.eye(3), torch.zeros(3)
        self.requires_grad_(False)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        means = x.mean((2, 3))
        return means if pre_logits else self.fc(means)

    def forward_intermediates(self, x: torch.Tensor, **_: object) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return x, [x]

    def get_classifier(self) -> nn.Module:
        return self.fc


@pytest.fixture
def toy() -> Classifier:
    """Classes red, green, blue; logits are ten times the channel means of an 8 x 8 picture."""
    net = ToyNet()
    spec = BackboneSpec("toy.test", "Toy", "Toy", "For tests.", 0.0, None, "", "MIT")
    backbone = Backbone(net, spec, Found(Path("toy"), "nowhere"), digest(net.state_dict()))
    head = Head(("red", "green", "blue"), net.fc.weight, net.fc.bias, backbone.tag, backbone.digest)
    return Classifier(backbone, head)
