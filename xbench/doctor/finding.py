"""What a look at one thing has found."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, BROKEN = "ok", "note", "broken"


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
