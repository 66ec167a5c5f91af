"""The files of a new plugin: templates, filled in, and rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from ..data.schemas import row_error
from ..errors import UserError
from ..keys import rows_sha256
from ..languages import language_name
from ..leaderboard.markdown import escape
from ..tasks import load_task
from ..types import Dataset, Schema
from .follow import Followed
from .forms import FORMS
from .layout import SPLITS
from .literals import one_line, python_text, python_tuple, toml_key, toml_list, toml_text, toml_value
from .names import module_of, project_of
from .own_rows import Collected

PINS = "pins.json"


@dataclass(frozen=True)
class Project:
    """What a new plugin shall be.

    Attributes:
        name: What ``--tasks`` will take.
        schema: Of its rows.
        collected: Its rows.
        followed: Its heads, metrics and recipe.
        licence: Of the rows.
        citation: Whom to cite for them.
        homepage: Where they are published; empty where that is in this plugin alone.
    """

    name: str
    schema: Schema
    collected: Collected
    followed: Followed
    licence: str
    citation: str
    homepage: str

    @property
    def datasets(self) -> dict[str, str]:
        """Dataset by language."""
        return {language: f"{self.name}-{language}" for language in self.collected.languages}

    @property
    def title(self) -> str:
        """The name, for people."""
        words = self.name.replace("-", " ").replace("_", " ")
        return words[0].upper() + words[1:]


def project_files(project: Project) -> dict[str, bytes]:
    """Everything that is to be written.

    Args:
        project: What the plugin shall be.

    Returns:
        Content by path, with forward slashes.

    Raises:
        UserError: A text is empty, or a row is not what its schema takes.
    """
    module, task_file = module_of(project.name), f"{module_of(project.name).removeprefix('xbench_')}.toml"
    rows = _row_files(project)
    values = _values(project, module, task_file, rows)
    texts = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        "LICENSE": "LICENSE.txt",
        ".gitignore": "gitignore.txt",
        f"{module}/__init__.py": "init.py.txt",
        f"{module}/pin.py": "pin.py.txt",
        f"{module}/{task_file}": "task.toml.txt",
        f"tests/test_{module.removeprefix('xbench_')}.py": "test.py.txt",
    }
    written = {path: _fill(template, values) for path, template in texts.items()}
    load_task(written[f"{module}/{task_file}"])
    return {path: text.encode() for path, text in written.items()} | {
        f"{module}/data/{name}": content for name, content in rows.items()
    }


def _fill(template: str, values: Mapping[str, str]) -> str:
    source = files(__package__).joinpath("templates", template).read_text(encoding="utf-8")
    return Template(source).substitute(values)


def _row_files(project: Project) -> dict[str, bytes]:
    """A file for each split and language, and who their rows are."""
    content: dict[str, bytes] = {}
    pins: dict[str, Any] = {}
    collected = project.collected
    for language in collected.languages:
        dataset = Dataset(
            project.datasets[language], tuple(language.split("-")), project.schema.name, {}, "", "", "", "",
            labels=collected.labels, score_range=collected.score_range,
        )  # fmt: skip
        for split in SPLITS:
            rows = collected.rows.get((split, language), [])
            for row in rows:
                if error := row_error(row, project.schema, dataset):
                    raise UserError(f"{split}, {language}, the row {row['id']!r:.60}: {error}")
            if rows:
                lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                content[f"{split}.{language}.jsonl"] = "".join(lines).encode()
                pins[f"{split}.{language}"] = {"rows": len(rows), "rows_sha256": rows_sha256(rows)}
    return {**content, PINS: (json.dumps(pins, indent=2) + "\n").encode()}


def _values(project: Project, module: str, task_file: str, rows: Mapping[str, bytes]) -> dict[str, str]:
    """What stands for each ``$placeholder``."""
    form, collected = FORMS[project.schema.name], project.collected
    pairs = any("-" in language for language in collected.languages)
    argument = "pair" if pairs else "language"
    sample = ": a sample to run, not a benchmark" if collected.sample else ""
    about = f"{form.title[0].upper()}{form.title[1:]}"
    homepage = project.homepage.strip()
    return {
        "name": project.name, "module": module, "project": project_of(project.name), "Title": project.title,
        "file": task_file.removesuffix(".toml"), "schema": project.schema.name, "rows": form.title,
        "first": project.datasets[collected.languages[0]], "argument": argument,
        "languages": python_tuple(collected.languages, "LANGUAGES = "),
        "what": "pair of languages" if pairs else "language",
        "codes": 'tuple(pair.split("-"))' if pairs else "(language,)",
        "numbers": ", parse_int=float" if "score" in form.fields else "",
        "licence": python_text(one_line(project.licence, "the licence")),
        "citation": python_text(one_line(project.citation, "the citation")),
        "homepage": python_text(homepage or project_of(project.name)),
        "description": f'f"{about}, {{{argument}}}{sample}"',
        "constants": _constants(project), "declared": _declared(project, argument),
        "toml_description": toml_text(f"{about} in {_names(project)}{sample}"),
        "plain_licence": one_line(project.licence, "the licence"),
        "plain_citation": one_line(project.citation, "the citation"),
        "plain_homepage": f"Published at: {homepage}\n" if homepage else "",
        "md_licence": escape(project.licence), "md_citation": escape(project.citation),
        "md_homepage": f"- Published at <{homepage}>\n" if homepage else "",
        "names": _names(project), "about": _about(project),
        "fields": ", ".join(f"`{field}`" for field in project.schema.fields),
        "table": "\n".join(f"| `{name}` | {content.count(10)} |" for name, content in rows.items() if name != PINS),
        "followed": project.followed.task, **_task_values(project),
    }  # fmt: skip


def _names(project: Project) -> str:
    names = ["–".join(map(language_name, one.split("-"))) for one in project.collected.languages]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _about(project: Project) -> str:
    about = f"A row holds {FORMS[project.schema.name].about}."
    if not project.collected.sample:
        return about
    return f"{about} The rows are a sample that comes with xbench (Apache-2.0): run it, then put rows of your own."


def _constants(project: Project) -> str:
    """Scorers by language, where they are not all the same."""
    scorers = _scorers(project)
    if len(set(scorers.values())) < 2:
        return ""
    items = ", ".join(f'"{language}": "{scorer}"' for language, scorer in scorers.items())
    return f"# Whose rules an answer is scored by: not every language is written in words.\nSCORERS = {{{items}}}\n"


def _scorers(project: Project) -> dict[str, str]:
    known = project.followed.scorers
    if not known:
        return {}
    return {language: known.get(language.split("-")[0], known[""]) for language in project.collected.languages}


def _declared(project: Project, argument: str) -> str:
    """The arguments that only some datasets have."""
    collected, lines = project.collected, []
    if collected.sample:
        lines.append("        sample=True,  # not to compare models with: leave it out once the rows are yours")
    if collected.labels:
        lines.append(python_tuple(collected.labels, "labels=", 8) + ",")
    if collected.score_range:
        lines.append(f"        score_range={collected.score_range!r},")
    if scorers := _scorers(project):
        one = f'"{next(iter(scorers.values()))}"' if len(set(scorers.values())) == 1 else f"SCORERS[{argument}]"
        lines.append(f"        official=({one},),")
    if collected.sample and argument == "language" and len(collected.languages) > 1:
        lines.append('        translation_of="" if language == LANGUAGES[0] else f"{NAME}-{LANGUAGES[0]}",')
    return "".join(f"{line}\n" for line in lines)


def _task_values(project: Project) -> dict[str, str]:
    followed = project.followed
    judges = [
        toml_list(name, texts)
        for name, texts in (
            ("heads", followed.heads), ("readings", followed.readings), ("metrics", followed.metrics),
            ("diagnostics", followed.diagnostics),
        )
        if texts
    ]  # fmt: skip
    recipe = [f"{key} = {toml_value(value)}" for key, value in followed.recipe.items()]
    return {
        "sides": _sides(project),
        "judges": "\n".join(judges),
        "tables": _tables(project),
        "recipe": "\n".join(recipe),
    }


def _sides(project: Project) -> str:
    """What is trained on and scored on."""
    own, collected = project.datasets, project.collected
    trained, tested = ([own[one] for one in collected.having(split)] for split in ("train", "test"))
    if project.followed.train:  # heads that learn from other rows, and are then fitted on these and read on these
        places = [f"{name}/{split}" for name in tested for split in ("train", "test")]
        train, curricula, evaluated = project.followed.train, ["none"], places
    else:
        train, curricula, evaluated = tuple(trained), _curricula(trained), tested
    return "\n".join([toml_list("train", train), toml_list("eval", evaluated), toml_list("curricula", curricula)])


def _curricula(trained: list[str]) -> list[str]:
    """Each language alone; of two one after the other, both ways; all mixed."""
    if len(trained) == 1:
        return trained
    first, second = trained[:2]
    turns = [f"{first}:{second}", f"{second}:{first}"] if len(trained) == 2 else []
    return [*trained, *turns, "+".join(trained)]


def _tables(project: Project) -> str:
    own, collected = project.datasets, project.collected
    if project.followed.fitted:
        title = "[fit] # evaluation dataset = the rows, of the split train, that readings are fitted on"
    else:
        title = "[baselines] # in-language: what a transfer gap is measured from"
    both = [own[one] for one in collected.having("test") if one in collected.having("train")]
    return "\n".join(["", title, *(f"{toml_key(name)} = {toml_text(name)}" for name in both), ""]) if both else ""
