"""Reads the records and writes what is published from them. What renders is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import write_atomic
from ..locks import Lock, Locks
from ..registry import Registry
from ..store import read_records
from .cells import Record

PAGE = "README.md"
FLAT = "leaderboard.csv"
LATEX = "leaderboard.tex"
HTML = "index.html"
"""Holds the libraries that it needs, some megabytes: it is made where it is to be shown, and not kept in a repository.
"""
MARKER = "<!-- made by: xbench leaderboard build -->"
"""The page's first line: a page without it is somebody else's, and is not overwritten."""


def load_records(out: Path) -> tuple[list[Record], list[Path]]:
    """All records of a results folder.

    Args:
        out: The folder that holds ``results/``.

    Returns:
        The whole records, and the paths of those that are damaged.
    """
    found = list(read_records(out))
    return [record for _, record in found if record is not None], [path for path, record in found if record is None]


def check_out(out: Path) -> None:
    """See that what is to be published would overwrite nobody's page.

    Args:
        out: The folder to publish in; it need not be there yet.

    Raises:
        UserError: It is no folder, or it holds a page that xbench has not made.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is not a folder")
    page = out / PAGE
    try:
        with page.open("rb") as file:
            ours = file.readline(len(MARKER) + 2).strip() == MARKER.encode()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(
            f"{page} cannot be read ({error.strerror}), and would be overwritten: see to it first"
        ) from None
    if not ours:
        raise UserError(
            f"{page} was not made by xbench and is not overwritten: name another folder with --out, or move it away"
        )


@dataclass(frozen=True)
class Built:
    """What a build did.

    Attributes:
        written: The files written.
        damaged: The paths of damaged records.
        left_out: What was not made, and what to do about it.
    """

    written: list[Path]
    damaged: list[Path]
    left_out: list[str]


def _silent(text: str) -> None:
    pass


def publishing(out: Path, note: Callable[[str], None]) -> Lock:
    """Keep other processes from publishing in the same folder meanwhile; the last one of them sees all records.

    Args:
        out: The folder that holds ``results/``.
        note: Told of a long wait.

    Raises:
        UserError: It cannot be written to.
    """
    return Locks(out, note, "--out").wait("publish", "", f"writes the leaderboard in {out}")


def build(out: Path, registry: Registry, whole: bool = False, note: Callable[[str], None] = _silent) -> Built:
    """Write what is published.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.
        whole: Draw the pictures of tables and make the page as well, which take some seconds; else pictures that are no
            longer right are left out, and the page stays as it is.
        note: Told of a long wait for another process that builds.

    Raises:
        UserError: It would overwrite a page that xbench has not made.
    """
    check_out(out)
    with publishing(out, note):
        return _build(out, registry, whole)


def _build(out: Path, registry: Registry, whole: bool) -> Built:
    from .material import gather, render, render_html
    from .plots import draw_plots

    material = gather(out, registry)
    written: list[Path] = []
    left_out: list[str] = []
    if whole:
        try:
            written += draw_plots(material.plots, out)
        except UserError as error:
            left_out.append(str(error))
    texts = render(out, material, registry)
    if whole:
        try:
            texts[out / HTML] = render_html(material)
        except UserError as error:
            left_out.append(str(error))
    for path, text in texts.items():
        write_atomic(path, _bytes(text))
    return Built([*texts, *written], material.damaged, left_out)


def differing(out: Path, registry: Registry) -> Built:
    """What is published and is not what the records give.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.

    Returns:
        As ``written`` the files that a build would change. The page is looked at where it is there.
    """
    from .material import gather, render, render_html
    from .plots import stale

    material = gather(out, registry)
    texts, left_out = render(out, material, registry), []
    if (out / HTML).is_file():
        try:
            texts[out / HTML] = render_html(material)
        except UserError as error:
            left_out.append(f"{out / HTML} is not looked at: {error}")
    wrong = [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != _bytes(text)]
    return Built([*wrong, *stale(material.plots, out)], material.damaged, left_out)


def _bytes(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which JSON may hold in a name and no text may, is a question mark."""
    return text.encode("utf-8", "replace")
