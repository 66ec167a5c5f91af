"""What plugins declare to judge predictions: metrics, diagnostics beside them, and figures from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import UserError
from .types import Dataset, HeadContext, Prediction, Row

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Sampler: TypeAlias = Callable[[npt.NDArray[np.float64]], Mapping[str, npt.NDArray[np.float64]]]
    """From how often each row is drawn, (draws, rows), to each score's draws, (draws,)."""


@dataclass(frozen=True)
class MetricContext:
    """What a metric may know of what it scores.

    Attributes:
        dataset: Where the rows are from.
        rows: The rows, one a prediction.
    """

    dataset: Dataset
    rows: Sequence[Row]


@dataclass(frozen=True)
class Metric:
    """Predictions and references to scores.

    Attributes:
        name: Such as ``spearman``.
        version: Raised when the same predictions would give another score.
        compute: Takes one prediction and one reference a row, and what they belong to; gives scores by name, in the
            field's units. NaN where a score is not defined.
        description: One line, with the source of the formula or the official scorer.
        best: What a perfect prediction scores, by score name.
        worst: What the worst scores, by score name, of scores that are means over the rows of something that lies
            between the two: one that is at either end in every draw then gets an exact interval, and not one of no
            length. Correlations, and F1 over classes, are no such means.
        unanswered: Whether a prediction may be None, for a row that was not answered.
        schemas: The schemas whose predictions and references it understands; none stands for any.
        titles: What tables call its scores, such as ``P@1``, by score name; others are called by their names.
        decimals: Digits behind the point in tables, of the scores that ``titles`` or ``best`` names.
        comparable: Whether a higher score means better, of one model or of another. A mean cosine does not: what brings
            all sentences together raises it. Models are ranked by a task's first score that is comparable.
        resample: Takes what ``compute`` takes and gives a function from how often each row is drawn, (draws, rows), to
            the scores of each draw, (draws,) by name; intervals are made from them. `resample_means` gives one for
            means. None: ``compute`` is called for every draw, which takes a thousand times as long.
        chance: What a prediction that knows nothing reaches, by score name, from the references; retention is
            measured from there. None, or a name that is missing: nobody knows.
    """

    name: str
    version: int
    compute: Callable[[Sequence[Prediction], Sequence[Any], MetricContext], Mapping[str, float]]
    description: str
    best: Mapping[str, float] = field(default_factory=dict)
    worst: Mapping[str, float] = field(default_factory=dict)
    unanswered: bool = False
    schemas: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    decimals: int = 2
    comparable: bool = True
    resample: Callable[[Sequence[Prediction], Sequence[Any], MetricContext], Sampler] | None = None
    chance: Callable[[Sequence[Any], MetricContext], Mapping[str, float]] | None = None

    def check_takes(self, dataset: Dataset, where: str = "") -> None:
        """See that it can score a dataset.

        Args:
            dataset: The dataset.
            where: Who asks for it, for the message.

        Raises:
            UserError: It does not understand the dataset's rows.
        """
        if self.schemas and dataset.schema not in self.schemas:
            prefix = f"{where}: " if where else ""
            raise UserError(
                f"{prefix}the metric {self.name} scores {', '.join(self.schemas)}, and {dataset.name} holds "
                f"{dataset.schema}"
            )


@dataclass(frozen=True)
class Access:
    """What the user lets things do that come from elsewhere.

    Attributes:
        offline: The network must not be used.
        trust_remote_code: Code that was fetched may run.
    """

    offline: bool = True
    trust_remote_code: bool = False


@dataclass(frozen=True)
class MetricSource:
    """Makes metrics that nobody has declared: a task gives an address in the place of a name, ``SOURCE:ADDRESS``.

    Attributes:
        name: What stands before the colon, such as ``evaluate``.
        metric_name: What the metric at an address is called in plans, records and tables. Two addresses that may give
            other scores have two names. It looks at the address alone, and at nothing that it points to.
        make: Makes the metric at an address when it is first asked for, under the name that ``metric_name`` gives. An
            address that begins with ``./`` or ``../`` goes out from the task's file, and is whole when it comes here.
            The metric's version changes with whatever it is made of, so that no two share a key; it is below 2^31.
            What cannot be made is a `UserError`, which says why.
        description: One line.
    """

    name: str
    metric_name: Callable[[str], str]
    make: Callable[[str, Access], Metric]
    description: str


@dataclass(frozen=True)
class DiagnosticContext:
    """What a diagnostic may look at.

    Attributes:
        rows: The evaluation rows.
        predictions: One a row.
        truncated: (rows,) Whether some of a row's text was cut away.
        dataset: The evaluation dataset.
        train: The rows of every training dataset of the curriculum, by name; none for a frozen encoder.
        fit: The rows that the reading was fitted on; none where it was not.
        row_of: (examples,) The index of each example's row.
        extra: What the examples carried along, by name: one integer array an example.
        folder: The model's transformers folder, for its tokenizer.
        context: The recipe and its company.
        metrics: The cell's metrics by name, the primary one first.
    """

    rows: Sequence[Row]
    predictions: Sequence[Prediction]
    truncated: npt.NDArray[np.bool_]
    dataset: Dataset
    train: Mapping[str, Sequence[Row]]
    fit: Sequence[Row]
    row_of: npt.NDArray[np.int64]
    extra: Mapping[str, Sequence[npt.NDArray[np.int32]]]
    folder: Path
    context: HeadContext
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnostic:
    """A measure beside the scores.

    Attributes:
        name: Such as ``truncated-rows``.
        compute: Gives its numbers by name.
        description: One line.
        version: Raised when the same rows would give other numbers.
        ceiling: Whether its numbers are, by score name, the best that any prediction could reach. They are then shown
            under the scores, and computed once for all models of a tokenizer: they may depend on the rows, their
            examples and the metrics, and on nothing else.
    """

    name: str
    compute: Callable[[DiagnosticContext], Mapping[str, float]]
    description: str
    version: int = 1
    ceiling: bool = False


@dataclass(frozen=True)
class Picture:
    """What a figure has drawn.

    Attributes:
        title: What it shows, in one line.
        files: The same picture in one or more formats, in the folder that it was told; a page shows the first one.
        keys: Of the records that it was drawn from. A leaderboard without one of them, or with another result under
            its key, leaves the picture out.
    """

    title: str
    files: tuple[Path, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class FigureContext:
    """What a figure is drawn from.

    Attributes:
        records: All of one task's that are in the results folder.
        kept: An array that a head kept beside a record's predictions, by name; None where it is no longer here.
        folder: Where to write the pictures.
    """

    records: Sequence[Mapping[str, Any]]
    kept: Callable[[Mapping[str, Any], str], npt.NDArray[Any] | None]
    folder: Path


@dataclass(frozen=True)
class Figure:
    """Pictures drawn from a task's records. Heads keep arrays for tasks that have figures, and for no others.

    Attributes:
        name: Such as ``tsne``.
        draw: Writes pictures and says which.
        description: One line.
        version: Raised when the same records would give other pictures.
    """

    name: str
    draw: Callable[[FigureContext], Sequence[Picture]]
    description: str
    version: int = 1
