"""Gets a source's files onto the disk: from the data root, from their address, from the hub, or from a package."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from ..files import new_folder
from ..keys import text_sha256
from ..settings import Settings
from ..types import Dataset, Files, Hub, Packaged, Source, SourceFile
from .addresses import NotHereError, public
from .archives import DAMAGED, extract
from .download import expected_bytes, fetch, one_at_a_time
from .hub import bytes_to_fetch, fetch_files, missing_files

_WHOLE = "archive"


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
        return fetch_files(source, settings), f"hub:{source.repository}@{source.revision}"
    return _published(source, settings)


def _published(source: Files, settings: Settings) -> tuple[list[Path], str]:
    paths, reason = _under_root(source, settings)
    if not reason:
        return paths, "data root"
    try:
        return [_download(file, settings) for file in source.files], "url"
    except NotHereError as error:
        raise NotHereError(f"{reason}; {error}") from None


def _under_root(source: Files, settings: Settings) -> tuple[list[Path], str]:
    """The files under the data root, and why they do not serve; an empty text where they do."""
    if settings.data is None:
        return [], "no data root is set (--data or XBENCH_DATA)"
    paths = [settings.data.joinpath(*file.path.split("/")) for file in source.files]
    wanted = zip(source.files, paths, strict=True)
    missing = [path for file, path in wanted if not (path.is_dir() if file.folder else path.is_file())]
    return paths, f"{missing[0]} is not there" if missing else ""


def to_fetch(source: Source, settings: Settings) -> dict[str, int | None]:
    """What `locate` would have to fetch for a source; nothing is fetched, but servers are asked.

    Args:
        source: Where the files come from.
        settings: The data root, the cache and whether the network may be used.

    Returns:
        By address, the bytes of each file that is not here; None where its server does not say.

    Raises:
        NotHereError: The source cannot serve.
    """
    if isinstance(source, Packaged):
        return {}
    if isinstance(source, Hub):
        return bytes_to_fetch(source, settings)
    if not _under_root(source, settings)[1]:
        return {}
    urls = [_address(file) for file in source.files if not _is_downloaded(file, settings)]
    if urls and settings.offline:
        raise NotHereError(f"{public(urls[0])} was not tried ({settings.why_offline})")
    return {public(url): expected_bytes(url) for url in dict.fromkeys(urls)}


def is_here(source: Source, settings: Settings) -> bool:
    """Whether the files of a source are on this machine; nothing is fetched, unpacked, read or written.

    Args:
        source: Where they come from.
        settings: The data root and the cache.
    """
    if isinstance(source, Packaged):
        return all(path.is_file() for path in source.files)
    if isinstance(source, Hub):
        return not missing_files(source)
    return not _under_root(source, settings)[1] or all(_is_downloaded(file, settings) for file in source.files)


def _is_downloaded(file: SourceFile, settings: Settings) -> bool:
    """Whether a file was downloaded before, or the archive that it stands in."""
    if file.url is None:
        return False
    name = file.path.rsplit("/", 1)[-1]
    whole = file.member is not None and (_archive_folder(file.url, settings) / _WHOLE).is_file()
    return whole or (_download_folder(file, settings) / name).is_file()


def _address(file: SourceFile) -> str:
    if file.url is None:
        raise NotHereError(f"{file.path} cannot be downloaded: its publisher gives no address for it")
    return file.url


def _download(file: SourceFile, settings: Settings) -> Path:
    """The file from its address, kept in the cache; read from there the next time."""
    url = _address(file)
    name = file.path.rsplit("/", 1)[-1]
    target = _download_folder(file, settings)
    if file.member is not None:
        if not (target / name).is_file():
            archive = _kept(url, _archive_folder(url, settings), _WHOLE, None, settings)
            with one_at_a_time(target, url, settings):
                if not (target / name).is_file():
                    with new_folder(target) as folder:
                        _extract(archive, file.member, folder / name, settings)
        return target / name
    return _kept(url, target, name, file.sha256, settings)


def _kept(url: str, target: Path, name: str, sha256: str | None, settings: Settings) -> Path:
    """What lies at an address, in a folder of its own. A whole archive stays: others of its members will be asked for.

    Whoever comes second, a process or a thread, waits for the first one and fetches nothing.
    """
    if not (target / name).is_file():
        if settings.offline:
            raise NotHereError(f"{public(url)} was not tried ({settings.why_offline})")
        with one_at_a_time(target, url, settings):
            if not (target / name).is_file():
                with new_folder(target) as folder:
                    fetch(url, folder / name, settings, sha256)
    return target / name


def _archive_folder(url: str, settings: Settings) -> Path:
    return settings.cache / "downloads" / text_sha256(url)[:32]


def _download_folder(file: SourceFile, settings: Settings) -> Path:
    return settings.cache / "downloads" / text_sha256(f"{file.url}\n{file.member or ''}")[:32]


def download_path(file: SourceFile, settings: Settings) -> Path:
    """Where a file lies, or would, once it is downloaded."""
    return _download_folder(file, settings) / file.path.rsplit("/", 1)[-1]


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


def _extract(archive: Path, member: str, target: Path, settings: Settings) -> None:
    """One member of a zip or tar, by its exact name."""
    try:
        extract(archive, member, target)
    except DAMAGED:
        if not settings.offline:
            shutil.rmtree(archive.parent, ignore_errors=True)  # the next run fetches it again
        raise NotHereError(f"the archive does not hold {member}, or is damaged") from None


def explain(dataset: Dataset, split: str, reasons: Sequence[str]) -> DataError:
    """The one line for a split that no source has: why, where it is published, and what can take its place."""
    line = f"dataset {dataset.name}, split {split}: {'; '.join(reasons)}; published at {dataset.homepage}"
    stand_ins = dataset.splits[split].stand_ins
    return DataError(line + (f"; {' or '.join(stand_ins)} can stand in" if stand_ins else ""))
