"""The PNG file of an ideal picture: it carries the settings that it was made with."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

from PIL import Image

KEY = "transferdemo"
START = 8 + 25  # a PNG's signature and its first chunk, IHDR


def with_settings(png: bytes, settings: dict[str, object]) -> bytes:
    """The same PNG with `settings` as JSON in a text chunk; what was there is kept byte for byte, so the pixels are too."""
    text = f"{KEY}\0{json.dumps(settings, allow_nan=False)}".encode("latin-1")
    body = b"tEXt" + text
    chunk = struct.pack(">I", len(text)) + body + struct.pack(">I", zlib.crc32(body))
    return png[:START] + chunk + png[START:]


def settings_of(png: bytes | Path) -> dict[str, object]:
    """The settings in a PNG that this program wrote, and that nobody else could have changed; {} where there are none."""
    with Image.open(io.BytesIO(png) if isinstance(png, bytes) else png, formats=("PNG",)) as image:
        text = getattr(image, "text", {}).get(KEY, "{}")
    settings: dict[str, object] = json.loads(text)
    return settings
