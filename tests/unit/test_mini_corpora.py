"""The small corpora keep their guideline: parallel, without repetition, spread over the scores, free of a shortcut."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from tests.corpora import LANGUAGES, alike, in_script, plain
from xbench.data.rows import prepare
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.types import Packaged

FOLDER = Path(__file__).parents[2] / "plugins" / "sts" / "mini"
LEAST = {"train": 240, "test": 100}
SPLITS = tuple(LEAST)
IN_BOTH = [(split, language) for split in SPLITS for language in LANGUAGES]


@cache
def rows(split: str) -> tuple[dict[str, str], ...]:
    """The file, read by its description in GUIDELINE.md."""
    header, *lines = (FOLDER / f"{split}.tsv").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    names = header.split("\t")
    return tuple(dict(zip(names, line.split("\t"), strict=True)) for line in lines)


def sentences(split: str, language: str) -> list[str]:
    return [row[f"{language}_{side}"] for row in rows(split) for side in (1, 2)]


@pytest.mark.parametrize("split", SPLITS)
def test_there_are_enough_rows_in_the_guidelines_columns(split: str) -> None:
    columns = "id score subject en_1 en_2 ko_1 ko_2 es_1 es_2 ar_1 ar_2"
    assert list(rows(split)[0]) == columns.split()
    assert all(name in (FOLDER / "GUIDELINE.md").read_text(encoding="utf-8") for name in columns.split())
    assert len(rows(split)) >= LEAST[split]


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_rows_are_the_pinned_ones_and_say_the_files_words(
    split: str, language: str, registry: Registry, tmp_path: Path
) -> None:
    dataset = registry.datasets.get(f"mini-sts-{language}")
    schema = registry.schemas.get(dataset.schema)
    found = prepare(dataset, split, schema, Settings(cache=tmp_path, offline=True))
    wanted = [
        {
            "id": row["id"],
            "score": float(row["score"]),
            "sentence1": row[f"{language}_1"],
            "sentence2": row[f"{language}_2"],
        }
        for row in rows(split)
    ]
    form = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in wanted)
    assert found.rows_sha256 == hashlib.sha256(form.encode()).hexdigest() == dataset.splits[split].rows_sha256
    assert (found.rows, found.pinned, found.source) == (len(wanted), True, "package")
    assert dataset.sample
    assert dataset.languages == (language,)


@pytest.mark.parametrize("split", SPLITS)
def test_the_four_languages_are_one_parallel_corpus(split: str, registry: Registry) -> None:
    seen = set()
    for language in LANGUAGES:
        source = registry.datasets.get(f"mini-sts-{language}").splits[split].sources[0]
        assert isinstance(source, Packaged)
        seen.add(tuple((row["id"], row["score"]) for row in source.read(source.files)))
    assert len(seen) == 1


def test_ids_are_unique_across_the_splits() -> None:
    ids = [row["id"] for split in SPLITS for row in rows(split)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_stands_twice_anywhere(language: str) -> None:
    everything = Counter(plain(text) for split in SPLITS for text in sentences(split, language))
    assert [text for text, count in everything.items() if count > 1] == []


@pytest.mark.parametrize("split", SPLITS)
def test_every_band_of_the_score_has_its_share(split: str) -> None:
    scores = [float(row["score"]) for row in rows(split)]
    assert all(score in [half / 2 for half in range(11)] for score in scores)
    bands = Counter(int(score) for score in scores)
    assert sorted(bands) == [0, 1, 2, 3, 4, 5]
    assert all(0.10 <= count / len(scores) <= 0.25 for count in bands.values())


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_sentences_are_in_their_languages_script(split: str, language: str) -> None:
    for text in sentences(split, language):
        assert in_script(text, language) > 0.6, text  # names and units may keep theirs
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        assert "  " not in text


def test_spanish_and_english_are_not_exchanged() -> None:
    english, spanish = ({"the", "of", "was", "is", "and"}, {"el", "la", "los", "se", "que", "del", "una"})
    for split in SPLITS:
        words = {language: plain(" ".join(sentences(split, language))).split() for language in ("en", "es")}
        for language, own, other in (("en", english, spanish), ("es", spanish, english)):
            assert sum(word in own for word in words[language]) > 50 * sum(word in other for word in words[language])


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_pairs_that_mean_the_same_are_two_wordings(split: str, language: str) -> None:
    same = [row for row in rows(split) if float(row["score"]) == 5]
    assert len(same) > 10
    for row in same:
        first, second = row[f"{language}_1"], row[f"{language}_2"]
        assert alike(first, second) < 0.5, (row["id"], first, second)


@pytest.mark.parametrize(("split", "language"), IN_BOTH)
def test_word_overlap_alone_does_not_tell_the_score(split: str, language: str) -> None:
    overlap = [alike(row[f"{language}_1"], row[f"{language}_2"]) for row in rows(split)]
    assert 100 * spearmanr(overlap, [float(row["score"]) for row in rows(split)]).statistic < 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_test_pair_is_a_train_pair_in_other_words(language: str) -> None:
    known = [set(plain(text).split()) for text in sentences("train", language)]
    for text in sentences("test", language):
        words = set(plain(text).split())
        nearest = max(len(words & other) / len(words | other) for other in known)
        assert nearest < 0.7, text
