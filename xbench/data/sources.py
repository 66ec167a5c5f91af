"""Gets a source's files onto the disk: from the data root, from their address, from the hub, or from a package."""

from __future__ import annotations

import http.client
import lzma
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..errors import DataError
from ..files import new_folder
from ..keys import text_sha256
from ..settings import Settings
from ..types import Dataset, Files, Hub, Packaged, Source, SourceFile

TIMEOUT_S = 30.0
_DAMAGED = (
    KeyError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError,
)  # fmt: skip
"""What the archive readers raise; a password or an unknown method is a RuntimeError."""


_WHOLE = "archive"
NOT_CACHED = "not in the hub cache, and offline"


class NotHereError(Exception):
    """This source cannot serve; the text says why, and the next one may."""


def locate(source: Source, settings: Settings) -> tuple[list[Path], str]:
    """Find or fetch the files of one source.

    Args:
        source: Where they come from.
        settings: The data root, the cache and whether the network may be used.

    Returns:
        The files in their declared order, and where they came from in a few words.

    Raises:
        NotHereError: The source does not have them, or cannot be reached.
    """
    if isinstance(source, Packaged):
        missing = [path for path in source.files if not path.is_file()]
        if missing:
            raise NotHereError(f"{missing[0]} is missing: reinstall the package")
        return list(source.files), "package"
    if isinstance(source, Hub):
        return _hub(source, settings), f"hub:{source.repository}@{source.revision}"
    return _published(source, settings)


def _published(source: Files, settings: Settings) -> tuple[list[Path], str]:
    reasons = []
    if settings.data is None:
        reasons.append("no data root is set (--data or XBENCH_DATA)")
    else:
        paths = [settings.data.joinpath(*file.path.split("/")) for file in source.files]
        wanted = zip(source.files, paths, strict=True)
        missing = [path for file, path in wanted if not (path.is_dir() if file.folder else path.is_file())]
        if not missing:
            return paths, "data root"
        reasons.append(f"{missing[0]} is not there")
    try:
        return [_download(file, settings) for file in source.files], "url"
    except NotHereError as error:
        raise NotHereError("; ".join([*reasons, str(error)])) from None


def _download(file: SourceFile, settings: Settings) -> Path:
    """The file from its address, kept in the cache; read from there the next time."""
    if file.url is None:
        raise NotHereError(f"{file.path} cannot be downloaded: its publisher gives no address for it")
    name = file.path.rsplit("/", 1)[-1]
    target = _download_folder(file, settings)
    if not (target / name).is_file():
        with new_folder(target) as folder:
            if file.member is None:
                _fetch(file.url, folder / name, settings)
            else:
                _extract(_archive(file.url, settings), file.member, folder / name, settings)
    return target / name


def _archive(url: str, settings: Settings) -> Path:
    """A whole archive, kept: others of its members will be asked for, and it is not fetched once for each."""
    target = _archive_folder(url, settings)
    if not (target / _WHOLE).is_file():
        with new_folder(target) as folder:
            _fetch(url, folder / _WHOLE, settings)
    return target / _WHOLE


def _archive_folder(url: str, settings: Settings) -> Path:
    return settings.cache / "downloads" / text_sha256(url)[:32]


def _download_folder(file: SourceFile, settings: Settings) -> Path:
    return settings.cache / "downloads" / text_sha256(f"{file.url}\n{file.member or ''}")[:32]


def is_here(source: Source, settings: Settings) -> bool:
    """Whether the files of a source are on this machine; nothing is fetched, unpacked, read or written.

    Args:
        source: Where they come from.
        settings: The data root and the cache.
    """
    if isinstance(source, Packaged):
        return all(path.is_file() for path in source.files)
    if isinstance(source, Hub):
        from huggingface_hub import try_to_load_from_cache

        found = (
            try_to_load_from_cache(source.repository, name, repo_type="dataset", revision=source.revision)
            for name in source.files
        )
        return all(isinstance(path, str) for path in found)
    return _in_data_root(source, settings) or all(_is_downloaded(file, settings) for file in source.files)


def _in_data_root(source: Files, settings: Settings) -> bool:
    if settings.data is None:
        return False
    places = [(file, settings.data.joinpath(*file.path.split("/"))) for file in source.files]
    return all(path.is_dir() if file.folder else path.is_file() for file, path in places)


def _is_downloaded(file: SourceFile, settings: Settings) -> bool:
    if file.url is None:
        return False
    archived = file.member is not None and (_archive_folder(file.url, settings) / _WHOLE).is_file()
    return archived or (_download_folder(file, settings) / file.path.rsplit("/", 1)[-1]).is_file()


def drop_downloads(files: Sequence[SourceFile], hashes: Sequence[str], settings: Settings) -> bool:
    """Forget downloads whose rows turned out wrong, so that the next run fetches them again.

    A file whose bytes are the published ones stays: it would come the same again, and the fault lies elsewhere. And
    without the network all stay: what cannot be fetched again is not thrown away.

    Args:
        files: The files of one source, all of them downloaded.
        hashes: The sha256 of each as it lies in the cache.
        settings: The cache, offline.

    Returns:
        Whether anything was dropped.
    """
    if settings.offline:
        return False
    wrong = [file for file, seen in zip(files, hashes, strict=True) if file.sha256 is None or file.sha256 != seen]
    for file in wrong:
        shutil.rmtree(_download_folder(file, settings), ignore_errors=True)
        if file.url is not None and file.member is not None:
            shutil.rmtree(_archive_folder(file.url, settings), ignore_errors=True)
    return bool(wrong)


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


def _fetch(url: str, target: Path, settings: Settings) -> None:
    if settings.offline:
        raise NotHereError(f"{url} was not tried ({settings.why_offline})")
    check_address(url)
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            expected = answer.headers.get("Content-Length")
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise NotHereError(f"{url} cannot be fetched ({getattr(error, 'reason', None) or error})") from None
    if expected is not None and expected.isdecimal() and target.stat().st_size != int(expected):
        raise NotHereError(f"{url} broke off after {target.stat().st_size} of {expected} bytes")


def _extract(archive: Path, member: str, target: Path, settings: Settings) -> None:
    """One member of a zip or tar, by its exact name; nothing else in the archive touches the disk."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped, zipped.open(member) as inner, target.open("wb") as file:
                shutil.copyfileobj(inner, file, 1 << 20)
            return
        with tarfile.open(archive) as tar:
            found = tar.extractfile(member)
            if found is None:
                raise KeyError(member)
            with found, target.open("wb") as file:
                shutil.copyfileobj(found, file, 1 << 20)
    except _DAMAGED:
        if not settings.offline:
            shutil.rmtree(archive.parent, ignore_errors=True)  # the next run fetches it again
        raise NotHereError(f"the archive does not hold {member}, or is damaged") from None


def _hub(source: Hub, settings: Settings) -> list[Path]:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    # A pinned file never changes: when the hub's cache holds it, nobody needs to be asked.
    cached = [
        try_to_load_from_cache(source.repository, name, repo_type="dataset", revision=source.revision)
        for name in source.files
    ]
    if all(isinstance(path, str) for path in cached):
        return [Path(str(path)) for path in cached]
    if settings.offline:
        raise NotHereError(f"hub dataset {source.repository}: {NOT_CACHED}")
    try:
        return [
            Path(
                hf_hub_download(
                    source.repository, name, repo_type="dataset", revision=source.revision,
                )
            )
            for name in source.files
        ]  # fmt: skip
    except Exception as error:  # noqa: BLE001  # the hub's client raises many kinds; each means: not from here
        raise NotHereError(f"hub dataset {source.repository}: {hub_reason(error)}") from None


def hub_reason(error: Exception) -> str:
    """Why the hub did not serve, in a few words."""
    kind = type(error).__name__
    if kind in ("OfflineModeIsEnabled",):
        return NOT_CACHED
    if kind in ("GatedRepoError",):
        return "gated: accept its terms on the hub and log in with 'hf auth login'"
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "RemoteEntryNotFoundError"):
        return f"the hub does not have it ({kind})"
    return f"the hub cannot be reached ({kind})"


def explain(dataset: Dataset, split: str, reasons: Sequence[str]) -> DataError:
    """The one line for a split that no source has: why, where it is published, and what can take its place."""
    line = f"dataset {dataset.name}, split {split}: {'; '.join(reasons)}; published at {dataset.homepage}"
    stand_ins = dataset.splits[split].stand_ins
    return DataError(line + (f"; {' or '.join(stand_ins)} can stand in" if stand_ins else ""))
