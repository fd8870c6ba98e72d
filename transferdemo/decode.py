"""Untrusted bytes become an Image8 here, and nowhere else.

This module runs in child processes that may die, under limits set by `limit_child`; it imports Pillow and numpy only, so
that a child starts in a tenth of a second. `images.py` keeps the children.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from .errors import BadImage
from .types import FITS, Fit, Image8, InputSpec, check_choice, check_number

if sys.platform != "win32":
    import resource

MAX_BYTES = 20 * 2**20
MIN_SIDE, MAX_SIDE = 8, 12_000
MAX_RATIO = 20
MAX_PIXELS = 50_000_000
MAX_SIDE_SHORT = 768  # px, the short side of an Image8
DRAFT_SIDE_SHORT = 512  # px, what libjpeg's halving while it decodes leaves at least: twice what the networks take

CHILD_MEMORY = 1536 * 2**20  # bytes of address space beyond what the child has at its start
CHILD_SECONDS = 10  # of processor time, for one picture
CHILD_FILES = 64
CHILD_ENVIRONMENT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL")

# Imported by name: if one were not registered yet, Image.open would load every plugin that Pillow has.
_PLUGINS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin, GifImagePlugin, BmpImagePlugin)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"BM")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1", b"avif", b"avis")

NO_FILE = "This picture cannot be read from the disk: choose a file that is there and may be opened."
TOO_MANY_BYTES = "This file is over 20 MB: save the picture smaller, for example as a JPEG, and try again."
UNKNOWN = "This is not a picture that can be opened here: use JPEG, PNG, WebP, GIF or BMP."
HEIF = "This photo is in Apple's HEIC format or in AVIF: export it as JPEG and try again."
DAMAGED = "This picture is damaged or not complete: save or download it again."
TOO_SMALL = f"This picture is too small: each side must have at least {MIN_SIDE} pixels."
TOO_LARGE = (
    f"This picture is too large: use at most {MAX_PIXELS // 10**6} megapixels and {MAX_SIDE:,} pixels on a side."
)
TOO_THIN = f"This picture is too long and thin: one side may be at most {MAX_RATIO} times the other, so crop it first."

_FAULTS = (  # what Pillow raises on hostile bytes
    *(OSError, EOFError, ValueError, SyntaxError, TypeError, AttributeError, LookupError, ArithmeticError),
    *(RuntimeError, NameError, AssertionError, BufferError, struct.error, zlib.error),
)
_TURNS = {  # EXIF orientation -> what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_limited = False  # whether this process is a child; in any other, `open_one` limits nothing


@dataclass(frozen=True)
class Wish:
    """What a child makes of a picture: fitted to `spec` if there is one, a JPEG thumbnail of that many px if asked for."""

    spec: InputSpec | None = None
    fit: Fit = "auto"
    thumbnail: int | None = None

    def __post_init__(self) -> None:
        check_choice("fit", self.fit, FITS)
        if self.thumbnail is not None:
            check_number("thumbnail", self.thumbnail, 8, MAX_SIDE_SHORT, whole=True)


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture that a child has opened; width and height (px) are the upright original's, before any reduction."""

    image8: Image8
    sha256: str  # of the bytes that were given
    width: int
    height: int
    name: str = "photo"
    thumbnail: bytes | None = None  # JPEG


def decode(data: bytes) -> Image8:
    """Return the first frame as (H, W, 3) uint8 RGB, upright, on white, short side at most 768 px; raises BadImage."""
    return _decode(data)[0]


def open_one(source: bytes | Path, name: str, wish: Wish) -> Opened:
    """Open one picture as `wish` says; raises BadImage. This is what a child runs."""
    if _limited:
        _allow_time()
    data = source if isinstance(source, bytes) else _read(source)
    image8, (width, height) = _decode(data)
    thumbnail = None if wish.thumbnail is None else _thumbnail(image8, wish.thumbnail)
    if wish.spec is not None:
        image8 = fit_image(image8, wish.spec, wish.fit)
    return Opened(image8, hashlib.sha256(data).hexdigest(), width, height, name, thumbnail)


def fit_image(image8: Image8, spec: InputSpec, fit: Fit) -> Image8:
    """Return the (size, size, 3) uint8 picture that the network sees; 'exact' raises BadImage for any other size.

    'crop' is the field's evaluation transform: torchvision's Resize(spec.resize) on a PIL image, then CenterCrop.
    """
    resolved = _resolve(image8, spec, fit)
    if resolved == "exact":
        return image8
    image = Image.fromarray(image8)
    return np.array(_pad(image, spec) if resolved == "pad" else _crop(image, spec))


def lost_share(image8: Image8, spec: InputSpec, fit: Fit) -> float:
    """Return the share of the picture's area in [0, 1) that `fit_image` does not show to the network."""
    if _resolve(image8, spec, fit) != "crop":
        return 0.0
    width, height = _resized(image8.shape[1], image8.shape[0], spec.resize)
    return 1 - min(spec.size, width) * min(spec.size, height) / (width * height)


def limit_child() -> None:
    """Take from this process what a decoder does not need: memory, files, core dumps and the parent's environment."""
    global _limited
    for name in set(os.environ) - set(CHILD_ENVIRONMENT):
        del os.environ[name]
    _limit_resources()
    _limited = True


if sys.platform != "win32":

    def _limit_resources() -> None:
        if (taken := _address_space()) is not None:
            _limit(resource.RLIMIT_AS, taken + CHILD_MEMORY)
        _limit(resource.RLIMIT_NOFILE, CHILD_FILES)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_CORE, 0)

    def _limit(kind: int, value: int) -> None:
        """Lower a limit for good, where the system allows it."""
        try:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            pass

    def _address_space() -> int | None:
        """Return the bytes that this process has mapped; None where the system does not say (only Linux limits them)."""
        try:
            return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        except (OSError, ValueError):
            return None

    def _allow_time() -> None:
        """Give this process CHILD_SECONDS more; the system counts processor time over all pictures of its life."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = int(usage.ru_utime + usage.ru_stime) + CHILD_SECONDS
        if hard == resource.RLIM_INFINITY or soft < hard:
            resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))

else:  # Windows has no such limits: the pool's timeout must do

    def _limit_resources() -> None:
        """Do nothing."""

    def _allow_time() -> None:
        """Do nothing."""


def _read(path: Path) -> bytes:
    """Return the bytes of a regular file, one more than allowed at most."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block, a device never ends
            raise BadImage(NO_FILE)
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise BadImage(NO_FILE) from error


def _decode(data: bytes) -> tuple[Image8, tuple[int, int]]:
    """Return the picture and its upright original (width, height)."""
    if len(data) > MAX_BYTES:
        raise BadImage(TOO_MANY_BYTES)
    if data[:4] == b"RIFF":
        _check_size(*_webp_size(data))
    with _sentences(data), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _upright_rgb(image, data)


@contextmanager
def _sentences(data: bytes) -> Iterator[None]:
    """Turn whatever Pillow raises into a BadImage with one of the sentences above."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise BadImage(TOO_LARGE) from error
    except _FAULTS as error:
        if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
            raise BadImage(HEIF) from error
        raise BadImage(DAMAGED if data.startswith(_SIGNATURES) else UNKNOWN) from error


def _check_size(width: int, height: int) -> None:
    """Raise BadImage unless the sides (px) are within the limits."""
    short, long = sorted((width, height))
    if short < MIN_SIDE:
        raise BadImage(TOO_SMALL)
    if long > MAX_RATIO * short:
        raise BadImage(TOO_THIN)
    if long > MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImage(TOO_LARGE)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) from a WebP header: Pillow gives memory to the canvas before it tells the size."""
    kind, head = data[12:16], data[:30]
    if data[8:12] != b"WEBP":
        raise BadImage(UNKNOWN)
    if len(head) == 30 and kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if len(head) == 30 and kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(head) == 30 and kind == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    raise BadImage(DAMAGED)


def _upright_rgb(image: Image.Image, data: bytes) -> tuple[Image8, tuple[int, int]]:
    size = image.size
    _check_size(*size)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(image.mode, (DRAFT_SIDE_SHORT, DRAFT_SIDE_SHORT))
    image.load()
    orientation = _orientation(image)
    rgb = _flatten(_shrink(_eight_bit(image, data)))
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
    return np.array(rgb), size if orientation < 5 else (size[1], size[0])


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (*_FAULTS, MemoryError):
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _eight_bit(image: Image.Image, data: bytes) -> Image.Image:
    """Return the picture as L, RGB or RGBA: 16 bits scaled to 8, palettes and transparent colours resolved."""
    transparency = image.info.get("transparency")
    if image.format == "PNG" and transparency is not None:
        transparency = _scaled_transparency(transparency, image.mode, depth=data[24])
    if image.mode.startswith("I"):
        return _grey16(image, transparency)
    if transparency is not None:
        image.info["transparency"] = transparency
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "RGBA"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _scaled_transparency(value: int | bytes | tuple[int, ...], mode: str, depth: int) -> int | bytes | tuple[int, ...]:
    """Return a PNG's transparent colour in 8 bits, as Pillow gives the pixels: it leaves the colour in the file's depth.

    A palette's stays as it is, and so does that of 16-bit grey, which `_grey16` wants in full.
    """
    if isinstance(value, tuple):
        return tuple(part >> 8 for part in value) if depth == 16 else value
    if isinstance(value, int) and mode == "L":
        top = (1 << depth) - 1
        return (value & top) * 255 // top
    return value


def _grey16(image: Image.Image, transparency: object) -> Image.Image:
    """Scale 16-bit grey to 8 bits (Pillow's convert would clamp), the transparent value to white."""
    wide = np.asarray(image).astype(np.uint16)
    grey = ((np.minimum(wide, 65407) + 128) // 257).astype(np.uint8)  # = round(wide / 257), never over 16 bits
    if transparency is not None:
        grey[wide == transparency] = 255
    return Image.fromarray(grey)


def _shrink(image: Image.Image) -> Image.Image:
    """Reduce the short side to at most MAX_SIDE_SHORT px, antialiased.

    Hamming's window costs half of Lanczos' time; at the network's size the two differ by 0.1 of 255 levels.
    """
    short = min(image.size)
    if short <= MAX_SIDE_SHORT:
        return image
    if image.mode == "RGBA":  # resize would do this itself, but then not in two steps
        return _shrink(image.convert("RGBa")).convert("RGBA")
    width, height = (round(side * MAX_SIDE_SHORT / short) for side in image.size)
    return image.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2.0)


def _flatten(image: Image.Image) -> Image.Image:
    """Return RGB, transparent pixels on white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _thumbnail(image8: Image8, side: int) -> bytes:
    """Return a JPEG whose long side is at most `side` px."""
    image = Image.fromarray(image8)
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def _resolve(image8: Image8, spec: InputSpec, fit: Fit) -> Fit:
    """Return 'crop', 'pad' or 'exact'; raises BadImage if exact was asked for and the size is another."""
    check_choice("fit", fit, FITS)
    height, width = image8.shape[:2]
    same = width == height == spec.size
    if fit == "exact" and not same:
        raise BadImage(
            f"With fit = exact a picture must be {spec.size} x {spec.size} pixels, and this one has {width} x {height}: "
            "choose crop or pad."
        )
    return ("exact" if same else "crop") if fit == "auto" else fit


def _resized(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the size with short side `side`, rounded down as torchvision's Resize does."""
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def _crop(image: Image.Image, spec: InputSpec) -> Image.Image:
    size = _resized(*image.size, spec.resize)
    if size != image.size:
        image = image.resize(size, _filter(spec))
    left, top = (round((side - spec.size) / 2) for side in size)
    return image.crop((left, top, left + spec.size, top + spec.size))


def _pad(image: Image.Image, spec: InputSpec) -> Image.Image:
    scale = spec.size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = Image.new("RGB", (spec.size, spec.size), (128, 128, 128))
    canvas.paste(image.resize((width, height), _filter(spec)), ((spec.size - width) // 2, (spec.size - height) // 2))
    return canvas


def _filter(spec: InputSpec) -> Image.Resampling:
    names = tuple(kind.name.lower() for kind in Image.Resampling)
    check_choice("interpolation", spec.interpolation, names)
    return Image.Resampling[spec.interpolation.upper()]
