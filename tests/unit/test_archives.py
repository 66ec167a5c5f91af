"""Archives that anybody may have made: nothing leaves their folder, and none unpacks without an end."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from xbench_plugins.sentiment.readers import read_lmrd

from tests.loopback import Site
from xbench.data import archives
from xbench.data.addresses import NotHereError
from xbench.data.archives import DAMAGED, LEAST_LIMIT, extract, open_tar
from xbench.data.sources import locate
from xbench.errors import DataError
from xbench.settings import Settings
from xbench.types import Files, SourceFile

KINDS = {
    "symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE,
}  # fmt: skip


def tarred(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry, data in entries:
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = size, kind, link
    return entry


def written(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_only_an_ordinary_file_is_taken_out_of_a_tar(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    path = written(tmp_path, tarred((member("a", 0, KINDS[kind], str(secret)), b"")))
    with pytest.raises(KeyError):
        extract(path, "a", tmp_path / "out")
    assert not os.path.lexists(tmp_path / "out")


@pytest.mark.parametrize("name", ["../../up", "/absolute", "a/../../up", "..\\up"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_where_a_member_goes_is_not_for_its_name_to_say(tmp_path: Path, site: Site, kind: str, name: str) -> None:
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as zipped:
            zipped.writestr(name, b"inside")
        data = buffer.getvalue()
    else:
        data = tarred((member(name, 6), b"inside"))
    place = tmp_path / "a" / "b" / "c"
    source = Files((SourceFile("corpus/rows.txt", None, site.serve("/archive", data), name),), read_lmrd)
    (path,), _ = locate(source, Settings(cache=place))
    assert path.read_bytes() == b"inside"
    assert path.name == "rows.txt"
    assert path.is_relative_to(place)
    outside = [one for one in tmp_path.rglob("*") if one.is_file() and not one.is_relative_to(place)]
    assert outside == []
    assert not Path("/absolute").exists()


def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LEAST_LIMIT", 1 << 20)
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a", bytes(5 << 20))
        zipped.writestr("b", bytes(1 << 19))
    assert path.stat().st_size < 10_000
    with pytest.raises(zipfile.BadZipFile, match="unpacks to more than"):
        extract(path, "a", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    extract(path, "b", tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == 1 << 19


def packed_zeros(head: bytes, megabytes: int) -> bytes:
    """Something that unpacks to a head and many zeros."""
    buffer = io.BytesIO()
    with lzma.open(buffer, "wb", preset=0) as file:
        file.write(head)
        for _ in range(megabytes):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


def test_a_tar_that_unpacks_without_end_is_left_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LEAST_LIMIT", 1 << 20)
    head = member("a", 60 << 20).tobuf() + bytes(0)
    path = written(tmp_path, packed_zeros(head, 60))
    with pytest.raises(tarfile.ReadError, match="unpacks to more than"):
        extract(path, "a", tmp_path / "out")
    assert (tmp_path / "out").stat().st_size < 40 << 20
    with pytest.raises(tarfile.ReadError, match="unpacks to more than"):  # also where it is only passed over
        extract(path, "b", tmp_path / "out2")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_header_that_says_it_is_a_gigabyte_is_not_believed(tmp_path: Path, kind: bytes) -> None:
    path = written(tmp_path, packed_zeros(member("x", LEAST_LIMIT - 1, kind).tobuf(), 1))
    with pytest.raises(tarfile.ReadError, match="a header of more than"), open_tar(path) as tar:
        list(tar)
    with pytest.raises(DataError, match="not a whole tar"):
        list(read_lmrd([path], "train"))


def test_a_review_that_is_none_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(tarred((member("aclImdb/train/neg/0_1.txt", 17 << 20), bytes(17 << 20)))))
    with pytest.raises(DataError, match="a review of"):
        list(read_lmrd([path], "train"))


def test_a_sparse_member_is_not_taken(tmp_path: Path) -> None:
    entry = member("a", 512)
    entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(b"0\n".ljust(512, b"\0")))
    path = written(tmp_path, buffer.getvalue())
    with pytest.raises(DAMAGED):
        extract(path, "a", tmp_path / "out")


def test_a_download_that_is_a_bomb_is_one_line(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LEAST_LIMIT", 1 << 20)
    url = site.serve("/bomb.tar.xz", packed_zeros(member("a", 60 << 20).tobuf(), 60))
    source = Files((SourceFile("corpus/a", None, url, "a"),), read_lmrd)
    with pytest.raises(NotHereError, match="damaged") as caught:
        locate(source, Settings(cache=tmp_path))
    assert len(str(caught.value).splitlines()) == 1
