"""Large files of the hub go on where they broke off, and are what the hub says that they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_site import TOKEN, HubSite, hub_site, use_hub
from tests.loopback import Answer, Heard
from xbench.data.addresses import NotHereError
from xbench.data.patience import TRIES
from xbench.data.sources import locate
from xbench.models.hub import fetch_snapshot, whole_snapshot
from xbench.settings import Settings
from xbench.types import Hub, Row

COMMIT = "c" * 40
BODY = bytes(range(256)) * 8192  # 2 MB
OTHER = bytes(reversed(BODY))
NAME = "data/train.parquet"
RESOLVED = f"/datasets/org/pairs/resolve/{COMMIT}/{NAME}"
BLOB = f"/blobs{RESOLVED}"
SHA256 = hashlib.sha256(BODY).hexdigest()


def read_nothing(paths: object) -> Iterator[Row]:
    return iter(())


SOURCE = Hub("org/pairs", COMMIT, (NAME,), read_nothing)


@pytest.fixture
def hub(tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSite]:
    """A hub with one large file, which its second server sends."""
    monkeypatch.setattr("xbench.data.blobs.LARGE", 1 << 20)
    with hub_site() as served:
        use_hub(served.site.address, tmp_path / "hub", monkeypatch)
        served.publish("org/pairs", COMMIT, {NAME: BODY}, large=(NAME,))
        yield served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


def get(settings: Settings) -> bytes:
    (path,), _ = locate(SOURCE, settings)
    return path.read_bytes()


def reason(settings: Settings) -> str:
    with pytest.raises(NotHereError) as caught:
        get(settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def ranges(hub: HubSite) -> list[str | None]:
    return [heard.headers.get("Range") for heard in hub.cdn.heard]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "hub" / "datasets--org--pairs" / "blobs").iterdir())


def test_what_came_before_a_break_is_not_fetched_again(
    hub: HubSite, settings: Settings, tmp_path: Path, waits: list[float]
) -> None:
    hub.cdn.serve_ranges(BLOB, BODY, breaks=(600_000, 900_000), ETag=f'"{SHA256}"')
    assert get(settings) == BODY
    assert ranges(hub) == [None, "bytes=600000-", "bytes=1500000-"]
    assert names(tmp_path) == [SHA256]
    assert len(waits) == 2


def test_the_next_run_goes_on_from_what_the_last_one_left(
    hub: HubSite, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.cdn.serve_ranges(BLOB, BODY, breaks=(600_000, *[0] * 1000))
    assert "cannot be reached" in reason(settings)
    hub.cdn.heard.clear()
    hub.cdn.serve_ranges(BLOB, BODY)  # without a name for it: its checksum is known
    assert get(settings) == BODY
    assert ranges(hub) == ["bytes=600000-"]
    assert names(tmp_path) == [SHA256]


@pytest.mark.parametrize("whole", [BODY, OTHER], ids=["good", "damaged"])
def test_a_part_that_is_whole_is_asked_for_only_if_it_is_damaged(
    hub: HubSite, settings: Settings, tmp_path: Path, whole: bytes
) -> None:
    blobs = tmp_path / "hub" / "datasets--org--pairs" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{SHA256}.xbench.part").write_bytes(whole)
    assert get(settings) == BODY
    assert ranges(hub) == ([] if whole == BODY else [None])
    assert names(tmp_path) == [SHA256]


def test_an_address_that_holds_no_longer_is_asked_for_again(hub: HubSite, settings: Settings) -> None:
    turns: list[str] = []
    real = hub.site.answers[RESOLVED]

    def signed(heard: Heard) -> Answer:
        turns.append(heard.method)
        status, headers, body = real(heard) if callable(real) else real
        return status, headers | {"Location": f"{hub.cdn.address}{BLOB}?turn={len(turns)}"}, body

    hub.site.answers[RESOLVED] = signed
    hub.cdn.serve_ranges("/whole", BODY, breaks=(600_000,))
    whole = hub.cdn.answers["/whole"]

    def expiring(heard: Heard) -> Answer:
        first = heard.path == next(one.path for one in hub.cdn.heard)
        if first and "Range" in heard.headers:
            return 403, {"Content-Length": "0"}, b""
        return whole(heard) if callable(whole) else whole

    hub.cdn.answers[BLOB] = expiring
    assert get(settings) == BODY
    assert ranges(hub) == [None, "bytes=600000-", "bytes=600000-"]


def test_a_gated_file_is_asked_of_the_hub_with_the_token_and_fetched_without(
    hub: HubSite, settings: Settings, tmp_path: Path
) -> None:
    hub.publish("org/pairs", COMMIT, {NAME: BODY}, gated=True, large=(NAME,))
    assert "gated: ask for access at" in reason(settings)
    (tmp_path / "hub").mkdir(exist_ok=True)
    (tmp_path / "hub" / "token").write_text(TOKEN, encoding="utf-8")
    assert get(settings) == BODY
    assert hub.cdn.heard
    assert TOKEN not in str(hub.cdn.heard)


def test_what_this_way_does_not_bring_the_hubs_client_does(
    hub: HubSite, settings: Settings, tmp_path: Path, waits: list[float]
) -> None:
    real = hub.cdn.answers[BLOB]

    def picky(heard: Heard) -> Answer:
        if "xbench" in heard.headers.get("User-Agent", "")[:6]:
            return 403, {"Content-Length": "0"}, b""
        return real(heard) if callable(real) else real

    hub.cdn.answers[BLOB] = picky
    assert get(settings) == BODY
    assert (names(tmp_path), waits) == ([SHA256], [])


def flip(path: Path) -> None:
    """One bit, as a disk or a network does it: the length stays."""
    body = bytearray(path.read_bytes())
    body[1000] ^= 1
    path.resolve().write_bytes(bytes(body))


def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(hub: HubSite, settings: Settings, tmp_path: Path) -> None:
    (path,), _ = locate(SOURCE, settings)
    flip(path)
    offline = Settings(cache=settings.cache, offline=True)
    message = reason(offline)
    assert str(path) in message
    assert "damaged" in message
    assert path.read_bytes() != BODY  # it is left as it is
    asked = len(hub.cdn.heard)
    assert get(settings) == get(offline) == BODY
    assert len(hub.cdn.heard) == asked + 1
    assert names(tmp_path) == [SHA256]


def test_a_file_that_comes_damaged_from_the_hub_is_no_source(hub: HubSite, settings: Settings, tmp_path: Path) -> None:
    hub.cdn.serve_ranges(BLOB, OTHER, ETag=f'"{SHA256}"')
    assert "comes damaged from the hub" in reason(settings)
    assert (names(tmp_path), len(hub.cdn.heard)) == ([], 2)
    hub.cdn.serve_ranges(BLOB, BODY, ETag=f'"{SHA256}"')
    assert get(settings) == BODY


def test_weights_that_are_damaged_in_the_cache_are_fetched_again(hub: HubSite, settings: Settings) -> None:
    files = {"config.json": b"{}", "model.safetensors": BODY}
    hub.publish("org/tiny", COMMIT, files, "model", large=("model.safetensors",))
    weights = whole_snapshot("org/tiny", COMMIT, settings) / "model.safetensors"
    flip(weights)
    with pytest.raises(NotHereError, match=r"model\.safetensors is damaged"):
        whole_snapshot("org/tiny", COMMIT, Settings(cache=settings.cache, offline=True))
    assert whole_snapshot("org/tiny", COMMIT, settings) / "model.safetensors" == weights
    assert weights.read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_asks_for_an_hour_is_left_alone(
    hub: HubSite, settings: Settings, waits: list[float], status: int
) -> None:
    hub.site.answers[RESOLVED] = status, {"Content-Length": "0", "Retry-After": "3600"}, b""
    assert f"HTTP {status}; its server asks to come back in 60 minutes" in reason(settings)
    assert (len(hub.site.heard), waits) == (1, [])


def test_a_hub_that_asks_for_a_little_patience_gets_it(
    hub: HubSite, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    real, busy = hub.site.answers[RESOLVED], [429] * 3

    def answer(heard: Heard) -> Answer:
        if busy:
            return busy.pop(), {"Content-Length": "0", "Retry-After": "7"}, b""
        return real(heard) if callable(real) else real

    hub.site.answers[RESOLVED] = answer
    assert get(settings) == BODY
    assert slept == [8.0, 8.0]  # its client asks once more at once, and rounds up


def test_a_small_file_whose_connection_is_reset_is_asked_for_again(
    hub: HubSite, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("xbench.data.blobs.LARGE", 1 << 30)  # the hub's client fetches it
    hub.cdn.resets += [BLOB] * 2
    whole = hub.cdn.answers[BLOB]
    cut = 200, {"Content-Length": str(len(BODY)), "ETag": f'"{SHA256}"'}, BODY[:1000]
    hub.cdn.answers[BLOB] = lambda heard: cut if len(hub.cdn.heard) <= 2 else whole(heard)  # type: ignore[operator]
    assert get(settings) == BODY
    assert hub.cdn.resets == []


def test_a_hub_that_breaks_off_for_ever_is_given_up(
    hub: HubSite, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.cdn.serve_ranges(BLOB, BODY, breaks=(600_000, *[0] * 1000))
    assert "tried" in reason(settings)
    assert len(hub.cdn.heard) <= 2 * TRIES + TRIES * (TRIES + 1)  # here, then the hub's client, which is asked again


def test_what_a_killed_client_left_makes_no_doubt_of_a_snapshot_that_it_listed(
    hub: HubSite, settings: Settings, tmp_path: Path
) -> None:
    tokenizer = {"tokenizer.json": b"{}", "tokenizer_config.json": b"{}"}
    files = {"config.json": json.dumps({"model_type": "bert"}).encode(), "model.safetensors": BODY, **tokenizer}
    hub.publish("org/tiny", COMMIT, files, "model", large=("model.safetensors",))
    folder = fetch_snapshot("org/tiny", COMMIT, settings)
    (tmp_path / "hub" / "models--org--tiny" / "blobs" / "e1.0abc.incomplete").touch()
    asked = len(hub.site.heard)
    assert fetch_snapshot("org/tiny", COMMIT, settings) == folder
    assert len(hub.site.heard) == asked
