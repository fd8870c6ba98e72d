"""Join what `benchmarks/ideal.py sharp --out FOLDER` painted: `python docs/sheet.py FOLDER` writes docs/ideals.webp."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from transferdemo.heads import imagenet_names  # noqa: E402

COLUMNS, SIDE, LINE = 5, 176, 24  # px


def sheet(folder: Path, seed: int = 0) -> Image.Image:
    """One tile for each class of a seed, with its name."""
    found = sorted(folder.glob(f"sharp_*_{seed}.png"), key=lambda path: int(path.stem.split("_")[1]))
    rows = -(-len(found) // COLUMNS)
    made = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + LINE)), "white")
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(15)
    for place, path in enumerate(found):
        x, y = place % COLUMNS * SIDE, place // COLUMNS * (SIDE + LINE)
        with Image.open(path) as picture:
            made.paste(picture.convert("RGB").resize((SIDE - 6, SIDE - 6), Image.Resampling.LANCZOS), (x + 3, y + 3))
        name = imagenet_names()[int(path.stem.split("_")[1])]
        pen.text((x + SIDE / 2, y + SIDE + LINE / 2 - 2), name, "black", font, anchor="mm")
    return made


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    sheet(parser.parse_args().folder).save(HERE / "ideals.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
