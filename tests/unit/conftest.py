"""Fixtures of the units."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loopback import Site, loopback_site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web server on this machine, reached past any proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with loopback_site() as served:
        yield served
