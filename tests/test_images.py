"""Children decode; one that dies or hangs costs its own picture, and nobody else notices.

What children are asked to do here is from the standard library, so that no test module is imported into them.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from transferdemo import decode, images
from transferdemo.decode import Opened
from transferdemo.errors import BadImage, BadSetting
from transferdemo.images import Children, encode_jpeg, encode_png, open_many, open_photo, to_image8, to_pixels
from transferdemo.types import InputSpec

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="limits and signals of POSIX")
DEADLY, HANGING = b"dies", b"hangs"


class Faulty(Children):
    """Children whose decoder dies of one picture and hangs at another."""

    def submit(self, function: Callable[..., Any], *args: object) -> Future[Any]:
        if args[:1] == (DEADLY,):
            return super().submit(os.abort)
        if args[:1] == (HANGING,):
            return super().submit(time.sleep, 60)
        return super().submit(function, *args)


@pytest.fixture(scope="module")
def children() -> Iterator[Faulty]:
    """Two children of this module's own; their patience with a picture is short."""
    own = Faulty(2, seconds=1.0)
    yield own
    own.close()


@pytest.fixture
def faulty(children: Faulty, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    """The same in place of the program's own two pools."""
    monkeypatch.setattr(images, "_folder", children)
    monkeypatch.setattr(images, "_single", children)
    return children


def picture(level: int, size: tuple[int, int] = (30, 20)) -> bytes:
    return encode_png(np.full((size[1], size[0], 3), level, np.uint8))


def levels(opened: Iterator[Opened | BadImage]) -> list[int | str]:
    return [int(each.image8[0, 0, 0]) if isinstance(each, Opened) else str(each) for each in opened]


def script(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a user's own, in a process of its own."""
    file = tmp_path / "script.py"
    head = "import os, sys\nfrom transferdemo import images\n"
    file.write_text(f"{head}if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in body.splitlines()))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run([sys.executable, file], capture_output=True, text=True, env=environment, timeout=120)


def test_a_child_has_neither_torch_nor_gradio(children: Children) -> None:
    children.run(decode.open_one, picture(1), "x", decode.Wish(InputSpec(), thumbnail=64))
    loaded = set(children.run(eval, "list(__import__('sys').modules)"))
    assert "PIL.Image" in loaded
    assert not loaded & {"torch", "torchvision", "timm", "gradio", "scipy", "sklearn", "transferdemo.images"}


def test_a_child_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    child = Children(1)
    assert child.run(os.getenv, "HF_TOKEN") is None and child.run(os.getenv, "PATH")
    child.close()


@POSIX
def test_a_child_has_limits(children: Children, tmp_path: Path) -> None:
    import resource

    assert children.run(resource.getrlimit, resource.RLIMIT_CORE)[0] == 0
    with pytest.raises(OSError):
        children.run(Path.write_text, tmp_path / "out", "x")
    if sys.platform == "linux":
        with pytest.raises(MemoryError):
            children.run(bytearray, 4 * 2**30)


@POSIX
def test_processor_time_is_counted_for_each_picture() -> None:
    import resource

    child = Children(1)
    child.run(sum, range(10**7))
    child.run(decode.open_one, picture(1), "x", decode.Wish())
    used = child.run(time.process_time)
    assert used < child.run(resource.getrlimit, resource.RLIMIT_CPU)[0] <= used + decode.CHILD_SECONDS
    child.close()


def test_open_photo_takes_bytes_or_a_path(tmp_path: Path) -> None:
    data = picture(77)
    (tmp_path / "cat.png").write_bytes(data)
    from_path, from_bytes = open_photo(tmp_path / "cat.png"), open_photo(data, "mine")
    assert (from_path.name, from_bytes.name, open_photo(data).name) == ("cat.png", "mine", "photo")
    assert from_path.sha256 == from_bytes.sha256 and (from_path.image8 == 77).all()
    assert from_path.image8.shape == (20, 30, 3)
    with pytest.raises(BadImage, match="cannot be read"):
        open_photo(tmp_path / "dog.png")
    with pytest.raises(BadImage, match="JPEG, PNG"):
        open_photo(b"not a picture")


def test_warm_starts_children_and_returns(faulty: Faulty) -> None:
    images.warm()
    assert (open_photo(picture(3)).image8 == 3).all()


def test_the_one_that_dies_or_hangs_gets_a_sentence_the_others_their_answers(faulty: Faulty) -> None:
    sources = [picture(level) for level in range(20)]
    sources[3], sources[11] = DEADLY, HANGING
    expected: list[int | str] = list(range(20))
    expected[3], expected[11] = images.DIED, images.TOO_SLOW
    assert levels(open_many(sources)) == expected
    with pytest.raises(BadImage, match="broke its decoder"):
        open_photo(DEADLY)
    with pytest.raises(BadImage, match="too long"):
        open_photo(HANGING)
    assert (open_photo(picture(5)).image8 == 5).all()


def test_two_visitors_at_once_get_their_own_answers(faulty: Faulty) -> None:
    answers: dict[int, list[int | str]] = {}

    def visit(base: int) -> None:
        answers[base] = levels(open_many([picture(base + n) if n != 4 else DEADLY for n in range(10)]))

    visitors = [threading.Thread(target=visit, args=(base,)) for base in (0, 100)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    for base in (0, 100):
        assert answers[base] == [base + n if n != 4 else images.DIED for n in range(10)]


@POSIX
def test_children_that_were_killed_while_idle_are_replaced(children: Faulty) -> None:
    children.run(os.getpid)
    killed = {process.pid for process in multiprocessing.active_children()}
    for pid in killed:
        os.kill(pid or 0, signal.SIGKILL)
    assert children.run(os.getpid) not in killed


@POSIX
def test_a_pool_that_gives_no_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Children(1)
    stopped = own.run(os.getpid)
    os.kill(stopped, signal.SIGSTOP)
    monkeypatch.setattr(images, "PATIENCE", 0.5)
    waiting = [own.submit(os.getpid) for _ in range(3)]
    with pytest.raises(BrokenProcessPool):
        own.answer(waiting[0])
    assert all(isinstance(future.exception(0), BrokenProcessPool) for future in waiting)
    monkeypatch.undo()
    assert own.run(os.getpid) != stopped
    own.close()


def test_names_order_and_kinds_of_sources(faulty: Faulty, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    sources = [tmp_path / "a.png", picture(2), ("zip/b.png", picture(3)), ("c", tmp_path / "a.png")]
    opened = list(open_many(sources, InputSpec(16, 18), "crop", thumbnail=10))
    assert [each.name for each in opened if isinstance(each, Opened)] == ["a.png", "photo", "zip/b.png", "c"]
    for each in opened:
        assert isinstance(each, Opened) and each.image8.shape == (16, 16, 3) and (each.width, each.height) == (30, 20)
        with Image.open(io.BytesIO(each.thumbnail or b"")) as thumbnail:
            assert max(thumbnail.size) == 10


def test_a_setting_that_does_not_exist_is_refused_before_the_first_picture() -> None:
    with pytest.raises(BadSetting):
        open_many([], fit="stretch")  # type: ignore[arg-type]


def test_exact_refuses_one_picture_and_the_others_go_on(faulty: Faulty) -> None:
    spec = InputSpec(16, 18)
    opened = list(open_many([picture(1, (16, 16)), picture(2, (16, 17))], spec, "exact"))
    assert isinstance(opened[0], Opened) and isinstance(opened[1], BadImage)


def test_many_pictures_are_read_as_they_are_asked_for(faulty: Faulty) -> None:
    read = 0

    def sources() -> Iterator[bytes]:
        nonlocal read
        for level in range(200):
            read += 1
            yield picture(level)

    opened = open_many(sources(), InputSpec(16, 18))
    for asked in range(1, 40):
        next(opened)
        assert read <= asked + images.AHEAD
    whole = open_many(sources())
    read = 0
    next(whole)
    assert read <= images.AHEAD_WHOLE


def test_large_files_are_not_piled_up(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "AHEAD_BYTES", 10_000)
    held: list[bytes] = []

    def sources() -> Iterator[bytes]:
        for level in range(40):
            held.append(picture(level).ljust(4_000, b"\0"))
            yield held[-1]

    for asked, _ in enumerate(open_many(sources(), InputSpec(16, 18)), 1):
        assert len(held) <= asked + 3
    assert len(held) == 40


def test_closing_early_cancels_what_was_ahead(children: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    futures: list[Future[Any]] = []

    class Kept(Faulty):
        def submit(self, function: Callable[..., Any], *args: object) -> Future[Any]:
            futures.append(super().submit(function, *args))
            return futures[-1]

    own = Kept(1, seconds=5.0)
    monkeypatch.setattr(images, "_folder", own)
    opened = images._stream(iter([picture(0), *[HANGING] * 3]), decode.Wish())
    next(opened)
    opened.close()  # type: ignore[attr-defined]
    assert len(futures) == 4 and all(future.cancelled() for future in futures[1:])
    assert levels(open_many([picture(9)])) == [9]  # behind three pictures of a minute each
    own.close()


def test_each_step_may_come_from_another_thread(faulty: Faulty) -> None:
    opened = open_many([picture(level) for level in range(8)])
    got: list[int | str] = []
    for _ in range(8):
        step = threading.Thread(target=lambda: got.extend(levels(iter([next(opened)]))))
        step.start()
        step.join()
    assert got == list(range(8))


def test_every_awkward_picture_gets_its_answer(shared: Path) -> None:
    files = sorted((shared / "data/awkward").glob("*/*"))
    for file, opened in zip(files, open_many(files), strict=True):
        assert isinstance(opened, Opened if file.parent.name == "valid" else BadImage), file.name
        assert isinstance(opened, Opened) or str(opened).endswith(".")


def test_records_survive_pickling() -> None:
    opened = decode.open_one(picture(4), "x", decode.Wish(thumbnail=16))
    again = pickle.loads(pickle.dumps(opened))
    assert np.array_equal(again.image8, opened.image8) and again.thumbnail == opened.thumbnail
    assert str(pickle.loads(pickle.dumps(BadImage(images.DIED)))) == images.DIED


def test_importing_does_nothing_and_needs_no_torch(tmp_path: Path) -> None:
    done = script(
        tmp_path,
        "import multiprocessing, threading\n"
        "assert threading.active_count() == 1 and not multiprocessing.active_children()\n"
        "assert not {'torch', 'gradio', 'timm'} & set(sys.modules)",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_ends_without_leaving_children(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    body = f"images.open_photo(images.Path({str(tmp_path / 'a.png')!r}))\nprint(images._single.run(os.getpid))"
    done = script(tmp_path, body)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(OSError):
        os.kill(int(done.stdout), 0)


@POSIX
def test_a_forked_process_starts_children_of_its_own(tmp_path: Path) -> None:
    done = script(
        tmp_path,
        "import warnings\n"
        "warnings.simplefilter('ignore')\n"  # forking beside threads is what ZeroGPU does
        "data = images.encode_png(images.np.zeros((9, 9, 3), 'uint8'))\n"
        "images.open_photo(data)\n"
        "if os.fork() == 0:\n"
        "    images.open_photo(data)\n"
        "    os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.wait()[1]) == 7\n"
        "images.open_photo(data)",
    )
    assert done.returncode == 0, done.stderr


def test_pixels_are_those_of_torchvision_in_channels_last() -> None:
    images8 = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    pixels = to_pixels(list(images8))
    assert torch.equal(pixels, torch.stack([to_tensor(image8) for image8 in images8]))
    assert pixels.dtype == torch.float32 and pixels.is_contiguous(memory_format=torch.channels_last)


def test_every_level_survives_the_round_trip() -> None:
    image8 = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    pixels = to_pixels([image8])
    assert np.array_equal(to_image8(pixels), image8) and np.array_equal(to_image8(pixels[0]), image8)


def test_pixels_are_rounded_and_clipped() -> None:
    pixels = torch.tensor([-1.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.5]).expand(3, 1, 5).requires_grad_()
    assert to_image8(pixels)[0, :, 0].tolist() == [0, 0, 1, 255, 255]


def test_files_hold_the_picture_and_nothing_else() -> None:
    image8 = np.random.default_rng(1).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(image8))) as image:
        assert image.format == "PNG" and not image.info and np.array_equal(np.asarray(image), image8)
    with Image.open(io.BytesIO(encode_jpeg(image8, 95))) as image:
        assert image.format == "JPEG" and image.size == (24, 32) and not image.getexif()
    assert len(encode_jpeg(image8, 30)) < len(encode_jpeg(image8, 95))
