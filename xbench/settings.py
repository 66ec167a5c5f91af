"""Where things lie and how the machine is used: everything about a run that is not the request itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Folders and switches of one run.

    Attributes:
        cache: Prepared rows, models, stages and predictions; everything in it can be made again.
        out: What is published: ``results/`` with the records, and the rendered leaderboard.
        data: The data root with the publishers' files; None when the user named none.
        offline: Never use the network.
        why_offline: What makes it so, in a few words for a message.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        trust_remote_code: Let a model's repository run its own code. Off unless the user asks.
    """

    cache: Path
    out: Path = Path("leaderboard")
    data: Path | None = None
    offline: bool = False
    why_offline: str = "--offline"
    device: str = "auto"
    trust_remote_code: bool = False


def default_cache() -> Path:
    """The platform's folder for a user's caches."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("xbench"))
