"""Rows are read once, are the declared ones or refused in one line, and take memory only when looked at."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from xbench_plugins.sts.readers import read_hub_json, read_sts17, read_stsb

from tests.loopback import without_network
from xbench.data.rows import ROWS_FILE, RowSet, prepare, share_limit
from xbench.data.schemas import xbench_schemas
from xbench.errors import DataError
from xbench.settings import Settings
from xbench.types import Dataset, Files, Hub, Packaged, Reader, Source, SourceFile, Split

SCHEMA = next(schema for schema in xbench_schemas() if schema.name == "pair-score")
URL = "https://example.invalid/sts.csv"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAIRS = [(f'"sentence {at} of café 개', f"oración {at}\x85 😀", (at % 11) / 2) for at in range(40)]
TEXT = "".join(f"genre\tfile\t2017\t{at:04}\t{score}\t{a}\t{b}\n" for at, (a, b, score) in enumerate(PAIRS))


def identity() -> str:
    """The rows' identity, put together here from its definition."""
    form = {"ensure_ascii": False, "separators": (",", ":")}
    rows = ({"id": str(at), "score": score, "sentence1": a, "sentence2": b} for at, (a, b, score) in enumerate(PAIRS))
    lines = (json.dumps(row, **form) for row in rows)  # type: ignore[arg-type]
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def declared(*sources: Source, pin: str | None = None, rows: int | None = None) -> Dataset:
    splits = {"test": Split(sources, rows, pin)}
    return Dataset("made-up", ("en",), "pair-score", splits, "none", "none", "none", "none", score_range=(0.0, 5.0))


def published(path: str = "made/sts.csv", read: Reader = read_stsb) -> Files:
    return Files((SourceFile(path, hashlib.sha256(TEXT.encode()).hexdigest(), URL),), read)


PINNED = declared(published(), pin=identity(), rows=len(PAIRS))
UNPINNED = declared(published())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The published file under a data root."""
    path = tmp_path / "data" / "made" / "sts.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def settings(tmp_path: Path, file: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", data=tmp_path / "data", offline=True)


def refusal(dataset: Dataset, settings: Settings) -> str:
    """The one line of a preparation that must fail, and that must leave nothing half made."""
    with pytest.raises(DataError) as caught:
        prepare(dataset, "test", SCHEMA, settings)
    assert len(str(caught.value).splitlines()) == 1
    assert list((settings.cache / "datasets").glob("*")) == []
    return str(caught.value)


def test_prepared_rows_are_the_files_rows_with_their_identity(settings: Settings) -> None:
    rows = prepare(PINNED, "test", SCHEMA, settings)
    assert rows.rows_sha256 == identity()
    assert (rows.rows, rows.pinned, rows.source) == (len(PAIRS), True, "data root")
    read = [(row["sentence1"], row["sentence2"], row["score"]) for row in rows.open()]
    assert read == PAIRS


def test_prepared_rows_are_found_again_without_importing_arrow(settings: Settings) -> None:
    first = prepare(PINNED, "test", SCHEMA, settings)
    code = f"""
from pathlib import Path
from xbench_plugins.sts.readers import read_stsb
from xbench.data.rows import prepare
from xbench.data.schemas import xbench_schemas
from xbench.settings import Settings
from xbench.types import Dataset, Files, SourceFile, Split
schema = next(schema for schema in xbench_schemas() if schema.name == "pair-score")
files = Files((SourceFile("made/sts.csv"),), read_stsb)
split = Split((files,), {len(PAIRS)}, {identity()!r})
dataset = Dataset("made-up", ("en",), "pair-score", {{"test": split}}, "", "", "", "", score_range=(0.0, 5.0))
found = prepare(dataset, "test", schema, Settings(Path({str(settings.cache)!r}), data=Path({str(settings.data)!r})))
report(folder=str(found.folder), rows=found.rows, identity=found.rows_sha256)
"""
    again = without_network(code, settings.cache)
    assert (again["folder"], again["rows"], again["identity"]) == (str(first.folder), first.rows, first.rows_sha256)
    assert not {"datasets", "pyarrow", "pandas", "numpy"} & set(again["modules"])


@pytest.mark.parametrize("change", ["crlf", "byte-order mark", "no final newline", "more columns"])
def test_another_copy_with_the_same_rows_is_accepted(settings: Settings, file: Path, change: str) -> None:
    text = {
        "crlf": TEXT.replace("\n", "\r\n"),
        "byte-order mark": "\ufeff" + TEXT,
        "no final newline": TEXT.removesuffix("\n"),
        "more columns": TEXT.replace("\n", "\ta\tb\n"),
    }[change]
    file.write_bytes(text.encode())
    assert prepare(PINNED, "test", SCHEMA, settings).rows_sha256 == identity()


LINES = TEXT.split("\n")
DAMAGES: dict[str, tuple[bytes, str]] = {
    "one letter": (TEXT.replace("oración 7\x85", "Oración 7\x85").encode(), identity()[:12]),
    "one score": (TEXT.replace("0004\t2.0", "0004\t2.5").encode(), identity()[:12]),
    "rows exchanged": ("\n".join([LINES[1], LINES[0], *LINES[2:]]).encode(), identity()[:12]),
    "rows missing": (TEXT[: TEXT.index("genre\tfile\t2017\t0030")].encode(), "30 rows, not 40"),
    "rows too many": ((TEXT + TEXT).encode(), "80 rows, not 40"),
    "cut within a row": (TEXT[: TEXT.index("0030\t") + 6].encode(), "line 31"),
    "empty": (b"", "0 rows, not 40"),
    "latin-1": (TEXT.replace(" 개", "").replace("😀", "").encode("latin-1"), "line 1: not UTF-8"),
    "utf-16": (TEXT.encode("utf-16"), "line 1"),
    "another format": (b'{"sentence1": "a"}\n', "line 1"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_names_path_expectation_and_remedy(settings: Settings, file: Path, damage: str) -> None:
    content, expected = DAMAGES[damage]
    file.write_bytes(content)
    message = refusal(PINNED, settings)
    assert str(file) in message
    assert expected in message
    assert f"get it again from {URL}" in message
    assert hashlib.sha256(content).hexdigest()[:12] in message


def test_a_missing_file_names_its_place_and_that_it_was_not_downloaded(settings: Settings, file: Path) -> None:
    file.unlink()
    message = refusal(PINNED, settings)
    assert "made-up" in message
    assert str(file) in message
    assert "--offline" in message
    assert "--data or XBENCH_DATA" in refusal(PINNED, replace(settings, data=None))


def test_of_two_files_the_altered_one_is_named(settings: Settings, file: Path) -> None:
    texts, gold = file.with_name("input.txt"), file.with_name("gold.txt")
    texts.write_bytes(b"a\tb\nc\td\n")
    gold.write_bytes(b"1\n2\n")
    files = tuple(
        SourceFile(f"made/{path.name}", hashlib.sha256(path.read_bytes()).hexdigest()) for path in (texts, gold)
    )
    known = prepare(declared(Files(files, read_sts17)), "test", SCHEMA, settings)
    gold.write_bytes(b"1\n3\n")
    with pytest.raises(DataError, match=r"gold\.txt has sha256 .* get it again from its publisher"):
        prepare(declared(Files(files, read_sts17), pin=known.rows_sha256), "test", SCHEMA, settings)


def test_rows_that_nobody_has_checked_are_marked(settings: Settings) -> None:
    rows = prepare(UNPINNED, "test", SCHEMA, settings)
    assert not rows.pinned
    assert rows.rows_sha256 == identity()


def test_a_file_without_rows_is_refused_even_where_nobody_has_counted_them(settings: Settings, file: Path) -> None:
    file.write_bytes(b"")
    message = refusal(UNPINNED, settings)
    assert f"{file} holds no rows" in message


@pytest.mark.parametrize(("pin", "count", "words"), [("0" * 64, None, "other rows"), (None, 39, "40 rows, not 39")])
def test_rows_prepared_without_a_check_do_not_pass_a_later_one(
    settings: Settings, pin: str | None, count: int | None, words: str
) -> None:
    prepare(UNPINNED, "test", SCHEMA, settings)
    with pytest.raises(DataError, match=words):
        prepare(declared(published(), pin=pin, rows=count), "test", SCHEMA, settings)


def test_a_file_altered_after_it_was_prepared_is_noticed(settings: Settings, file: Path) -> None:
    prepare(PINNED, "test", SCHEMA, settings)
    file.write_bytes(TEXT.replace("oración 7\x85", "Oración 7\x85").encode())
    with pytest.raises(DataError, match="other rows"):
        prepare(PINNED, "test", SCHEMA, settings)


def load_reader(path: Path, text: str) -> Reader:
    """What an import of a plugin's file would give, its text being the given one."""
    path.write_text(text, encoding="utf-8")
    module = ModuleType("edited_reader")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    read: Reader = module.read
    return read


def test_an_edited_reader_reads_again(settings: Settings, tmp_path: Path) -> None:
    text = "from xbench_plugins.sts.readers import read_stsb\ndef read(paths):\n    yield from read_stsb(paths)\n"
    path = tmp_path / "reader.py"
    before = prepare(declared(published(read=load_reader(path, text))), "test", SCHEMA, settings)
    halved = text.replace("yield from read_stsb(paths)", "yield from list(read_stsb(paths))[:20]")
    after = prepare(declared(published(read=load_reader(path, halved))), "test", SCHEMA, settings)
    assert (before.rows, after.rows, len(after.open())) == (40, 20, 20)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


BREAKS: dict[str, Callable[[Path], object]] = {
    "altered rows": lambda folder: flip(folder / ROWS_FILE),
    "torn rows": lambda folder: os.truncate(folder / ROWS_FILE, 100),
    "no rows": lambda folder: (folder / ROWS_FILE).unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "empty manifest": lambda folder: (folder / "manifest.json").write_bytes(b""),
    "torn manifest": lambda folder: os.truncate(folder / "manifest.json", 30),
    "manifest of nulls": lambda folder: (folder / "manifest.json").write_bytes(b"\0" * 80),
    "manifest is null": lambda folder: (folder / "manifest.json").write_bytes(b"null"),
}  # fmt: skip


@pytest.mark.parametrize("damage", BREAKS)
def test_a_damaged_cache_is_made_anew(settings: Settings, damage: str) -> None:
    for _ in range(2):  # the second time, its checksum is remembered
        before = prepare(PINNED, "test", SCHEMA, settings)
    BREAKS[damage](before.folder)
    after = prepare(PINNED, "test", SCHEMA, settings)
    assert after == before
    assert [(row["sentence1"], row["sentence2"], row["score"]) for row in after.open()] == PAIRS


def test_many_at_once_prepare_the_same_rows(settings: Settings) -> None:
    prepare(UNPINNED, "test", SCHEMA, settings)  # imports what is heavy before the threads start

    def one(_: int) -> RowSet:
        return prepare(PINNED, "test", SCHEMA, settings)

    with ThreadPoolExecutor(4) as pool:
        assert len({(rows.rows_sha256, rows.folder) for rows in pool.map(one, range(8))}) == 1
    assert [path.name for path in (settings.cache / "datasets").iterdir() if path.name.startswith(".")] == []


def write_hub(path: Path, pairs: list[tuple[str, str, float]]) -> None:
    items = [{"sentence1": a, "sentence2": b, "score": score} for a, b, score in pairs]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(item) + "\n" for item in items).encode()))


@pytest.fixture
def hub_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a file of ``org/pairs`` lies in the hub's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub" / "datasets--org--pairs" / "snapshots" / COMMIT / "test.jsonl.gz"


TWO_SOURCES = declared(
    published(), Hub("org/pairs", COMMIT, ("test.jsonl.gz",), read_hub_json), pin=identity(), rows=len(PAIRS)
)


def test_the_hubs_copy_serves_when_the_publishers_file_is_not_here(
    settings: Settings, file: Path, hub_file: Path
) -> None:
    published_rows = prepare(TWO_SOURCES, "test", SCHEMA, settings)
    file.unlink()
    write_hub(hub_file, PAIRS)
    rows = prepare(TWO_SOURCES, "test", SCHEMA, settings)
    assert rows.source == f"hub:org/pairs@{COMMIT}"
    assert rows.rows_sha256 == published_rows.rows_sha256


def test_a_hub_copy_with_other_rows_is_refused_as_another_dataset(
    settings: Settings, file: Path, hub_file: Path
) -> None:
    file.unlink()
    write_hub(hub_file, [*PAIRS[:-1], ("other", "words", 1.0)])
    message = refusal(TWO_SOURCES, settings)
    assert "another dataset" in message
    assert str(hub_file) in message


@pytest.mark.parametrize(("score", "words"), [(7.5, "score 7.5 lies outside"), (float("nan"), "score: nan")])
def test_a_row_that_does_not_fit_its_schema_is_named(
    settings: Settings, hub_file: Path, score: float, words: str
) -> None:
    write_hub(hub_file, [*PAIRS[:5], ("a", "b", score), *PAIRS[6:]])
    message = refusal(declared(Packaged((hub_file,), read_hub_json)), settings)
    assert "dataset made-up, split test, row 5: " in message
    assert words in message
    assert str(hub_file) in message


def test_a_text_that_arrow_cannot_hold_is_named(settings: Settings, hub_file: Path) -> None:
    write_hub(hub_file, [*PAIRS[:5], ("half of a pair: \ud83d", "b", 1.0)])
    assert "row 5" in refusal(declared(Packaged((hub_file,), read_hub_json)), settings)


@pytest.mark.parametrize(
    ("limit", "sizes", "shares"),
    [
        (None, [5, 7], [None, None]), (6, [9, 9], [3, 3]), (7, [9, 9], [4, 3]), (8, [9, 9, 9], [3, 3, 2]),
        (10, [2, 50], [None, 8]), (10, [50, 2], [8, None]), (10, [3, 50, 2], [None, 5, None]), (5, [5], [None]),
        (10, [4, 6], [None, None]), (99, [4, 6], [None, None]), (12, [4, 100, 100], [None, 4, 4]),
    ],
)  # fmt: skip
def test_a_limit_is_shared_as_evenly_as_the_rows_allow(
    limit: int | None, sizes: list[int], shares: list[int | None]
) -> None:
    found = share_limit(limit, sizes)
    taken = [size if share is None else share for share, size in zip(found, sizes, strict=True)]
    assert taken == [size if share is None else share for share, size in zip(shares, sizes, strict=True)]
    assert all(share is None or share < size for share, size in zip(found, sizes, strict=True))
