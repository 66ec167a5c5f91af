"""Reads the records and writes what is published from them. What renders is imported when it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoppedError, UserError
from ..files import write_atomic
from ..locks import Locks
from ..record_files import RecordFiles
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


def load_records(out: Path, files: RecordFiles | None = None) -> tuple[list[Record], list[Path]]:
    """All records of a results folder.

    Args:
        out: The folder that holds ``results/``.
        files: Has read some of them before.

    Returns:
        The whole records, and the paths of those that are damaged.
    """
    found = list(read_records(out, files))
    return [record for _, record in found if record is not None], [path for path, record in found if record is None]


@contextlib.contextmanager
def naming_misshapen(out: Path) -> Iterator[None]:
    """Where something goes wrong with records, look whether one of them has no record's form, and name that.

    Records that were merged were looked at before; one that was copied by hand was not. To look at all of them
    beforehand would take longer than to read them.

    Args:
        out: The folder that holds ``results/``.

    Raises:
        UserError: One has not.
    """
    try:
        yield
    except UserError:
        raise
    except Exception:
        from ..record_form import record_errors

        for path, record in read_records(out):
            errors = record_errors(record) if record is not None else []
            if errors:
                raise UserError(f"{path} is no record: {errors[0]}: take it away, or get it again") from None
        raise


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


def publishing(out: Path, note: Callable[[str], None]) -> contextlib.AbstractContextManager[object]:
    """Keep other processes from publishing in the same folder meanwhile; the last one of them sees all records.

    Where nothing can be written nobody publishes: what is there may be just what it is to be, and else writing fails.

    Args:
        out: The folder that holds ``results/``.
        note: Told of a long wait.
    """
    try:
        return Locks(out, note, "--out").wait("publish", "", f"writes the leaderboard in {out}")
    except StoppedError:
        return contextlib.nullcontext()


def build(
    out: Path, registry: Registry, whole: bool = False, note: Callable[[str], None] = _silent,
    files: RecordFiles | None = None,
) -> Built:  # fmt: skip
    """Write what is published.

    Args:
        out: The folder that holds ``results/``.
        registry: For the order and the titles of tasks.
        whole: Draw the pictures of tables and make the page as well, which take some seconds; else pictures that are no
            longer right are left out, and the page stays as it is.
        note: Told of a long wait for another process that builds.
        files: Has read some of the records before.

    Raises:
        UserError: It would overwrite a page that xbench has not made.
    """
    check_out(out)
    with publishing(out, note), naming_misshapen(out):
        return _build(out, registry, whole, files)


def _build(out: Path, registry: Registry, whole: bool, files: RecordFiles | None) -> Built:
    from .material import gather, render, render_html
    from .plots import draw_plots

    material = gather(out, registry, files)
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
        if not _is(path, text):  # so that a folder in which nothing may be written can be looked at again
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
    with naming_misshapen(out):
        return _differing(out, registry)


def _differing(out: Path, registry: Registry) -> Built:
    from .material import gather, render, render_html
    from .plots import stale

    material = gather(out, registry)
    texts, left_out = render(out, material, registry), []
    if (out / HTML).is_file():
        try:
            texts[out / HTML] = render_html(material)
        except UserError as error:
            left_out.append(f"{out / HTML} is not looked at: {error}")
    wrong = [path for path, text in texts.items() if not _is(path, text)]
    return Built([*wrong, *stale(material.plots, out)], material.damaged, left_out)


def _is(path: Path, text: str) -> bool:
    """Whether a file holds just this."""
    return path.is_file() and path.read_bytes() == _bytes(text)


def _bytes(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which JSON may hold in a name and no text may, is a question mark."""
    return text.encode("utf-8", "replace")
