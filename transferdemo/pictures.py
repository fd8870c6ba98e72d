"""Numbers become pictures here: heat over a photo, sheets of maps, filters. Arrays in, (H, W, 3) uint8 out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .types import FITS, Fit, Image8, InputSpec, check_choice

Map = NDArray[np.float32]  # (h, w)

# matplotlib's inferno (CC0) at 16 places: equal steps of the value look equally far apart, also in grey and to the colour-blind
_INFERNO = (
    "000004 0c0826 240c4f 420a68 5d126e 781c6d 932667 ae305c c73e4c dd513a ed6925 f8850f fca50a fac62d f2e661 fcffa4"
)
_TABLE = np.array([list(bytes.fromhex(colour)) for colour in _INFERNO.split()], np.float32)

COVER = 0.75  # how much of the photo the greatest heat hides
UNSEEN = 0.4  # brightness of what the network did not see
GAP = 2  # px between the tiles of a sheet
LINE = 20  # px for a line of text


def colours(values: Map) -> Image8:
    """(H, W) in [0, 1] -> (H, W, 3) in inferno's colours, black for 0, bright yellow for 1."""
    places = np.clip(np.nan_to_num(values), 0, 1)
    steps = np.linspace(0, 1, len(_TABLE))
    channels = [np.interp(places, steps, _TABLE[:, i]) for i in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Any array -> [0, 1], its lowest value at 0 and its highest at 1; all 0 where it is flat."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros_like(values)
    return ((values - low) / (high - low)).astype(np.float32)


def enlarge(values: Map, width: int, height: int) -> Map:
    """(h, w) -> (height, width), smoothly; the map's cells keep their place."""
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def to_photo(values: Map, size: tuple[int, int], spec: InputSpec, fit: Fit) -> Map:
    """Lay a map (h, w) of the network's picture back over the whole photo of `size` (height, width): the inverse of
    `decode.fit_image`, whose `fit` must be the same. NaN where the network did not see the photo.
    """
    height, width = size
    scale_x, scale_y, left, top = _geometry(height, width, spec, fit)
    rows, columns = values.shape
    across, down = columns / spec.size, rows / spec.size
    affine = (scale_x * across, 0, left * across, 0, scale_y * down, top * down)
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    back = np.array(image.transform((width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))
    x = (np.arange(width) + 0.5) * scale_x + left
    y = (np.arange(height) + 0.5) * scale_y + top
    seen = ((y >= 0) & (y < spec.size))[:, None] & ((x >= 0) & (x < spec.size))
    return np.where(seen, back, np.nan).astype(np.float32)


def _geometry(height: int, width: int, spec: InputSpec, fit: Fit) -> tuple[float, float, float, float]:
    """Photo to network: x -> scale_x * x + left, y -> scale_y * y + top, in px from the left upper corner."""
    check_choice("fit", fit, FITS)
    if width == height == spec.size and fit in ("auto", "exact"):
        return 1.0, 1.0, 0.0, 0.0
    if fit == "pad":
        scale = spec.size / max(width, height)
        new_width, new_height = (max(1, round(side * scale)) for side in (width, height))
        left, top = (spec.size - new_width) // 2, (spec.size - new_height) // 2
    else:
        short = min(width, height)
        new_width, new_height = (int(spec.resize * side / short) for side in (width, height))
        left, top = (-round((side - spec.size) / 2) for side in (new_width, new_height))
    return new_width / width, new_height / height, float(left), float(top)


def overlay(image8: Image8, heat: Map) -> Image8:
    """A photo (H, W, 3) in grey under heat (H, W) in [0, 1]: the hotter, the more of its colour. NaN: darkened, not seen."""
    grey = np.asarray(Image.fromarray(image8).convert("L"), np.float32)[..., None]
    seen = ~np.isnan(heat)[..., None]
    hot = np.clip(np.nan_to_num(heat), 0, 1)
    cover = COVER * np.sqrt(hot)[..., None]
    mixed = grey * (1 - cover) + colours(hot) * cover
    return np.where(seen, mixed, grey * UNSEEN).round().astype(np.uint8)


def outline(image8: Image8) -> Map:
    """The photo's edges, (H, W) in [0, 1], to lay over its maps."""
    soft = Image.fromarray(image8).convert("L").filter(ImageFilter.GaussianBlur(2))
    edges = np.array(soft.filter(ImageFilter.FIND_EDGES), np.float32)
    edges[:2], edges[-2:], edges[:, :2], edges[:, -2:] = 0, 0, 0, 0  # the filter copies the frame as it is
    lines: Map = np.clip(edges / max(float(np.percentile(edges, 98)), 1.0), 0, 1).astype(np.float32)
    return lines


def tile(values: Map, image8: Image8, side: int = 112) -> Image8:
    """One channel's map (h, w) from its lowest to its highest value, under the photo's outline: (side, side, 3)."""
    lines = enlarge(outline(image8), side, side)[..., None]
    base = colours(enlarge(scaled(values), side, side)).astype(np.float32)
    return (base + (255 - base) * 0.45 * lines).round().astype(np.uint8)


def sheet(rows: Mapping[str, Sequence[Image8]]) -> Image8:
    """Tiles of one size in rows, each under its line of text."""
    side = next(iter(rows.values()))[0].shape[0]
    width = max(len(tiles) for tiles in rows.values()) * (side + GAP) - GAP
    canvas = Image.new("RGB", (width, len(rows) * (side + LINE)), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (text, tiles) in enumerate(rows.items()):
        top = i * (side + LINE)
        draw.text((2, top + 4), text, fill="black")
        for j, picture in enumerate(tiles):
            canvas.paste(Image.fromarray(picture), (j * (side + GAP), top + LINE))
    return np.array(canvas)


def strip(maps: NDArray[np.float32]) -> Image8:
    """All maps (C, h, w) as the lesson draws them: one picture of h * w rows and C columns that nobody can read."""
    return colours(scaled(maps.reshape(len(maps), -1).T))


def filters(weights: NDArray[np.float32], zoom: int = 6, columns: int = 16) -> Image8:
    """First-layer filters (K, h, w, 3) as small colour pictures, each at its own contrast; a weight of 0 is middle grey."""
    tallest = np.abs(weights).max((1, 2, 3), keepdims=True)
    small = (127.5 + 127.5 * weights / np.maximum(tallest, 1e-12)).round().astype(np.uint8)
    tiles = [picture.repeat(zoom, 0).repeat(zoom, 1) for picture in small]
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    lines = -(-len(tiles) // columns)
    canvas = np.full((lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, picture in enumerate(tiles):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = picture
    return canvas
