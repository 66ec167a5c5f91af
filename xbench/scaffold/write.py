"""From what an author asks for to a folder: all of it, or nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import new_folder
from ..languages import code_error, code_hint
from ..registry import Registry
from .follow import follow
from .layout import LANGUAGE
from .names import check_datasets
from .own_rows import Collected, collect
from .project import Project, project_files
from .samples import sample_rows


def gather(name: str, schema: str, languages: Sequence[str], files: Sequence[Path], registry: Registry) -> Collected:
    """Put a plugin's rows together.

    Args:
        name: Its name, checked.
        schema: The name of its rows' schema.
        languages: Codes, or pairs such as ``en-ko``; none where ``files`` say them.
        files: The author's rows; none for sample rows.
        registry: Of the installed plugins.

    Raises:
        UserError: A language, a file or a row does not fit, or a dataset's name is taken.
    """
    declared = registry.schemas.get(schema)
    codes = check_languages(languages, declared.languages, schema)
    collected = collect(files, schema, codes) if files else sample_rows(registry, schema, codes)
    check_languages(collected.languages, declared.languages, schema)
    check_datasets([f"{name}-{language}" for language in collected.languages], registry)
    return collected


def new_project(
    name: str, schema: str, collected: Collected, registry: Registry, licence: str, citation: str, homepage: str
) -> Project:
    """Add what goes with the rows.

    Args:
        name: The plugin's name.
        schema: The name of its rows' schema.
        collected: Its rows.
        registry: Of the installed plugins.
        licence: Of the rows.
        citation: Whom to cite.
        homepage: Where they are published; empty where that is in this plugin alone.

    Raises:
        UserError: The homepage is no address, or nothing here can learn from such rows.
    """
    check_homepage(homepage)
    most = max(len(collected.rows["train", language]) for language in collected.having("train"))
    followed = follow(registry, schema, most)
    return Project(name, registry.schemas.get(schema), collected, followed, licence, citation, homepage)


def check_homepage(homepage: str) -> str:
    """See that it is an address, or empty.

    Returns:
        It.

    Raises:
        UserError: It is neither.
    """
    if homepage and not re.fullmatch(r"https?://[!-~]+", homepage):
        raise UserError(f"the homepage {homepage!r:.80} is no address: write https://...")
    return homepage


def check_languages(languages: Sequence[str], sides: tuple[int, ...], schema: str) -> tuple[str, ...]:
    """See that languages are codes, as many at once as a dataset of the schema names.

    Args:
        languages: What the author wrote.
        sides: How many a dataset may name.
        schema: For messages.

    Returns:
        The languages; where only pairs will do, single ones are made pairs with the first of them.

    Raises:
        UserError: One is no code, or not as many as needed.
    """
    for language in languages:
        if not LANGUAGE.fullmatch(language):
            hint = code_hint(language)
            raise UserError(f"--language {language!r:.40}: write a code such as en, or a pair such as en-ko{hint}")
        wrong = next(filter(None, map(code_error, language.split("-"))), None)
        if wrong is not None:
            raise UserError(f"the language {wrong}")
    if 1 not in sides and len(languages) > 1 and not any("-" in language for language in languages):
        languages = [f"{languages[0]}-{other}" for other in languages[1:]]
    for language in languages:
        if language.count("-") + 1 not in sides:
            form = "a pair, such as en-ko" if 1 not in sides else "one language, such as en"
            raise UserError(f"--language {language}: rows of {schema} are in {form}")
    return tuple(dict.fromkeys(languages))


def check_target(target: Path) -> None:
    """See that nothing is overwritten.

    Raises:
        UserError: There is something already.
    """
    try:
        if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
            raise UserError(f"{target} is there already: choose another folder with --dir, or remove it")
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}") from None


def write_project(project: Project, target: Path) -> list[str]:
    """Write all files, or none.

    Args:
        project: What to write.
        target: The new folder, or an empty one.

    Returns:
        The files, under the folder.

    Raises:
        UserError: It cannot be written there, or somebody else was faster.
    """
    content = project_files(project)
    try:
        with new_folder(target) as folder:
            for path, data in content.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
            written = folder.stat().st_ino
        if target.stat().st_ino != written:
            raise UserError(f"{target} is there already: choose another folder with --dir, or remove it")
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}): choose another folder with --dir") from None
    return sorted(content)
