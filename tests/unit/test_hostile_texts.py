"""Names and answers of strangers: addresses, the terminal, TOML and JSON that are too much."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from pathlib import Path

import pytest

from tests.hub_site import hub_site, use_hub
from tests.loopback import Site
from xbench.cards import merged
from xbench.cli import main
from xbench.cli.tables import wide_console
from xbench.cli.terminal import say, seen
from xbench.data.addresses import NotHereError, check_address, public
from xbench.data.download import expected_bytes, fetch
from xbench.data.sources import locate, to_fetch
from xbench.errors import UserError
from xbench.leaderboard.publish import build
from xbench.models.folder import LARGEST_HEADER, check_sizes, count_weights
from xbench.project import read_project
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.store import read_record, read_signed, sign
from xbench.tasks import load_task
from xbench.toml_files import read_toml
from xbench.types import Files, Hub, SourceFile

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;owned\x07", "c1": "\x9b31m", "return": "a\rb", "backspace": "a\b\b", "bidi": "a\u202eb",
    "isolate": "\u2066a", "nul": "a\0b", "surrogate": "a\ud800", "bell": "\x07", "separator": "a\u2028b",
    "zero-width": "a\u200bb", "path": "../../x", "absolute": "/etc/passwd", "shell": "$(touch x)`y`",
    "markup": "[red]x[/red][link=http://e]", "long": "x" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_that_is_said_moves_a_terminal(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = HOSTILE[kind]
    say(text)
    say(text, err=True)
    console = wide_console(to_stderr=False)
    console.print(text, markup=False)
    out = capsys.readouterr()
    for said in (out.out, out.err, seen(text)):
        assert all(one.isprintable() or one in "\n\t" for one in said), ascii(said)
    assert seen("가 é\t\n") == "가 é\t\n"


def test_a_mistake_with_a_hostile_name_in_it_is_one_line_that_can_be_seen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in HOSTILE.values():
        if "\0" not in text and "\ud800" not in text:  # which no command line can hold
            monkeypatch.setattr(sys, "argv", ["xbench", "tasks", text])
            assert main() == 2
            said = capsys.readouterr().err
            assert said.count("\n") == 1
            assert said.rstrip("\n").isprintable(), ascii(said)


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "//example.org/x", "/etc/passwd", "",
        "data:,x", "https://", "https:///x", "https://127.0.0.1@example.org/x", "http://127.0.0.1@example.org/x",
        "http://localhost@example.org", "http://127.0.0.1.example.org/", "http://127.0.0.2/", "http://[::2]/", "http://[::1",
        "https://user:secret@example.org/x", "https://example.org:0/", "https://example.org:99999999/", "HTTP://EXAMPLE.ORG",
        "https://example.org/a b", "https://example.org/\nHost: x", "http://2130706433/", "http://localhost.:80@e/",
        "javascript:alert(1)", "gopher://127.0.0.1/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_safe_is_not_fetched(url: str, tmp_path: Path) -> None:
    for attempt in (check_address, expected_bytes, lambda one: fetch(one, tmp_path / "x", Settings(cache=tmp_path))):
        with pytest.raises(NotHereError) as caught:
            attempt(url)
        assert "secret" not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["https://example.org/x", "http://127.0.0.1:80/x", "http://localhost/", "http://[::1]:9/x"]
)
def test_tls_and_this_machine_itself_are_safe(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize(
    "where",
    ["http://example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https://127.0.0.1@example.org/",
     "//example.org/x"],
)  # fmt: skip
def test_a_redirect_elsewhere_is_not_followed(site: Site, tmp_path: Path, where: str) -> None:
    url = site.serve("/x", status=302, Location=where + "?token=hidden")
    with pytest.raises(NotHereError) as caught:
        fetch(url, tmp_path / "x", Settings(cache=tmp_path / "cache"))
    assert "hidden" not in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_a_secret_in_an_address_is_never_said(site: Site, tmp_path: Path) -> None:
    url = f"{site.address}/rows.tsv?token=hidden"
    assert public("https://me:hidden@example.org/x?a=hidden#hidden") == "https://example.org/x?..."
    assert public(url) == f"{site.address}/rows.tsv?..."
    source = Files((SourceFile("corpus/rows.tsv", None, url),), lambda paths: iter(()))
    settings = Settings(cache=tmp_path)
    said = []
    for status in (404, 503, 401):
        site.serve("/rows.tsv", status=status)
        with pytest.raises(NotHereError) as caught:
            locate(source, settings)
        said.append(str(caught.value))
    with pytest.raises(NotHereError) as caught:
        locate(source, Settings(cache=tmp_path, offline=True))
    said.append(str(caught.value))
    site.serve("/rows.tsv", b"rows")
    said += to_fetch(source, settings)
    assert locate(source, settings)[1] == "url"
    assert not [text for text in said if "hidden" in text]
    names = [str(path) for path in tmp_path.rglob("*")]
    assert not [name for name in names if "hidden" in name]


def test_the_hubs_client_follows_no_redirect_away_from_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_site() as hub:
        use_hub(hub.site.address, tmp_path / "hub", monkeypatch)
        hub.publish("org/pairs", "a" * 40, {"a.txt": b"rows"})
        path = f"/datasets/org/pairs/resolve/{'a' * 40}/a.txt"
        away = {"Location": "http://hub.invalid/a.txt", "Content-Length": "0", "X-Repo-Commit": "a" * 40, "ETag": '"a"'}
        hub.site.answers[path] = (302, {**away, "X-Linked-Size": "4", "X-Linked-Etag": '"a"'}, b"")
        with pytest.raises(NotHereError, match=r"http://hub\.invalid/a\.txt is not fetched: only https is"):
            locate(Hub("org/pairs", "a" * 40, ("a.txt",), lambda paths: iter(())), Settings(cache=tmp_path / "cache"))


# Texts that are too much


TOO_MUCH: dict[str, tuple[str, str]] = {
    "parts": ("a." * 200_000 + "a = 1", "a key of more than"),
    "quoted parts": ('"a" . ' * 1000 + "a = 1", "a key of more than"),
    "table": ("[" + "a." * 1000 + "a]", "a key of more than"),
    "depth": ("a = " + "[" * 100_000, "within each other"),
    "tables": ("a = " + "{a = " * 50_000, "within each other|a key|not TOML"),
    "long": ("x" * 10_000_000 + " = 1", "longer than"),
    "digits": ("a = " + "9" * 5000, "not TOML"),
    "hexadecimal": ('name = "x"\nversion = 0x' + "f" * 5000, "a whole number"),
    "value": ('train = "' + "x" * 100_000 + '"', "takes a list of texts"),
    "key": ("x" * 100_000 + " = 1", "unknown key"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
@pytest.mark.parametrize("from_file", [True, False])
def test_toml_that_is_too_much_is_one_short_line(tmp_path: Path, kind: str, from_file: bool) -> None:
    text, says = TOO_MUCH[kind]
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    started = time.process_time()
    with pytest.raises(UserError, match=says) as caught:
        load_task(tmp_path / "a.toml" if from_file else text)
    assert len(str(caught.value)) < 500
    assert time.process_time() - started < 30  # what is quadratic takes hours


def test_dots_in_texts_are_no_keys() -> None:
    text = (
        "a = '''"
        + "See e.g. https://www.example.org/a.b.c (p. 3). " * 500
        + "'''\n"
        + 'b = "'
        + "and x. " * 500
        + '"\nc.d.e.f = 1\n[g.h."i.j"]\n'
    )
    assert read_toml(text, "x")["c"] == {"d": {"e": {"f": 1}}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('data = "~nobody-is-called-so/x"', "is no path"), ('out = "a\\u0000b"', "is no path"),
        ('plugins = ["a\\u0000b.py"]', "is no path"), ('plugins = ["/etc/passwd"]', "does not lie in"),
        ('plugins = ["a/../../x.py"]', "does not lie in"), ("seeds = [99999999999999999999]", "whole numbers"),
    ],
)  # fmt: skip
def test_a_project_file_with_paths_that_are_none(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "xbench.toml").write_text(line, encoding="utf-8")
    with pytest.raises(UserError, match=says):
        read_project(tmp_path / "xbench.toml")


def test_a_pipe_among_records_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    assert read_signed(tmp_path / "a.json") is None


def test_a_record_without_a_key_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(sign({"schema": "xbench.record/3"})), encoding="utf-8")
    assert read_record(tmp_path / "a.json") is None


def test_a_record_that_was_copied_by_hand_and_has_no_form_is_named(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "results").mkdir()
    path = sorted((Path(__file__).parents[2] / "leaderboard" / "results").rglob("*.json"))[0]
    whole = json.loads(path.read_text(encoding="utf-8"))
    broken = {**whole, "key": "b" * 64, "eval": ["none"]}
    for name, record in (("a", whole), ("b", broken)):
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(sign(record)), encoding="utf-8")
    with pytest.raises(UserError, match=r"b\.json is no record: .*eval"):
        build(tmp_path, registry)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"vocab_size": 2**60}, "vocab_size"), ({"hidden_size": 2**40}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"), ({"num_labels": 10**9}, "num_labels"),
        ({"text_config": {"vocab_size": 10**12}}, "vocab_size"), ({"max_position_embeddings": 2**50}, "max_position"),
    ],
)  # fmt: skip
def test_a_configuration_larger_than_its_weights_is_refused(
    tmp_path: Path, values: dict[str, object], says: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **values}), encoding="utf-8")
    with pytest.raises(UserError, match=says):
        check_sizes(tmp_path, 1_000_000)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000, b'{"a":' * 50_000, b'{"a":{"shape":[1e9],"data_offsets":[0,0]}}', b"{}" + b" " * 30,
        b'{"a":{"shape":[-1,-1],"data_offsets":[0,0]}}',
        b'{"a":{"shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
        b'{"a":{"shape":"xx","data_offsets":[0,0]}}', b'{"a":{"shape":[2],"data_offsets":[0,1e400]}}', b"\xff\xfe",
        b'{"a":1}', b"null", b'{"\x1b[31m":2}',
    ],
)  # fmt: skip
def test_a_header_of_weights_that_lies_is_one_line(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.safetensors"
    for declared in {len(header), len(header) + 1, 2**60, LARGEST_HEADER + 1}:
        path.write_bytes(struct.pack("<Q", declared) + header)
        try:
            assert count_weights(path) == 0
            assert header.startswith(b"{}")
        except UserError as error:
            assert str(error).isprintable()  # noqa: PT017


def test_metadata_of_lists_in_lists_is_not_read() -> None:
    for text in ("a: " + "[" * 100_000, "a: " + '{"a":' * 100_000, "a: 2024-99-99", "- " * 20_000):
        with pytest.raises(UserError, match=r"README\.md: its metadata"):
            merged(f"---\n{text}\n---\n", [], "README.md")
