"""Parallel sentences from files: a user's two columns, and Tatoeba's two files."""

from __future__ import annotations

from pathlib import Path

import pytest
from xbench_plugins.alignment.datasets import DATASETS, read_both

from xbench.api import UserError, parallel_tsv
from xbench.data.pairs import read_pairs
from xbench.data.rows import prepare
from xbench.errors import DataError
from xbench.registry import Registry
from xbench.settings import Settings

TEXT = '\ufeffA "quoted\tZwei  \n\n  \t \nb\x85c\t\u2028d\r\n개\tдва\n'


def test_two_columns_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(TEXT, encoding="utf-8", newline="")
    assert list(read_pairs([path])) == [
        {"id": "1", "sentence1": 'A "quoted', "sentence2": "Zwei  "},
        {"id": "4", "sentence1": "b\x85c", "sentence2": "\u2028d"},
        {"id": "5", "sentence1": "개", "sentence2": "два"},
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [("one", "1 texts in 1 columns"), ("a\tb\tc", "3 texts in 3 columns"), ("a\t ", "1 texts in 2 columns")],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(f"a\tb\n{line}\n")
    with pytest.raises(DataError, match=f"pairs.tsv, line 2: a sentence, a tab and its translation .* {said}"):
        list(read_pairs([path]))


def test_a_users_file_is_a_dataset(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(TEXT, encoding="utf-8", newline="")
    dataset = parallel_tsv("mine", ("en", "de"), {"train": path, "test": path}, "CC0", "Me")
    assert (dataset.schema, dataset.language, list(dataset.splits)) == ("parallel", "en-de", ["train", "test"])
    rows = prepare(dataset, "train", registry.schemas.get("parallel"), Settings(cache=tmp_path / "cache"))
    assert (rows.rows, rows.pinned) == (3, False)
    with pytest.raises(UserError, match="two languages and at least one file"):
        parallel_tsv("mine", ("en", "de"), {}, "CC0", "Me")


def test_tatoeba_is_two_files_line_by_line(tmp_path: Path) -> None:
    assert {one.name: (one.languages, *one.splits["test"].sources[0].files) for one in DATASETS}.keys() == {
        "tatoeba-ko-en", "tatoeba-es-en", "tatoeba-ar-en",
    }  # fmt: skip
    left, right = tmp_path / "tatoeba.kor-eng.kor", tmp_path / "tatoeba.kor-eng.eng"
    left.write_text("안녕.\n\n셋\n", encoding="utf-8")
    right.write_text("Hello.\nTwo\nThree\n", encoding="utf-8")
    assert [(row["id"], row["sentence1"], row["sentence2"]) for row in read_both([left, right])] == [
        ("1", "안녕.", "Hello."), ("2", "", "Two"), ("3", "셋", "Three"),
    ]  # fmt: skip
    right.write_text("Hello.\nTwo\n", encoding="utf-8")
    for paths in ([left, right], [right, left]):
        with pytest.raises(DataError, match=r"tatoeba\.kor-eng\.eng has fewer lines than tatoeba\.kor-eng\.kor"):
            list(read_both(paths))


def test_tatoeba_that_is_not_here_says_which_files_are_needed(tmp_path: Path, registry: Registry) -> None:
    dataset = registry.datasets.get("tatoeba-ko-en")
    (tmp_path / "data").mkdir()
    settings = Settings(cache=tmp_path / "cache", data=tmp_path / "data", offline=True)
    with pytest.raises(UserError, match=r"tatoeba/tatoeba.kor-eng.kor"):
        prepare(dataset, "test", registry.schemas.get("parallel"), settings)
