"""Files of dataset repositories on the Hugging Face hub, and what the hub's refusals mean."""

from __future__ import annotations

import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..disk import refusal
from ..errors import StoppedError
from ..settings import Settings
from ..types import Hub
from .addresses import NotHereError, check_address
from .blobs import LargeFiles, whole
from .patience import LONGEST_ASKED_S, MAY_PASS, Hiccup, Patience, asked_s, come_back

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

T = TypeVar("T")
CONNECT_S = 10.0
NOT_CACHED = "not in the hub cache, and offline"
_PASSING = {
    "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "ReadError", "WriteError", "RemoteProtocolError",
    "ConnectionResetError", "TimeoutError", "IncompleteRead", "ChunkedEncodingError", "ProtocolError",
}  # fmt: skip
"""By name: which library talks to the hub differs between versions of its client."""
_ABSENT = ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "RemoteEntryNotFoundError")


def fetch_files(source: Hub, settings: Settings) -> list[Path]:
    """Find a source's files in the hub's cache, or download them there; what is damaged is fetched again.

    Args:
        source: The repository, its commit, its files.
        settings: Whether the network may be used.

    Returns:
        The files, in their declared order.

    Raises:
        NotHereError: The hub does not serve them, or cannot be reached.
    """
    try:
        return whole(lambda _: _find_files(source, settings), lambda paths: paths, settings)
    except NotHereError as error:
        raise NotHereError(f"hub dataset {source.repository}: {error}") from None


def _find_files(source: Hub, settings: Settings) -> list[Path]:
    from huggingface_hub import hf_hub_download

    # A pinned file never changes: when the hub's cache holds it, nobody needs to be asked.
    cached = [_cached(source, name) for name in source.files]
    if None not in cached:
        return [Path(str(path)) for path in cached]
    if settings.offline:
        raise NotHereError(NOT_CACHED)
    large = LargeFiles(source.repository, "dataset", settings)

    def fetch() -> list[Path]:
        large.fetch(_listed(source, missing_files(source)))
        return [
            Path(hf_hub_download(source.repository, name, repo_type="dataset", revision=source.revision))
            for name in source.files
        ]

    paths = ask_hub(source.repository, "dataset", fetch, settings)
    large.tidy()
    return paths


def bytes_to_fetch(source: Hub, settings: Settings) -> dict[str, int | None]:
    """The sizes of a source's files that are not in the hub's cache.

    Args:
        source: The repository, its commit, its files.
        settings: Whether the hub may be asked.

    Returns:
        By address, in the manner of ``hf://``: bytes; None where the hub does not say.

    Raises:
        NotHereError: The hub does not serve them, or cannot be reached.
    """
    missing = missing_files(source)
    if missing and settings.offline:
        raise NotHereError(f"hub dataset {source.repository}: {NOT_CACHED}")

    def look() -> dict[str, int | None]:
        where = f"hf://datasets/{source.repository}@{source.revision}"
        return {f"{where}/{file.filename}": file.file_size for file in _listed(source, missing)}

    try:
        return ask_hub(source.repository, "dataset", look, settings) if missing else {}
    except NotHereError as error:
        raise NotHereError(f"hub dataset {source.repository}: {error}") from None


def _listed(source: Hub, names: list[str]) -> list[DryRunFileInfo]:
    """What the hub tells of files, before they are fetched."""
    from huggingface_hub import hf_hub_download

    return [
        hf_hub_download(source.repository, name, repo_type="dataset", revision=source.revision, dry_run=True)
        for name in names
    ]


def missing_files(source: Hub) -> list[str]:
    """The files of a source that are not in the hub's cache; nobody is asked."""
    return [name for name in source.files if _cached(source, name) is None]


def _cached(source: Hub, name: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(source.repository, name, repo_type="dataset", revision=source.revision)
    return path if isinstance(path, str) else None


def ask_hub(repository: str, kind: str, ask: Callable[[], T], settings: Settings) -> T:
    """Ask the hub for something, again where that may help.

    Its client tries again by itself where a listing or a file's head cannot be had, where it is told to wait, and where
    some connections break off; but gives up at once when the server fails as it is to send a file.

    Args:
        repository: What it is about.
        kind: ``dataset`` or ``model``.
        ask: Does it, by the hub's client.
        settings: Who hears of waits.

    Returns:
        What ``ask`` gives.

    Raises:
        NotHereError: The hub does not serve it, or cannot be reached.
        StoppedError: What it serves cannot be written here.
    """
    patience = Patience(f"hub {kind} {repository}", settings.listener.note)
    _check_reachable()
    _watch_client()
    while True:
        try:
            return ask()
        except NotHereError:
            raise
        except Exception as error:  # noqa: BLE001  # the hub's client raises many kinds; each means: not from here
            _stop_if_full(error)
            hiccup = _hiccup(error)
            if hiccup is None or not patience.wait(hiccup):
                raise NotHereError(f"{hub_reason(error, repository, kind)}{patience.spent()}") from None


def _stop_if_full(error: Exception) -> None:
    """See whether it was no server's doing.

    Raises:
        StoppedError: The hub's cache cannot be written, or its disk is full.
    """
    from huggingface_hub import constants

    found = refusal(error)
    if found is not None and found.writing:
        raise StoppedError(
            f"the hub's cache {constants.HF_HUB_CACHE} cannot be written ({os.strerror(found.number)}): make room "
            "(hf cache ls tells what is there), or set HF_HUB_CACHE to another folder"
        ) from error


def _watch_client() -> None:
    """Let the hub's client follow no redirect to where a download may not go, and sit through no hour that it is asked.

    It would: whatever ``Retry-After`` says, five times in a row.
    """
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    hooks = getattr(get_session(), "event_hooks", None)  # older clients talk by another library, without hooks
    if hooks is not None and _check_request not in hooks["request"]:
        hooks["request"].append(_check_request)
        hooks["response"].append(_check_wait)


def _check_request(request: Any) -> None:
    check_address(str(request.url))


def _check_wait(response: Any) -> None:
    asked = asked_s(response.headers.get("Retry-After")) if response.status_code in MAY_PASS else None
    if asked is not None and asked > LONGEST_ASKED_S:
        raise NotHereError(f"HTTP {response.status_code}; {come_back(asked)}")


def _check_reachable() -> None:
    """See at once that there is no network: the hub's client tries again for half a minute, for each file.

    Raises:
        NotHereError: The hub's name is not known here, or nobody listens there.
    """
    from huggingface_hub import constants

    check_address(constants.ENDPOINT)
    parts = urllib.parse.urlsplit(constants.ENDPOINT)
    proxied = {parts.scheme, "all"} & set(urllib.request.getproxies())
    if proxied and not urllib.request.proxy_bypass(parts.hostname or ""):  # which may know better
        return
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_S).close()
    except TimeoutError:  # slow, perhaps
        return
    except OSError as error:
        raise NotHereError(f"the hub cannot be reached ({error.strerror or error})") from None


def hub_page(repository: str, kind: str) -> str:
    """The page of a repository, for people."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repository}"


def hub_reason(error: Exception, repository: str, kind: str) -> str:
    """Why the hub did not serve, in a few words, none of which are the error's own: these might hold a token."""
    from huggingface_hub import get_token

    name, status = type(_root(error)).__name__, _status(error)
    known = get_token() is not None
    if name == "OfflineModeIsEnabled":
        return NOT_CACHED
    if name == "GatedRepoError":
        then = "the token that is here has no access yet" if known else "log in with 'hf auth login' or set HF_TOKEN"
        return f"gated: ask for access at {hub_page(repository, kind)}, then try again ({then})"
    if name == "RepositoryNotFoundError" and not known:
        return f"the hub does not have it, or it is private and 'hf auth login' is needed ({name})"
    if name in _ABSENT or status == 404:
        return f"the hub does not have it ({name})"
    if status in (401, 403):
        return f"the hub refuses the token that is here (HTTP {status}): log in anew with 'hf auth login'"
    return f"the hub cannot be reached ({f'HTTP {status}' if status else name})"


def _hiccup(error: Exception) -> Hiccup | None:
    """What of a failure may pass, and was not tried again by the client itself."""
    cause = _root(error)
    status = _status(cause)
    if status in MAY_PASS:
        headers = getattr(_answer(cause), "headers", None) or {}
        return Hiccup(f"HTTP {status}", asked_s(headers.get("Retry-After")))
    passing = type(cause).__name__ in _PASSING or "Consistency check failed" in str(cause)
    return Hiccup(type(cause).__name__) if passing else None


def _root(error: BaseException) -> BaseException:
    """What a failure came from, down to where it is about an answer."""
    while error.__cause__ is not None and _answer(error) is None:
        error = error.__cause__
    return error


def _answer(error: BaseException) -> object | None:
    return getattr(error, "response", None)


def _status(error: BaseException) -> int | None:
    """The status of the answer that a failure is about, or that it came from."""
    status = getattr(_answer(error), "status_code", None)
    if status is None and error.__cause__ is not None:
        return _status(error.__cause__)
    return status if isinstance(status, int) else None
