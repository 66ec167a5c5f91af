"""`xbench new-task`: what it writes is whole, loads, is clean, trains and scores; and what it refuses, in one line."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import Bench
from xbench.cli import new_task_command
from xbench.data.rows import prepare
from xbench.errors import UserError
from xbench.files import new_folder
from xbench.plan import Request
from xbench.planner import make_plan
from xbench.registry import Registry, load_registry
from xbench.scaffold import write
from xbench.scaffold.literals import python_text, python_tuple, toml_list, toml_text
from xbench.settings import Settings

ROOT = Path(__file__).parents[2]
LANGUAGES = {
    "pair-score": ("en", "ko"), "pair-label": ("es", "ar"), "text-label": ("ko",), "span": ("en", "ko-en"),
    "parallel": ("en-ko", "es-ar"),
}  # fmt: skip
HOSTILE = 'A "quoted" \\ licence,\n\'${name}\' `x` {y} <b>|*\u2028\u202e\x07 \U0001f600\U000e0001 """ $$'
HEAVY = "torch.*,numpy.*,transformers.*,tokenizers.*,datasets.*,pandas.*,scipy.*,pyarrow.*,rich.*"
"""What mypy would read for a minute, and no plugin's types depend on."""


def run(*arguments: str, answers: str | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> Any:
    """The command in this process; a `UserError` is what comes of a mistake, as for the real program."""
    if monkeypatch is not None:
        monkeypatch.setattr(new_task_command, "_has_terminal", lambda: True)
    done = CliRunner().invoke(new_task_command.command, arguments, input=answers)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def written(folder: Path, name: str, schema: str, languages: Sequence[str], *more: str) -> Path:
    """A new project; gives the file that is its plugin."""
    codes = [word for language in languages for word in ("--language", language)]
    assert run(name, "--schema", schema, *codes, "--dir", str(folder), *more).exit_code == 0
    return folder / f"xbench_{name.replace('-', '_')}" / "__init__.py"


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project of each schema, by schema."""
    root = tmp_path_factory.mktemp("new")
    return {
        schema: written(root / schema, f"try-{schema}", schema, languages) for schema, languages in LANGUAGES.items()
    }


@pytest.mark.parametrize("schema", LANGUAGES)
def test_a_new_plugin_is_pinned_trains_and_scores(
    plugins: dict[str, Path], schema: str, tiny: Callable[..., Path], tmp_path: Path, one_thread: None
) -> None:
    registry = load_registry([plugins[schema]])
    assert registry.problems() == []
    name, settings = f"try-{schema}", Settings(cache=tmp_path / "cache", offline=True)
    for language in LANGUAGES[schema]:
        dataset = registry.datasets.get(f"{name}-{language}")
        assert dataset.languages == tuple(language.split("-"))
        assert dataset.sample
        for split, rows in (("train", 64), ("dev", 16), ("test", 32)):
            found = prepare(dataset, split, registry.schemas.get(schema), settings)
            assert (found.rows, found.pinned, found.source) == (rows, True, "package")
    task = registry.tasks.get(name)
    plan = make_plan(Request(("m",), (name,)), registry)
    assert {cell.curriculum for cell in plan.cells} == set(task.curricula)
    bench = Bench(tmp_path, str(tiny("xlm-roberta")), registry)
    curriculum = task.curricula[-1]  # the mixture of all languages; of parallel sentences, the frozen encoder
    overrides = {"epochs": 1, "max_length": 128 if schema == "span" else 32}
    overrides |= {"stride": 16} if schema == "span" else {}
    overrides |= {"net_epochs": 2} if schema == "parallel" else {}
    outcome, heard = bench.run(curriculum, task=name, overrides=overrides)
    assert heard.failures == []
    assert len(outcome.records) == len(task.eval) * max(1, len(task.readings))
    assert all(None not in record["scores"].values() for record in outcome.records)


@pytest.mark.parametrize("schema", ["pair-score", "text-label", "span"])
def test_a_sample_in_a_second_language_translates_the_first_one(tmp_path: Path, schema: str) -> None:
    registry = load_registry([written(tmp_path / "p", "x-y", schema, ("ko", "en"))])
    first, second = (registry.datasets.get(f"x-y-{language}") for language in ("ko", "en"))
    assert (first.translation_of, second.translation_of) == ("", "x-y-ko")
    ids = []
    for dataset in (first, second):
        (source,) = dataset.splits["test"].sources
        ids.append([row["id"] for row in source.read(source.files)])  # type: ignore[union-attr, arg-type]
    assert ids[0] == ids[1]


def test_what_is_written_is_formatted_linted_and_typed(plugins: dict[str, Path], tmp_path: Path) -> None:
    """As strictly as xbench's own code, with names and texts that a formatter would break."""
    odd = written(
        tmp_path / "odd", "a" + "-long" * 11, "text-label", ["en", *(f"x{a}{b}" for a in "abcde" for b in "abcde")],
        "--licence", HOSTILE, "--citation", '"It" is ' + "long, " * 40,
    )  # fmt: skip
    projects = [plugin.parents[1] for plugin in (*plugins.values(), odd)]
    folders = [str(part) for one in projects for part in (next(one.glob("xbench_*")), one / "tests")]
    for command in (
        ["ruff", "format", "--check"],
        ["ruff", "check", "--ignore", "E501", "--config", str(ROOT / "pyproject.toml")],
    ):
        done = subprocess.run([sys.executable, "-m", *command, *folders], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\n[mypy-{HEAVY}]\nfollow_imports = skip\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "--config-file", str(config),
         "--cache-dir", str(tmp_path / "mypy"), *folders],
        capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_hostile_texts_arrive_as_they_are_on_one_line(tmp_path: Path) -> None:
    plugin = written(
        tmp_path / "p", "hostile", "pair-score", ("en",), "--licence", HOSTILE, "--citation", HOSTILE,
        "--homepage", 'https://example.org/"x"?a=$b',
    )  # fmt: skip
    (dataset,) = (one for one in load_registry([plugin]).datasets if one.name == "hostile-en")
    assert dataset.licence == dataset.citation == " ".join(HOSTILE.split())
    assert dataset.homepage == 'https://example.org/"x"?a=$b'
    readme = (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    assert "<b>" not in readme
    assert tomllib.loads((tmp_path / "p" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_back_from_python_and_toml(text: str) -> None:
    assert ast.literal_eval(python_text(text)) == text
    assert tomllib.loads(f"a = {toml_text(text)}")["a"] == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=12), st.integers(0, 12))
def test_any_list_is_read_back_from_python_and_toml(texts: list[str], indent: int) -> None:
    assert ast.literal_eval(python_tuple(texts, "", indent).strip()) == tuple(texts)
    assert tomllib.loads(toml_list("a", texts))["a"] == texts


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "does not fit"),
        ("My-Task", "does not fit"),
        ("a:b", "does not fit"),
        ("../up", "does not fit"),
        ("-a", "no such option"),
        ("a-", "does not fit"),
        ("ünicode", "does not fit"),
        ("a\nb", "does not fit"),
        ("a" * 61, "does not fit"),
        ("sts", "called 'sts' already (of tasks (xbench "),
        ("paper", "called 'paper' already"),
        ("plugins", "xbench_plugins is installed already"),
        ("tasks", "xbench_tasks is installed already"),
    ],
)
def test_a_name_that_does_not_fit_or_is_taken_is_refused(tmp_path: Path, name: str, says: str) -> None:
    arguments = [
        "--schema",
        "span",
        "--language",
        "en",
        "--dir",
        str(tmp_path / "p"),
        *([] if name == "-a" else ["--"]),
        name,
    ]
    try:
        said = run(*arguments).output
    except UserError as error:
        said = str(error)
    assert says.casefold() in said.casefold()
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_is_there_already_is_not_shadowed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset called 'sts17-es' already \(of sts \(xbench"):
        run("sts17", "--schema", "pair-score", "--language", "es", "--dir", str(tmp_path / "p"))


@pytest.mark.parametrize("name", ["class", "import", "json", "x.y_z-1", "0"])
def test_a_keyword_or_a_modules_name_makes_a_package_of_its_own(tmp_path: Path, name: str) -> None:
    run(name, "--schema", "pair-score", "--language", "en", "--dir", str(tmp_path / "p"))
    (package,) = (tmp_path / "p").glob("xbench_*")
    assert package.name.isidentifier()
    assert f"{name}-en" in load_registry([package / "__init__.py"]).datasets.items


@pytest.mark.parametrize(
    ("schema", "languages", "says"),
    [
        ("text-label", ("en-ko",), "one language, such as en"),
        ("parallel", ("en",), "a pair, such as en-ko"),
        ("pair-score", ("english",), "write a code such as en"),
        ("pair-score", ("en-ko-es",), "write a code such as en"),
        ("pair-score", ("e/n",), "write a code such as en"),
        ("pair-score", ("french",), r"or a pair such as en-ko \(did you mean 'fr'\?\)"),
        ("pair-score", ("en", "zz"), "the language 'zz' is no code of ISO 639-1"),
        ("pair-score", ("deu",), "the language 'deu' is written 'de'"),
    ],
)
def test_languages_that_do_not_fit_are_refused(
    tmp_path: Path, schema: str, languages: tuple[str, ...], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        written(tmp_path / "p", "x", schema, languages)
    assert list(tmp_path.iterdir()) == []


def test_single_languages_of_parallel_sentences_make_pairs_with_the_first(tmp_path: Path) -> None:
    registry = load_registry([written(tmp_path / "p", "x", "parallel", ("ko", "en", "ar"))])
    assert registry.tasks.get("x").fit == {"x-ko-en": "x-ko-en", "x-ko-ar": "x-ko-ar"}


def test_a_language_without_a_sample_says_what_stands_in(tmp_path: Path) -> None:
    done = run("x", "--schema", "text-label", "--language", "de", "--dir", str(tmp_path / "p"))
    assert "no sample rows in German: in de, English ones stand in" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--schema is needed: pair-score, pair-label, text-label, span, parallel"),
        (["--schema", "parallel"], "--language is needed, such as --language en-ko"),
        (["--schema", "span"], "--language is needed, such as --language en --language ko"),
    ],
)
def test_without_a_terminal_a_line_says_which_flag_is_needed(tmp_path: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        run("x", *arguments, "--dir", str(tmp_path / "p"))
    assert str(caught.value) == says


def test_with_a_terminal_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tmp_path / "train.ko.csv"
    rows.write_text("text,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(8)), encoding="utf-8")
    (tmp_path / "test.ko.jsonl").write_text('{"text": "a", "label": "a"}\n{"text": "b", "label": "b"}\n')
    answers = [
        "text-labels", "text-label", str(tmp_path / "trian.csv"), str(tmp_path / "train.ko.csv"),
        str(tmp_path / "test.ko.jsonl"), "", "Korean", "ko", "", "CC0", "Me", "example", "https://example.org",
    ]  # fmt: skip
    done = run("x", "--dir", str(tmp_path / "p"), answers="\n".join(answers) + "\n", monkeypatch=monkeypatch)
    assert "a text and a label, such as its sentiment" in done.output
    for refused in (
        "'text-labels' is not one of",
        "trian.csv: there is no such file",
        "(did you mean 'ko'?)",
        "'example' is no address",
    ):
        assert refused in done.output
    dataset = load_registry([tmp_path / "p" / "xbench_x" / "__init__.py"]).datasets.get("x-ko")
    assert (dataset.schema, dataset.licence, dataset.citation) == ("text-label", "CC0", "Me")
    assert dataset.homepage == "https://example.org"


def test_answers_may_be_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("x", "--dir", str(tmp_path / "p"), answers="\n" * 3, monkeypatch=monkeypatch)
    dataset = load_registry([tmp_path / "p" / "xbench_x" / "__init__.py"]).datasets.get("x-ko")
    assert (dataset.schema, dataset.licence, dataset.homepage) == ("pair-score", "Apache-2.0", "xbench-x")


def test_json_tells_what_was_written(tmp_path: Path) -> None:
    done = run("x", "--schema", "span", "--language", "en", "--dir", str(tmp_path / "p"), "--json")
    told = json.loads(done.stdout)
    assert told["rows"] == {"train.en": 64, "dev.en": 16, "test.en": 32}
    assert told["follows"] == "mini-mrc"
    files = {path.relative_to(tmp_path / "p").as_posix() for path in (tmp_path / "p").rglob("*") if path.is_file()}
    assert set(told["files"]) == files


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "p"
    if kind == "file":
        target.write_text("mine", encoding="utf-8")
    elif kind == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
        (target / "mine").touch()
    with pytest.raises(UserError, match="is there already"):
        written(target, "x", "span", ("en",))
    assert len(list(tmp_path.rglob("*"))) == 1 + (kind == "folder")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    assert written(tmp_path / "p", "x", "span", ("en",)).is_file()


def test_a_folder_that_appears_meanwhile_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(target: Path) -> Any:
        target.mkdir()
        (target / "theirs").touch()
        return new_folder(target)

    monkeypatch.setattr(write, "new_folder", slow)
    with pytest.raises(UserError, match="is there already"):
        written(tmp_path / "p", "x", "span", ("en",))
    assert [path.name for path in tmp_path.rglob("*")] == ["p", "theirs"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "pin.py":
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\): choose another folder"):
        written(tmp_path / "p", "x", "span", ("en",))
    assert list(tmp_path.iterdir()) == []


def test_changed_rows_are_refused_until_they_are_pinned_anew(tmp_path: Path, registry: Registry) -> None:
    plugin = written(tmp_path / "p", "x", "pair-score", ("en",))
    rows = plugin.parent / "data" / "test.en.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[0] = json.dumps({**json.loads(lines[0]), "score": 3}) + "\n"  # a whole number, as people write it
    rows.write_text("".join(lines), encoding="utf-8")
    settings, schema = Settings(cache=tmp_path / "cache", offline=True), registry.schemas.get("pair-score")
    with pytest.raises(UserError, match="holds other rows than the published ones"):
        prepare(load_registry([plugin]).datasets.get("x-en"), "test", schema, settings)
    done = subprocess.run(
        [sys.executable, "-m", "xbench_x.pin"], cwd=plugin.parents[1], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "pinned 112 rows of 3 files\n"
    assert prepare(load_registry([plugin]).datasets.get("x-en"), "test", schema, settings).pinned


def test_a_new_project_installs_and_is_found(tmp_path: Path) -> None:
    """By pip, into a folder of its own; its entry point in a process that knows nothing of its source."""
    written(tmp_path / "project", "find-me", "text-label", ("en", "ko"))
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--target", site, tmp_path / "project"],
        check=True,
    )  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "XBENCH_CACHE": str(tmp_path / "cache")}
    code = (
        "import json; from xbench.registry import load_registry; registry = load_registry()\n"
        "print(json.dumps([registry.problems(), registry.tasks.get('find-me').path, "
        "[str(path) for split in registry.datasets.get('find-me-ko').splits.values() "
        "for source in split.sources for path in source.files]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    problems, path, files = json.loads(done.stdout)
    assert problems == []
    assert Path(path).is_relative_to(site)
    assert len(files) == 3
    assert all(Path(file).is_relative_to(site) and Path(file).is_file() for file in files)


def test_the_tests_of_a_new_project_pass_at_once(plugins: dict[str, Path], tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XBENCH_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=plugins["pair-label"].parents[1],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
