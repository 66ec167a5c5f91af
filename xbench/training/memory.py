"""What to do when memory runs out: less at once, the same result."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..errors import UserError
from .heap import give_back

_SAYINGS = (
    "can't allocate memory", "out of memory", "std::bad_alloc", "bad allocation", "CUBLAS_STATUS_ALLOC_FAILED",
    "could not create a primitive", "could not create a memory object",  # oneDNN gives no other reason
)  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host.

    torch has a type of its own for a GPU; its allocator for the CPU, oneDNN and cuBLAS say it in the text alone.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _SAYINGS)


class TooLarge(NamedTuple):
    """A piece that memory did not hold, without its error: that one's traceback holds the piece's tensors.

    Attributes:
        examples: Of the piece.
        tokens: Of the piece, padding included.
        reason: What the error said.
    """

    examples: int
    tokens: int
    reason: str

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64], error: Exception) -> TooLarge:
        """What is to be known of a piece of sequences of these lengths, (examples, sequences)."""
        return cls(len(lengths), int(lengths.max()) * int(lengths.size), str(error).partition("\n")[0])


class MicroBatch:
    """How many tokens go through the encoder at once: as many as asked for, until memory runs out.

    Which examples share an effective batch does not depend on it, and neither do losses or scores beyond rounding. One
    object serves all runs of the same kind, so that later ones begin with what has fitted, and the user is told once.

    Args:
        tokens: Padding included, at most; a piece has at least one example.
        say: Takes one line for the user.

    Attributes:
        tokens: What it is now.
    """

    def __init__(self, tokens: int, say: Callable[[str], None] = lambda text: None) -> None:
        self.tokens = tokens
        self._asked, self._say, self._told = tokens, say, False

    def halve(self, piece: TooLarge, device: torch.device) -> None:
        """Go down after a piece did not fit, and free what it has left.

        To be called when the error is no longer being handled.

        Args:
            piece: The piece.
            device: That it ran on.

        Raises:
            UserError: It was one example, which cannot be cut.
        """
        if piece.examples == 1:
            raise UserError(
                f"out of memory with a single example of {piece.tokens} tokens: use a smaller recipe.max_length, a "
                f"smaller model, or a machine with more memory ({piece.reason})"
            )
        self.tokens = max(1, min(self.tokens, piece.tokens) // 2)
        give_back(device)

    def fits(self) -> None:
        """A piece went through: say, the first time after memory ran out, what is done about it."""
        if self.tokens < self._asked and not self._told:
            self._told = True
            self._say(
                f"out of memory with {self._asked} tokens at once: {self.tokens} from here on; the effective batch and "
                f"the result stay (recipe.micro_batch_tokens={self.tokens} begins with it)"
            )
