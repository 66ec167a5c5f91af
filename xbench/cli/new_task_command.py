"""``xbench new-task``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UserError
from ..scaffold.forms import FORMS
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import split_names

if TYPE_CHECKING:
    from ..types import Schema

T = TypeVar("T")
SAMPLE_LICENCE, SAMPLE_CITATION = "Apache-2.0", "xbench, its sample corpora"


@click.command("new-task")
@click.argument("name")
@click.option("--schema", type=click.Choice(list(FORMS)), help="What a row holds.")
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="CODE",
    help="A language of the rows, such as en, or a pair, such as en-ko; may be repeated.",
)
@click.option(
    "--data",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rows of your own: CSV, TSV or JSON lines with column names; may be repeated.",
)
@click.option("--licence", metavar="TEXT", help="Of the rows.")
@click.option("--citation", metavar="TEXT", help="Whom to cite for them, in one line.")
@click.option("--homepage", metavar="URL", help="Where they are published.")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help="The new folder; else xbench-NAME."
)
@json_option
def command(
    name: str, schema: str | None, languages: tuple[str, ...], files: tuple[Path, ...], licence: str | None,
    citation: str | None, homepage: str | None, folder: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Write a plugin with a task of your own: a folder that pip installs, with rows, a task file and tests.

    Without --data the rows are a sample that comes with xbench, to see how it works. What is not given is asked for
    where there is a terminal. The columns of FILE are found by their names; a split and a language by a column of that
    name or by the file's name, such as train.en.csv. Rows without a split are divided.

    \b
    xbench new-task my-pairs
    xbench new-task my-reviews --schema text-label --language en --language ko
    xbench new-task my-reviews --schema text-label --language en --data train.csv --data test.csv \\
        --licence "CC BY 4.0" --citation "Me (2026)"
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..scaffold.names import check_name, project_of
    from ..scaffold.write import check_target, gather, new_project, write_project

    registry = open_registry(())
    check_name(name, registry)
    target = folder or Path(project_of(name))
    check_target(target)
    ask = not as_json and _has_terminal()
    schema = schema or _ask_schema(ask)
    files = files or (_ask_files() if ask else ())
    declared = registry.schemas.get(schema)
    codes = split_names(",".join(languages).casefold()) or _ask_languages(declared, bool(files), ask)
    collected = gather(name, schema, codes, files, registry)
    texts = {
        "licence": _text(licence, "--licence", "Licence of the rows", SAMPLE_LICENCE, bool(files), ask),
        "citation": _text(citation, "--citation", "Whom to cite, in one line", SAMPLE_CITATION, bool(files), ask),
        "homepage": homepage or (_ask_homepage() if ask and files else ""),
    }
    project = new_project(name, schema, collected, registry, **texts)
    written = write_project(project, target)
    if as_json:
        echo_json(_as_json(project, target, written))
    else:
        _tell(project, target, written)


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask_schema(ask: bool) -> str:
    if not ask:
        raise UserError(f"--schema is needed: {', '.join(FORMS)}")
    click.echo("What does a row hold?")
    for name, form in FORMS.items():
        click.echo(f"  {name:<11} {form.about}")
    answer: str = click.prompt("Schema", type=click.Choice(list(FORMS)), default=next(iter(FORMS)), show_choices=False)
    return answer


def _asked(question: str, check: Callable[[str], T], **options: Any) -> T:
    """What `check` makes of an answer; where it refuses one, its line is shown and the question asked again."""

    def checked(answer: str) -> T:
        try:
            return check(answer)
        except UserError as error:
            raise click.UsageError(str(error)) from None

    answer: T = click.prompt(question, value_proc=checked, **options)
    return answer


def _ask_files() -> tuple[Path, ...]:
    """The author's files; none for sample rows."""
    from ..scaffold.tables import check_file

    def check(answer: str) -> Path | None:
        path = Path(answer.strip()).expanduser()
        if not answer.strip():
            return None
        check_file(path)
        return path

    files: list[Path] = []
    question = "A file with your rows, CSV, TSV or JSON lines (empty: sample rows)"
    while (path := _asked(question, check, default="", show_default=False)) is not None:
        files.append(path)
        question = "Another one (empty: no more)"
    return tuple(files)


def _ask_homepage() -> str:
    from ..scaffold.write import check_homepage

    return _asked("Published at (URL; empty: nowhere else)", check_homepage, default="", show_default=False)


def _ask_languages(schema: Schema, files: bool, ask: bool) -> tuple[str, ...]:
    """The languages; none where files shall say them."""
    from ..scaffold.write import check_languages

    default = "" if files else "en-ko" if 1 not in schema.languages else "en,ko"
    if ask:
        return _asked(
            "Languages, with commas" + (" (empty: the files say it)" if files else ""),
            lambda answer: check_languages(split_names(answer.casefold()), schema.languages, schema.name),
            default=default, show_default=bool(default),
        )  # fmt: skip
    if not files:
        raise UserError(f"--language is needed, such as --language {default.replace(',', ' --language ')}")
    return ()


def _text(given: str | None, option: str, question: str, sample: str, files: bool, ask: bool) -> str:
    """A text from its option, of sample rows what holds for them, or from the author."""
    if given is not None:
        return given
    if not files:
        return sample
    if not ask:
        raise UserError(f"{option} is needed: rows are published with their licence and whom to cite")
    answer: str = click.prompt(question)
    return answer


def _as_json(project: Any, target: Path, written: Sequence[str]) -> dict[str, Any]:
    collected = project.collected
    return {
        "name": project.name, "folder": str(target), "files": list(written), "schema": project.schema.name,
        "datasets": list(project.datasets.values()), "sample": collected.sample, "labels": list(collected.labels),
        "rows": {f"{split}.{language}": len(rows) for (split, language), rows in collected.rows.items()},
        "follows": project.followed.task, "notes": collected.notes,
    }  # fmt: skip


def _tell(project: Any, target: Path, written: Sequence[str]) -> None:
    for path in written:
        click.echo(target / path)
    for note in project.collected.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"\nHeads, metrics and recipe are those of the task {project.followed.task}. Next:\n"
        f"  pip install -e {shlex.quote(str(target))}\n"
        f"  xbench check {project.name}\n"
        f"  xbench eval --model e5-small-q4 --tasks {project.name}"
    )
