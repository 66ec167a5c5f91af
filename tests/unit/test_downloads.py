"""A download whose rows turn out wrong is dropped and fetched again; one that is beyond doubt stays."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.loopback import Site
from xbench.data.rows import prepare
from xbench.data.schemas import xbench_schemas
from xbench.errors import DataError
from xbench.keys import rows_sha256
from xbench.settings import Settings
from xbench.types import Dataset, Files, Row, SourceFile, Split

SCHEMA = next(schema for schema in xbench_schemas() if schema.name == "pair-score")
GOOD, OTHER = b"a\tb\t1.0\nc\td\t2.0\n", b"a\tb\t1.0\nc\tx\t2.0\n"
WRONG = {
    "an error page": b"<html>Please log in</html>",
    "other rows": OTHER,
    "cut off": GOOD[:9],
    "a score out of range": b"a\tb\t1.0\nc\td\t7.0\n",
    "nothing": b"",
}


def read(paths: Sequence[Path]) -> Iterator[Row]:
    for path in paths:
        for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            first, second, score = line.split("\t")
            yield {"id": f"{path.name}-{index}", "sentence1": first, "sentence2": second, "score": float(score)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


def declared(*files: SourceFile, pin: str | None = None) -> Dataset:
    split = Split((Files(files, read),), None, pin)
    about = ("none", "none", "none", "none")
    return Dataset("made-up", ("en",), "pair-score", {"test": split}, *about, score_range=(0.0, 5.0))


def pin_of(*bodies: bytes, folder: Path) -> str:
    """The identity of the rows of these files, called 0.tsv and so on."""
    paths = [folder / f"{index}.tsv" for index in range(len(bodies))]
    for path, body in zip(paths, bodies, strict=True):
        path.write_bytes(body)
    return rows_sha256(read(paths))


def refusal(dataset: Dataset, settings: Settings) -> str:
    with pytest.raises(DataError) as caught:
        prepare(dataset, "test", SCHEMA, settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_download_is_fetched_again_by_the_next_run(
    site: Site, settings: Settings, tmp_path: Path, kind: str
) -> None:
    file = SourceFile("0.tsv", hashlib.sha256(GOOD).hexdigest(), site.serve("/0.tsv", WRONG[kind]))
    dataset = declared(file, pin=pin_of(GOOD, folder=tmp_path))
    message = refusal(dataset, settings)
    assert f"has sha256 {hashlib.sha256(WRONG[kind]).hexdigest()[:12]}" in message
    assert "the download was dropped, and the next run fetches it again" in message
    refusal(dataset, settings)
    site.serve("/0.tsv", GOOD)
    rows = prepare(dataset, "test", SCHEMA, settings)
    assert (rows.rows, rows.source, site.asked) == (2, "url", ["/0.tsv"] * 3)
    prepare(dataset, "test", SCHEMA, settings)
    assert len(site.asked) == 3


def test_a_member_of_an_archive_that_is_wrong_is_fetched_again(site: Site, settings: Settings, tmp_path: Path) -> None:
    def zipped(body: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("in/0.tsv", body)
        return buffer.getvalue()

    url = site.serve("/all.zip", zipped(OTHER))
    dataset = declared(SourceFile("0.tsv", None, url, "in/0.tsv"), pin=pin_of(GOOD, folder=tmp_path))
    assert "holds other rows" in refusal(dataset, settings)
    site.serve("/all.zip", zipped(GOOD))
    assert prepare(dataset, "test", SCHEMA, settings).rows == 2


def test_a_file_that_is_the_published_one_is_not_fetched_again(site: Site, settings: Settings, tmp_path: Path) -> None:
    bodies = (GOOD, OTHER)
    files = tuple(
        SourceFile(f"{index}.tsv", hashlib.sha256(body).hexdigest(), site.serve(f"/{index}.tsv", body))
        for index, body in enumerate(bodies)
    )
    site.serve("/1.tsv", b"damaged")
    dataset = declared(*files, pin=pin_of(*bodies, folder=tmp_path))
    assert "1.tsv has sha256" in refusal(dataset, settings)
    site.serve("/1.tsv", OTHER)
    assert prepare(dataset, "test", SCHEMA, settings).rows == 4
    assert site.asked == ["/0.tsv", "/1.tsv", "/1.tsv"]


def test_a_readers_mistake_costs_no_second_download_of_a_pinned_file(site: Site, settings: Settings) -> None:
    body = b"no row at all"
    dataset = declared(SourceFile("0.tsv", hashlib.sha256(body).hexdigest(), site.serve("/0.tsv", body)))
    for _ in range(2):
        assert "dropped" not in refusal(dataset, settings)
    assert site.asked == ["/0.tsv"]


def test_what_cannot_be_fetched_again_is_kept(site: Site, settings: Settings, tmp_path: Path) -> None:
    dataset = declared(SourceFile("0.tsv", None, site.serve("/0.tsv", GOOD)))
    prepare(dataset, "test", SCHEMA, settings)
    other = declared(SourceFile("0.tsv", None, site.address + "/0.tsv"), pin=pin_of(OTHER, folder=tmp_path))
    assert "dropped" not in refusal(other, replace(settings, offline=True))
    assert prepare(dataset, "test", SCHEMA, replace(settings, offline=True)).rows == 2
    assert "dropped" in refusal(other, settings)


def test_a_file_under_the_data_root_is_never_dropped(site: Site, settings: Settings, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "0.tsv").write_bytes(b"damaged")
    dataset = declared(SourceFile("0.tsv", None, site.serve("/0.tsv", GOOD)))
    assert "dropped" not in refusal(dataset, replace(settings, data=root))
    assert (root / "0.tsv").read_bytes() == b"damaged"
    assert site.asked == []
