"""Files that the page hands out: they lie where Gradio serves from and are deleted with the visitor's uploads."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gradio.utils import get_upload_folder


def place(name: str) -> Path:
    """Where to write a file of this name. Gradio refuses to show a file of any other folder, an example's too."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder())) / name


def filed(data: bytes, name: str) -> str:
    """Write a file and give its path."""
    path = place(name)
    path.write_bytes(data)
    return str(path)
