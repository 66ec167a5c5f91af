"""The formulas: what counts of work cost, from what was measured on this machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .counts import Counts, Cut

MB = 2**20
BYTES_TRAINED = 16
"""A weight, its gradient and two moments, in fp32."""
BYTES_READ = 4
TABLE_ROW_ID = 8
"""Bytes beside each row of the embedding table in a stage's file: which one it is."""


@dataclass(frozen=True)
class Calibration:
    """What work costs on this machine, as measured with one model, head and precision, in training or in reading.

    Attributes:
        trains: Whether it was training; else passes forward alone.
        token_s: Seconds a token.
        square_s: Seconds for each unit of the squared length of a sequence.
        weight_s: Seconds for each weight and step of the optimizer.
        load_s: Seconds to load tokenizer and weights.
        tokenise_s: Seconds to tokenise, for each token.
        write_s: Seconds to write weights, for each MB.
        resting_mb: Memory before the model is loaded.
        load_mb: The most memory while it was loaded, above that.
        held_mb: Memory that does not depend on the piece at hand, above that.
        token_mb: Memory for each token of a piece.
        square_mb: Memory for each unit of squared length of a piece.
        left_mb: Memory that stays with the process when the model has gone.
        body: Weights of encoder and head without the embedding table; in training, those that are trained.
        width: Of the embedding table.
        table_rows: Of the whole embedding table.
        rows: Of it, that were held for measuring.
        file_bytes: Of a stage's file, without the table's rows.
        packed: Whether pieces run without padding.
        frozen: Whether the embedding table is, and so is no part of a stage's file.
    """

    trains: bool
    token_s: float
    square_s: float
    weight_s: float
    load_s: float
    tokenise_s: float
    write_s: float
    resting_mb: float
    load_mb: float
    held_mb: float
    token_mb: float
    square_mb: float
    left_mb: float
    body: int
    width: int
    table_rows: int
    rows: int
    file_bytes: int
    packed: bool
    frozen: bool = False

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Calibration:
        """What `as_json` gave.

        Raises:
            KeyError: Something is missing.
        """
        optional = {"frozen"} - values.keys()  # of before there were adapters
        return cls(**{item.name: values[item.name] for item in dataclasses.fields(cls) if item.name not in optional})

    def as_json(self) -> dict[str, Any]:
        """For the cache."""
        return dataclasses.asdict(self)

    def run_seconds(self, counts: Counts, cut: Cut, rows: int) -> float:
        """Of the training loop, or of a pass.

        Args:
            counts: What goes through the encoder.
            cut: How it is cut into pieces.
            rows: Of the embedding table, held.
        """
        tokens = counts.tokens + cut.piece_tokens * counts.pieces
        weights = self.body + (0 if self.frozen else rows * self.width)
        return self.token_s * tokens + self.square_s * counts.squares + self.weight_s * weights * counts.steps

    def memory_mb(self, counts: Counts, rows: int, left_mb: float) -> float:
        """The most memory: on a GPU its own, else what is resident; with what earlier work has left."""
        more = (rows - self.rows) * self.width * (BYTES_TRAINED if self.trains and not self.frozen else BYTES_READ) / MB
        running = self.held_mb + more + self.token_mb * counts.widest + self.square_mb * counts.widest_squares
        return self.resting_mb + left_mb + max(running, self.load_mb)

    def file_mb(self, rows: int) -> float:
        """Of a stage's files on the disk, with so many rows of the embedding table."""
        return (self.file_bytes + (0 if self.frozen else rows * (4 * self.width + TABLE_ROW_ID))) / MB


@dataclass(frozen=True)
class Estimate:
    """What a stage or a pass will cost.

    Attributes:
        seconds: In all.
        whole_s: Of a stage, without the writing of its weights: what its manifest will call ``whole_s``.
        memory_mb: The most: on a GPU its own memory, else what is resident.
        disk_mb: What is left in the cache.
        weights_mb: Of that, the stage's weights.
        sampled: Whether counts were extrapolated from a sample.
    """

    seconds: float
    whole_s: float
    memory_mb: float
    disk_mb: float
    weights_mb: float
    sampled: bool


def stage_estimate(
    calibration: Calibration, counts: Counts, cut: Cut, rows: int, stored: int, new_tokens: float, new_mb: float,
    left_mb: float, sampled: bool, candidates: int = 0,
) -> Estimate:  # fmt: skip
    """What a stage costs.

    Args:
        calibration: Of training.
        counts: Of its training.
        cut: How batches are cut.
        rows: Of the embedding table, held.
        stored: Of the embedding table, in its file: its own and its parent's.
        new_tokens: To be tokenised.
        new_mb: Of tokenised examples that are not here yet.
        left_mb: Memory that earlier work of the process has left.
        sampled: Whether counts were extrapolated.
        candidates: How many checkpoints are kept on the way.
    """
    weights_mb = calibration.file_mb(stored)
    whole_s = calibration.load_s + calibration.tokenise_s * new_tokens + calibration.run_seconds(counts, cut, rows)
    whole_s += candidates * calibration.write_s * weights_mb
    seconds, memory_mb = whole_s + calibration.write_s * weights_mb, calibration.memory_mb(counts, rows, left_mb)
    return Estimate(seconds, whole_s, memory_mb, (1 + candidates) * weights_mb + new_mb, weights_mb, sampled)


def pass_estimate(
    calibration: Calibration, counts: Counts, cut: Cut, rows: int, new_tokens: float, new_mb: float, left_mb: float,
    sampled: bool, loads: bool, times: int = 1,
) -> Estimate:  # fmt: skip
    """What a pass over a split costs.

    Args:
        calibration: Of reading.
        counts: Of the pass.
        cut: How batches are cut.
        rows: Of the embedding table, held.
        new_tokens: To be tokenised.
        new_mb: Of tokenised examples that are not here yet.
        left_mb: Memory that earlier work of the process has left.
        sampled: Whether counts were extrapolated.
        loads: Whether it is the first one of a loaded model.
        times: How many checkpoints it is made for, one after the other.
    """
    seconds = calibration.load_s if loads else 0.0
    seconds = times * (seconds + calibration.run_seconds(counts, cut, rows)) + calibration.tokenise_s * new_tokens
    return Estimate(seconds, seconds, calibration.memory_mb(counts, rows, left_mb), new_mb, 0.0, sampled)
