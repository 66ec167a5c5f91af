"""What a row holds, and where rows come from: files in the columns of CoNLL-2003, a word and its tag a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from xbench.api import DataError, Dataset, Packaged, Row, Schema, Split, read_lines

TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
ROWS = Path(__file__).parent / "rows"


def check_row(row: Row, dataset: Dataset) -> str | None:
    """Say what is wrong with a row, if anything is: fields of the right types can still not fit together."""
    words, tags = row["words"], row["tags"]
    if not words or len(words) != len(tags):
        return f"{len(words)} words with {len(tags)} tags"
    for before, tag in pairwise(["O", *tags]):
        if tag not in dataset.labels:
            return f"the tag {tag!r:.40} is none of {', '.join(dataset.labels)}"
        if tag.startswith("I-") and before not in (tag, f"B-{tag[2:]}"):
            return f"{tag} goes on with an entity that does not begin: {before} stands before it"
    return None


SCHEMAS = [
    Schema(
        name="word-tags",
        fields={"id": "string", "words": ["string"], "tags": ["string"]},
        reference=lambda row: row["tags"],
        check=check_row,
        prediction=["string"],
        texts=("words",),
    )
]


def read_conll(paths: Sequence[Path]) -> Iterator[Row]:
    """Read a word and a tag a line, with a tab between them, and an empty line behind each sentence.

    Args:
        paths: One file.

    Yields:
        Rows of ``word-tags``; a row's id is its number.

    Raises:
        DataError: A line has other columns.
    """
    number, words, tags = 0, list[str](), list[str]()
    for line_number, line in read_lines(paths[0]):
        if line:
            word, tab, tag = line.partition("\t")
            if not word or not tab:
                raise DataError(f"{paths[0]}, line {line_number}: expected a word, a tab and a tag")
            words.append(word)
            tags.append(tag)
        elif words:
            yield {"id": str(number), "words": words, "tags": tags}
            number, words, tags = number + 1, [], []
    if words:
        yield {"id": str(number), "words": words, "tags": tags}


def sentences(language: str, *splits: str) -> Dataset:
    """Our own sentences in one language."""
    return Dataset(
        name=f"entities-{language}",
        languages=(language,),
        schema="word-tags",
        splits={split: Split((Packaged((ROWS / f"{split}-{language}.conll",), read_conll),)) for split in splits},
        licence="Apache-2.0",
        citation="written for this example",
        homepage="docs/examples/named-entities",
        description="Sentences with persons, organisations and places: a sample to run, not a benchmark",
        sample=True,
        labels=TAGS,
    )


DATASETS = [sentences("en", "train", "test"), sentences("ko", "test"), sentences("es", "test")]
