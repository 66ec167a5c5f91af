"""The STS readers take the publishers' files as they are, and name file and line where they are not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xbench_plugins.sts.readers import (
    read_hub_json,
    read_hub_parquet,
    read_korsts,
    read_mini,
    read_sts17,
    read_stsb,
)

from xbench.data.text import read_lines
from xbench.errors import DataError
from xbench.keys import rows_sha256
from xbench.types import Reader, Row

HEAD = "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n"
TRICKY = [
    ("Plain words.", "Plain words, too."),
    ('"Opened and never closed', 'It said ""no"" twice'),
    ("tail white space  ", "  head white space"),
    ("a\x85b: NEL inside", "a\u2028b\u2029c\x0b\x0c\x1c\x1d\x1e: separators inside"),
    ("a carriage\rreturn inside", "'single' and \\t backslashes \\"),
    ("개를 산책시켰다", "👩‍👩‍👧 𝒳 لا"),
]
SCORES = ["0.000", "5.000", "2.5", "3.75", "4", "1.2"]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def stsb_text(pairs: Iterable[tuple[str, str]] = TRICKY, end: str = "\n", extra: str = "") -> str:
    lines = [f"genre\tfile\tyear\t0001\t{score}\t{a}\t{b}" for (a, b), score in zip(pairs, SCORES, strict=False)]
    return "".join(line + (extra if number % 2 else "") + end for number, line in enumerate(lines))


def expected() -> list[Row]:
    return [
        {"id": str(at), "sentence1": a.strip(), "sentence2": b.strip(), "score": float(score)}
        for at, ((a, b), score) in enumerate(zip(TRICKY, SCORES, strict=True))
    ]


def only_line(read: Reader, *paths: Path) -> str:
    """Read to the end, which must fail, and give the message, which must be one line."""
    with pytest.raises(DataError) as caught:
        list(read(paths))
    message = str(caught.value)
    assert message
    assert len(message.splitlines()) == 1
    return message


def test_quotes_separators_and_white_space_are_text(tmp_path: Path) -> None:
    assert list(read_stsb([write(tmp_path / "a", stsb_text())])) == expected()


def test_stsb_lines_with_nine_columns_give_the_same_rows(tmp_path: Path) -> None:
    assert list(read_stsb([write(tmp_path / "a", stsb_text(extra="\tMSRpar\tmore"))])) == expected()


@pytest.mark.parametrize("change", ["no final newline", "crlf", "byte-order mark"])
@pytest.mark.parametrize("head", ["", HEAD], ids=["stsb", "korsts"])
def test_the_way_lines_end_and_a_byte_order_mark_change_no_row(tmp_path: Path, change: str, head: str) -> None:
    text = head + stsb_text()
    if change == "no final newline":
        text = text.removesuffix("\n")
    elif change == "crlf":
        text = text.replace("\n", "\r\n")
    else:
        text = "\ufeff" + text
    read = read_korsts if head else read_stsb
    assert list(read([write(tmp_path / "a", text)])) == expected()


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), min_size=1), st.booleans())
def test_only_a_newline_ends_a_line(tmp_path_factory: pytest.TempPathFactory, lines: list[str], final: bool) -> None:
    lines = [line.rstrip("\r") for line in lines]
    lines[0] = lines[0].lstrip("\ufeff")
    text = "\n".join(lines) + ("\n" if final else "")
    path = write(tmp_path_factory.mktemp("lines") / "a", text)
    wanted = text.split("\n") if not text.endswith("\n") else text.split("\n")[:-1]
    assert [line for _, line in read_lines(path)] == (wanted if text else [])


@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", "café".encode("latin-1"), "문".encode("cp949")])
def test_bytes_that_are_not_utf8_name_file_and_line(tmp_path: Path, bad: bytes) -> None:
    content = b"a\tb\tc\td\t1\tgood\tgood\na\tb\tc\td\t1\tgood\t" + bad + b"\n"
    message = only_line(read_stsb, write(tmp_path / "sts.csv", content))
    assert str(tmp_path / "sts.csv") in message
    assert "line 2" in message
    assert "UTF-8" in message


@pytest.mark.parametrize("columns", [1, 6, 10])
def test_an_stsb_line_with_other_columns_is_named_with_its_number(tmp_path: Path, columns: int) -> None:
    path = write(tmp_path / "sts.csv", stsb_text() + "\t".join(["1"] * columns) + "\n")
    message = only_line(read_stsb, path)
    assert str(path) in message
    assert f"line {len(TRICKY) + 1}:" in message
    assert f"{columns} column" in message


@pytest.mark.parametrize("columns", [6, 8])
def test_a_korsts_line_with_other_columns_is_named_with_its_number(tmp_path: Path, columns: int) -> None:
    path = write(tmp_path / "sts.tsv", HEAD + stsb_text() + "\t".join(["1"] * columns) + "\n")
    assert f"{path}, line {len(TRICKY) + 2}:" in only_line(read_korsts, path)


@pytest.mark.parametrize("head", ["", HEAD.replace("score", "label"), HEAD.replace("\tsentence2", ""), "\n"])
def test_a_korsts_file_without_its_header_is_refused(tmp_path: Path, head: str) -> None:
    path = write(tmp_path / "sts.tsv", head + stsb_text())
    message = only_line(read_korsts, path)
    assert f"{path}, line 1" in message
    assert "sentence1 sentence2" in message


@pytest.mark.parametrize("score", ["", "high", "3,5", "4.0.0"])
def test_a_score_that_is_no_number_is_named(tmp_path: Path, score: str) -> None:
    path = write(tmp_path / "sts.csv", f"a\tb\tc\td\t{score}\tone\ttwo\n")
    message = only_line(read_stsb, path)
    assert f"{path}, line 1" in message
    assert repr(score) in message


def sts17(folder: Path, pairs: int, scores: int) -> tuple[Path, Path]:
    inputs = "".join(f"sentence {at}\toración {at}\n" for at in range(pairs))
    gold = "".join(f"{at % 6}\n" for at in range(scores))
    return write(folder / "STS.input.txt", inputs), write(folder / "STS.gs.txt", gold)


def test_sts17_joins_the_pair_and_the_gold_score_of_the_same_line(tmp_path: Path) -> None:
    rows = list(read_sts17(sts17(tmp_path, 8, 8)))
    assert [row["score"] for row in rows] == [0, 1, 2, 3, 4, 5, 0, 1]
    assert rows[7] == {"id": "7", "sentence1": "sentence 7", "sentence2": "oración 7", "score": 1.0}


def test_sts17_refuses_fewer_gold_scores_than_pairs(tmp_path: Path) -> None:
    inputs, gold = sts17(tmp_path, 6, 3)
    message = only_line(read_sts17, inputs, gold)
    assert str(gold) in message
    assert "fewer gold scores" in message


def test_sts17_refuses_more_gold_scores_than_pairs(tmp_path: Path) -> None:
    inputs, gold = sts17(tmp_path, 3, 6)
    message = only_line(read_sts17, inputs, gold)
    assert str(gold) in message
    assert "more gold scores" in message


def test_sts17_names_the_line_of_a_pair_without_a_second_sentence(tmp_path: Path) -> None:
    inputs, gold = sts17(tmp_path, 2, 3)
    write(inputs, inputs.read_text(encoding="utf-8") + "alone\n")
    assert f"{inputs}, line 3" in only_line(read_sts17, inputs, gold)


def hub_items() -> list[dict[str, object]]:
    return [
        {"split": "test", "sentence1": a, "sentence2": b, "score": float(score)}
        for (a, b), score in zip(TRICKY, SCORES, strict=True)
    ]


def write_gz(path: Path, lines: Iterable[str], start: bytes = b"") -> Path:
    return write(path, gzip.compress(start + "".join(line + "\n" for line in lines).encode()))


def write_parquet(path: Path, items: list[dict[str, object]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(items), path)
    return path


@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_hubs_forms_give_the_publishers_canonical_rows(tmp_path: Path, ascii_only: bool) -> None:
    published = rows_sha256(read_stsb([write(tmp_path / "sts.csv", stsb_text())]))
    lines = write_gz(tmp_path / "a.jsonl.gz", (json.dumps(item, ensure_ascii=ascii_only) for item in hub_items()))
    table = write_parquet(tmp_path / "a.parquet", hub_items())
    assert rows_sha256(read_hub_json([lines])) == published
    assert rows_sha256(read_hub_parquet([table])) == published


BROKEN_ITEMS = [
    {"sentence1": "a", "sentence2": "b"},
    {"sentence1": "a", "score": 1.0},
    {"sentence1": "a", "sentence2": None, "score": 1.0},
    {"sentence1": "a", "sentence2": 7, "score": 1.0},
    {"sentence1": "a", "sentence2": "b", "score": "high"},
    {"sentence1": "a", "sentence2": "b", "score": None},
]


@pytest.mark.parametrize("line", [*map(json.dumps, BROKEN_ITEMS), "[]", "3", '{"sentence1": "a', ""])
def test_a_malformed_json_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    path = write_gz(tmp_path / "a.jsonl.gz", [json.dumps(hub_items()[0]), line])
    assert f"{path}, line 2" in only_line(read_hub_json, path)


@pytest.mark.parametrize("item", BROKEN_ITEMS)
def test_a_malformed_parquet_row_names_the_file(tmp_path: Path, item: dict[str, object]) -> None:
    assert str(tmp_path / "a.parquet") in only_line(read_hub_parquet, write_parquet(tmp_path / "a.parquet", [item]))


def test_json_lines_that_are_not_utf8_are_a_data_error(tmp_path: Path) -> None:
    path = write_gz(tmp_path / "a.jsonl.gz", [json.dumps(hub_items()[0])], start=b'{"sentence1": "\xff"}\n')
    assert str(path) in only_line(read_hub_json, path)


@pytest.mark.parametrize("damage", ["cut off", "not compressed", "altered", "empty"])
def test_damaged_compressed_lines_are_a_data_error(tmp_path: Path, damage: str) -> None:
    lines = [json.dumps({**item, "sentence1": f"{at} {item['sentence1']}"}) for at, item in enumerate(hub_items() * 50)]
    path = write_gz(tmp_path / "a.jsonl.gz", lines)
    whole = path.read_bytes()
    broken = {
        "cut off": whole[: len(whole) // 2],
        "not compressed": "\n".join(lines).encode(),
        "altered": whole[:200] + bytes(byte ^ 255 for byte in whole[200:300]) + whole[300:],
        "empty": b"\x1f\x8b",
    }
    assert str(path) in only_line(read_hub_json, write(path, broken[damage]))


@pytest.mark.parametrize("keep", [0, 4, 300])
def test_a_damaged_parquet_file_is_a_data_error(tmp_path: Path, keep: int) -> None:
    path = write_parquet(tmp_path / "a.parquet", hub_items())
    assert str(path) in only_line(read_hub_parquet, write(path, path.read_bytes()[:keep]))


MINI = "id\tscore\tsubject\ten_1\ten_2\tko_1\tko_2\n"


def test_the_mini_reader_takes_the_columns_of_its_language(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", MINI + "r1\t2.5\tpets\tone\ttwo\t하나\t둘\n")
    assert list(read_mini([path], language="ko")) == [
        {"id": "r1", "sentence1": "하나", "sentence2": "둘", "score": 2.5}
    ]


DAMAGED_MINI = {
    "short line": MINI + "r1\t2.5\tpets\tone\n",
    "missing column": "id\tscore\nr1\t2.5\n",
    "no header": "r1\t2.5\tpets\ta\tb\tc\td\n" * 2,
}


@pytest.mark.parametrize("damage", DAMAGED_MINI)
def test_a_damaged_mini_corpus_names_the_file(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "a.tsv", DAMAGED_MINI[damage])
    assert str(path) in only_line(lambda paths: read_mini(paths, language="ko"), path)
