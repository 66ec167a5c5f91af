"""Where things lie and how the machine is used: everything about a run that is not the request itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


class Listener:
    """Hears what is fetched and says nothing; override what is of interest. Threads may call it side by side."""

    def note(self, text: str) -> None:
        """Something that the user should know once."""

    def fetched(self, label: str, done: int, total: int | None) -> None:
        """So many bytes of a download are here; ``total`` is None where its server does not say."""


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
        listener: Hears of waits and downloads.
    """

    cache: Path
    out: Path = Path("leaderboard")
    data: Path | None = None
    offline: bool = False
    why_offline: str = "--offline"
    device: str = "auto"
    trust_remote_code: bool = False
    listener: Listener = field(default_factory=Listener, compare=False, repr=False)


def default_cache() -> Path:
    """The platform's folder for a user's caches."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("xbench"))
