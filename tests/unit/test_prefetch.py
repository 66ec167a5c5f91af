"""All that an evaluation needs, fetched in one go; then the evaluation runs in a process that has no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.far_away import COMMIT, TABLES, publish_far
from tests.hub_site import TOKEN, HubSite, hub_site, use_hub
from tests.loopback import without_network
from xbench.cli import group
from xbench.cli.request import command_line
from xbench.errors import UserError
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.prefetch import needs
from xbench.registry import load_registry


@pytest.fixture
def hub(
    tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HubSite]:
    """A hub with a model and a dataset, and a publisher's server with another one; none of it is here."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("XBENCH_DATA", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    with hub_site() as served:
        use_hub(served.site.address, tmp_path / "home" / "hub", monkeypatch)
        publish_far(served, tmp_path, tmp_path_factory.mktemp("model") / "tiny")
        yield served


ASKED = ("--model", f"org/tiny@{COMMIT}", "--tasks", "far", "--plugin", "far.py", "--cache", "cache")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(group, arguments, standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, UserError):
        raise result.exception
    return result


OFFLINE = """
from xbench.cli import main
sys.argv = ["xbench", *{arguments}]
status = main()
report(status=status)
"""


def offline(folder: Path, *arguments: str) -> dict[str, object]:
    return without_network(OFFLINE.format(arguments=list(arguments)), folder / "home")


def test_what_was_prefetched_is_evaluated_without_a_single_attempt_to_connect(hub: HubSite, tmp_path: Path) -> None:
    done = run("prefetch", *ASKED)
    assert done.return_value == 0, done.stderr
    assert "missing: far-en train:" in done.stderr
    assert "to download" in done.stderr
    line = done.stdout.splitlines()[-1]
    assert line == command_line("eval", {"models": ASKED[1], "tasks": "far", "cache": "cache", "plugins": ["far.py"]},
                                "--offline")  # fmt: skip
    asked = len(hub.site.asked), len(hub.cdn.asked)
    found = offline(tmp_path, *line.split()[1:])
    assert (found["status"], found["tried"]) == (0, [])
    assert (len(hub.site.asked), len(hub.cdn.asked)) == asked
    records = [
        json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "leaderboard/results").rglob("*.json")
    ]
    assert {(record["eval"]["dataset"], record["curriculum"]) for record in records} == {
        (name, curriculum) for name in ("far-en", "far-de") for curriculum in ("none", "far-en")
    }
    again = run("prefetch", *ASKED)
    assert again.return_value == 0
    assert "4 of 4 are here; nothing to download" in again.stderr


def test_offline_names_all_that_is_missing_at_once_and_the_command_that_fetches_it(
    hub: HubSite, tmp_path: Path
) -> None:
    done = run("eval", *ASKED, "--offline")
    message = str(done.exception)
    assert len(message.splitlines()) == 1
    for label in (f"the model org/tiny@{COMMIT}", "far-en train", "far-en test", "far-de test"):
        assert label in message
    assert f"xbench prefetch --model org/tiny@{COMMIT} --tasks far --cache cache --plugin far.py" in message
    assert hub.site.asked == hub.cdn.asked == []
    assert not (tmp_path / "leaderboard").exists()
    found = offline(tmp_path, "eval", *ASKED, "--offline")
    assert (found["status"], found["tried"]) == (2, [])
    assert "torch" not in found["modules"]  # type: ignore[operator]


def test_a_dry_run_says_sizes_and_fetches_nothing(hub: HubSite, tmp_path: Path) -> None:
    done = run("prefetch", *ASKED, "--dry-run", "--json")
    assert done.return_value == 0
    told = json.loads(done.stdout)
    sizes = {(need["name"], need["split"]): need["downloads"] for need in told["needs"]}
    assert list(sizes["far-de", "test"].values()) == [len(TABLES["test"])]
    assert list(sizes["far-en", "train"].values()) == [len(TABLES["train"])]
    assert len(sizes[f"org/tiny@{COMMIT}", None]) > 2
    assert all(value > 0 for value in sizes[f"org/tiny@{COMMIT}", None].values())
    assert not told["complete"]
    assert {heard.method for heard in hub.cdn.heard} == {"HEAD"}
    assert not (tmp_path / "cache" / "downloads").exists()


def test_what_cannot_be_had_is_named_and_the_rest_is_fetched(hub: HubSite) -> None:
    hub.publish("org/pairs", COMMIT, {f"data/{split}.parquet": body for split, body in TABLES.items()}, gated=True)
    done = run("prefetch", *ASKED)
    assert done.return_value == 1
    gated = [line for line in done.stderr.splitlines() if line.startswith("NOT HERE: far-en train")]
    assert len(gated) == 1
    assert "gated: ask for access at" in gated[0]
    assert done.stdout.startswith("2 of 4 missing: far-en train, far-en test;")
    assert TOKEN not in done.stderr + done.stdout
    assert run("prefetch", *ASKED, "--offline").return_value == 1
    (Path("home") / "hub" / "token").write_text(TOKEN, encoding="utf-8")
    again = run("prefetch", *ASKED)
    assert again.return_value == 0
    assert TOKEN not in again.stderr + again.stdout


def test_the_printed_command_line_asks_for_the_same(hub: HubSite) -> None:
    given = {
        "models": "a,b", "tasks": "sts", "curricula": ("x:y", "none"), "datasets": "", "seeds": "0,1", "head": None,
        "overrides": ("recipe.lr=1e-3",), "limit_train": 0, "limit_eval": None, "data": Path("my data"),
        "trust_remote_code": True, "plugins": (),
    }  # fmt: skip
    assert command_line("eval", given, "--offline") == (
        "xbench eval --model a,b --tasks sts --train x:y --train none --seeds 0,1 --set recipe.lr=1e-3 "
        "--limit-train 0 --data 'my data' --trust-remote-code --offline"
    )


def test_help_of_prefetch_imports_nothing_heavy(tmp_path: Path) -> None:
    found = offline(tmp_path, "prefetch", "--help")
    assert found["status"] == 0
    assert not {"torch", "transformers", "datasets", "huggingface_hub"} & set(found["modules"])  # type: ignore[call-overload]


@pytest.mark.parametrize(("protocol", "dev"), [("last", set()), ("source-dev", {"stsb"}), ("oracle", {"korsts"})])
def test_rows_that_a_checkpoint_is_chosen_on_are_needed_too(protocol: str, dev: set[str]) -> None:
    registry = load_registry()
    request = Request(("e5-small-q4",), ("sts",), ("stsb",), ("korsts",), overrides={"selection": protocol})
    wanted = needs(make_plan(request, registry), registry)
    assert {need.name for need in wanted if need.split == "dev"} == dev
    assert {(need.name, need.split) for need in wanted} >= {("e5-small-q4", ""), ("stsb", "train"), ("korsts", "test")}
