"""Models from the hub: out of its cache where a pinned commit is there whole, else from the network."""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.addresses import NotHereError
from ..data.blobs import LargeFiles, whole
from ..data.hub import NOT_CACHED, ask_hub
from ..errors import UserError
from ..settings import Settings
from .folder import TOKENIZER_CONFIG, VOCABULARIES, code_names, encoder_folder, missing_shards
from .layout_reader import missing_parts

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What is fetched of a model's repository: weights as safetensors, and what a tokenizer needs; never a pickle."""
CODE = "*.py"
COMMIT = re.compile("[0-9a-f]{40}")


def whole_snapshot(repository: str, revision: str | None, settings: Settings) -> Path:
    """`fetch_snapshot`, with the large files held against their checksums; what is damaged is fetched again."""

    def find(anew: bool) -> Path:
        return fetch_snapshot(repository, revision, settings, anew)

    return whole(find, lambda folder: sorted(folder.rglob("*")), settings)


def fetch_snapshot(repository: str, revision: str | None, settings: Settings, anew: bool = False) -> Path:
    """Find a repository's files at a revision in the hub's cache, or download them there.

    Args:
        repository: Such as ``FacebookAI/xlm-roberta-base``.
        revision: A commit, a branch or a tag; None is the main branch.
        settings: Offline; whether the model's own code is fetched as well.
        anew: Whether to ask the hub even for a commit that looks whole.

    Returns:
        The snapshot's folder.

    Raises:
        NotHereError: The hub does not serve it, or cannot be reached.
    """
    from huggingface_hub import snapshot_download

    fetch = functools.partial(snapshot_download, repository, revision=revision, allow_patterns=_patterns(settings))
    if not (settings.offline or anew) and revision is not None and COMMIT.fullmatch(revision):
        # A commit never changes: when the cache holds it whole, nobody needs to be asked. If anything at all is wrong
        # with the cache, the hub is.
        with contextlib.suppress(Exception):
            folder = Path(fetch(local_files_only=True))
            if is_whole(folder, settings.trust_remote_code):
                return folder
    if settings.offline:
        try:
            return Path(fetch(local_files_only=True))
        except Exception:  # noqa: BLE001  # the hub's client raises many kinds; each means: not in its cache
            raise NotHereError(NOT_CACHED) from None
    large = LargeFiles(repository, "model", settings)

    def get() -> str:
        large.fetch(_listed(repository, revision, settings))
        return fetch()

    folder = Path(ask_hub(repository, "model", get, settings))
    large.tidy()
    return folder


def snapshot_bytes(repository: str, revision: str | None, settings: Settings) -> dict[str, int | None]:
    """The sizes of a repository's files that `fetch_snapshot` would download.

    Args:
        repository: Such as ``FacebookAI/xlm-roberta-base``.
        revision: A commit, a branch or a tag; None is the main branch.
        settings: Whether the model's own code is fetched as well.

    Returns:
        By address, in the manner of ``hf://``: bytes; None where the hub does not say.

    Raises:
        NotHereError: The hub does not serve it, or cannot be reached.
    """
    where = f"hf://{repository}@{revision or 'main'}"
    files = ask_hub(repository, "model", lambda: _listed(repository, revision, settings), settings)
    return {f"{where}/{file.filename}": file.file_size for file in files if file.will_download}


def _patterns(settings: Settings) -> list[str]:
    return [*FILES, CODE] if settings.trust_remote_code else [*FILES]


def _listed(repository: str, revision: str | None, settings: Settings) -> list[DryRunFileInfo]:
    """What the hub tells of the files, before they are fetched."""
    from huggingface_hub import snapshot_download

    return snapshot_download(repository, revision=revision, allow_patterns=_patterns(settings), dry_run=True)


def is_whole(folder: Path, code: bool) -> bool:
    """Whether a snapshot in the hub's cache is surely complete; a download may have been interrupted at any file.

    Args:
        folder: The snapshot.
        code: Whether the model's own code is needed, where its configuration names some.

    Returns:
        False in every case of doubt.
    """
    blobs, listed = folder.parents[1] / "blobs", folder.parents[1] / "trees" / f"{folder.name}.json"
    try:
        if missing_parts(folder):
            return False
        folder = encoder_folder(folder)
    except UserError:  # a damaged file
        return False
    config, tokenizer = folder / "config.json", folder / TOKENIZER_CONFIG
    if not config.is_file() or not tokenizer.is_file():
        return False
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return False
    if not any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        return False
    if not listed.is_file() and any(blobs.glob("*.incomplete")):  # else its client has compared what is here
        return False
    try:
        modules = _modules(config) | _modules(tokenizer) if code else set()
        return not missing_shards(folder) and all((folder / name).is_file() for name in modules)
    except UserError:  # a damaged file
        return False


def _modules(path: Path) -> set[str]:
    """The Python files of its own repository that a configuration names."""
    return {name.partition(".")[0] + ".py" for name in code_names(path) if "--" not in name}
