"""A metric's script at work: loaded by evaluate, its columns cast once, its scores drawn a thousand times."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from xbench.api import MetricContext, Prediction, UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

COLUMNS = {"predictions", "references"}


@dataclass(frozen=True)
class Script:
    """A script that is loaded when a score is first asked for, and what its ``compute`` is told.

    Attributes:
        path: The Python file.
        options: As in the address.
        name: The metric's, for messages.
    """

    path: Path
    options: Mapping[str, Any]
    name: str

    @cached_property
    def module(self) -> Any:
        """The loaded script.

        Raises:
            UserError: What it imports is not installed, it holds no metric, or it wants more than predictions and
                references.
        """
        import evaluate

        config_name = self.options.get("config_name")
        try:
            # Its folder for temporary files is made at once, though none is written.
            with tempfile.TemporaryDirectory() as unused:
                module = evaluate.load(
                    str(self.path), config_name, keep_in_memory=True, cache_dir=unused, seed=0, experiment_id="xbench"
                )
        except ImportError as error:
            raise UserError(f"the metric {self.name}: {' '.join(str(error).split())}") from error
        except TypeError as error:
            if "'NoneType' object is not callable" not in str(error):
                raise
            raise UserError(f"the metric {self.name}: {self.path.name} defines no evaluate.Metric") from None
        wanted = set(module._feature_names())
        if wanted != COLUMNS:
            raise UserError(
                f"the metric {self.name} wants {', '.join(sorted(wanted))}, and gets predictions and references: write "
                "a script of your own around it"
            )
        return module

    def columns(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> dict[str, Any]:
        """Predictions and references as the script's ``_compute`` gets them: checked and cast by its features.

        Raises:
            UserError: They are not what the script takes.
        """
        module, columns = self.module, dict[str, Any]()
        module._compute = lambda **given: columns.update({name: given[name] for name in COLUMNS})
        try:
            module.add_batch(predictions=predictions, references=references)
            module.compute()
        except ValueError:
            raise UserError(
                f"the metric {self.name} takes {_flat(module.features)}, and not predictions such as "
                f"{predictions[0]!r:.60} with references such as {references[0]!r:.60}"
            ) from None
        finally:
            del module._compute
        for name, given in (("predictions", predictions), ("references", references)):
            for value, cast in zip(given, columns[name], strict=True):
                # evaluate cuts 0.9 to the whole number 0 without a word
                if _is_number(value) and _is_number(cast) and not math.isclose(value, cast, rel_tol=1e-5, abs_tol=1e-8):
                    raise UserError(
                        f"the metric {self.name} takes {_flat(module.features)}, which makes {cast} of {value} among "
                        f"the {name}"
                    )
        return columns

    def run(self, columns: Mapping[str, Any], rows: int) -> tuple[dict[str, float], dict[str, list[float]]]:
        """Compute.

        Args:
            columns: As `columns` gives them.
            rows: How many they are.

        Returns:
            Scores that are one number, and those that are a number a row; both by name.

        Raises:
            UserError: There is none of either.
        """
        options = {key: value for key, value in self.options.items() if key != "config_name"}
        with _seeded():
            found = self.module._compute(**columns, **options)
        values = dict(found) if isinstance(found, Mapping) else {}
        single = {_label(name): float(value) for name, value in values.items() if _is_number(value)}
        by_row = {_label(name): [*map(float, value)] for name, value in values.items() if _is_column(value, rows)}
        if not single and not by_row:
            kinds = ", ".join(f"{name} ({type(value).__name__})" for name, value in values.items()) or repr(found)[:60]
            raise UserError(f"the metric {self.name} gives no number, only {kinds}")
        return single, by_row


def _flat(features: object) -> str:
    return " ".join(str(features).split())


def _label(name: str) -> str:
    """A score's name: the colon is taken, for a second opinion."""
    return str(name).replace(":", "-")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_column(value: Any, rows: int) -> bool:
    """A list, or an array, with a number for each row."""
    import numpy as np

    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != rows or getattr(value, "ndim", 1) != 1:
        return False
    return all(_is_number(item) for item in value)


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """What a script draws from numpy is the same each time, as evaluate has it."""
    import numpy as np

    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


def compute(
    script: Script, predictions: Sequence[Prediction], references: Sequence[Any], about: MetricContext
) -> dict[str, float]:
    """The script's scores, as it gives them; of a score by row the mean.

    Args:
        script: The script.
        predictions: One a row.
        references: One a row.
        about: Not used: a script sees no more than these.
    """
    single, by_row = script.run(script.columns(predictions, references), len(references))
    return {**single, **{name: sum(values) / len(values) for name, values in by_row.items()}}


def resample(
    script: Script, predictions: Sequence[Prediction], references: Sequence[Any], about: MetricContext
) -> Callable[[Floats], Mapping[str, Floats]]:
    """Scores of weighted rows: the script runs on the rows as often as they are drawn, on columns that are cast once.

    Scores by row are not computed again. Between whole numbers of draws a score is taken to be linear in each weight.

    Args:
        script: The script.
        predictions: One a row.
        references: One a row.
        about: Not used.
    """
    import numpy as np

    from xbench.api import resample_means

    columns, rows = script.columns(predictions, references), len(references)
    single, by_row = script.run(columns, rows)
    means = resample_means(by_row) if by_row else None

    def at(counts: npt.NDArray[np.int64]) -> Floats:
        """(scores,) Of rows that are drawn so often, (rows,)."""
        places = np.repeat(np.arange(rows), counts)
        drawn = {name: _take(column, places) for name, column in columns.items()}
        scores = script.run(drawn, len(places))[0]
        return np.asarray([scores.get(name, np.nan) for name in single], np.float64)

    def between(weights: Floats, known: dict[bytes, Floats]) -> Floats:
        whole = np.floor(weights).astype(np.int64)  # (rows,)
        if whole.tobytes() not in known:
            known.clear()
            known[whole.tobytes()] = at(whole)
        low = known[whole.tobytes()]
        parts = weights - whole
        steps = [parts[row] * (at(whole + (np.arange(rows) == row)) - low) for row in np.flatnonzero(parts)]
        total: Floats = np.sum([low, *steps], axis=0)  # (scores,)
        return total

    def sampler(weights: Floats) -> Mapping[str, Floats]:
        found = dict(means(weights)) if means else {}
        if single:
            last: dict[bytes, Floats] = {}
            values = np.stack([between(one, last) for one in weights])  # (draws, scores)
            found |= {name: values[:, place] for place, name in enumerate(single)}
        return {name: found[name] for name in (*single, *by_row)}

    return sampler


def _take(column: Any, places: npt.NDArray[np.int64]) -> Any:
    return [column[place] for place in places.tolist()] if isinstance(column, list) else column[places]
