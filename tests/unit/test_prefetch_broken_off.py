"""Prefetching by real processes: killed in the middle, interrupted, two at once; and with the hub's own settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.far_away import COMMIT, publish_far, table
from tests.faults.processes import PROGRAM
from tests.hub_site import TOKEN, HubSite, hub_site
from tests.loopback import Answer, Heard, without_network

LARGE = table(1, ballast=os.urandom(12 << 20))
"""So large that it matters where a download goes on."""
HALF = 6 << 20
PAIRS = f"/blobs/datasets/org/pairs/resolve/{COMMIT}/data/train.parquet"
WAIT_S = 120


class Stalling:
    """Sends the first half of a file, and the rest when it is told to."""

    def __init__(self, served: HubSite) -> None:
        self._whole = served.cdn.answers[PAIRS]
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, heard: Heard) -> Answer:
        assert callable(self._whole)
        if "Range" in heard.headers and not self.go_on.is_set():
            self.reached.set()
            self.go_on.wait(WAIT_S)
        status, headers, body = self._whole(heard)
        return status, headers, body if self.go_on.is_set() else body[:HALF]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[HubSite]:
    with hub_site() as site:
        publish_far(site, tmp_path, tmp_path / "model")
        files = {"data/train.parquet": LARGE, "data/test.parquet": table(2)}
        site.publish("org/pairs", COMMIT, files, large=("data/train.parquet",))
        yield site


@pytest.fixture
def stalling(served: HubSite) -> Iterator[Stalling]:
    answer = Stalling(served)
    served.cdn.answers[PAIRS] = answer
    yield answer
    answer.go_on.set()


def start(folder: Path, served: HubSite, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A prefetch of its own process, which knows the hub by the environment alone."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "XBENCH_"))}
    own = {"HF_ENDPOINT": served.site.address, "HF_HOME": str(folder / "home"), "NO_PROXY": "127.0.0.1"}
    asked = ["prefetch", "--model", "org/tiny", "--tasks", "far", "--plugin", "far.py", "--cache", "cache"]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *asked, *arguments], cwd=folder, env={**kept, **own, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def part(folder: Path) -> Path:
    (found,) = (folder / "home" / "hub" / "datasets--org--pairs" / "blobs").glob("*.part")
    return found


def gets(served: HubSite, path: str = PAIRS) -> list[str | None]:
    return [one.headers.get("Range") for one in served.cdn.heard if (one.method, one.path) == ("GET", path)]


def test_a_killed_prefetch_is_gone_on_with_and_what_comes_of_it_needs_no_network(
    served: HubSite, stalling: Stalling, tmp_path: Path
) -> None:
    first = start(tmp_path, served)
    assert stalling.reached.wait(WAIT_S)
    first.kill()
    first.communicate()
    assert part(tmp_path).stat().st_size == HALF
    stalling.go_on.set()
    served.cdn.heard.clear()
    second = start(tmp_path, served)
    out, err = second.communicate(timeout=WAIT_S)
    assert second.returncode == 0, err
    assert gets(served) == [f"bytes={HALF}-"]
    assert "all 4 are here and checked" in out
    assert "--model org/tiny --tasks far" in out
    revision = """
import os
os.chdir({folder!r})
from pathlib import Path
from xbench.models.resolve import resolve_model
from xbench.registry import Registry
from xbench.settings import Settings
model = resolve_model("org/tiny", Registry(), Settings(cache=Path("cache"), offline=True))
report(revision=model.revision)
"""
    found = without_network(revision.format(folder=str(tmp_path)), tmp_path / "home")
    assert (found["revision"], found["tried"]) == (COMMIT, [])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_an_interrupted_prefetch_ends_at_once_and_keeps_what_came(
    served: HubSite, stalling: Stalling, tmp_path: Path, stop: signal.Signals
) -> None:
    running = start(tmp_path, served)
    assert stalling.reached.wait(WAIT_S)
    running.send_signal(stop)
    _, err = running.communicate(timeout=WAIT_S / 2)  # the server stays silent for longer than that
    assert running.returncode == 128 + stop
    assert "Traceback" not in err
    assert "the same command goes on from there" in err
    assert part(tmp_path).stat().st_size == HALF


def test_two_prefetches_at_once_fetch_each_large_file_once(served: HubSite, stalling: Stalling, tmp_path: Path) -> None:
    both = [start(tmp_path, served) for _ in range(2)]
    assert stalling.reached.wait(WAIT_S)
    waits_for_the_other(both[0 if both[1].poll() is None else 1], served)
    stalling.go_on.set()
    for one in both:
        out, err = one.communicate(timeout=WAIT_S)
        assert one.returncode == 0, err
        assert "all 4 are here and checked" in out
    assert gets(served) == [None, f"bytes={HALF}-"]
    assert gets(served, "/test.parquet") == [None]


def waits_for_the_other(process: subprocess.Popen[str], served: HubSite) -> None:
    """Until both have asked the hub for the file."""
    until = time.monotonic() + WAIT_S
    looks = f"/datasets/org/pairs/resolve/{COMMIT}/data/train.parquet"
    while sum(one.path == looks for one in served.site.heard) < 4:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)


PLACES: dict[str, Callable[[Path], dict[str, str]]] = {
    "HF_TOKEN": lambda folder: {"HF_TOKEN": TOKEN},
    "HF_TOKEN_PATH": lambda folder: {"HF_TOKEN_PATH": written(folder / "elsewhere" / "secret")},
    "HF_HOME": lambda folder: {"HF_HOME": str(Path(written(folder / "other" / "token")).parent)},
}


def written(path: Path) -> str:
    path.parent.mkdir(parents=True)
    path.write_text(TOKEN + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("place", PLACES)
def test_a_token_is_found_in_the_usual_places(served: HubSite, tmp_path: Path, place: str) -> None:
    files = {f"data/{split}.parquet": table(seed) for seed, split in enumerate(("train", "test"))}
    served.publish("org/pairs", COMMIT, files, gated=True, large=("data/train.parquet",))
    running = start(tmp_path, served, "--dry-run", "--json", **PLACES[place](tmp_path))
    out, err = running.communicate(timeout=WAIT_S)
    assert running.returncode == 0, err
    needs = {(need["name"], need["split"]): need for need in json.loads(out)["needs"]}
    assert list(needs["far-en", "train"]["downloads"].values()) == [len(files["data/train.parquet"])]
    assert needs["far-en", "train"]["why_not"] is None
    assert TOKEN not in out + err + str(served.cdn.heard)


def test_a_gated_model_is_named_as_such_before_anything_is_fetched(served: HubSite, tmp_path: Path) -> None:
    served.publish("org/tiny", COMMIT, {"config.json": b"{}"}, "model", gated=True)
    running = start(tmp_path, served, "--dry-run")
    _, err = running.communicate(timeout=WAIT_S)
    lines = [line for line in err.splitlines() if line.startswith("missing: the model org/tiny:")]
    assert len(lines) == 1
    assert f"gated: ask for access at {served.site.address}/org/tiny, then try again" in lines[0]
