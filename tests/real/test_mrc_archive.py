"""MLQA: one archive, read member by member."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.loopback import Site
from tests.real.squad_files import MLQA, XQUAD, articles, put
from xbench.data.rows import RowSet, prepare
from xbench.errors import DataError
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Files, Row


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


@pytest.fixture
def archive(data_root: Path) -> dict[str, bytes]:
    """A small MLQA: one article of XQuAD a member, each another one."""
    parts = {"dev-context-en-question-en": 0, "test-context-en-question-en": 1, "dev-context-es-question-ar": 2}
    members = {
        f"MLQA_V1/{name.partition('-')[0]}/{name}.json": json.dumps({"data": [articles(data_root / XQUAD[1])[index]]})
        for name, index in parts.items()
    }
    return {"MLQA_V1/README.md": b"about it", **{name: body.encode() for name, body in members.items()}}


def prepare_mlqa(name: str, split: str, url: str, registry: Registry, settings: Settings) -> RowSet:
    """From an archive at another address."""
    dataset = registry.datasets.get(name)
    (source,) = dataset.splits[split].sources
    assert isinstance(source, Files)
    files = tuple(dataclasses.replace(file, url=url) for file in source.files)
    moved = dataclasses.replace(dataset.splits[split], sources=(dataclasses.replace(source, files=files),))
    dataset = dataclasses.replace(dataset, splits={**dataset.splits, split: moved})
    return prepare(dataset, split, registry.schemas.get(dataset.schema), settings)


def test_mlqas_archive_is_fetched_once_and_read_member_by_member(
    site: Site, registry: Registry, data_root: Path, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    for index, (name, split) in enumerate([("mlqa-en-en", "dev"), ("mlqa-en-en", "test"), ("mlqa-es-ar", "dev")]):
        found = prepare_mlqa(name, split, url, registry, settings)
        expected = [q for part in articles(data_root / XQUAD[1])[index]["paragraphs"] for q in part["qas"]]
        rows: list[Row] = list(found.open())
        assert [row["id"] for row in rows] == [question["id"] for question in expected]
        assert (found.source, found.pinned) == ("url", False)
    assert site.asked == ["/MLQA_V1.zip"]
    offline = dataclasses.replace(settings, offline=True)
    assert prepare_mlqa("mlqa-es-ar", "dev", url, registry, offline).source == "url"


def test_a_member_not_asked_for_before_is_read_offline_from_the_archive(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    prepare_mlqa("mlqa-en-en", "dev", url, registry, settings)
    offline = dataclasses.replace(settings, offline=True)
    assert prepare_mlqa("mlqa-es-ar", "dev", url, registry, offline).rows > 0
    assert len(site.asked) == 1


def test_a_member_that_the_archive_lacks_is_one_line(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        prepare_mlqa("mlqa-zh-vi", "test", url, registry, settings)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "the archive does not hold MLQA_V1/test/test-context-zh-question-vi.json" in message
    assert "published at https://github.com/facebookresearch/MLQA" in message


def test_offline_a_member_that_the_archive_lacks_does_not_cost_the_archive(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    """What cannot be fetched again is not thrown away."""
    url, settings = site.serve("/MLQA_V1.zip", zipped(archive)), Settings(cache=tmp_path / "cache")
    prepare_mlqa("mlqa-en-en", "dev", url, registry, settings)
    offline = dataclasses.replace(settings, offline=True)
    with pytest.raises(DataError, match="does not hold"):
        prepare_mlqa("mlqa-zh-vi", "test", url, registry, offline)
    assert prepare_mlqa("mlqa-es-ar", "dev", url, registry, offline).rows > 0


def test_a_file_of_mlqa_under_the_data_root_needs_no_archive(
    site: Site, registry: Registry, tmp_path: Path, archive: dict[str, bytes]
) -> None:
    put(tmp_path, MLQA[1], archive["MLQA_V1/dev/dev-context-en-question-en.json"])
    settings = Settings(cache=tmp_path / "cache", data=tmp_path)
    found = prepare_mlqa(MLQA[0], "dev", site.address + "/MLQA_V1.zip", registry, settings)
    assert (found.source, site.asked) == ("data root", [])
