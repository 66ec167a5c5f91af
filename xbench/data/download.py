"""Downloads from an address: goes on where it broke off, and tries again where that may help.

urllib does the talking: it knows proxies and certificates, sends nobody's password along, and lets each redirect be
looked at before it is followed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from .. import __version__
from ..errors import UserError
from ..files import write_json
from ..keys import file_sha256, text_sha256
from ..locks import Lock, Locks
from ..settings import Settings
from .patience import MAY_PASS, Hiccup, Patience, asked_s

TIMEOUT_S = 30.0
AT_ONCE = 1 << 18
_FAILURES = (urllib.error.URLError, http.client.HTTPException, OSError, ValueError)
_PASSING = (
    ConnectionResetError, ConnectionAbortedError, BrokenPipeError, TimeoutError, http.client.IncompleteRead,
    ssl.SSLEOFError, ssl.SSLZeroReturnError,
)  # fmt: skip
"""Nobody there, no such name, a wrong certificate: these do not pass while one waits, and are not among them."""


class NotHereError(Exception):
    """This source cannot serve; the text says why, and the next one may."""


class BrokenOffError(Exception):
    """An answer ended before its end, or was not the part that was asked for."""


def check_address(url: str) -> None:
    """Refuse an address that is neither TLS nor this machine itself.

    Raises:
        NotHereError: It is refused.
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        raise NotHereError(f"{url} is no address") from None
    loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not loopback:
        raise NotHereError(f"{url} is not fetched: only https is")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where a download may go."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def fetch(url: str, target: Path, settings: Settings, sha256: str | None = None) -> None:
    """Download a file. What came of one that breaks off is kept, where its server lets one go on from there.

    One process at a time fetches the same address; whoever waits for it is to look again whether it is there.

    Args:
        url: Its address.
        target: Where it shall be, on the cache's file system; it appears there whole or not at all.
        settings: The cache; offline; who hears of the progress.
        sha256: Of its published bytes, where they are pinned: a file that was put together from parts is held against
            it, and fetched anew where it differs.

    Raises:
        NotHereError: It cannot be had, or nothing may be fetched.
    """
    if settings.offline:
        raise NotHereError(f"{url} was not tried ({settings.why_offline})")
    check_address(url)
    part = _Part(settings.cache / "downloads" / f"{text_sha256(url)[:32]}.part")
    download = _Download(url, part, settings)
    try:
        download.run()
        if download.pieced and sha256 is not None and file_sha256(part.path) != sha256:
            part.drop()
            download.run()
        part.path.replace(target)
    finally:
        part.tidy()


def one_at_a_time(target: Path, url: str, settings: Settings) -> Lock:
    """Keep other processes, and this one's other threads, from fetching the same thing meanwhile.

    Args:
        target: Where it will lie.
        url: Where it comes from.
        settings: The cache, and who hears of waits.

    Raises:
        NotHereError: The cache cannot be written to.
    """
    try:
        return Locks.of(settings).wait("download", target.name, f"fetches {url}")
    except UserError as error:
        raise NotHereError(str(error)) from None


def expected_bytes(url: str) -> int | None:
    """How large the file at an address is.

    Returns:
        Bytes; None where its server does not say.

    Raises:
        NotHereError: It cannot be reached, or says that there is no such file.
    """
    check_address(url)
    try:
        with _open(url, "HEAD", {}) as answer:
            return _number(answer.headers.get("Content-Length"))
    except urllib.error.HTTPError as error:
        if error.code in MAY_PASS or error.code in (405, 501):  # busy, or it takes no such question
            return None
        raise NotHereError(f"{url} cannot be fetched ({_reason(error)})") from None
    except _FAILURES as error:
        raise NotHereError(f"{url} cannot be fetched ({_reason(error)})") from None


def _open(url: str, method: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    # As it is, not packed: else neither its length nor a place in it would be the file's.
    always = {"Accept-Encoding": "identity", "User-Agent": f"xbench/{__version__}"}
    request = urllib.request.Request(url, headers=always | headers, method=method)  # noqa: S310  # see check_address
    answer: http.client.HTTPResponse = urllib.request.build_opener(_SafeRedirects).open(request, timeout=TIMEOUT_S)
    return answer


class _Part:
    """What has come of a file so far, and what tells whether its server still has the same one.

    Args:
        path: The part; its validator, an entity tag or a date, stands beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._about = path.with_name(f"{path.name}.json")

    def size(self) -> int:
        """Bytes; 0 where there are none to go on from."""
        return self.path.stat().st_size if self.path.is_file() and self.validator() else 0

    def validator(self) -> str:
        """What the server called the file when the part came from it; empty where it had no name for it."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(self._about.read_text(encoding="utf-8"))["validator"])
        return ""

    def begin(self, validator: str) -> None:
        """Begin anew."""
        self.drop()
        if validator:
            write_json(self._about, {"validator": validator})

    def drop(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Leave only what one can go on from."""
        if self.size() == 0:
            self.drop()


class _Download:
    """One file on its way.

    Args:
        url: Its address.
        part: What came of it before.
        settings: Who hears of it.

    Attributes:
        pieced: Whether it was put together from several answers.
    """

    def __init__(self, url: str, part: _Part, settings: Settings) -> None:
        self._url, self._part, self._listener = url, part, settings.listener
        self._furthest = 0
        self.pieced = False

    def run(self) -> None:
        """Fetch until all is there.

        Raises:
            NotHereError: It cannot be had.
        """
        patience = Patience(self._url, self._listener.note)
        while True:
            try:
                return self._once()
            except BrokenOffError as error:
                if not patience.wait(Hiccup(str(error)), self._got_on()):
                    raise NotHereError(f"{self._url} {error}{patience.spent()}") from None
            except _FAILURES as error:
                hiccup = _hiccup(error)
                if hiccup is None or not patience.wait(hiccup, self._got_on()):
                    reason = f"{_reason(error)}{patience.spent()}"
                    raise NotHereError(f"{self._url} cannot be fetched ({reason})") from None

    def _got_on(self) -> bool:
        """Whether more is here to go on from than ever before, and enough of it to come to an end that way."""
        before, self._furthest = self._furthest, max(self._furthest, self._part.size())
        return self._furthest - before >= AT_ONCE

    def _once(self) -> None:
        have = self._part.size()
        ask = {"Range": f"bytes={have}-", "If-Range": self._part.validator()} if have else {}
        try:
            answer = _open(self._url, "GET", ask)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # it has become shorter than what is here
                self._part.drop()
                raise BrokenOffError("is another file by now") from None
            raise
        with answer:
            total = _number(answer.headers.get("Content-Length"))
            if answer.status == 206:
                start, total = _content_range(answer.headers.get("Content-Range"))
                if not have or start != have:
                    self._part.drop()
                    raise BrokenOffError("answered with another part than the one asked for")
                self.pieced = True
            else:
                have = 0
                self._part.begin(_validator(answer))
            self._save(answer, have, total)

    def _save(self, answer: http.client.HTTPResponse, have: int, total: int | None) -> None:
        with self._part.path.open("ab" if have else "wb") as file:
            while piece := answer.read(AT_ONCE):
                file.write(piece)
                have += len(piece)
                self._listener.fetched(self._url, have, total)
        if total is not None and have != total:
            if have > total:
                self._part.drop()
            raise BrokenOffError(f"broke off after {have} of {total} bytes")


def _validator(answer: http.client.HTTPResponse) -> str:
    """What stands for exactly these bytes: a strong entity tag, else the date of the last change."""
    tag = answer.headers.get("ETag") or ""
    if answer.headers.get("Accept-Ranges") == "none":
        return ""
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified") or ""


def _content_range(text: str | None) -> tuple[int | None, int | None]:
    """Where a part begins, and the whole's length."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", (text or "").strip())
    return (int(match[1]), _number(match[2])) if match else (None, None)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _hiccup(error: BaseException) -> Hiccup | None:
    """What of a failure may pass."""
    if isinstance(error, urllib.error.HTTPError):
        return Hiccup(_reason(error), asked_s(error.headers.get("Retry-After"))) if error.code in MAY_PASS else None
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _hiccup(error.reason)
    return Hiccup(_reason(error)) if isinstance(error, _PASSING) else None


def _reason(error: Any) -> str:
    """A failure in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}".rstrip()
    return str(getattr(error, "reason", None) or error) or type(error).__name__
