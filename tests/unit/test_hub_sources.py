"""Data sets from the hub: from its cache without the network, and one line when the hub does not serve."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import Site, loopback_site, without_network
from xbench.data.addresses import NotHereError
from xbench.data.sources import locate
from xbench.settings import Settings
from xbench.types import Hub, Row

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BODY = b"the hub's bytes"


def read_nothing(paths: object) -> Iterator[Row]:
    """A reader; where files come from does not depend on it."""
    return iter(())


ABSENT = Hub("org/absent", COMMIT, ("test/a.gz",), read_nothing)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub cache in the hub's own layout, which holds one data set at one commit."""
    repository = tmp_path / "home" / "hub" / "datasets--org--pairs"
    snapshot = repository / "snapshots" / COMMIT / "test"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "blob").write_bytes(BODY)
    (snapshot / "a.gz").symlink_to("../../../blobs/blob")
    return tmp_path / "home"


def look(home: Path, repository: str, offline: bool) -> str:
    """Python that looks for the file and reports what came of it."""
    return f"""
from pathlib import Path
from xbench.data.addresses import NotHereError
from xbench.data.sources import locate
from xbench.settings import Settings
from xbench.types import Hub
source = Hub({repository!r}, {COMMIT!r}, ("test/a.gz",), iter)
try:
    (path,), origin = locate(source, Settings(cache=Path({str(home)!r}) / "cache", offline={offline}))
    report(body=path.read_text(), origin=origin, reason="")
except NotHereError as error:
    report(reason=str(error))
"""


@pytest.mark.parametrize("offline", [False, True])
def test_a_pinned_file_in_the_hub_cache_is_found_without_a_network(home: Path, offline: bool) -> None:
    found = without_network(look(home, "org/pairs", offline), home)
    assert found["reason"] == ""
    assert found["body"] == BODY.decode()
    assert found["origin"] == f"hub:org/pairs@{COMMIT}"


@pytest.mark.parametrize("repository", ["org/pairs", "org/absent"])
def test_offline_connects_nowhere_whether_the_file_is_cached_or_not(home: Path, repository: str) -> None:
    assert without_network(look(home, repository, True), home)["tried"] == []


def test_offline_says_that_the_hub_cache_does_not_hold_it(home: Path) -> None:
    message = without_network(look(home, "org/absent", True), home)["reason"]
    assert "org/absent" in message
    assert "not in the hub cache" in message
    assert len(message.splitlines()) == 1


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub of our own, and an empty cache; the hub's client reads its address when it is used."""
    with loopback_site() as site:
        point_to(site.address, monkeypatch)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        yield site


def point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def reason(source: Hub, folder: Path) -> str:
    with pytest.raises(NotHereError) as caught:
        locate(source, Settings(cache=folder / "cache"))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_file_is_fetched_at_the_pinned_commit_and_only_once(hub: Site, tmp_path: Path) -> None:
    path = f"/datasets/org/absent/resolve/{COMMIT}/test/a.gz"
    hub.serve(path, BODY, ETag='"e1"', X_Repo_Commit=COMMIT)
    for _ in range(2):
        (found,), _ = locate(ABSENT, Settings(cache=tmp_path / "cache"))
        assert found.read_bytes() == BODY
        asked = [(one.method, one.path) for one in hub.heard if one.path.startswith("/datasets/")]
    assert set(asked) == {("HEAD", path), ("GET", path)}
    assert asked.count(("GET", path)) == 1


def test_a_hub_that_cannot_be_reached_is_one_reason(hub: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)  # the hub's client pauses between its tries
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    point_to(f"http://127.0.0.1:{port}", monkeypatch)
    message = reason(ABSENT, tmp_path)
    assert "org/absent" in message
    assert "cannot be reached" in message
    assert waited == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "does not have it"),
        (404, "EntryNotFound", "does not have it"),
        (403, "GatedRepo", "gated"),
    ],
)
def test_a_hub_that_answers_no_is_not_called_unreachable(
    hub: Site, tmp_path: Path, status: int, code: str, words: str
) -> None:
    hub.serve(f"/datasets/org/absent/resolve/{COMMIT}/test/a.gz", status=status, X_Error_Code=code)
    message = reason(ABSENT, tmp_path)
    assert words in message
    assert "org/absent" in message
