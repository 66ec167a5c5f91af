"""The readers of NSMC and LMRD take the files as they are: nothing is lost to quotes, odd line ends or empty texts."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from xbench_plugins.sentiment.readers import read_lmrd, read_lmrd_folder, read_nsmc

from xbench.errors import DataError
from xbench.types import Row

HEADER = "id\tdocument\tlabel\n"


def nsmc(tmp_path: Path, content: str | bytes) -> list[Row]:
    path = tmp_path / "ratings.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_nsmc([path]))


def test_nsmc_is_one_row_a_line(tmp_path: Path) -> None:
    rows = nsmc(tmp_path, HEADER + "12\t굳 ㅋ\t1\n7\t별로\t0")  # the last line may lack its end
    assert rows == [{"id": "12", "text": "굳 ㅋ", "label": 1}, {"id": "7", "text": "별로", "label": 0}]


@pytest.mark.parametrize(
    "text", ['"좋다', '"""', "", " ", "a\x85b", "a\u2028b", "a\x0bb\x0cc", "a\rb", "  두 칸  "], ids=ascii
)
def test_a_document_is_taken_as_it_is(tmp_path: Path, text: str) -> None:
    rows = nsmc(tmp_path, f"{HEADER}1\t{text}\t1\n2\t끝\t0\n")
    assert [row["text"] for row in rows] == [text, "끝"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("document\tid\tlabel\n", "line 1: the header"),
        (f"{HEADER}1\t좋다\n", "line 2: expected id, document and a label"),
        (f"{HEADER}1\t좋다\t1\n2\t좋다\t2\n", "line 3: expected id, document and a label"),
        (f"{HEADER}1\t좋\t다\t1\n", "line 2: expected id, document and a label"),
        (f"{HEADER}1\t좋다\t1\n".encode("cp949"), "line 2: not UTF-8"),
    ],
)
def test_a_damaged_nsmc_names_the_line(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        nsmc(tmp_path, content)


REVIEWS = {
    "aclImdb/README": b"about",
    "aclImdb/train/urls_pos.txt": b"http",
    "aclImdb/train/unsup/0_0.txt": b"no label",
    "aclImdb/train/pos/10_8.txt": b"Ten.<br /><br />Good",
    "aclImdb/train/pos/2_9.txt": 'a\x85b\u2028c\n"d'.encode(),
    "aclImdb/train/neg/3_1.txt": b"",
    "aclImdb/train/neg/0_4.txt": b" Bad. ",
    "aclImdb/test/pos/0_10.txt": b"Other split",
    "aclImdb/train/labeledBow.feat": b"9 0:1",
}
ROWS = [
    {"id": "neg/0_4", "text": " Bad. ", "label": 0},
    {"id": "neg/3_1", "text": "", "label": 0},
    {"id": "pos/2_9", "text": 'a\x85b\u2028c\n"d', "label": 1},
    {"id": "pos/10_8", "text": "Ten.<br /><br />Good", "label": 1},
]


def archive(path: Path, members: Mapping[str, bytes], mode: str = "w:gz", prefix: str = "") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:xz"])
@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("order", [1, -1])
def test_lmrds_rows_are_the_same_from_any_tar(tmp_path: Path, mode: str, prefix: str, order: int) -> None:
    members = dict(list(REVIEWS.items())[::order])
    path = archive(tmp_path / "reviews.tar", members, mode, prefix)
    assert list(read_lmrd([path], "train")) == ROWS
    assert [row["id"] for row in read_lmrd([path], "test")] == ["pos/0_10"]


def test_lmrds_rows_are_the_same_from_its_folder(tmp_path: Path) -> None:
    for name, content in REVIEWS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert list(read_lmrd_folder([tmp_path / "aclImdb"], "train")) == ROWS


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_torn_tar_is_refused(tmp_path: Path, kept: float) -> None:
    content = archive(tmp_path / "whole.tar.gz", REVIEWS).read_bytes()
    path = tmp_path / "torn.tar.gz"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="not a whole tar"):
        list(read_lmrd([path], "train"))


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.tar.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"reviews\.tar\.gz: not a whole tar"):
        list(read_lmrd([path], "train"))


def test_a_review_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "reviews.tar.gz", {"aclImdb/train/neg/5_1.txt": "é".encode("latin-1")})
    with pytest.raises(DataError, match="review neg/5_1 is not UTF-8"):
        list(read_lmrd([path], "train"))
