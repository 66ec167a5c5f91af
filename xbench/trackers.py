"""The tools that a run can be watched with: TensorBoard, Weights & Biases and MLflow, through accelerate's trackers.

What they write stays on this machine unless the user's environment names a server, and nobody is asked for a login.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import UserError, did_you_mean

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

Value: TypeAlias = str | int | float | bool
PROJECT = "xbench"
"""W&B's project, and MLflow's experiment unless ``MLFLOW_EXPERIMENT_NAME`` names one."""
MLFLOW_URI = "MLFLOW_TRACKING_URI"
QUIET = {
    "wandb": {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"},
    "mlflow": {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_FILE_STORE": "true",  # of MLflow's stores the one that needs no database
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # a server that does not answer must not hold up the run
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for results
    },
}
"""Environment variables set for each tool where the user has set none: no reports to its makers, no long waits."""
MANY_PROCESSES = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class RunInfo:
    """A run as the tools show it.

    Attributes:
        name: A name that can be a folder's.
        config: What it was asked to do.
    """

    name: str
    config: Mapping[str, Value]


class OpenRun:
    """A run that one of accelerate's trackers writes.

    Args:
        tracker: It, started.
        last: What is to be written before it is finished, with the scores.
        after: What is to be done then.
    """

    def __init__(
        self, tracker: GeneralTracker, last: Callable[[Mapping[str, float]], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._tracker, self._last, self._after = tracker, last, after

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write values at a step."""
        self._tracker.log(dict(values), step=step)

    def finish(self, scores: Mapping[str, float]) -> None:
        """Write what is left, and close the run."""
        if self._last is not None:
            self._last(scores)
        self._tracker.finish()
        if self._after is not None:
            self._after()


Opener: TypeAlias = Callable[[RunInfo], OpenRun]
"""Begins a run."""


def choose_trackers(names: Sequence[str], folder: Path, offline: bool) -> dict[str, Opener]:
    """See that tools can be used; none of them is imported yet.

    Args:
        names: Such as ``tensorboard``.
        folder: What they write lies here, each in its own folder.
        offline: Use no server, whatever the environment names.

    Returns:
        For each tool, what begins a run.

    Raises:
        UserError: A name is unknown, a tool is not installed, or would need the network or a login.
    """
    makers = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
    for name in names:
        if name not in makers:
            raise UserError(f"--track: unknown tracker {name!r}{did_you_mean(name, makers)}")
        missing = [module for module in ("accelerate", name) if importlib.util.find_spec(module) is None]
        if missing:
            raise UserError(f"--track {name} needs {' and '.join(missing)}: pip install 'xbench[track]'")
    if names and folder.exists() and not folder.is_dir():
        raise UserError(f"--track-dir {folder} is not a folder")
    if "mlflow" in names and offline and _is_server(os.environ.get(MLFLOW_URI, "")):
        raise UserError(f"--track mlflow: {MLFLOW_URI} names a server, and --offline is set: unset one of them")
    if "wandb" in names and wandb_mode(offline) == "online" and not _wandb_login():
        raise UserError("--track wandb: WANDB_MODE=online needs a login: run wandb login, or unset WANDB_MODE")
    return {name: _opener(name, makers[name], folder.absolute(), offline) for name in names}


def _opener(name: str, make: Callable[[RunInfo, Path, bool], OpenRun], folder: Path, offline: bool) -> Opener:
    def begin(run: RunInfo) -> OpenRun:
        for variable, value in QUIET.get(name, {}).items():
            os.environ.setdefault(variable, value)
        _alone()
        (folder / name).mkdir(parents=True, exist_ok=True)
        return make(run, folder / name, offline)

    return begin


def wandb_mode(offline: bool) -> str:
    """``offline`` unless the user's environment asks for something else, and the network may be used."""
    mode = os.environ.get("WANDB_MODE", "").lower() or "offline"
    return "offline" if offline and mode not in ("disabled", "offline") else mode


def _wandb_login() -> bool:
    """Whether W&B has a key: it would ask for one otherwise."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc
    from urllib.parse import urlsplit

    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        file = os.environ.get("NETRC")
        return netrc.netrc(str(Path(file).expanduser()) if file else None).authenticators(host) is not None
    return False


def _is_server(uri: str) -> bool:
    return "://" in uri and not uri.startswith(("file:", "sqlite:"))


def _alone() -> None:
    """Give accelerate's trackers the state that they log through: of one process on the CPU, whoever started it.

    Where a launcher's variables name many processes, accelerate would wait for the others.
    """
    from accelerate.state import PartialState

    with _hidden(MANY_PROCESSES):
        PartialState(cpu=True)


@contextlib.contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    """Without some environment variables."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _tensorboard(run: RunInfo, folder: Path, offline: bool) -> OpenRun:
    from accelerate.tracking import TensorBoardTracker

    tracker = TensorBoardTracker(run.name, folder)
    tracker.start()
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in run.config.items())
    tracker.log({"config": f"| | |\n|---|---|\n{rows}"}, step=0)

    def hparams(scores: Mapping[str, float]) -> None:
        # In the run's own folder: accelerate's way would make two more, named by the time, that look like runs.
        tracker.tracker.add_hparams(dict(run.config), dict(scores), run_name=".")

    return OpenRun(tracker, hparams)


def _cell(value: Value) -> str:
    """A value in a table's cell."""
    return str(value).replace("|", r"\|").replace("\n", " ")


def _wandb(run: RunInfo, folder: Path, offline: bool) -> OpenRun:
    import wandb
    from accelerate.tracking import WandBTracker

    settings = wandb.Settings(console="off", silent=True)  # it would copy, and show, what is printed
    tracker = WandBTracker(
        PROJECT, name=run.name, mode=wandb_mode(offline), dir=str(folder.parent), settings=settings
    )  # fmt: skip  # it makes the folder wandb itself
    tracker.start()
    tracker.store_init_configuration(dict(run.config))
    return OpenRun(tracker)


def _mlflow(run: RunInfo, folder: Path, offline: bool) -> OpenRun:
    from accelerate.tracking import MLflowTracker

    theirs = os.environ.get(MLFLOW_URI)
    if not theirs:
        os.environ[MLFLOW_URI] = folder.as_uri()
    tracker = MLflowTracker(PROJECT, run_name=run.name)
    tracker.start()
    tracker.store_init_configuration({name: value for name, value in run.config.items() if value != ""})

    def forget() -> None:
        if not theirs:
            os.environ.pop(MLFLOW_URI, None)  # another run may go elsewhere

    return OpenRun(tracker, after=forget)


def as_value(value: Any) -> Value:
    """What every tool takes."""
    return value if isinstance(value, (str, int, float, bool)) else "" if value is None else str(value)
