"""Write a head with its network as one zip that runs anywhere: ONNX, labels, a short program, a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import emit

HELP = "write a head with its network as a zip for onnxruntime"


def arguments(parser: argparse.ArgumentParser) -> None:
    """HEAD --out FILE.zip [--photo PICTURE] [--json]."""
    parser.add_argument("head", type=Path, metavar="HEAD.safetensors", help="a head saved by `train` or in Teach")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.zip", help="the file to write")
    parser.add_argument(
        "--photo", type=Path, action="append", metavar="PICTURE", help="check the zip on this picture (repeat for more)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> None:
    """Write the zip and, on photos that are given, compare it in a fresh process; one that differs is not left there.

    Raises BadFile, BadImage, MissingWeights.
    """
    import torch

    from ..decode import fit_image
    from ..engine.card import CheckDone, card
    from ..engine.export import export, save_export, verify_export
    from ..errors import BadFile, DemoError
    from ..head_file import read_head
    from ..heads import load_classifier
    from ..images import open_photo
    from ..types import View

    if args.out.suffix != ".zip":
        raise BadFile(f"The export is a .zip; name it {args.out.with_suffix('.zip').name}, for example.")
    head = read_head(args.head)
    view = View(head.backbone, head)
    classifier = load_classifier(view, torch.device("cpu"))
    images = [fit_image(open_photo(path).image8, classifier.spec, view.fitting) for path in args.photo or ()]
    save_export(export(classifier, card(head)), args.out)
    difference = None
    try:
        for event in verify_export(args.out, images, classifier) if images else ():
            difference = event.difference if isinstance(event, CheckDone) else None
    except DemoError:
        args.out.unlink(missing_ok=True)
        raise
    record: dict[str, object] = {"event": "done", "out": str(args.out), "bytes": args.out.stat().st_size}
    if args.json:
        emit({**record, "classes": list(head.classes), "difference": difference})
    else:
        checked = f" Largest difference of a probability in a fresh process: {difference:.1e}." if images else ""
        print(f"Saved as {args.out} ({args.out.stat().st_size / 1e6:.1f} MB).{checked}")
