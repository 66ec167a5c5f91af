"""The kinds of things that a cache keeps, by the folder in which they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

KEY, SHORT = "[0-9a-f]{64}", "[0-9a-f]{32}"


@dataclass(frozen=True)
class Kind:
    """What lies in one folder of a cache.

    Attributes:
        name: Of the kind, and of the folder.
        pattern: What the names in it are like; others are not xbench's.
        about: What they are.
        again: What becomes of one that is gone or damaged.
        folders: Whether each is a folder of its own, and not a file.
        needed: Whether a record may need one, to be compared, exported, drawn or scored again.
        prunes: Whether one may be taken away.
    """

    name: str
    pattern: str
    about: str
    again: str
    folders: bool = False
    needed: bool = False
    prunes: bool = True

    def fits(self, name: str) -> bool:
        """Whether xbench gives such names."""
        return re.fullmatch(self.pattern, name) is not None


_MEASURED = "it is measured again when it is asked for"
_ALL = (
    Kind("stages", KEY, "fine-tuned weights", "it is trained again when it is asked for", True, True),
    Kind("unfinished", KEY, "checkpoints of trainings that were broken off", "the training begins anew", True),
    Kind("candidates", KEY, "earlier checkpoints of stages", "the stage is trained again for them", True, True),
    Kind("dev-scores", rf"{KEY}\.json", "what candidates scored on dev rows", _MEASURED),
    Kind("failed", rf"{KEY}\.json", "trainings that have come to nothing", "the training is tried again"),
    Kind("predictions", rf"{KEY}\.parquet", "one prediction a row", "its cell has to be scored again", needed=True),
    Kind("kept", KEY, "arrays for figures", "its cell is scored again when it is asked for", True, True),
    Kind("datasets", r".+-[0-9a-f]{24}", "prepared rows", "they are prepared again from their source", True),
    Kind("examples", SHORT, "tokenised rows", "they are tokenised again", True),
    Kind("models", r".+-v.+-.+", "models that plugins put together", "it is put together again", True),
    Kind("downloads", rf"{SHORT}(\.part|\.part\.json|\.lock)?", "publishers' files", "it is fetched again", True),
    Kind("ceilings", rf"{SHORT}\.json", "what a tokenizer lets one reach", _MEASURED),
    Kind("calibrations", rf"{KEY}\.json", "what work costs on this machine", _MEASURED),
    Kind("estimates", rf"{KEY}\.json", "what stages were estimated to cost", "it is estimated again"),
    Kind("machines", rf"{SHORT}\.json", "what torch says of this machine", _MEASURED),
    Kind("digests", rf"{SHORT}\.json", "remembered checksums of files", "the checksum is computed again"),
    Kind("checked", "records", "which records were found whole", "they are all checked again"),
    Kind("published", rf"{SHORT}\.json", "what leaderboards were last made from", "they are made anew"),
    Kind("locks", r".+\.lock", "what running processes hold", "", prunes=False),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
LEFTOVERS = "leftovers"
"""Of processes that were killed, and damaged things that were put aside."""
STRANGE = "not xbench's"
"""Listed, and never touched."""
