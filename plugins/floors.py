"""Floors: what can be said without an encoder, and a model has to be better than.

``constant`` knows nothing: it says the same of every row. ``lexical-overlap`` knows how texts are spelt, and no more.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, NamedTuple

from xbench.api import Dataset, Floor, Prediction, Row, hookimpl

if TYPE_CHECKING:
    from scipy.sparse import csr_array

GRAM = 3
"""Characters in a piece of a word."""
CLOSE = 1e-9
"""Sums of the same weights may differ in the last digits."""


class Word(NamedTuple):
    """A word as it is compared, and the code points at which it stands."""

    text: str
    start: int
    end: int


def constant(rows: Sequence[Row], dataset: Dataset) -> list[Prediction]:
    """The same for every row: the best that one answer to all of them can do.

    Args:
        rows: The rows.
        dataset: For the schema.

    Returns:
        Of labels, the most frequent one of these very rows, of several the first: no other constant has a higher
        accuracy, whatever the order of the labels. Of a question, no answer. Of sentences, what follows if all had one
        embedding: every cosine is 1, correlations are not defined, and a translation is found by a draw, 1 in n.
    """
    if dataset.schema == "pair-score":
        return [1.0] * len(rows)
    if dataset.schema == "span":
        return [""] * len(rows)
    if dataset.schema == "parallel":
        import numpy as np

        from xbench.api import parallel_predictions

        same = np.ones((len(rows), 1), np.float32)
        return [*parallel_predictions(same, same, draw_ties=True)]
    counts = Counter(row["label"] for row in rows)
    return [min(counts, key=lambda label: (-counts[label], label))] * len(rows)


def lexical_overlap(rows: Sequence[Row], dataset: Dataset) -> list[Prediction]:
    """What the spelling tells: how alike two sentences look, and where a question's words stand.

    Args:
        rows: The rows.
        dataset: For the schema.

    Returns:
        The `overlap` of two sentences; of parallel ones that with all others, ties drawn; the `answer` to a question.
    """
    if dataset.schema == "pair-score":
        return [overlap(row["sentence1"], row["sentence2"]) for row in rows]
    if dataset.schema == "span":
        return [answer(row["question"], row["context"]) for row in rows]
    from xbench.api import parallel_predictions

    both = trigram_vectors(row[side] for side in ("sentence1", "sentence2") for row in rows)  # (2 * rows, trigrams)
    return [*parallel_predictions(both[: len(rows)], both[len(rows) :], draw_ties=True)]


def overlap(first: str, second: str) -> float:
    """How alike two sentences look: the cosine of the sets of their words' trigrams, |A & B| / sqrt(|A| |B|).

    It is the baseline of SemEval's STS tasks, the cosine of two vectors that hold a 1 for each word of a sentence (Cer
    et al., 2017, "SemEval-2017 Task 1"), with pieces of words for words: in Korean and Arabic, particles and articles
    are part of a word. Words are cut one by one with their ends marked, as PostgreSQL's pg_trgm does.

    Args:
        first: A sentence.
        second: Another one.

    Returns:
        0 to 1; 0 where a sentence has no word.
    """
    one, other = trigrams(first), trigrams(second)
    return len(one & other) / math.sqrt(len(one) * len(other)) if one and other else 0.0


def trigrams(text: str) -> set[str]:
    """Three characters in a row of each word, to which a space belongs at both ends."""
    marked = [f" {word.text} " for word in words(text)]
    return {word[at : at + GRAM] for word in marked for at in range(len(word) - GRAM + 1)}


def trigram_vectors(texts: Iterable[str]) -> csr_array:
    """(n, trigrams) A row a sentence, of length 1 (0 without a word): the cosine of two rows is their `overlap`."""
    import numpy as np
    from scipy.sparse import csr_array

    known: dict[str, int] = {}
    columns = [[known.setdefault(gram, len(known)) for gram in sorted(trigrams(text))] for text in texts]
    counts = np.array([len(own) for own in columns], np.int64)  # (n,)
    values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
    places = np.array([place for own in columns for place in own], np.int64)
    ends = np.concatenate([[0], counts.cumsum()])  # (n + 1,)
    return csr_array((values, places, ends), shape=(len(columns), max(1, len(known))))


def answer(question: str, context: str) -> str:
    """What stands in the passage where the question's words do.

    The sliding window of Richardson et al. (2013, "MCTest", algorithm 1), which SQuAD's paper has as a baseline
    (Rajpurkar et al., 2016, section 5): of all stretches of as many words as the question has different ones, the one
    in which words of the question weigh most, each log(1 + 1/c), where c is how often it stands in the passage. SQuAD's
    paper then chooses among the constituents that a parser finds, which not every language has; here the answer is the
    longest run of words in that window that are not the question's.

    Args:
        question: The question.
        context: The passage.

    Returns:
        A piece of the passage; of several equally good ones the first. Empty where it has no word.
    """
    passage, weights = _passage(context)
    asked = {word.text for word in words(question)}
    sums = [0.0, *accumulate(weights[word.text] if word.text in asked else 0.0 for word in passage)]
    size = min(max(1, len(asked)), len(passage))
    gains = [sums[at + size] - sums[at] for at in range(len(passage) - size + 1)]
    most = max(gains)
    at = next(at for at, gain in enumerate(gains) if gain >= most - CLOSE)
    window = passage[at : at + size]
    if not window:
        return ""
    runs = [list(run) for hit, run in groupby(window, lambda word: word.text in asked) if not hit]
    best = max(runs, key=len, default=window)
    return context[best[0].start : best[-1].end]


@lru_cache(256)  # the questions about a passage stand together
def _passage(context: str) -> tuple[Sequence[Word], dict[str, float]]:
    """A passage's words, and what each weighs."""
    found = words(context)
    counts = Counter(word.text for word in found)
    return found, {text: math.log(1 + 1 / count) for text, count in counts.items()}


def words(text: str) -> list[Word]:
    """Runs of letters and digits with the marks on them, in Unicode's form for comparing, without case."""
    found, start = [], 0
    for is_word, run in groupby(text, _in_word):
        piece = "".join(run)
        if is_word:
            found.append(Word(unicodedata.normalize("NFKC", piece).casefold(), start, start + len(piece)))
        start += len(piece)
    return found


def _in_word(one: str) -> bool:
    return one.isalnum() or unicodedata.category(one).startswith("M")


@hookimpl
def xbench_floors() -> Iterable[Floor]:
    """``constant`` and ``lexical-overlap``."""
    return [
        Floor(
            "constant", 1, ("pair-score", "pair-label", "text-label", "span", "parallel"), constant,
            "The same for every row: the most frequent gold label, no answer, one embedding for all sentences",
        ),
        Floor(
            "lexical-overlap", 1, ("pair-score", "span", "parallel"), lexical_overlap,
            "Shared trigrams of two sentences' words; for questions, the window of the passage that shares most words",
        ),
    ]  # fmt: skip
