"""Models from the hub: out of its cache where a pinned commit is there whole, else from the network."""

from __future__ import annotations

import contextlib
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.download import NotHereError
from ..data.hub import NOT_CACHED, ask_hub
from ..errors import UserError
from ..settings import Settings
from .folder import TOKENIZER_CONFIG, VOCABULARIES, encoder_folder, missing_shards, read_json
from .layout_reader import missing_parts

if TYPE_CHECKING:
    from huggingface_hub import DryRunFileInfo

FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What is fetched of a model's repository: weights as safetensors, and what a tokenizer needs; never a pickle."""
CODE = "*.py"
COMMIT = re.compile("[0-9a-f]{40}")


def fetch_snapshot(repository: str, revision: str | None, settings: Settings) -> Path:
    """Find a repository's files at a revision in the hub's cache, or download them there.

    Args:
        repository: Such as ``FacebookAI/xlm-roberta-base``.
        revision: A commit, a branch or a tag; None is the main branch.
        settings: Offline; whether the model's own code is fetched as well.

    Returns:
        The snapshot's folder.

    Raises:
        NotHereError: The hub does not serve it, or cannot be reached.
    """
    from huggingface_hub import snapshot_download

    patterns = [*FILES, CODE] if settings.trust_remote_code else [*FILES]
    fetch = functools.partial(snapshot_download, repository, revision=revision, allow_patterns=patterns)
    if not settings.offline and revision is not None and COMMIT.fullmatch(revision):
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
    return Path(ask_hub(repository, "model", fetch, settings))


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
    from huggingface_hub import snapshot_download

    patterns = [*FILES, CODE] if settings.trust_remote_code else [*FILES]

    def look() -> list[DryRunFileInfo]:
        return snapshot_download(repository, revision=revision, allow_patterns=patterns, dry_run=True)

    where = f"hf://{repository}@{revision or 'main'}"
    files = ask_hub(repository, "model", look, settings)
    return {f"{where}/{file.filename}": file.file_size for file in files if file.will_download}


def is_whole(folder: Path, code: bool) -> bool:
    """Whether a snapshot in the hub's cache is surely complete; a download may have been interrupted at any file.

    Args:
        folder: The snapshot.
        code: Whether the model's own code is needed, where its configuration names some.

    Returns:
        False in every case of doubt.
    """
    blobs = folder.parents[1] / "blobs"
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
    if any(blobs.glob("*.incomplete")):
        return False
    try:
        modules = _modules(config) | _modules(tokenizer) if code else set()
        return not missing_shards(folder) and all((folder / name).is_file() for name in modules)
    except UserError:  # a damaged file
        return False


def _modules(path: Path) -> set[str]:
    """The Python files of its own repository that a configuration names."""
    found: set[str] = set()
    values = list((read_json(path).get("auto_map") or {}).values())
    while values:
        value = values.pop()
        if isinstance(value, str) and "--" not in value:  # "--" stands behind another repository's name
            found.add(value.partition(".")[0] + ".py")
        elif isinstance(value, (list, tuple)):  # a tokenizer's slow and fast class
            values.extend(value)
    return found
