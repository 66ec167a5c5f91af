"""The published review files give every review that they hold, read here a second time by other code."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from xbench_plugins.sentiment.readers import read_lmrd

from tests.real.rows import ready
from xbench.errors import DataError
from xbench.registry import Registry

SPLITS = ("train", "test")
NSMC = {"train": 150_000, "test": 50_000}
LABELS = ("negative", "positive")


@pytest.mark.parametrize("split", SPLITS)
def test_nsmc_is_every_line_of_its_file(split: str, registry: Registry, data_root: Path, cache: Path) -> None:
    raw = (data_root / "nsmc" / f"ratings_{split}.txt").read_bytes().removesuffix(b"\n").split(b"\n")[1:]
    expected = [line.decode().removesuffix("\r").split("\t") for line in raw]
    rows = ready("nsmc", split, registry, data_root, cache)
    assert (rows.rows, rows.pinned, rows.source) == (NSMC[split], True, "data root")
    assert [[row["id"], row["text"], str(row["label"])] for row in rows.open()] == expected


@pytest.mark.parametrize(("split", "quoted", "empty"), [("train", 623, 5), ("test", 233, 3)])
def test_nsmcs_quotes_are_text_and_its_empty_documents_are_rows(
    split: str, quoted: int, empty: int, registry: Registry, data_root: Path, cache: Path
) -> None:
    texts = [row["text"] for row in ready("nsmc", split, registry, data_root, cache).open()]
    assert sum(text.startswith('"') for text in texts) == quoted
    assert sum(text == "" for text in texts) == empty


def test_nsmcs_test_set_holds_its_doubled_texts(registry: Registry, data_root: Path, cache: Path) -> None:
    texts = [row["text"] for row in ready("nsmc", "test", registry, data_root, cache).open()]
    assert len(texts) - len(set(texts)) == 842


@pytest.fixture(scope="module")
def checksums(data_root: Path) -> dict[str, str]:
    """The publisher's files and their sha256."""
    with gzip.open(data_root / "imdb" / "SHA256SUMS.gz", "rt", encoding="utf-8") as file:
        return {path.strip(): digest for digest, _, path in (line.partition("  ") for line in file)}


@pytest.mark.parametrize("split", SPLITS)
def test_lmrd_is_every_review_byte_for_byte(
    split: str, registry: Registry, data_root: Path, cache: Path, checksums: dict[str, str]
) -> None:
    rows = ready("lmrd", split, registry, data_root, cache)
    assert (rows.rows, rows.pinned) == (25_000, True)
    assert rows.dataset.labels == LABELS
    found = {}
    for row in rows.open():
        found[f"aclImdb/{split}/{row['id']}.txt"] = hashlib.sha256(row["text"].encode()).hexdigest()
        side, _, name = row["id"].partition("/")
        rating = int(name.partition("_")[2])
        assert (side, row["label"]) == (("neg", 0) if rating <= 4 else ("pos", 1))
        assert rating <= 4 or rating >= 7
    reviews = (f"aclImdb/{split}/neg/", f"aclImdb/{split}/pos/")
    assert found == {path: digest for path, digest in checksums.items() if path.startswith(reviews)}


def test_lmrds_odd_line_ends_and_tags_are_text(registry: Registry, data_root: Path, cache: Path) -> None:
    texts = [row["text"] for split in SPLITS for row in ready("lmrd", split, registry, data_root, cache).open()]
    assert sum("\x85" in text for text in texts) == 681
    assert sum(len(text.splitlines()) > 1 for text in texts) == 664  # what Python would cut in two
    assert not any("\n" in text for text in texts)
    assert sum("<br />" in text for text in texts) > 20_000


def test_lmrds_train_and_test_share_their_known_texts(registry: Registry, data_root: Path, cache: Path) -> None:
    train, test = ({row["text"] for row in ready("lmrd", split, registry, data_root, cache).open()} for split in SPLITS)
    assert len(train & test) == 123


def test_lmrd_is_the_same_from_its_extracted_folder(
    registry: Registry, data_root: Path, cache: Path, tmp_path: Path
) -> None:
    with tarfile.open(data_root / "imdb" / "aclImdb_labelled.tar.gz") as tar:
        members = [member for member in tar.getmembers() if member.name.startswith("aclImdb/test/")]
        tar.extractall(tmp_path / "imdb", members, filter="data")
    rows = ready("lmrd", "test", registry, tmp_path, tmp_path / "cache")
    assert rows.rows_sha256 == ready("lmrd", "test", registry, data_root, cache).rows_sha256
    review = next((tmp_path / "imdb" / "aclImdb" / "test" / "neg").glob("*.txt"))
    state = review.stat()
    review.write_bytes(review.read_bytes()[:-1] + b"?")
    os.utime(review, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with pytest.raises(DataError, match="holds other rows than the published ones"):
        ready("lmrd", "test", registry, tmp_path, tmp_path / "cache")


def test_the_publishers_whole_tar_gives_the_same_rows(
    registry: Registry, data_root: Path, cache: Path, tmp_path: Path
) -> None:
    """Rebuilt from the labelled one: other order, and files that are no reviews among them."""
    (tmp_path / "imdb").mkdir()
    with (
        tarfile.open(data_root / "imdb" / "aclImdb_labelled.tar.gz") as tar,
        tarfile.open(tmp_path / "imdb" / "aclImdb_v1.tar.gz", "w:gz", compresslevel=1) as whole,
    ):
        found = {}  # read forwards, since going back in a compressed tar begins anew
        for member in tar:
            content = tar.extractfile(member) if "/test/" in member.name else None
            if content is not None:
                found[member.name] = content.read()
        for name, content in sorted(found.items(), reverse=True):
            for place in (name, name.replace("/test/neg/", "/train/unsup/"))[: 2 if name.endswith("00_1.txt") else 1]:
                member = tarfile.TarInfo(place)
                member.size = len(content)
                whole.addfile(member, io.BytesIO(content))
    rows = list(read_lmrd([tmp_path / "imdb" / "aclImdb_v1.tar.gz"], "test"))
    assert Counter(row["label"] for row in rows) == {0: 12_500, 1: 12_500}
    assert ready("lmrd", "test", registry, tmp_path, tmp_path / "cache").pinned


@pytest.mark.parametrize(("name", "place"), [("nsmc", "ratings_train.txt"), ("lmrd", "aclImdb_labelled.tar.gz")])
def test_a_split_that_is_not_there_says_where_it_is_published(
    name: str, place: str, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        ready(name, "train", registry, tmp_path, tmp_path / "cache")
    message = str(caught.value)
    assert place in message
    assert registry.datasets.get(name).homepage in message
    assert "\n" not in message
    assert len(message) < 900
