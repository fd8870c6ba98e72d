from __future__ import annotations

import io
import os
import random
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from transferdemo.data.archive import read_set, read_zip
from transferdemo.data.records import MAX_BYTES, STRANGER, ZipSource
from transferdemo.errors import BadFile, BadFolder, BadImage, DemoError

from .pictures import make_set, picture


def zipped(path: Path, files: dict[str, bytes], method: int = ZIP_STORED) -> Path:
    with ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def classes(n: int = 2) -> dict[str, bytes]:
    return {f"{label}/{i}.png": picture(i + 100 * (label == "dog")) for label in ("cat", "dog") for i in range(n)}


def changed(path: Path, change: dict[str, int], entry: int = 0, flags: bool = False) -> Path:
    """Overwrite a field of one central directory record (and of its local header)."""
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(entry + 1):
        place = data.index(b"PK\x01\x02", place + 1)
    fields = {"flags": (8, "<H"), "method": (10, "<H"), "packed": (20, "<I"), "size": (24, "<I"), "offset": (42, "<I")}
    for name, value in change.items():
        struct.pack_into(fields[name][1], data, place + fields[name][0], value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_the_bytes_come_out_as_they_went_in(tmp_path: Path, method: int) -> None:
    files = classes(3)
    listing = read_zip(zipped(tmp_path / "a.zip", files, method))
    assert {entry.name: entry.source.read() for entry in listing.entries} == files
    assert listing.classes == ("cat", "dog")


def test_a_zip_is_the_same_set_as_its_folder(tmp_path: Path) -> None:
    root = make_set(tmp_path / "set", {"a": 12, "B": 3, "c": 1})
    (root / "notes.txt").write_text("hello")
    with ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted(root.rglob("*"), key=lambda _: random.random()):
            archive.write(file, file.relative_to(tmp_path))
    one, other = read_set(root), read_set(tmp_path / "set.zip")
    assert [(e.label, e.name, e.split) for e in one.entries] == [(e.label, e.name, e.split) for e in other.entries]
    assert one.skipped == other.skipped == {"not a picture": 1}


def test_nothing_appears_beside_the_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", classes() | {"../out.png": picture(9)})
    before = path.read_bytes()
    for entry in read_zip(path).entries:
        entry.source.read()
    assert os.listdir(tmp_path) == ["a.zip"] and path.read_bytes() == before


OUTSIDE = (
    "../x/1.png",
    "/abs/1.png",
    "C:/x/1.png",
    "c:\\x\\1.png",
    "\\\\srv\\x\\1.png",
    "cat/../../1.png",
    "..\\1.png",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_point_outside_are_passed_over(tmp_path: Path, name: str) -> None:
    listing = read_zip(zipped(tmp_path / "a.zip", {**classes(), name: picture(9)}))
    assert listing.skipped == {"unsafe name": 1}
    assert len(listing.entries) == 4
    with pytest.raises(BadFile, match="outside it"):
        read_zip(zipped(tmp_path / "b.zip", {name: picture(9)}))


def test_links_zips_and_system_files_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    link = ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(path, "w") as archive:
        for name, data in classes().items():
            archive.writestr(name, data)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("cat/inner.zip", b"PK\x05\x06" + bytes(18))
        for name in ("__MACOSX/cat/._0.png", "cat/.DS_Store", "cat/Thumbs.db"):
            archive.writestr(name, b"x")
    listing = read_zip(path)
    assert listing.skipped == {"link": 1, "zip within": 1, "hidden or system file": 3}
    assert len(listing.entries) == 4


def test_entries_of_one_name_stay_apart(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), ZipFile(tmp_path / "a.zip", "w") as archive:
        for seed, name in enumerate(("ok/a.png", "OK/A.PNG", "ok/a.png", "b/1.png")):
            archive.writestr(name, picture(seed))
    listing = read_zip(tmp_path / "a.zip")
    assert {entry.source.read() for entry in listing.entries} == {picture(seed) for seed in range(4)}
    assert listing.classes == ("b", "ok")


def test_names_written_by_a_mac_are_read_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    zipped(path, {"ko\u010dka/1.png": picture(1), "pes/1.png": picture(2)})
    data = path.read_bytes()
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        start = data.index(mark) + place
        data = data[:start] + struct.pack("<H", 0) + data[start + 2 :]
    path.write_bytes(data)
    assert read_zip(path).classes == ("ko\u010dka", "pes")


def test_old_windows_separators(tmp_path: Path) -> None:
    info = [ZipInfo("x/1.png"), ZipInfo("y/1.png")]
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        for entry in info:
            entry.filename = entry.filename.replace("/", "\\")
            archive.writestr(entry, picture(1))
    assert read_zip(tmp_path / "a.zip").classes == ("x", "y")


def test_a_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="password"):
        read_zip(changed(zipped(tmp_path / "a.zip", classes()), {"flags": 1}))


def test_unusual_packing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="unusual"):
        read_zip(zipped(tmp_path / "a.zip", classes(), ZIP_BZIP2))


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="over each other"):
        read_zip(changed(zipped(tmp_path / "a.zip", classes()), {"offset": 0}, entry=1))
    with pytest.raises(BadFile, match="over each other"):
        read_zip(changed(zipped(tmp_path / "b.zip", classes()), {"packed": 90_000_000}, entry=1))


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    files = {"cat/bomb.png": bytes(50_000_000), **classes()}
    path = changed(zipped(tmp_path / "a.zip", files, ZIP_DEFLATED), {"size": 1_000})
    bomb = next(entry.source for entry in read_zip(path).entries if entry.name == "cat/bomb.png")
    with pytest.raises(BadImage, match="damaged inside the zip"):
        bomb.read()


def test_a_picture_over_20_mb_is_not_unpacked(tmp_path: Path) -> None:
    files = {"cat/bomb.png": bytes(MAX_BYTES + 1), **classes()}
    bomb = read_zip(zipped(tmp_path / "a.zip", files, ZIP_DEFLATED)).entries[2].source
    with pytest.raises(BadImage, match="over 20 MB"):
        bomb.read()


def test_what_all_pictures_unpack_to_is_limited(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"cat/{n}.png": bytes(1_000_000) for n in range(4)}, ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    with pytest.raises(BadFile, match="unpack to 4 MB and at most 3 MB"):
        read_zip(path, replace(STRANGER, read_bytes=3_000_000))


def test_too_many_entries_are_refused_before_the_directory_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "a.zip", {f"{n}.txt": b"" for n in range(4_001)})

    def never(*_: object) -> None:
        raise RuntimeError("the directory was read")

    monkeypatch.setattr("transferdemo.data.archive.ZipFile", never)
    with pytest.raises(BadFile, match="more than 4,000 files"):
        read_zip(path)


def test_size_of_the_zip_and_number_of_photos(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {f"{n % 2}/{n}.png": b"x" for n in range(2_001)})
    with pytest.raises(BadFolder, match="2,001 photos and at most 2,000"):
        read_zip(path)
    with pytest.raises(BadFile, match="at most 0 MB"):
        read_zip(path, replace(STRANGER, zip_bytes=1_000))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x89PNG\r\n\x1a\n" * 10, b"PK\x05\x06" + b"\xff" * 18, b"Rar!" * 100])
def test_what_is_no_zip_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DemoError):
        read_zip(tmp_path / "a.zip")


def test_an_empty_zip_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match="no pictures"):
        read_zip(zipped(tmp_path / "a.zip", {}))
    with pytest.raises(BadFile, match="cannot be read"):
        read_zip(tmp_path / "gone.zip")
    with pytest.raises(BadFolder, match="no folder"):
        read_set(tmp_path / "gone")


def test_a_zip_that_goes_away_leaves_a_sentence(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", classes())
    source = read_zip(path).entries[0].source
    path.unlink()
    with pytest.raises(BadImage, match="give the zip again"):
        source.read()


def test_flipped_bytes_give_the_photos_or_a_sentence(tmp_path: Path) -> None:
    """Zips with some bytes changed give a listing, a DemoError or a BadImage for one entry, and nothing else."""
    good = zipped(tmp_path / "good.zip", classes(3), ZIP_DEFLATED).read_bytes()
    sizes = {picture(n) for n in range(3)} | {picture(n + 100) for n in range(3)}
    path, rng = tmp_path / "a.zip", random.Random(0)
    outcomes = {"right": 0, "refused": 0, "entry refused": 0}
    for _ in range(500):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 3, 10))):
            start = rng.choice((0, good.index(b"PK\x01\x02")))
            data[rng.randrange(start, len(data))] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(data)
        try:
            entries = read_zip(path).entries
        except DemoError:
            outcomes["refused"] += 1
            continue
        for entry in entries:
            try:
                assert entry.source.read() in sizes
                outcomes["right"] += 1
            except BadImage:
                outcomes["entry refused"] += 1
    assert all(outcomes.values()), outcomes


def test_a_source_is_small_and_knows_its_place(tmp_path: Path) -> None:
    listing = read_zip(zipped(tmp_path / "a.zip", classes()))
    sources = [entry.source for entry in listing.entries]
    assert all(isinstance(source, ZipSource) for source in sources)
    assert len({source.offset for source in sources if isinstance(source, ZipSource)}) == 4


def test_zipfile_agrees(tmp_path: Path) -> None:
    """Entries with extra fields, comments and data descriptors (written to a pipe) are found all the same."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with ZipFile(pipe, "w", ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.comment = b"hello PK"
        for name, data in classes().items():
            info = ZipInfo(name)
            info.extra, info.comment, info.compress_type = struct.pack("<HHI", 0x4242, 4, 7), b"note", ZIP_DEFLATED
            archive.writestr(info, data)
    (tmp_path / "a.zip").write_bytes(b"#!stub\n" + pipe.data)  # self-extracting: bytes in front
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        expected = {info.filename: archive.read(info) for info in archive.infolist()}
    assert {entry.name: entry.source.read() for entry in read_zip(tmp_path / "a.zip").entries} == expected
