"""Where stages that are being trained have their checkpoints; `xbench.training.checkpoint` writes and reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

from .store import read_signed

FOLDER, MANIFEST = "unfinished", "checkpoint.json"


def folder_of(cache: Path, key: str) -> Path:
    """Where a stage's checkpoints lie."""
    return cache / FOLDER / key


def drop_finished(cache: Path, key: str) -> None:
    """Take away what a process has left that was stopped between keeping a stage and tidying up.

    Where a finished stage is trained once more, to keep candidates of it, the checkpoint is still of use and stays.

    Args:
        cache: The cache's folder.
        key: Of a stage that stands.
    """
    folder = folder_of(cache, key)
    manifests = [read_signed(path) for path in folder.glob(f"[!.]*/{MANIFEST}")]
    if folder.exists() and not any(manifest is not None and manifest.get("wanted") for manifest in manifests):
        shutil.rmtree(folder, ignore_errors=True)


def drop(cache: Path, key: str) -> None:
    """Take away the checkpoints of a training that has come to nothing.

    Args:
        cache: The cache's folder.
        key: The stage's.
    """
    shutil.rmtree(folder_of(cache, key), ignore_errors=True)
