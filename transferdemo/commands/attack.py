"""Fool a network: change pictures as little as possible until it says something else, proved on the files that are written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from . import PICTURES, emit, pictures_in, view_arguments, with_bar

if TYPE_CHECKING:
    from ..engine.adversarial import AttackConfig
    from ..engine.verdict import Answer, Result
    from ..heads import Classifier
    from ..types import Image8

    Ready: TypeAlias = (
        "tuple[Path, Image8 | str]"  # a picture, and the pixels that the network sees or why there are none
    )

HELP = "change pictures until the network says something else"
TOGETHER = 10  # photos of one attack


def arguments(parser: argparse.ArgumentParser) -> None:
    """PICTURE... --target CLASS --out FILE_OR_FOLDER [--method] [--epsilon] [--steps] and what all commands share."""
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a picture, or a folder of pictures")
    parser.add_argument(
        "--target",
        required=True,
        metavar="CLASS",
        help='what it should say: a name, an index, "any cat", "any dog", or "anything" that is wrong',
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE_OR_FOLDER", help="a .png for one picture, else a folder"
    )
    parser.add_argument(
        "--method", default="smallest", metavar="HOW", help="smallest (default), pgd-linf, pgd-l2, fgsm, lesson"
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        metavar="LEVELS",
        help="the most a value may change: grey levels of 255 for pgd-linf and fgsm (default 4), L2 for pgd-l2 (default 1)",
    )
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="gradients a picture at most (default 100)")
    view_arguments(parser)
    parser.add_argument(
        "--fit", default="auto", metavar="HOW", help="crop, pad, exact, or auto (default): exact where the size fits"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> None:
    """Attack every picture in the order given; one that cannot be used is reported and the others go on.

    Raises BadSetting for what cannot be done at all, BadImage where no picture could be used.
    """
    from ..backbones import DEFAULT
    from ..device import choose
    from ..errors import BadImage
    from ..head_file import read_head
    from ..heads import load_classifier
    from ..types import View

    head = read_head(args.head) if args.head else None
    view = View(args.backbone or (head.backbone if head else DEFAULT), head, args.fit)
    classifier = load_classifier(view, choose(args.device))
    config = _config(args, classifier)
    paths = pictures_in(args.pictures)
    files = _files(paths, args.out)
    done = 0
    for path, result in _results(classifier, paths, view.fitting, config, args.json):
        done += not isinstance(result, str)
        _tell(path, files[path], result, classifier.classes, args.json)
    if not done:
        raise BadImage("None of the pictures could be used." if paths else "There are no pictures there.")


def _config(args: argparse.Namespace, classifier: Classifier) -> AttackConfig:
    from ..engine.adversarial import EPSILON, AttackConfig
    from ..engine.aim import aim
    from ..errors import BadSetting

    config = AttackConfig(aim(classifier.head, args.target), args.method, args.epsilon, args.steps)
    if args.epsilon is not None and config.method not in EPSILON:
        raise BadSetting(f"--epsilon goes with {', '.join(EPSILON)}; the method {config.method} has no such limit.")
    return config


def _files(paths: list[Path], out: Path) -> dict[Path, Path]:
    """The file of each picture: `out` itself, or in the folder `out` its stem, made unique. Raises BadSetting, BadFile."""
    from ..errors import BadFile, BadSetting

    if out.suffix.lower() in PICTURES and not out.is_dir():
        if len(paths) > 1:
            raise BadSetting(f"{len(paths)} pictures do not fit into one file; give a folder as --out.")
        if out.suffix.lower() != ".png":
            raise BadSetting("A change this small survives only in a PNG; let --out end in .png.")
        if any(path.resolve() == out.resolve() for path in paths):
            raise BadSetting("--out would replace the photo itself; choose another name.")
        folder, files = out.parent, dict.fromkeys(paths, out)
    else:
        folder, files = out, _unique(paths, out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(f"{folder.name} cannot be made ({error.strerror}); choose another folder.") from error
    return files


def _unique(paths: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """A name in `folder` for each picture, none twice and none of a picture that was given."""
    files: dict[Path, Path] = {}
    taken = {str(path.resolve()).casefold() for path in paths}
    for path in paths:
        number = 1
        while (
            str((file := folder / f"{path.stem}{f'-{number}' if number > 1 else ''}.png").resolve()).casefold() in taken
        ):
            number += 1
        taken.add(str(file.resolve()).casefold())
        files[path] = file
    return files


def _results(
    classifier: Classifier, paths: list[Path], fit: str, config: AttackConfig, quiet: bool
) -> Iterator[tuple[Path, Result | str]]:
    """Each picture with its result or why there is none, in the order given; TOGETHER pictures are attacked at once."""
    group: list[Ready] = []
    for ready in _ready(classifier, paths, fit, config):
        group.append(ready)
        if len(group) == TOGETHER:
            yield from _attacked(classifier, group, config, quiet)
            group = []
    yield from _attacked(classifier, group, config, quiet)


def _ready(classifier: Classifier, paths: list[Path], fit: str, config: AttackConfig) -> Iterator[Ready]:
    """Each picture as the network sees it, or the sentence why it cannot be attacked: unreadable, or the target already."""
    from ..engine.verdict import classify_alone
    from ..errors import BadImage
    from ..images import open_many

    for path, opened in zip(paths, open_many(paths, classifier.spec, fit), strict=True):  # type: ignore[arg-type]
        if isinstance(opened, BadImage):
            yield path, str(opened)
        elif config.targets is not None and classify_alone(classifier, opened.image8).index in config.targets:
            yield path, _refusal(classifier, opened.image8, config)
        else:
            yield path, opened.image8


def _refusal(classifier: Classifier, image8: Image8, config: AttackConfig) -> str:
    """The engine's own sentence for a photo that it will not attack."""
    from ..engine.adversarial import attack
    from ..errors import BadSetting

    try:
        next(attack(classifier, [image8], config))
    except BadSetting as error:
        return str(error)
    return ""


def _attacked(
    classifier: Classifier, group: list[Ready], config: AttackConfig, quiet: bool
) -> Iterator[tuple[Path, Result | str]]:
    from ..engine.adversarial import AttackDone, attack

    images = [picture for _, picture in group if not isinstance(picture, str)]
    results: Iterator[Result] = iter(())
    for event in with_bar(attack(classifier, images, config), "attacking", quiet=quiet) if images else ():
        if isinstance(event, AttackDone):
            results = iter(event.results)
    for path, picture in group:
        yield path, picture if isinstance(picture, str) else next(results)


def _tell(path: Path, file: Path, result: Result | str, classes: tuple[str, ...], as_json: bool) -> None:
    """Write the file that was judged, and say what it is worth."""
    from ..head_file import write_whole

    if isinstance(result, str):
        if as_json:
            emit({"event": "error", "picture": str(path), "message": result})
        else:
            print(f"{path}: {result}", file=sys.stderr)
        return
    write_whole(file, result.png)
    if as_json:
        emit(_record(path, file, result))
    else:
        _say(path, file, result, classes)


def _record(path: Path, file: Path, result: Result) -> dict[str, object]:
    return {
        "event": "done",
        "picture": str(path),
        "file": str(file),
        "fooled": result.fooled,
        "before": _answer(result.before),
        "after": _answer(result.after),
        "l2": round(result.l2, 4),
        "linf_levels": result.linf_levels,
        "changed_share": round(result.changed_share, 5),
        "gradients": result.gradients,
        "seconds": round(result.seconds, 3),
    }


def _answer(answer: Answer) -> dict[str, object]:
    return {"index": answer.index, "probability": round(answer.probability, 6)}


def _say(path: Path, file: Path, result: Result, classes: tuple[str, ...]) -> None:
    before, after = (f"{classes[a.index]} {a.probability:.1%}" for a in (result.before, result.after))
    size = f"{result.changed_share:.1%} of the values changed, by at most {result.linf_levels} of 255"
    word = "fooled" if result.fooled else "not fooled"
    print(f"{path}: {word}: {before} -> {after}; {size}; saved as {file}", flush=True)
