"""A file on its way: what has come of it so far is kept, and more is asked for where that may help."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import urllib.error
from pathlib import Path
from typing import IO

from ..disk import WriteError, writing
from ..files import write_json
from ..settings import Listener
from .addresses import FAILURES, NotHereError, failure, open_address
from .patience import MAY_PASS, Hiccup, Patience, asked_s

AT_ONCE = 1 << 18
_PASSING = (
    ConnectionResetError, ConnectionAbortedError, BrokenPipeError, TimeoutError, http.client.IncompleteRead,
    ssl.SSLEOFError, ssl.SSLZeroReturnError,
)  # fmt: skip
"""Nobody there, no such name, a wrong certificate: these do not pass while one waits, and are not among them."""


class BrokenOffError(Exception):
    """An answer ended before its end, or was not the part that was asked for."""


class Part:
    """What has come of a file so far, and what tells whether its server still has the same one.

    Args:
        path: The part; its validator, an entity tag or a date, stands beside it.
        known: Whether the whole's checksum is known: then one can go on without a validator.
    """

    def __init__(self, path: Path, known: bool = False) -> None:
        self.path = path
        self._known = known
        self._about = path.with_name(f"{path.name}.json")

    def size(self) -> int:
        """Bytes; 0 where there are none to go on from."""
        return self.path.stat().st_size if self.path.is_file() and (self._known or self.validator()) else 0

    def validator(self) -> str:
        """What the server called the file when the part came from it; empty where it had no name for it."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
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

    def become(self, target: Path) -> None:
        """It is whole: give it its name."""
        self.path.replace(target)
        self._about.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Leave only what one can go on from."""
        if self.size() == 0:
            self.drop()


class Download:
    """Fetches what is not here yet of one file.

    Args:
        url: Its address.
        part: What came of it before.
        label: For people.
        listener: Hears of it.

    Attributes:
        pieced: Whether it was put together from several answers.
    """

    def __init__(self, url: str, part: Part, label: str, listener: Listener) -> None:
        self._url, self._part, self._label, self._listener = url, part, label, listener
        self._furthest = 0
        self.pieced = False

    def run(self) -> None:
        """Fetch until all is there.

        Raises:
            NotHereError: It cannot be had.
            WriteError: The disk is full, or cannot be written.
        """
        patience = Patience(self._label, self._listener.note)
        while True:
            try:
                return self._once()
            except BrokenOffError as error:
                hiccup = Hiccup(str(error))
                if not patience.wait(hiccup, self._got_on()):
                    raise NotHereError(f"{self._label} {error}{patience.spent(hiccup)}") from None
            except WriteError:
                raise  # no server's doing, and the next source's file would not fit either
            except FAILURES as error:
                may_pass = _hiccup(error)
                if may_pass is None or not patience.wait(may_pass, self._got_on()):
                    reason = f"{failure(error)}{patience.spent(may_pass)}"
                    raise NotHereError(f"{self._label} cannot be fetched ({reason})") from None

    def _got_on(self) -> bool:
        """Whether more is here to go on from than ever before, and enough of it to come to an end that way."""
        before, self._furthest = self._furthest, max(self._furthest, self._part.size())
        return self._furthest - before >= AT_ONCE

    def _once(self) -> None:
        have, validator = self._part.size(), self._part.validator()
        ask = {"Range": f"bytes={have}-"} if have else {}
        if have and validator:
            ask["If-Range"] = validator
        try:
            answer = open_address(self._url, "GET", ask)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # it has become shorter than what is here
                self._part.drop()
                raise BrokenOffError("is another file by now") from None
            raise
        with answer:
            total = number(answer.headers.get("Content-Length"))
            if answer.status == 206:
                start, total = _content_range(answer.headers.get("Content-Range"))
                if not have or start != have:
                    self._part.drop()
                    raise BrokenOffError("answered with another part than the one asked for")
                if _is_another(validator, answer):  # whoever keeps to If-Range would have sent all of it
                    self._part.drop()
                    raise BrokenOffError("is another file by now")
                self.pieced = True
            else:
                have = 0
                self._part.begin(_validator(answer))
            self._save(answer, have, total)

    def _save(self, answer: http.client.HTTPResponse, have: int, total: int | None) -> None:
        with self._part.path.open("ab" if have else "wb", buffering=0) as file:
            while piece := answer.read(AT_ONCE):
                with writing(self._part.path):
                    _write(file, piece)
                have += len(piece)
                self._listener.fetched(self._label, have, total)
        if total is not None and have != total:
            if have > total:
                self._part.drop()
            raise BrokenOffError(f"broke off after {have} of {total} bytes")


def _write(file: IO[bytes], piece: bytes) -> None:
    """All of a piece: what is here after a disk has become full is what one goes on from."""
    while piece:
        piece = piece[file.write(piece) :]


def _validator(answer: http.client.HTTPResponse) -> str:
    """What stands for exactly these bytes: a strong entity tag, else the date of the last change."""
    tag = answer.headers.get("ETag") or ""
    if answer.headers.get("Accept-Ranges") == "none":
        return ""
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified") or ""


def _is_another(validator: str, answer: http.client.HTTPResponse) -> bool:
    """Whether an answer says that it is of another file than the part."""
    now = answer.headers.get("ETag" if validator.startswith('"') else "Last-Modified")
    return bool(validator and now and now != validator)


def _content_range(text: str | None) -> tuple[int | None, int | None]:
    """Where a part begins, and the whole's length."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", (text or "").strip())
    return (int(match[1]), number(match[2])) if match else (None, None)


def number(text: str | None) -> int | None:
    """A header's number; None where it has none."""
    return int(text) if text is not None and text.isdecimal() else None


def _hiccup(error: BaseException) -> Hiccup | None:
    """What of a failure may pass."""
    if isinstance(error, urllib.error.HTTPError):
        return Hiccup(failure(error), asked_s(error.headers.get("Retry-After"))) if error.code in MAY_PASS else None
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _hiccup(error.reason)
    return Hiccup(failure(error)) if isinstance(error, _PASSING) else None
