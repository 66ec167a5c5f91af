"""Downloads from an address: whole or not at all, by one process at a time."""

from __future__ import annotations

import urllib.error
from pathlib import Path

from ..keys import file_sha256, text_sha256
from ..locks import Lock, Locks
from ..settings import Settings
from .addresses import FAILURES, NotHereError, check_address, failure, open_address, public
from .parts import Download, Part, number
from .patience import MAY_PASS


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
        WriteError: The disk is full, or the cache cannot be written.
    """
    if settings.offline:
        raise NotHereError(f"{public(url)} was not tried ({settings.why_offline})")
    check_address(url)
    part = Part(settings.cache / "downloads" / f"{text_sha256(url)[:32]}.part")
    download = Download(url, part, public(url), settings.listener)
    try:
        download.run()
        if download.pieced and sha256 is not None and file_sha256(part.path) != sha256:
            part.drop()
            download.run()
        part.become(target)
    finally:
        part.tidy()


def one_at_a_time(target: Path, url: str, settings: Settings) -> Lock:
    """Keep other processes, and this one's other threads, from fetching the same thing meanwhile.

    Args:
        target: Where it will lie.
        url: Where it comes from.
        settings: The cache, and who hears of waits.

    Raises:
        StoppedError: The cache cannot be written to.
    """
    return Locks.of(settings).wait("download", target.name, f"fetches {url}")


def expected_bytes(url: str) -> int | None:
    """How large the file at an address is.

    Returns:
        Bytes; None where its server does not say.

    Raises:
        NotHereError: It cannot be reached, or says that there is no such file.
    """
    check_address(url)
    try:
        with open_address(url, "HEAD", {}) as answer:
            return number(answer.headers.get("Content-Length"))
    except urllib.error.HTTPError as error:
        if error.code in MAY_PASS or error.code in (405, 501):  # busy, or it takes no such question
            return None
        raise NotHereError(f"{public(url)} cannot be fetched ({failure(error)})") from None
    except FAILURES as error:
        raise NotHereError(f"{public(url)} cannot be fetched ({failure(error)})") from None
