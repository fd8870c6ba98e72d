"""Every picture that is let in comes out upright, on white and in 8 bits; every other gets one clear sentence."""

from __future__ import annotations

import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import timm.data
from PIL import Image
from torchvision.transforms import PILToTensor

from transferdemo import decode
from transferdemo.decode import Wish, fit_image, lost_share, open_one
from transferdemo.errors import BadImage, BadSetting
from transferdemo.types import Image8, InputSpec

RNG = np.random.default_rng(0)

# What Chromium paints on a white canvas: (width, height), mean colour, the colours at (10 %, 30 %), middle, (80 %, 90 %)
VALID = {
    "1_trns.png": ((64, 64), (124.1, 124.1, 124.1), [(0, 0, 0), (255, 255, 255), (255, 255, 255)]),
    "broken_exif_dpi.jpg": ((100, 100), (0, 128, 1), [(0, 128, 1), (0, 128, 1), (0, 128, 1)]),
    "dispose_bgnd_transparency.gif": (
        (38, 32),
        (214.6, 194.0, 153.7),
        [(187, 152, 38), (239, 186, 25), (255, 255, 255)],
    ),
    "false_extension_Abyssinian_34.jpg": (
        (250, 202),
        (125.4, 114.5, 108.8),
        [(115, 123, 130), (190, 129, 95), (200, 122, 82)],
    ),
    "false_extension_Abyssinian_5.jpg": (
        (200, 150),
        (126.1, 100.9, 87.3),
        [(37, 14, 17), (150, 126, 102), (148, 111, 81)],
    ),
    "gray-16.png": ((256, 256), (127.5, 127.5, 127.5), [(25, 25, 25), (128, 128, 128), (204, 204, 204)]),
    "gray-alpha-16.png": ((256, 256), (191.3, 191.3, 191.3), [(189, 189, 189), (191, 191, 191), (235, 235, 235)]),
    "hopper.bmp": ((128, 128), (89.7, 80.1, 95.4), [(182, 170, 182), (173, 70, 55), (16, 6, 15)]),
    "hopper_gray.jpg": ((128, 128), (84.7, 84.7, 84.7), [(175, 175, 175), (99, 99, 99), (10, 10, 10)]),
    "i_trns.png": ((64, 64), (34.8, 34.8, 34.8), [(0, 0, 0), (255, 255, 255), (0, 0, 0)]),
    "iss634.webp": ((245, 245), (134.6, 136.6, 90.2), [(17, 82, 84), (57, 100, 106), (237, 161, 113)]),
    "p_trns_single.png": ((64, 64), (127.9, 176.3, 162.7), [(252, 241, 5), (255, 255, 255), (255, 0, 252)]),
    "pil_sample_cmyk.jpg": ((100, 100), (30.2, 5.4, 6.6), [(255, 14, 23), (1, 4, 4), (1, 4, 4)]),
    "rgb-16.png": ((256, 256), (127.5, 127.5, 127.5), [(26, 74, 122), (129, 129, 129), (205, 101, 253)]),
    "rgb_trns.png": ((64, 64), (127.9, 176.3, 162.7), [(252, 241, 5), (255, 255, 255), (255, 0, 252)]),
}
BROKEN = {
    "16_bit_binary.pgm": decode.UNKNOWN,
    "broken.png": decode.DAMAGED,
    "broken_data_stream.png": decode.DAMAGED,
    "decompression_bomb.gif": decode.TOO_LARGE,
    "decompression_bomb.ico": decode.UNKNOWN,
    "la.tga": decode.UNKNOWN,
    "palette-8-tRNS.png": decode.TOO_SMALL,
    "png_decompression_dos.png": decode.DAMAGED,
    "truncated_image.png": decode.DAMAGED,
    "truncated_jpeg.jpg": decode.DAMAGED,
    "zero_width.gif": decode.DAMAGED,
}


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scene(width: int, height: int) -> Image.Image:
    """A smooth picture with a corner of each colour, so that every turn is seen and JPEG changes little."""
    x, y = np.linspace(0, 255, width), np.linspace(0, 255, height)[:, None]
    return Image.fromarray(np.stack(np.broadcast_arrays(x, y, 255 - x), axis=-1).astype(np.uint8))


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"", *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    middle = b"".join(chunk(*each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def refusal(data: bytes) -> str:
    with pytest.raises(BadImage) as caught:
        decode.decode(data)
    return str(caught.value)


def difference(one: Image8, other: Image8) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("name", VALID)
def test_valid_pictures_look_as_a_browser_shows_them(shared: Path, name: str) -> None:
    (width, height), mean, colours = VALID[name]
    image8 = decode.decode((shared / "data/awkward/valid" / name).read_bytes())
    assert image8.shape == (height, width, 3) and image8.dtype == np.uint8
    assert image8.mean((0, 1)) == pytest.approx(mean, abs=1)
    places = [(int(height * 0.3), int(width * 0.1)), (height // 2, width // 2), (int(height * 0.9), int(width * 0.8))]
    for place, colour in zip(places, colours, strict=True):
        assert image8[place].tolist() == pytest.approx(colour, abs=1)


def test_every_exif_orientation_of_real_photos_gives_the_same_upright_picture(shared: Path) -> None:
    files = sorted((shared / "data/awkward/valid").glob("exif_portrait_*.jpg"))
    assert len(files) == 8
    with Image.open(files[0]) as upright:  # its orientation is 1
        expected = np.asarray(upright.convert("RGB").resize((600, 900), Image.Resampling.BOX))
    for file in files:
        opened = open_one(file, file.name, Wish())
        assert (opened.width, opened.height) == (1200, 1800)
        assert difference(opened.image8, expected) < 4, file.name  # each carries its own number, hence not 0


def test_no_valid_file_is_forgotten(shared: Path) -> None:
    names = {path.name for path in (shared / "data/awkward/valid").iterdir()}
    assert {name for name in names if "portrait" not in name} == set(VALID)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pictures_get_their_sentence(shared: Path, name: str) -> None:
    assert refusal((shared / "data/awkward/broken" / name).read_bytes()) == BROKEN[name]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_every_format_that_has_it(kind: str, orientation: int) -> None:
    upright = scene(90, 60)
    back = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}
    back |= {8: Image.Transpose.ROTATE_270, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180}
    back |= {4: Image.Transpose.FLIP_TOP_BOTTOM}
    lying = upright.transpose(back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_one(saved(lying, kind, exif=exif), "x", Wish())
    assert (opened.width, opened.height) == (90, 60)
    assert difference(opened.image8, np.asarray(upright)) < 3


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0" + b"\xff" * 40,
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0",
        b"Exif\0\0" + b"MM\0*\0\0\0\x08" * 3,
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0" + b"6\0\0\0" + b"\0" * 4,  # the text "6"
    ],
)
def test_broken_exif_never_refuses_a_picture(exif: bytes) -> None:
    assert decode.decode(saved(scene(40, 30), "JPEG", exif=exif)).shape == (30, 40, 3)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    opened = open_one(saved(scene(40, 30), "JPEG", exif=exif), "x", Wish())
    assert (opened.width, opened.height) == (40, 30)


def test_16_bit_grey_is_scaled_over_the_whole_range() -> None:
    wide = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image8 = decode.decode(saved(Image.fromarray(wide)))
    assert np.array_equal(image8, np.repeat(np.round(wide / 257).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_transparent_grey_of_few_bits_becomes_white(depth: int) -> None:
    black_and_next = b"\0" + bytes([1 << (8 - 2 * depth) if depth < 4 else 1]) * (depth)  # 8 pixels: values 0 and 1
    data = png(8, 8, depth, 0, black_and_next * 8, (b"tRNS", b"\0\0"))
    levels = decode.decode(data)[0, :2, 0].tolist()
    assert levels == [255, 255 // ((1 << depth) - 1)]


def test_transparent_palette_index_is_not_taken_for_a_grey_level() -> None:
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])
    data = png(8, 8, 4, 3, b"\0\x01\x21\x01\x21" * 8, (b"PLTE", palette), (b"tRNS", b"\xff\0"))
    assert decode.decode(data)[0, :3].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


def test_transparent_colours_of_16_bits_become_white() -> None:
    pixels = struct.pack(">24H", *[0x1200, 0x3400, 0x5600] * 4, *[0x1300, 0x3400, 0x5600] * 4)
    data = png(8, 8, 16, 2, (b"\0" + pixels) * 8, (b"tRNS", struct.pack(">3H", 0x1200, 0x3400, 0x5600)))
    assert decode.decode(data)[0, [0, 7]].tolist() == [[255, 255, 255], [0x13, 0x34, 0x56]]
    grey = png(8, 8, 16, 0, (b"\0" + struct.pack(">8H", *[40000] * 4, *[40001] * 4)) * 8, (b"tRNS", b"\x9c\x40"))
    assert decode.decode(grey)[0, [0, 7], 0].tolist() == [255, 156]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_lies_on_white_and_hides_the_colours_under_it(kind: str) -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    image.paste((0, 0, 0, 128), (0, 0, 16, 32))
    image8 = decode.decode(saved(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert image8[0, 0].tolist() == [127, 127, 127] and image8[0, 31].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_large_picture_is_reduced_alike_in_every_mode(mode: str) -> None:
    image = scene(1800, 1200).convert(mode)
    image8 = decode.decode(saved(image))
    assert image8.shape == (768, 1152, 3)
    small, expected = (
        each.resize((96, 64), Image.Resampling.BOX) for each in (Image.fromarray(image8), image.convert("RGB"))
    )
    assert difference(np.asarray(small), np.asarray(expected)) < 1.5


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(("width", "height"), [(1200, 800), (1300, 1023), (1100, 1535), (2000, 1600), (3300, 2200)])
def test_draft_of_a_jpeg_is_a_full_decode_reduced(mode: str, width: int, height: int) -> None:
    image = scene(width, height).convert(mode)
    opened = open_one(saved(image, "JPEG", quality=90), "x", Wish())
    assert (opened.width, opened.height) == (width, height)
    assert opened.image8.shape[1] / opened.image8.shape[0] == pytest.approx(width / height, rel=0.01)
    assert decode.DRAFT_SIDE_SHORT <= min(opened.image8.shape[:2]) <= decode.MAX_SIDE_SHORT
    expected = image.convert("RGB").resize(opened.image8.shape[1::-1], Image.Resampling.BOX)
    assert difference(opened.image8, np.asarray(expected)) < 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    image8 = decode.decode(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert image8[5, 5].tolist() == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize(
    ("width", "height", "sentence"),
    [
        (1, 1, decode.TOO_SMALL),
        (7, 7, decode.TOO_SMALL),
        (60_000, 1, decode.TOO_SMALL),
        (1, 60_000, decode.TOO_SMALL),
        (12_000, 8, decode.TOO_THIN),
        (8, 161, decode.TOO_THIN),
        (20_000, 20_000, decode.TOO_LARGE),
        (12_001, 4_000, decode.TOO_LARGE),
        (8_000, 6_251, decode.TOO_LARGE),
        (10_000, 9_000, decode.TOO_LARGE),  # Pillow only warns
        (2**31 - 1, 2**31 - 1, decode.TOO_LARGE),
    ],
)
def test_sizes_outside_the_limits_are_refused_from_the_header_alone(width: int, height: int, sentence: str) -> None:
    assert refusal(png(width, height, 8, 2)) == sentence  # there is not one pixel in the file


@pytest.mark.parametrize(("width", "height"), [(8, 8), (160, 8), (8, 160), (12_000, 600)])
def test_sizes_at_the_limits_are_let_in(width: int, height: int) -> None:
    opened = open_one(saved(Image.new("L", (width, height), 77)), "x", Wish())
    assert (opened.width, opened.height) == (width, height) and (opened.image8 == 77).all()


@pytest.mark.parametrize(
    "head",
    [
        b"VP8X" + b"\0" * 8 + b"\xff\x2e\0\xff\x2e\0" + b"\0" * 9,
        b"VP8L" + b"\0" * 4 + b"\x2f\xff\xff\xff\x0f" + b"\0" * 9,
    ],
)
def test_a_webp_bomb_is_refused_before_its_canvas_is_made(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("opened"))
    assert refusal(b"RIFF\x30\0\0\0WEBP" + head) == decode.TOO_LARGE


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_sizes_are_read_right(lossless: bool) -> None:
    assert decode._webp_size(saved(scene(300, 200), "WEBP", lossless=lossless)) == (300, 200)
    frames = {"save_all": True, "append_images": [scene(301, 200).rotate(90)]}
    assert decode._webp_size(saved(scene(301, 200), "WEBP", **frames)) == (301, 200)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.8, 0.95])
def test_a_cut_file_is_refused_in_every_format(kind: str, share: float) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, kind)
    assert refusal(data[: int(len(data) * share)]) == decode.DAMAGED


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", decode.UNKNOWN),
        (b"\0", decode.UNKNOWN),
        (b"\xff\xd8\xff", decode.DAMAGED),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", decode.UNKNOWN),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", decode.UNKNOWN),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", decode.HEIF),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", decode.HEIF),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", decode.HEIF),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42isom", decode.UNKNOWN),
        (b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40, decode.UNKNOWN),
        (b"RIFF\x24\0\0\0WEBPVP8X", decode.DAMAGED),
        (b"RIFF", decode.UNKNOWN),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, sentence: str) -> None:
    assert refusal(data) == sentence


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "ICO", "TGA", "PCX", "JPEG2000"])
def test_other_formats_of_pillow_stay_outside(kind: str) -> None:
    assert refusal(saved(scene(64, 64), kind)) == decode.UNKNOWN


def test_a_file_over_20_mb_is_refused_and_one_of_20_mb_is_not() -> None:
    data = saved(scene(32, 32))
    assert decode.decode(data.ljust(decode.MAX_BYTES, b"\0")).shape == (32, 32, 3)
    assert refusal(data.ljust(decode.MAX_BYTES + 1, b"\0")) == decode.TOO_MANY_BYTES


def test_a_text_bomb_is_refused() -> None:
    text = b"Comment\0\0" + zlib.compress(b" " * 100_000_000)
    assert refusal(png(64, 64, 8, 0, b"\0" * 65 * 64, (b"zTXt", text))) == decode.DAMAGED


@pytest.mark.parametrize("tail", [b"PK\x03\x04zip", b"<script>alert(1)</script>", b"%PDF-1.7", b"\x7fELF"])
def test_what_hangs_behind_a_picture_is_ignored(tail: bytes) -> None:
    assert np.array_equal(decode.decode(saved(scene(32, 32)) + tail), np.asarray(scene(32, 32)))


def test_a_picture_behind_something_else_is_refused() -> None:
    assert refusal(b"PK\x03\x04" + saved(scene(32, 32))) == decode.UNKNOWN
    assert refusal(b"GIF89a" + saved(scene(32, 32))) in (decode.DAMAGED, decode.TOO_LARGE, decode.TOO_THIN)


def test_damage_anywhere_gives_a_picture_or_a_sentence() -> None:
    kinds = [saved(scene(40, 30), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]
    kinds += [saved(scene(40, 30), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0")]
    opened = refused = 0
    for _ in range(600):
        data = bytearray(kinds[RNG.integers(len(kinds))])
        for place in RNG.integers(0, len(data), RNG.integers(1, 8)):
            data[place] = RNG.integers(256)
        try:
            image8 = decode.decode(bytes(data))
        except BadImage:
            refused += 1
        else:
            opened += 1
            assert image8.dtype == np.uint8 and image8.shape[2] == 3
    assert opened > 20 and refused > 20


def test_open_one_tells_what_was_given(tmp_path: Path) -> None:
    data = saved(scene(300, 200), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    opened = open_one(tmp_path / "a.jpg", "a.jpg", Wish(thumbnail=60))
    assert opened.sha256 == hashlib.sha256(data).hexdigest() and opened.name == "a.jpg"
    assert (opened.width, opened.height) == (300, 200) and opened.image8.shape == (200, 300, 3)
    with Image.open(io.BytesIO(opened.thumbnail or b"")) as thumbnail:
        assert thumbnail.format == "JPEG" and thumbnail.size == (60, 40)
    assert open_one(data, "a", Wish()).thumbnail is None
    assert open_one(data, "a", Wish(InputSpec(64, 72))).image8.shape == (64, 64, 3)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.png", Path("a\0b.png"), Path("/dev/zero")):
        with pytest.raises(BadImage, match="cannot be read"):
            open_one(path, "x", Wish())


@pytest.mark.parametrize("wish", [{"fit": "stretch"}, {"fit": None}, {"thumbnail": 0}, {"thumbnail": True}])
def test_wishes_check_themselves(wish: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        Wish(**wish)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (333, 500), (256, 256), (257, 1001), (100, 80), (224, 300)])
@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(),
        InputSpec(260, 292, "bicubic"),
        InputSpec(224, 256, "bilinear"),
        InputSpec(224, 224),
        InputSpec(97, 111, "lanczos"),
    ],
)
def test_crop_is_timms_evaluation_transform(size: tuple[int, int], spec: InputSpec) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    transform = timm.data.create_transform(
        (3, spec.size, spec.size), interpolation=spec.interpolation, crop_pct=spec.size / spec.resize, normalize=False
    )
    assert transform.transforms[0].size == spec.resize  # type: ignore[union-attr]
    transform.transforms[2] = PILToTensor()
    expected = transform(image).permute(1, 2, 0).numpy()  # type: ignore[union-attr]
    assert np.array_equal(fit_image(np.asarray(image), spec, "crop"), expected)


def test_pad_shows_the_whole_picture_on_mid_grey() -> None:
    image8 = np.zeros((100, 300, 3), np.uint8)
    image8[:, :20], image8[:, -20:] = (255, 0, 0), (0, 0, 255)
    fitted = fit_image(image8, InputSpec(30, 34), "pad")
    assert fitted.shape == (30, 30, 3) and (fitted[:10] == 128).all() and (fitted[20:] == 128).all()
    assert fitted[15, 0, 0] > 200 and fitted[15, -1, 2] > 200 and (fitted[10:20, 5:25] < 20).all()


def test_auto_is_pixel_for_pixel_at_the_networks_size_only() -> None:
    spec = InputSpec(32, 40)
    exact = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(fit_image(exact, spec, "auto"), exact)
    assert np.array_equal(fit_image(exact, spec, "exact"), exact)
    assert not np.array_equal(fit_image(exact, spec, "crop"), exact)
    other = RNG.integers(0, 256, (33, 32, 3), dtype=np.uint8)
    assert np.array_equal(fit_image(other, spec, "auto"), fit_image(other, spec, "crop"))
    with pytest.raises(BadImage, match="32 x 32 pixels, and this one has 32 x 33"):
        fit_image(other, spec, "exact")


def test_lost_share_is_what_the_crop_cuts_away() -> None:
    square, wide = np.zeros((256, 256, 3), np.uint8), np.zeros((256, 512, 3), np.uint8)
    spec = InputSpec(224, 256)
    assert lost_share(square, spec, "crop") == pytest.approx(1 - (224 / 256) ** 2)
    assert lost_share(wide, spec, "auto") == pytest.approx(1 - 224 * 224 / (256 * 512))
    assert lost_share(wide, spec, "pad") == 0.0
    assert lost_share(np.zeros((224, 224, 3), np.uint8), spec, "auto") == 0.0


def test_an_unknown_fit_or_interpolation_is_refused() -> None:
    with pytest.raises(BadSetting):
        fit_image(np.zeros((20, 20, 3), np.uint8), InputSpec(), "stretch")  # type: ignore[arg-type]
    with pytest.raises(BadSetting):
        fit_image(np.zeros((20, 20, 3), np.uint8), InputSpec(interpolation="magic"), "crop")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_only_a_child_limits_itself() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_CPU)
    open_one(saved(scene(40, 30), "JPEG"), "x", Wish())
    assert resource.getrlimit(resource.RLIMIT_CPU) == before
