"""A reader that stumbles: one line with the file, the error, and the place in the reader's own file."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.plans import forget_plugin_files
from xbench.data.rows import prepare
from xbench.data.schemas import xbench_schemas
from xbench.errors import DataError
from xbench.registry import load_registry
from xbench.settings import Settings
from xbench.types import Dataset, Packaged, Reader, Split

SCHEMA = next(schema for schema in xbench_schemas() if schema.name == "pair-score")
Load = Callable[[str], ModuleType]
READER = """
import json

def read(paths, column="score"):
    for index, line in enumerate(paths[0].read_text().splitlines()):
        yield row(index, json.loads(line), column)

def row(index, values, column):
    a, b = values["a"], values["b"]
    return {"id": str(index), "sentence1": a, "sentence2": b,
            "score": values[column]}

def several_lines(paths):
    yield {"id": "0", "sentence1": "a", "sentence2": "b", "score": 1.0}
    raise ValueError("first line\\nsecond line")
"""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Imports a text as the file ``my_task.py`` of a plugin."""

    def plugin(text: str) -> ModuleType:
        path = tmp_path / "my_task.py"
        path.write_text(text, encoding="utf-8")
        forget_plugin_files()  # another test's of the same name
        load_registry([path])
        return next(module for name, module in sys.modules.items() if name.startswith("xbench_plugin_my_task_"))

    yield plugin
    forget_plugin_files()


def refusal(read: Reader, folder: Path, text: str = '{"a": "a", "b": "b", "points": 1}\n') -> DataError:
    path = folder / "rows.txt"
    path.write_text(text, encoding="utf-8")
    split = Split((Packaged((path,), read),))
    dataset = Dataset("made-up", ("en",), "pair-score", {"train": split}, "none", "none", "none", "none")
    with pytest.raises(DataError) as caught:
        prepare(dataset, "train", SCHEMA, Settings(cache=folder / "cache"))
    assert str(caught.value).startswith(f"dataset made-up, split train: {path} cannot be read (")
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def line_of(part: str) -> int:
    return next(number for number, line in enumerate(READER.splitlines(), 1) if part in line)


@pytest.mark.parametrize("column", ["score", "rank"])
def test_the_place_is_the_innermost_in_the_readers_file(load: Load, tmp_path: Path, column: str) -> None:
    read = functools.partial(functools.partial(load(READER).read), column=column)
    error = refusal(read, tmp_path)
    assert str(error).endswith(f"(KeyError: '{column}', at my_task.py:{line_of('values[column]')})")
    assert isinstance(error.__cause__, KeyError)  # for who mends the reader


def test_an_error_deep_in_a_library_is_placed_where_the_reader_called_it(load: Load, tmp_path: Path) -> None:
    assert str(refusal(load(READER).read, tmp_path, "no JSON")).endswith(f", at my_task.py:{line_of('json.loads')})")


def test_an_error_of_several_lines_is_one(load: Load, tmp_path: Path) -> None:
    place = f"my_task.py:{line_of('raise ValueError')}"
    assert str(refusal(load(READER).several_lines, tmp_path)).endswith(
        f"(ValueError: first line second line, at {place})"
    )


def test_a_reader_without_a_file_is_placed_where_the_error_is(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "nowhere"}
    exec(READER, names)
    assert re.search(r", at decoder\.py:\d+\)$", str(refusal(names["read"], tmp_path, "no JSON")))


def test_a_reader_that_cannot_be_called_has_no_place(load: Load, tmp_path: Path) -> None:
    message = str(refusal(lambda: iter(()), tmp_path))  # type: ignore[arg-type, misc]
    assert message.endswith("takes 0 positional arguments but 1 was given)")
