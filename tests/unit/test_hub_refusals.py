"""What the hub is told, what it refuses, and how long it is asked: with its own client, and a hub on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_site import TOKEN, HubSite, hub_site, use_hub
from tests.loopback import Answer, Heard
from xbench.data.addresses import NotHereError
from xbench.data.hub import bytes_to_fetch
from xbench.data.sources import locate
from xbench.errors import UserError
from xbench.models.hub import snapshot_bytes
from xbench.models.resolve import resolve_model
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Hub, Row

COMMIT = "a" * 40
FILES = {"data/train.parquet": b"rows " * 1000, "data/test.parquet": b"more"}
SECRETS = (TOKEN, TOKEN[3:])


def read_nothing(paths: object) -> Iterator[Row]:
    return iter(())


SOURCE = Hub("org/pairs", COMMIT, tuple(FILES), read_nothing)


@pytest.fixture
def hub(tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSite]:
    with hub_site() as served:
        use_hub(served.site.address, tmp_path / "hub", monkeypatch)
        yield served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


@pytest.fixture
def login(tmp_path: Path) -> None:
    """A token in the file where ``hf auth login`` puts it."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text(TOKEN, encoding="utf-8")


def reason(settings: Settings) -> str:
    with pytest.raises(NotHereError) as caught:
        locate(SOURCE, settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_files_come_whole_also_where_the_hub_redirects(hub: HubSite, settings: Settings) -> None:
    hub.publish("org/pairs", COMMIT, FILES, large=("data/train.parquet",))
    paths, origin = locate(SOURCE, settings)
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    assert origin == f"hub:org/pairs@{COMMIT}"
    assert [heard.method for heard in hub.cdn.heard] == ["GET"]


def test_a_gated_dataset_is_named_with_its_page_and_what_to_do(hub: HubSite, settings: Settings) -> None:
    hub.publish("org/pairs", COMMIT, FILES, gated=True)
    message = reason(settings)
    assert message.startswith("hub dataset org/pairs: gated")
    assert f"{hub.site.address}/datasets/org/pairs" in message
    assert "hf auth login" in message
    assert "HF_TOKEN" in message


def test_a_gated_model_is_named_with_its_page_and_what_to_do(hub: HubSite, settings: Settings) -> None:
    hub.publish("org/tiny", COMMIT, {"config.json": b"{}"}, "model", gated=True)
    with pytest.raises(UserError) as caught:
        resolve_model(f"org/tiny@{COMMIT}", Registry(), settings)
    assert "--model org/tiny: gated" in str(caught.value)
    assert f"ask for access at {hub.site.address}/org/tiny," in str(caught.value)


def test_a_token_without_access_is_told_from_none(
    hub: HubSite, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish("org/pairs", COMMIT, FILES, gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_somebodyElses")
    message = reason(settings)
    assert "no access yet" in message
    assert "somebodyElses" not in message


def test_a_token_from_the_usual_file_opens_a_gated_dataset_and_goes_to_the_hub_alone(
    hub: HubSite, settings: Settings, login: None, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.publish("org/pairs", COMMIT, FILES, gated=True, large=tuple(FILES))
    paths, _ = locate(SOURCE, settings)
    assert [path.read_bytes() for path in paths] == list(FILES.values())
    assert all(heard.headers.get("Authorization") == f"Bearer {TOKEN}" for heard in hub.site.heard)
    assert len(hub.cdn.heard) == len(FILES)
    for heard in hub.cdn.heard:
        assert not any(secret in str(heard) for secret in SECRETS)
        assert "authorization" not in {name.lower() for name in heard.headers}
    out = capfd.readouterr()
    assert not any(secret in text for secret in SECRETS for text in (caplog.text, out.out, out.err))


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_not_shown(hub: HubSite, settings: Settings, login: None, status: int) -> None:
    echo = {"X-Error-Message": f"Invalid credentials in Authorization header: {TOKEN}"}
    for name in FILES:
        path = f"/datasets/org/pairs/resolve/{COMMIT}/{name}"
        hub.site.answers[path] = (status, {"Content-Length": "0", **echo}, b"")
    message = reason(settings)
    assert TOKEN not in message
    assert "log in anew" in message or "private" in message or "does not have it" in message


def failing(hub: HubSite, path: str, failures: list[Answer], method: str = "GET") -> None:
    """Let the hub fail before it answers."""
    real = hub.site.answers[path]

    def answer(heard: Heard) -> Answer:
        if heard.method == method and failures:
            return failures.pop(0)
        return real(heard) if callable(real) else real

    hub.site.answers[path] = answer


def test_a_server_that_fails_while_it_sends_is_asked_again(
    hub: HubSite, settings: Settings, waits: list[float]
) -> None:
    hub.publish("org/pairs", COMMIT, FILES)
    path = f"/datasets/org/pairs/resolve/{COMMIT}/data/train.parquet"
    failing(hub, path, [(503, {"Content-Length": "0"}, b"")] * 2)
    paths, _ = locate(SOURCE, settings)
    assert [found.read_bytes() for found in paths] == list(FILES.values())
    assert len(waits) == 2


def test_a_listing_that_fails_is_asked_for_again(hub: HubSite, settings: Settings) -> None:
    hub.publish("org/tiny", COMMIT, {"config.json": b"{}", "model.safetensors": b"w" * 100}, "model")
    failing(hub, f"/api/models/org/tiny/tree/{COMMIT}", [(502, {"Content-Length": "0"}, b"")])
    assert snapshot_bytes("org/tiny", COMMIT, settings) == {
        f"hf://org/tiny@{COMMIT}/config.json": 2,
        f"hf://org/tiny@{COMMIT}/model.safetensors": 100,
    }


def test_what_the_hub_does_not_have_is_asked_for_once(hub: HubSite, settings: Settings, waits: list[float]) -> None:
    assert "does not have it" in reason(settings)
    assert waits == []


def test_sizes_are_known_before_anything_is_fetched(hub: HubSite, settings: Settings) -> None:
    hub.publish("org/pairs", COMMIT, FILES, large=("data/train.parquet",))
    where = f"hf://datasets/org/pairs@{COMMIT}"
    assert bytes_to_fetch(SOURCE, settings) == {f"{where}/{name}": len(body) for name, body in FILES.items()}
    assert {heard.method for heard in hub.site.heard} == {"HEAD"}
    assert hub.cdn.heard == []
    locate(SOURCE, settings)
    assert bytes_to_fetch(SOURCE, settings) == {}
