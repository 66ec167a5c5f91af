"""Large files in the hub's cache: fetched so that a break costs little, and held against their checksums.

The hub's cache keeps a file's bytes as a blob that is named by what the hub calls them: of all large files (those in
Git LFS or Xet) this is their sha256. The hub's client leaves nothing of a large file that breaks off with the process,
and compares no checksum. So such a blob is fetched here, from where the hub sends whoever asks for it; the client then
finds it there, and does the rest.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..files import Digests
from ..keys import file_sha256
from ..settings import Settings
from .addresses import NotHereError, check_address
from .download import one_at_a_time
from .parts import Download, Part
from .patience import TRIES

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

T = TypeVar("T")
LARGE = 8 << 20
"""Bytes. What is smaller comes in a second or two, and is left to the hub's client."""
PART = ".xbench.part"
_SHA256 = re.compile("[0-9a-f]{64}")


class LargeFiles:
    """Fetches the blobs of large files, each once.

    Args:
        repository: Such as ``org/name``.
        kind: ``dataset`` or ``model``.
        settings: Who hears of it; where its locks lie.
    """

    def __init__(self, repository: str, kind: str, settings: Settings) -> None:
        self._repository, self._kind, self._settings = repository, kind, settings
        self._left: set[str] = set()

    def fetch(self, files: Iterable[DryRunFileInfo]) -> None:
        """Fetch what is large of some files; what cannot be had in this way is left to the hub's client.

        Args:
            files: As the hub's client lists them before it downloads.

        Raises:
            NotHereError: One comes damaged, twice.
            WriteError: The disk is full, or cannot be written.
        """
        from huggingface_hub import constants

        for file in files:
            size = file.file_size or 0
            if file.will_download and LARGE <= size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
                self._fetch_one(file.filename, file.commit_hash, size)

    def tidy(self) -> None:
        """Drop the parts of what the hub's client has fetched instead."""
        for sha256 in self._left:
            if (self._blobs() / sha256).exists():
                self._part(sha256).drop()

    def _fetch_one(self, name: str, commit: str, size: int) -> None:
        sha256, address = self._look(name, commit)
        if sha256 in self._left or not address:
            return
        blob = self._blobs() / sha256
        label = f"hf://{'datasets/' if self._kind == 'dataset' else ''}{self._repository}@{commit[:12]}/{name}"
        with one_at_a_time(blob, label, self._settings):
            if blob.exists():
                return
            blob.parent.mkdir(parents=True, exist_ok=True)
            part, wrong = self._part(sha256), 0
            for _ in range(TRIES):
                had = part.size()
                try:
                    if had != size:  # else what fetched it was killed before it gave it its name
                        Download(address, part, label, self._settings.listener).run()
                except NotHereError:
                    if part.size() <= had:
                        break
                    address = self._look(name, commit)[1]  # that of before may hold for an hour only
                    continue
                if file_sha256(part.path) == sha256:
                    part.become(blob)
                    return
                part.drop()
                wrong += 1
                if wrong == 2:
                    raise NotHereError(f"{name} comes damaged from the hub (its sha256 is another)")
                self._settings.listener.note(f"{label} came damaged: it is fetched again")
            part.tidy()
        self._left.add(sha256)

    def _look(self, name: str, commit: str) -> tuple[str, str]:
        """A file's checksum, and where the hub sends whoever asks for it; nothing where it tells no such things."""
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self._repository, name, repo_type=self._kind, revision=commit)
        about = get_hf_file_metadata(url)
        sha256, address = about.etag or "", about.location
        if not _SHA256.fullmatch(sha256) or _host(address) == _host(constants.ENDPOINT):
            return "", ""  # from the hub itself, which may want a token, its client fetches
        check_address(address)
        return sha256, address

    def _part(self, sha256: str) -> Part:
        return Part(self._blobs() / f"{sha256}{PART}", known=True)

    def _blobs(self) -> Path:
        from huggingface_hub import constants

        folder = "--".join([f"{self._kind}s", *self._repository.split("/")])
        return Path(constants.HF_HUB_CACHE) / folder / "blobs"


def whole(find: Callable[[bool], T], files: Callable[[T], Iterable[Path]], settings: Settings) -> T:
    """Find something in the hub's cache, or fetch it there, and hold its large files against their checksums.

    Args:
        find: Finds or fetches it; told whether the hub has to be asked, because something was taken out of the cache.
        files: Its files.
        settings: Where checksums are remembered. Offline, what is damaged stays as it is.

    Returns:
        What ``find`` gives.

    Raises:
        NotHereError: A file is damaged, and stays so.
    """
    digests = Digests(settings.cache / "digests")
    for again in (False, True):
        found = find(again)
        bad = _damaged(files(found), digests)
        if not bad:
            return found
        if settings.offline:
            raise NotHereError(f"{bad[0]} is damaged (its sha256 is not the one that the hub knows it by)")
        _forget(bad)
        if not again:
            settings.listener.note(f"{bad[0]} is damaged (its sha256 is another): it is fetched again")
    raise NotHereError(f"{bad[0].name} comes damaged from the hub (its sha256 is another)")


def _damaged(paths: Iterable[Path], digests: Digests) -> list[Path]:
    """Of files in the hub's cache, those whose bytes are not what their blobs are named by."""
    found = []
    for path in paths:
        # One step, not to the end: blobs may be links themselves.
        name = Path(os.readlink(path)).name if path.is_symlink() else ""
        if _SHA256.fullmatch(name) and digests.sha256(path) != name:
            found.append(path)
    return found


def _forget(paths: Iterable[Path]) -> None:
    """Take files out of the hub's cache, so that its client fetches them again."""
    for path in paths:
        path.resolve().unlink(missing_ok=True)
        (path.parent / os.readlink(path)).unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _host(address: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(address)
    return parts.scheme, parts.netloc
