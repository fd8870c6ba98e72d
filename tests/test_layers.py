"""The design's rules on imports, as import-linter's contracts, and as what a program has really loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "timm", "torchvision", "gradio", "numpy", "PIL", "onnxruntime", "sklearn", "skimage")


def test_imports_point_down(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_module_stands_in_the_layers() -> None:
    """A module that no contract names would be free to import anything."""
    text = (ROOT / "pyproject.toml").read_text()
    modules = {p.stem for p in (ROOT / "transferdemo").iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    missing = {m for m in modules - {"__init__"} if f"transferdemo.{m}" not in text}
    assert not missing


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter holds after running `code` in the project's root."""
    report = f"import sys, json; print(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module", ["app", "transferdemo", "transferdemo.__main__", "transferdemo.errors", "transferdemo.types"]
)
def test_what_a_decoding_child_imports_is_light(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_only_the_page_brings_gradio() -> None:
    modules = (
        "transferdemo.engine.classify, transferdemo.heads, transferdemo.embed, transferdemo.images, transferdemo.hub"
    )
    assert "gradio" not in loaded_by(f"import {modules}")


@pytest.mark.parametrize("command", [[], ["classify"], ["backbones"], ["download"]])
def test_help_starts_without_torch(command: list[str]) -> None:
    ask = f"from transferdemo.__main__ import main\ntry: main({[*command, '--help']})\nexcept SystemExit: pass"
    assert loaded_by(ask) == set()
