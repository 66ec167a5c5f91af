"""Records of others, manifests and what servers answer, damaged: refused or passed over, and never a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.harness import case, fuzz
from tests.fuzz.mutations import LEAVES, altered, json_files
from tests.loopback import Answer, Heard, Site
from tests.records import record as made
from xbench.candidates import Candidates
from xbench.data.addresses import NotHereError, check_address, public
from xbench.data.download import fetch
from xbench.data.patience import asked_s
from xbench.errors import UserError
from xbench.estimate.machine import Machine
from xbench.estimate.past import past_errors
from xbench.files import Digests
from xbench.leaderboard import publish
from xbench.merge import find_files, merge
from xbench.record_form import record_errors
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import Store, read_record, sign

ROOT = Path(__file__).parents[2]


def published() -> list[dict[str, Any]]:
    paths = sorted((ROOT / "leaderboard" / "results").rglob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths[:: len(paths) // 6]]


RECORDS = published()


def signed(value: Any) -> Any:
    """As a forger would; what cannot be signed stays as it is."""
    try:
        return sign(value) if isinstance(value, dict) else value
    except (ValueError, TypeError, RecursionError):
        return value


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files are written anew for each case."""
    return tmp_path_factory.mktemp("fuzz")


@fuzz(2)
@given(record=st.sampled_from(RECORDS).flatmap(altered))
def test_the_form_of_records(record: Any) -> None:
    with case("record form"):
        errors = record_errors(signed(record))
        assert all(len(line) < 1000 and line.isprintable() for line in errors)


@fuzz()
@given(data=st.sampled_from(RECORDS).flatmap(json_files))
def test_reading_records(place: Path, data: bytes) -> None:
    path = place / "r.json"
    path.write_bytes(data)
    with case("record file"):
        record = read_record(path)
        assert record is None or record["key"]


@fuzz()
@given(record=st.sampled_from(RECORDS).flatmap(altered))
def test_taking_records(place: Path, registry: Registry, record: Any) -> None:
    theirs = place / "theirs"
    theirs.mkdir(exist_ok=True)
    (theirs / "r.json").write_bytes(dumped(signed(record)))
    with case("merge", UserError):
        files, _ = find_files(theirs)
        for one in merge(files, registry, Settings(cache=place / "cache", out=place / "out"), dry_run=True):
            assert one.said.isprintable()


@fuzz(0.5)
@given(record=altered(made("stsb", "korsts", draws=True, model__name="m1")))
def test_a_leaderboard_of_records_that_were_copied_by_hand(place: Path, registry: Registry, record: Any) -> None:
    out = place / "board"
    (out / "results").mkdir(parents=True, exist_ok=True)
    (out / "results" / "a.json").write_bytes(dumped(signed(record)))
    (out / "results" / "b.json").write_bytes(dumped(sign(made("korsts", "korsts", draws=True, model__name="m2"))))
    with case("leaderboard", UserError):
        publish.build(out, registry)


# What lies in the cache

SIGNED: dict[str, tuple[str, Any]] = {
    "stage": ("stages/k/stage.json", {"key": "k", "weights_sha256": "a" * 64, "beside_sha256": {"x": "b"}}),
    "candidates": (
        "candidates/k/candidates.json",
        {"key": "k", "steps": 10, "epochs": 2, "files": {"5": {"weights.safetensors": "a"}, "10": {"x": "b"}}},
    ),
    "estimate": (
        "estimates/k.json",
        {"key": "k", "device": "cpu", "threads": 2, "whole_s": 1.0, "memory_mb": 2.0, "weights_mb": 3.0},
    ),
}  # fmt: skip


def look(kind: str, settings: Settings) -> None:
    store = Store(settings)
    if kind == "stage":
        assert store.stage("k") is None
    elif kind == "candidates":
        assert not Candidates(settings.cache, store).find("k", 2)
    else:
        past_errors(MACHINE, settings)


MACHINE = Machine.__new__(Machine)
object.__setattr__(MACHINE, "device", "cpu")
object.__setattr__(MACHINE, "threads", 2)


@pytest.mark.parametrize("kind", SIGNED)
@fuzz()
@given(data=st.data())
def test_manifests(place: Path, kind: str, data: st.DataObject) -> None:
    settings = Settings(cache=place / "cache", out=place / "out")
    name, value = SIGNED[kind]
    path = settings.cache / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = dumped(signed(data.draw(altered(value)))) if data.draw(st.booleans()) else data.draw(json_files(value))
    path.write_bytes(content)
    with case(f"manifest: {kind}"):
        look(kind, settings)


@fuzz()
@given(data=st.data())
def test_remembered_checksums(place: Path, data: st.DataObject) -> None:
    file = place / "file"
    file.write_bytes(b"content")
    digests = Digests(place / "digests")
    right = digests.sha256(file)
    (memory,) = (place / "digests").glob("*.json")
    value = json.loads(memory.read_text(encoding="utf-8"))
    content = data.draw(json_files({**value, "file": ["elsewhere"]}))
    memory.write_bytes(content)
    with case("digest memory"):
        assert digests.sha256(file) == right


# What servers answer

HEADERS = ("Content-Length", "Content-Range", "ETag", "Last-Modified", "Retry-After", "Accept-Ranges", "Location")
TEXTS = (
    "0", "5", "7", "-1", "9" * 5000, "1e3", "٣", "bytes 3-6/7", "bytes 0-6/7", f"bytes 3-6/{2**60}", "bytes */7",
    "bytes 3-6/*", f"bytes {'9' * 5000}-6/7", "none", '"tag"', 'W/"tag"', "", "x" * 60_000,
    "Mon, 01 Jan 2024 00:00:00 GMT",
    "Mon, 99 Foo 99999 99:99:99 GMT", "http://example.invalid/", "file:///etc/passwd", "ftp://example.invalid/x", "//",
    "https://127.0.0.1@example.invalid/", "http://[::1", "\x1b[31m", "é",
)  # fmt: skip


@fuzz()
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([206, 200, 302, 416, 429, 503, 404, 200, 206]),
            st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(TEXTS), max_size=3),
        ),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_downloads(site: Site, place: Path, headers: list[tuple[int, dict[str, str]]]) -> None:
    body, left = b"content", list(headers)

    def answer(heard: Heard) -> Answer:
        if not left:
            return 200, {"Content-Length": "7"}, body
        status, fields = left.pop(0)
        return status, {"Content-Length": "7", **fields}, body

    site.answers["/file"] = answer
    target = place / "target"
    target.unlink(missing_ok=True)
    with case("download answers", NotHereError):
        fetch(f"{site.address}/file", target, Settings(cache=place / "cache"))
        assert target.is_file()
    assert not list((place / "cache" / "downloads").glob("*.part"))


@fuzz(2)
@given(text=st.sampled_from(TEXTS) | st.text(max_size=40))
def test_addresses_and_waits(text: str) -> None:
    with case("addresses", NotHereError):
        public(text)
        asked_s(text)
        for url in (text, f"https://{text}", f"http://127.0.0.1{text}", f"https://example.org/{text}"):
            check_address(url)


def test_every_leaf_is_no_record() -> None:
    assert all(record_errors(leaf) for leaf in LEAVES)
