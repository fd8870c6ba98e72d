"""What load.py throws at the page: values that no schema allows, and a process that is killed while it writes."""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from transferdemo.data.labelled import LabelledFolder, LabelledPhoto  # noqa: E402
from transferdemo.data.project import write_project  # noqa: E402
from transferdemo.data.records import FileSource, Project  # noqa: E402
from transferdemo.engine.export import Exported, save_export  # noqa: E402
from transferdemo.errors import DemoError  # noqa: E402
from transferdemo.head_file import read_head, save_head  # noqa: E402
from transferdemo.types import Head  # noqa: E402

DEFAULT = "tf_efficientnet_lite0.in1k"
IS_FILE = {"meta": {"_type": "gradio.FileData"}}


def BAD(secret: str, foreign: str) -> list[object]:
    """Types, numbers, paths and addresses; a file outside the uploads, and one that another session gave."""
    nested: object = 1
    for _ in range(200):
        nested = [nested]
    texts = ["", " ", "\0", "x" * 100_000, "../../etc/passwd", "/etc/passwd", "<img src=x onerror=alert(1)>", "{{7*7}}", "%00",
             "𝕏" * 1000, "-1", "1e999", "=cmd|' /C calc'!A0", "\x1b[2J", "a\r\nb", "file:///etc/passwd"]  # fmt: skip
    numbers = [float("nan"), float("inf"), -float("inf"), -1, 0, 0.5, 1e308, 10**30, True, False, 2**63]
    files: list[object] = [
        {"path": path, **extra}
        for path in (secret, "/etc/passwd", "/proc/self/environ", "http://127.0.0.1:1/x.png", "https://example.com/x.png", "",
                     "data:image/png;base64,AAAA", "file:///etc/passwd", "\0", f"{foreign}/../../secret.png")
        for extra in ({}, IS_FILE)
    ]  # fmt: skip
    files += [{"url": "http://169.254.169.254/latest/", **IS_FILE}, {"url": "data:image/png;base64,AAAA", **IS_FILE}]
    files += [{"path": None}, {"path": 7, **IS_FILE}, {"path": [secret], **IS_FILE}, [{"path": secret, **IS_FILE}]]
    shapes: list[object] = [
        None,
        [],
        {},
        [None],
        {"a": nested},
        nested,
        [[1, 2], [3]],
        {"__type__": "update", "value": 1},
    ]
    return [*texts, *numbers, *files, *shapes]


FORMS: dict[str, Callable[[Any], list[Any]]] = {  # inputs that are good, and quickly done
    "classify": lambda photo: [photo, DEFAULT, "auto"],
    "inspect": lambda photo: [photo, "", "", DEFAULT],
    "train": lambda photo: [photo, DEFAULT, 1, 0],
    "ideal": lambda photo: ["zebra", DEFAULT, "sharp", 1, None, 128, 0],
    "adversarial": lambda photo: [photo, "anything", "fgsm", 8, 1, DEFAULT],
}


def written_and_killed(rounds: int) -> dict[str, tuple[int, int]]:
    """kind -> (how often a process that wrote it was killed, how often a half file stood under the final name)."""
    with tempfile.TemporaryDirectory() as name:
        kinds = {
            "head": (_heads(), _check_head),
            "project zip": (_projects(Path(name)), _check_zip),
            "ONNX zip": (_exports(), _check_export),
        }
        return {
            kind: (rounds, _half(Path(name) / kind, write, check, rounds)) for kind, (write, check) in kinds.items()
        }


def _half(path: Path, write: Callable[[Path], object], check: Callable[[Path], object], rounds: int) -> int:
    """One writer after the other, each killed at some moment; how many left a half file."""
    half, fork, moments = 0, multiprocessing.get_context("fork"), random.Random(0)
    for _ in range(rounds):
        begun = fork.Event()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
            writer = fork.Process(target=_writing, args=(path, write, begun), daemon=True)
            writer.start()
        begun.wait(60)
        time.sleep(moments.uniform(0, 0.05))
        writer.kill()
        writer.join()
        try:
            half += path.exists() and not check(path)
        except (DemoError, BadZipFile, OSError, KeyError):
            half += 1
    return half


def _writing(path: Path, write: Callable[[Path], object], begun: Any) -> None:
    torch.set_num_threads(1)
    begun.set()
    while True:
        write(path)


def _heads() -> Callable[[Path], object]:
    head = Head(tuple(f"class {i}" for i in range(200)), torch.ones(200, 1280), torch.zeros(200), "toy.test", "0" * 64)
    return lambda path: save_head(head, path)


def _check_head(path: Path) -> bool:
    return bool(read_head(path).weight.sum() == 200 * 1280)


def _projects(folder: Path) -> Callable[[Path], object]:
    data = b"\xff\xd8\xff" + random.Random(0).randbytes(200_000)
    photos = []
    for i in range(20):
        (file := folder / f"{i}.jpg").write_bytes(data)
        photos.append(LabelledPhoto(i, "ab"[i % 2], f"{i}.jpg", FileSource(file), str(i)))
    labelled = LabelledFolder(tuple(photos), ("a", "b"))
    return lambda path: write_project(path, labelled, Project(head=b"head"))


def _check_zip(path: Path) -> bool:
    with ZipFile(path) as archive:
        return archive.testzip() is None and len(archive.namelist()) == 22


def _exports() -> Callable[[Path], object]:
    exported = Exported(random.Random(0).randbytes(4_000_000), "{}", "a card")
    return lambda path: save_export(exported, path)


def _check_export(path: Path) -> bool:
    with ZipFile(path) as archive:
        return archive.testzip() is None and len(archive.namelist()) == 4
