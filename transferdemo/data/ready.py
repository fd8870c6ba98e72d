"""Ready sets that are not ours to ship: Oxford-IIIT Pet (fetched when a person asks for it) and scikit-learn's digits."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import BadFolder
from ..hub import DownloadDone, DownloadStep
from ..types import check_choice
from .layout import listing
from .records import LOCAL, STRANGER, BytesSource, Entry, FileSource, Limits, Listing

Target = Literal["category", "binary-category"]
PETS = "oxford-iiit-pet"  # torchvision's name of the folder
PETS_BYTES = 811_000_000  # of both archives, about
DIGIT_SIDE = 128  # px
_SILENCE = 15.0  # seconds without a byte until a download is given up
_BLOCK = 1 << 18
_NO_PETS = "The photos of Oxford-IIIT Pet are not here yet; download them first (about 800 MB)."


def data_folder() -> Path:
    """Return the folder where downloaded sets are kept: TRANSFERDEMO_DATA, or one in the person's cache."""
    return Path(os.environ.get("TRANSFERDEMO_DATA") or Path.home() / ".cache" / "transferdemo")


def oxford_pets(root: Path, target: Target = "category", limits: Limits = STRANGER, seed: int = 0) -> Listing:
    """Return Oxford-IIIT Pet with its official split, 37 breeds or (`binary-category`) cats and dogs.

    Of more photos than `limits` allows, a stratified part is drawn, which a note states. Raise BadFolder when the set is
    not in `root` or is damaged. (Parkhi et al., Cats and Dogs, CVPR 2012.)
    """
    check_choice("target", target, ("category", "binary-category"))
    entries = [*_official(root, "trainval", target), *_official(root, "test", target)]
    found = listing(entries, Counter(), LOCAL)
    return found if len(entries) <= limits.photos else _thinned(found, limits.photos, seed)


def _official(root: Path, split: Literal["trainval", "test"], target: Target) -> Iterator[Entry]:
    """The photos of one official split. torchvision knows files and labels; the pictures go through our own door."""
    from torchvision.datasets import OxfordIIITPet  # here, because it brings torch

    try:
        pets = OxfordIIITPet(root, split, target)
    except RuntimeError as error:
        raise BadFolder(_NO_PETS) from error
    except (OSError, ValueError) as error:
        raise BadFolder("The Oxford-IIIT Pet folder is damaged; delete it and download it again.") from error
    names, labels = (
        (pets.bin_classes, pets._bin_labels) if target == "binary-category" else (pets.classes, pets._labels)
    )
    for path, label in zip(pets._images, labels, strict=True):
        yield Entry(FileSource(path), names[label], path.name, "train" if split == "trainval" else "test")


def _thinned(found: Listing, photos: int, seed: int) -> Listing:
    """A part of a set, drawn so that every class and both sides of its split keep their share."""
    from sklearn.model_selection import train_test_split

    strata = [f"{entry.label}/{entry.split}" for entry in found.entries]
    kept, _ = train_test_split(np.arange(len(strata)), train_size=photos, stratify=strata, random_state=seed)
    note = f"{photos:,} of its {len(strata):,} photos, drawn evenly from every class."
    return replace(found, entries=tuple(found.entries[i] for i in sorted(kept)), notes=(*found.notes, note))


def download_pets(root: Path) -> Generator[DownloadStep | DownloadDone, None, None]:
    """Fetch Oxford-IIIT Pet to `root`, checked by MD5, and unpack it; the folder appears when it is complete.

    Closing the generator stops the transfer and leaves nothing behind. Raise BadFolder when it cannot be had.
    """
    from torchvision.datasets import OxfordIIITPet

    target = root / PETS
    with _sentences(root), tempfile.TemporaryDirectory(dir=_made(root), prefix=f"{PETS}.") as part:
        if not target.is_dir():
            fetched = 0
            for url, md5 in OxfordIIITPet._RESOURCES:
                archive = Path(part, url.rsplit("/", 1)[-1])
                for size in _fetch(url, md5, archive):
                    yield DownloadStep(fetched + size, max(PETS_BYTES, fetched + size))
                fetched += archive.stat().st_size
                yield from _unpack(archive, Path(part, PETS))
            os.replace(Path(part, PETS), target)
    yield DownloadDone(PETS_BYTES, PETS_BYTES, target)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fetch(url: str, md5: str, target: Path) -> Iterator[int]:
    """Write the file at `url` and yield how many bytes are there; raise BadFolder when its MD5 differs."""
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=_SILENCE) as answer, target.open("xb") as file:
        while block := answer.read(_BLOCK):
            file.write(block)
            digest.update(block)
            yield file.tell()
    if digest.hexdigest() != md5:
        raise BadFolder("What came is not the Oxford-IIIT Pet archive, or not all of it; try the download again.")


def _unpack(archive: Path, target: Path) -> Iterator[DownloadStep]:
    total = archive.stat().st_size
    with archive.open("rb") as file, tarfile.open(fileobj=file) as tar:
        for number, member in enumerate(tar):
            tar.extract(member, _made(target), filter="data")
            if number % 100 == 0:
                yield DownloadStep(file.tell(), total, "Unpacking")
    archive.unlink()


@contextmanager
def _sentences(root: Path) -> Iterator[None]:
    """Turn what the network and the disk say into BadFolder."""
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise BadFolder("The Oxford-IIIT Pet archive is damaged; try the download again.") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        raise BadFolder(
            "Oxford-IIIT Pet cannot be downloaded now; check the internet connection, or choose a set that is here."
        ) from error
    except OSError as error:
        free = shutil.disk_usage(root).free if root.is_dir() else 0
        raise BadFolder(
            f"Oxford-IIIT Pet needs 2 GB in {root}, where {free / 1e9:.1f} GB are free; make room and try again."
        ) from error


def digits(limits: Limits = STRANGER) -> Listing:
    """Return scikit-learn's 1,797 hand-written digits, 8 x 8 pixels enlarged to 128: unlike pictures, so expect less."""
    from sklearn.datasets import load_digits

    data = load_digits()
    entries = [
        Entry(BytesSource(_enlarged(image)), str(label), f"{label}/{number}.png")
        for number, (image, label) in enumerate(zip(data.images, data.target, strict=True))
    ]
    return listing(entries, Counter(), limits)


def _enlarged(image: NDArray[np.float64]) -> bytes:
    """A digit, (8, 8) with values from 0 to 16, as a PNG of DIGIT_SIDE px; smooth, as networks like it better."""
    grey = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
    out = io.BytesIO()
    grey.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()
