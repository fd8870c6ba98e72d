"""Pictures of numbers: the colours keep the order, a map goes back to where it came from, nothing is swapped or cut."""

from __future__ import annotations

import numpy as np
import pytest

from transferdemo import pictures
from transferdemo.decode import fit_image
from transferdemo.types import Fit, InputSpec


def test_colours_grow_lighter_with_the_value() -> None:
    ramp = pictures.colours(np.linspace(0, 1, 256, dtype=np.float32)[None])
    light = ramp[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > -0.5).all() and light[0] < 2 and light[-1] > 240
    assert (pictures.colours(np.array([[np.nan, -3.0, 7.0]], np.float32))[0] == ramp[0][[0, 0, 255]]).all()


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(200, 640), (640, 200), (301, 451), (90, 77), (768, 769)])
def test_back_on_the_photo_is_the_inverse_of_fit(fit: Fit, size: tuple[int, int]) -> None:
    """A smooth photo goes through the network's eye and back: where it was seen, every pixel is where it was."""
    spec = InputSpec(224, 256)
    y, x = np.mgrid[: size[0], : size[1]]
    photo = np.stack([255 * x / size[1], 255 * y / size[0], 0 * x], -1).astype(np.uint8)
    seen = fit_image(photo, spec, fit).astype(np.float32)
    for channel in (0, 1):
        back = pictures.to_photo(seen[..., channel], size, spec, fit)
        there = ~np.isnan(back)
        inner = there.copy()
        inner[:6], inner[-6:], inner[:, :6], inner[:, -6:] = False, False, False, False
        assert np.abs(back - photo[..., channel])[inner].max() < 6
        expected = 1.0 if fit == "pad" else min(1.0, 224 / 256) ** 2 * min(size) / max(size)
        assert there.mean() == pytest.approx(expected, rel=0.03)


def test_overlay_shows_the_photo_where_nothing_is_hot_and_says_what_was_not_seen() -> None:
    photo = np.full((10, 20, 3), (200, 100, 50), np.uint8)
    heat = np.zeros((10, 20), np.float32)
    heat[:, 5], heat[:, 15:] = 1, np.nan
    mixed = pictures.overlay(photo, heat)
    assert mixed.shape == photo.shape and mixed.dtype == np.uint8
    grey, hot, unseen = mixed[0, 0].astype(int), mixed[0, 5].astype(int), mixed[0, 16].astype(int)
    assert np.ptp(grey) == 0 and np.ptp(unseen) == 0 and unseen[0] < grey[0] / 2
    assert hot[0] - hot[2] > 50


def test_sheet_strip_and_filters_have_their_shapes() -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((512, 7, 7)).astype(np.float32)
    photo = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    tiles = [pictures.tile(values, photo, 64) for values in maps[:8]]
    assert all(tile.shape == (64, 64, 3) for tile in tiles)
    assert pictures.sheet({"early": tiles, "late": tiles[:3]}).shape[1] == 8 * 64 + 7 * pictures.GAP
    assert pictures.strip(maps).shape == (49, 512, 3)
    drawn = pictures.filters(rng.standard_normal((64, 7, 7, 3)).astype(np.float32), zoom=2, columns=16)
    assert drawn.shape == (4 * 14 + 3 * pictures.GAP, 16 * 14 + 15 * pictures.GAP, 3)


def test_flat_maps_and_dead_filters_make_no_noise() -> None:
    assert pictures.scaled(np.full((3, 3), 7, np.float32)).max() == 0
    assert pictures.outline(np.full((20, 20, 3), 90, np.uint8)).max() == 0
    assert set(pictures.filters(np.zeros((1, 5, 5, 3), np.float32), zoom=1).flatten()) == {128}
