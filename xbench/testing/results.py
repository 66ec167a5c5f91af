"""What a check says: passed, skipped with the reason, or failed with what, where and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        what: What is wrong, in one line.
        where: The declaration, or the file and the line.
        mend: What to do about it; more than one line where there is something to paste.
    """

    what: str
    where: str
    mend: str

    def __str__(self) -> str:
        return f"what:  {self.what}\nwhere: {self.where}\nmend:  " + self.mend.replace("\n", "\n       ")


class NotCheckedError(Exception):
    """A check cannot be made here, such as for want of data; the text says why, and what to do."""


@dataclass(frozen=True)
class Result:
    """What became of one check of one thing.

    Attributes:
        check: The check's name.
        thing: What was checked, such as ``dataset korsts``.
        outcome: ``passed``, ``failed`` or ``skipped``.
        problems: What is wrong, when it failed.
        reason: Why it was skipped.
    """

    check: str
    thing: str
    outcome: str
    problems: Sequence[Problem] = ()
    reason: str = ""

    def __str__(self) -> str:
        told = self.reason if self.outcome == SKIPPED else "\n".join(map(str, self.problems))
        return f"{self.check}, {self.thing}: {self.outcome}" + (f"\n{told}" if told else "")

    def as_json(self) -> dict[str, object]:
        """For ``--json``."""
        problems = [{"what": one.what, "where": one.where, "mend": one.mend} for one in self.problems]
        return {
            "check": self.check, "thing": self.thing, "outcome": self.outcome, "problems": problems,
            "reason": self.reason,
        }  # fmt: skip
