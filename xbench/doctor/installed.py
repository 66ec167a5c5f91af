"""What is installed: xbench's requirements, whether they can be imported, and its extras."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator

from ..errors import named_line
from .finding import BROKEN, NOTE, OK, Finding

GIVES = {
    "offline": "real encoders without the hub: e5-small-q4, all-minilm-l6-v2",
    "figures": "the tasks' figures",
    "publish": "index.html, the leaderboard's page",
    "lora": "adapters: recipe.tuning = \"lora\"",
    "distributed": "several processes for one stage: accelerate launch",
    "track": "--track tensorboard, wandb, mlflow",
    "ray": "--executor ray, a cluster",
}  # fmt: skip
"""What each extra is good for; those for working on xbench itself aside."""
COMPILED = (
    "numpy", "pandas", "pyarrow", "scipy", "safetensors", "tokenizers", "huggingface_hub", "transformers", "datasets",
)  # fmt: skip
"""What is built for one Python and one numpy, or stands on such: a version number does not say that it can be used."""


def packages() -> Iterator[Finding]:
    """The distributions that xbench itself needs."""
    wrong = _unmet("")
    broken = [f"{name} cannot be imported: {why}" for name in COMPILED if (why := _import_error(name))]
    if wrong or broken:
        mend = "pip install --upgrade xbench" + "; pip install --force-reinstall what cannot be imported" * bool(broken)
        yield Finding("packages", BROKEN, "; ".join([*(wrong or []), *broken]), mend)
    elif wrong is None:
        yield Finding("packages", NOTE, "xbench is not installed as a distribution: versions were not checked")
    else:
        yield Finding("packages", OK, "all that xbench needs, in versions that it takes")


def _import_error(name: str) -> str:
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001  # a broken build fails in ways of its own
        return named_line(error, 200)
    return ""


def extras() -> Iterator[Finding]:
    """What makes more of xbench, where somebody wants it."""
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
