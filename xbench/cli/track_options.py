"""``--track`` and what it switches on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ..plan import Plan
from ..progress import Reporter, Tee
from ..settings import Settings
from .options import F, split_names


def track_options(command: F) -> F:
    """``--track`` and ``--track-dir``."""
    for option in (
        click.option(
            "--track-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, metavar="DIR",
            help="Where trackers write, a folder each.",
        ),
        click.option(
            "--track", default="", metavar="T[,T2...]",
            help="Write losses and scores where they can be watched: tensorboard, wandb, mlflow.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@contextmanager
def tracking(names: str, folder: Path, plan: Plan, settings: Settings, shown: Reporter) -> Iterator[Reporter]:
    """A reporter that tells trackers as well, if any are asked for.

    Args:
        names: The option's text.
        folder: Where trackers write.
        plan: What is being done.
        settings: Folders and switches; offline, no server is used.
        shown: The reporter that the user sees.

    Yields:
        What to run with.

    Raises:
        UserError: A tracker is unknown or cannot be used.
    """
    if not split_names(names):
        yield shown
        return
    from ..store import Store
    from ..trackers import choose_trackers
    from ..tracking import TrackingReporter

    openers = choose_trackers(split_names(names), folder, settings.offline)
    tracked = TrackingReporter(openers, plan, Store(settings), shown.note)
    try:
        yield Tee(shown, tracked)
    finally:
        tracked.close()
    if not tracked.written:
        shown.note("nothing was tracked: all of it was found finished")
