"""A download goes on where it broke off, waits and tries again where that may help, and ends in the end."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.loopback import Answer, Heard, Site
from xbench.data import addresses
from xbench.data.addresses import NotHereError
from xbench.data.download import expected_bytes
from xbench.data.patience import FIRST_WAIT_S, LONGEST_WAIT_S, TRIES, asked_s, backoff_s
from xbench.data.sources import locate
from xbench.settings import Listener, Settings
from xbench.types import Files, Row, SourceFile

BODY = bytes(range(256)) * 8192  # 2 MB, so that a part is worth going on from
OTHER = bytes(reversed(BODY))


class Heeding(Listener):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.bytes: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def fetched(self, label: str, done: int, total: int | None) -> None:
        self.bytes.append(done)


def read_nothing(paths: object) -> list[Row]:
    return []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", listener=Heeding())


def get(url: str, settings: Settings, sha256: str | None = None, path: str = "0.bin") -> bytes:
    (found,), _ = locate(Files((SourceFile(path, sha256, url),), read_nothing), settings)  # type: ignore[arg-type]
    return found.read_bytes()


def reason(url: str, settings: Settings) -> str:
    with pytest.raises(NotHereError) as caught:
        get(url, settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def parts(settings: Settings) -> list[str]:
    return sorted(path.suffix for path in (settings.cache / "downloads").glob("*.part*"))


def ranges(site: Site) -> list[str | None]:
    return [heard.headers.get("Range") for heard in site.heard]


VALIDATORS = [{"ETag": '"v1"'}, {"Last_Modified": "Tue, 03 Nov 2026 08:00:00 GMT"}]


@pytest.mark.parametrize("validator", VALIDATORS, ids=str)
def test_what_came_before_a_break_is_not_fetched_again(
    site: Site, settings: Settings, waits: list[float], validator: dict[str, str]
) -> None:
    first, second = 600_000, 900_000
    url = site.serve_ranges("/0.bin", BODY, breaks=(first, second), **validator)
    assert get(url, settings) == BODY
    assert ranges(site) == [None, f"bytes={first}-", f"bytes={first + second}-"]
    assert [heard.headers.get("If-Range") for heard in site.heard[1:]] == list(validator.values()) * 2
    assert parts(settings) == []
    listener = settings.listener
    assert isinstance(listener, Heeding)
    assert listener.bytes[-1] == len(BODY)
    assert len(waits) == len(listener.notes) == 2
    assert all("broke off after" in note and "trying again in" in note for note in listener.notes)


def test_the_next_run_goes_on_from_what_the_last_one_left(site: Site, settings: Settings) -> None:
    url = site.serve_ranges("/0.bin", BODY, breaks=(500_000, *[0] * (TRIES - 1)), ETag='"v1"')
    message = reason(url, settings)
    assert f"broke off after 500000 of {len(BODY)} bytes" in message
    assert "tried" in message
    assert parts(settings) == [".json", ".part"]
    site.heard.clear()
    assert get(url, settings) == BODY
    assert ranges(site) == ["bytes=500000-"]
    assert parts(settings) == []


def test_a_file_that_changed_meanwhile_is_fetched_anew(site: Site, settings: Settings) -> None:
    url = site.serve_ranges("/0.bin", BODY, breaks=(500_000, *[0] * (TRIES - 1)), ETag='"v1"')
    reason(url, settings)
    site.serve_ranges("/0.bin", OTHER, ETag='"v2"')
    assert get(url, settings) == OTHER


def test_a_file_that_became_shorter_than_the_part_is_fetched_anew(site: Site, settings: Settings) -> None:
    url = site.serve_ranges("/0.bin", BODY, breaks=(500_000, *[0] * (TRIES - 1)), ETag='"v1"')
    reason(url, settings)
    site.serve_ranges("/0.bin", BODY[:1000], ETag='"v1"')
    assert get(url, settings) == BODY[:1000]


def test_a_server_that_lies_about_the_tag_is_found_out_by_the_published_checksum(
    site: Site, settings: Settings
) -> None:
    url = site.serve_ranges("/0.bin", OTHER, breaks=(500_000, *[0] * (TRIES - 1)), ETag='"v1"')
    reason(url, settings)
    site.serve_ranges("/0.bin", BODY, ETag='"v1"')
    assert get(url, settings, hashlib.sha256(BODY).hexdigest()) == BODY
    assert ranges(site)[-2:] == ["bytes=500000-", None]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}, {"ETag": '"v1"', "Accept_Ranges": "none"}], ids=str)
def test_where_nothing_tells_that_it_is_the_same_file_nothing_is_kept(
    site: Site, settings: Settings, headers: dict[str, str]
) -> None:
    url = site.serve("/0.bin", BODY[:500_000], Content_Length=str(len(BODY)), **headers)
    reason(url, settings)
    assert set(ranges(site)) == {None}
    assert parts(settings) == []


def test_a_server_that_breaks_off_for_ever_is_given_up(site: Site, settings: Settings, waits: list[float]) -> None:
    url = site.serve("/0.bin", BODY[:-1], Content_Length=str(len(BODY)), ETag='"v1"')  # and ignores what is asked for
    reason(url, settings)
    assert len(site.asked) <= TRIES + 1
    assert len(waits) == len(site.asked) - 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_longer_waits(
    site: Site, settings: Settings, waits: list[float], status: int
) -> None:
    url = site.serve("/0.bin", status=status)
    message = reason(url, settings)
    assert len(site.asked) == TRIES
    assert f"HTTP {status}" in message
    assert f"tried {TRIES} times in" in message
    assert [0.5 * 2**n <= wait < 1.5 * 2**n for n, wait in enumerate(waits)] == [True] * (TRIES - 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 501])
def test_what_will_not_pass_is_asked_once(site: Site, settings: Settings, waits: list[float], status: int) -> None:
    reason(site.serve("/0.bin", status=status), settings)
    assert (len(site.asked), waits) == (1, [])


def once_then(site: Site, path: str, first: Answer, body: bytes) -> str:
    answers = [first]

    def answer(heard: Heard) -> Answer:
        return answers.pop() if answers else (200, {"Content-Length": str(len(body))}, body)

    site.answers[path] = answer
    return site.address + path


def test_a_server_is_waited_for_as_long_as_it_asks(site: Site, settings: Settings, waits: list[float]) -> None:
    busy = 503, {"Content-Length": "0", "Retry-After": "7"}, b""
    assert get(once_then(site, "/0.bin", busy, BODY), settings) == BODY
    assert waits == [7.0]


@pytest.mark.parametrize(("asked", "minutes"), [("3600", "60"), ("121", "3"), ("9" * 400, "16666667")])
def test_a_server_that_asks_for_an_hour_is_left_alone(
    site: Site, settings: Settings, waits: list[float], asked: str, minutes: str
) -> None:
    message = reason(site.serve("/0.bin", status=429, Retry_After=asked), settings)
    assert (len(site.asked), waits) == (1, [])
    assert f"its server asks to come back in {minutes} minutes" in message


def test_a_connection_that_is_reset_is_tried_again(site: Site, settings: Settings, waits: list[float]) -> None:
    site.resets += ["/0.bin"] * 2
    url = site.serve("/0.bin", BODY[:500_000], Content_Length=str(len(BODY)), ETag='"v1"')
    serve_in_the_end(site, BODY, after=2)
    assert get(url, settings) == BODY
    assert len(waits) == 2
    assert site.resets == []


def serve_in_the_end(site: Site, body: bytes, after: int) -> None:
    """Let a server stop what it does to ``/0.bin`` after some answers."""
    before = site.answers["/0.bin"]

    def answer(heard: Heard) -> Answer:
        if len(site.asked) > after:
            return 200, {"Content-Length": str(len(body))}, body
        return before(heard) if callable(before) else before

    site.answers["/0.bin"] = answer


def test_a_server_that_falls_silent_is_asked_again(
    site: Site, settings: Settings, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "TIMEOUT_S", 0.5)
    enough = threading.Event()

    def silent(heard: Heard) -> Answer:
        enough.wait(30)
        return 404, {"Content-Length": "0"}, b""

    site.answers["/0.bin"] = silent
    serve_in_the_end(site, BODY, after=1)
    assert get(site.address + "/0.bin", settings) == BODY
    enough.set()
    assert len(waits) == 1


def test_a_server_that_ignores_what_was_asked_for_sends_it_all_anew(site: Site, settings: Settings) -> None:
    url = site.serve_ranges("/0.bin", BODY, breaks=(500_000, *[0] * (TRIES - 1)), ETag='"v1"')
    reason(url, settings)
    site.heard.clear()
    site.serve("/0.bin", BODY, ETag='"v1"')
    assert get(url, settings) == BODY
    assert ranges(site) == ["bytes=500000-"]


def test_a_server_that_goes_on_with_another_file_is_not_believed(site: Site, settings: Settings) -> None:
    url = site.serve_ranges("/0.bin", BODY, breaks=(500_000, *[0] * (TRIES - 1)), ETag='"v1"')
    reason(url, settings)

    def careless(heard: Heard) -> Answer:  # it looks at no If-Range
        start = int(heard.headers.get("Range", "bytes=0-")[6:-1])
        part = {"Content-Range": f"bytes {start}-{len(OTHER) - 1}/{len(OTHER)}"} if start else {}
        headers = {"ETag": '"v2"', "Content-Length": str(len(OTHER) - start), **part}
        return 206 if start else 200, headers, OTHER[start:]

    site.answers["/0.bin"] = careless
    assert get(url, settings) == OTHER


def test_waits_double_up_to_a_limit_and_never_agree() -> None:
    drawn = [[backoff_s(failed) for _ in range(200)] for failed in range(1, 12)]
    for failed, seconds in enumerate(drawn):
        middle = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**failed)
        assert 0.5 * middle <= min(seconds) < 0.6 * middle < 1.4 * middle < max(seconds) < 1.5 * middle
        assert len(set(seconds)) == 200


def test_a_wait_is_asked_for_in_seconds_or_by_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert asked_s("5") == 5
    assert 55 < (asked_s(later) or 0) <= 60
    assert asked_s("Tue, 03 Nov 2020 08:00:00 GMT") == 0
    assert [asked_s(text) for text in (None, "", "soon", "-1")] == [None] * 4


def test_two_who_want_the_same_file_fetch_it_once(site: Site, settings: Settings) -> None:
    url = site.serve_ranges("/0.bin", BODY, ETag='"v1"')
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(get(url, settings))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [BODY] * 4
    assert site.asked == ["/0.bin"]


def test_sizes_are_asked_for_without_the_file(site: Site, settings: Settings) -> None:
    url = site.serve("/0.bin", BODY)
    assert expected_bytes(url) == len(BODY)
    assert expected_bytes(site.serve("/old", status=302, Location=url)) == len(BODY)
    assert expected_bytes(site.serve("/unsized", Transfer_Encoding="chunked")) is None
    assert expected_bytes(site.serve("/busy", status=503)) is None
    assert site.heard[0].method == "HEAD"
    with pytest.raises(NotHereError, match="HTTP 404"):
        expected_bytes(site.address + "/none")
    assert not replace(settings).cache.exists()
