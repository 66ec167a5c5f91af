"""Fixtures that several test files share; what is heavy is imported by the test that needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.loopback import Site, loopback_site
from xbench.registry import Registry, load_registry

ROOT = Path(__file__).parents[1]
# Programs that the tests start elsewhere read it too: from there, a relative one would be another folder.
if os.environ.get("XBENCH_DATA"):
    os.environ["XBENCH_DATA"] = str((ROOT / os.environ["XBENCH_DATA"]).resolve())

settings.register_profile("xbench", deadline=None, max_examples=50)  # a busy machine is not a failure
settings.load_profile("xbench")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The data sets, as their publishers released them."""
    root = Path(os.environ.get("XBENCH_DATA") or (ROOT / "../shared/data").resolve())
    assert root.is_dir(), f"XBENCH_DATA: {root} is not a folder"
    return root


@pytest.fixture(scope="session")
def registry() -> Registry:
    """What the installed plugins declare."""
    return load_registry()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the folder of a tiny model by its shape and dropout rate; each is written once."""
    from tests.tiny import tiny_model

    root = tmp_path_factory.mktemp("tiny")

    def folder(shape: str, dropout: float = 0.1) -> Path:
        path = root / f"{shape}-{dropout}"
        return path if path.is_dir() else tiny_model(path, shape, dropout=dropout)

    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: for tests that compare bits or stored numbers."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a download would have waited before each new try; here it does not."""
    waited: list[float] = []
    monkeypatch.setattr("xbench.data.patience.sleep", waited.append)
    return waited


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[Site]:
    """A web server on this machine, reached past any proxy; nobody waits between two tries."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with loopback_site() as served:
        yield served
