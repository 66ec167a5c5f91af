"""``xbench card``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..errors import UserError
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import out_option, plugin_option, split_names
from .terminal import say


@click.command("card")
@click.argument("model", metavar="MODEL|RECORD.json")
@click.option("--train", metavar="CURRICULUM", help="Of this curriculum alone: the results of one checkpoint.")
@click.option("--tasks", default="", metavar="T[,T2...]", help="Of these tasks alone.")
@click.option("--all", "whole", is_flag=True, help="Every score, not each cell's primary one alone.")
@click.option("--name", default="", metavar="NAME", help="What the card calls the model, instead of its name here.")
@click.option("--source", default="", metavar="URL", help="The address of the leaderboard that the results are from.")
@click.option(
    "--into", type=click.Path(path_type=Path), metavar="README.md",
    help="Put them into this card's metadata; its text, and results of others, stay.",
)  # fmt: skip
@out_option
@plugin_option
@json_option
def command(
    model: str, train: str | None, tasks: str, whole: bool, name: str, source: str, into: Path | None, out: Path,
    plugins: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """A model's results as the metadata of a model card: the hub's model-index.

    Every score says what the model was fine-tuned on, and whether the language was among it.

    \b
    xbench card e5-small-q4 > README.md
    xbench card e5-small-q4 --train stsb --into my-model/README.md
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..cards import merged, model_index, records_of, render
    from ..leaderboard.publish import load_records
    from ..store import read_record

    registry = open_registry(plugins)
    if model.endswith(".json") and Path(model).is_file():
        record = read_record(Path(model))
        if record is None:
            raise UserError(f"{model} is no whole record of this version")
        chosen = records_of(record["model"]["name"], [record], train, split_names(tasks))
    else:
        records, damaged = load_records(out)
        for path in damaged:
            say(f"warning: {path} is no whole record of this version and was left out", err=True)
        if not records:
            raise UserError(f"there are no records in {out / 'results'} (--out names the folder that holds it)")
        chosen = records_of(model, records, train, split_names(tasks))
    index = model_index(chosen, registry, name, source, whole)
    if into is not None:
        _put(into, lambda content: merged(content, index, str(into)))
    if as_json:
        echo_json({"model-index": index})
    elif into is None:
        click.echo(f"---\n{render(index)}---")


def _put(path: Path, change: Callable[[str], str]) -> None:
    """Write a card anew, whole or not at all.

    Raises:
        UserError: It cannot be read.
    """
    from ..files import write_atomic

    real = path.resolve()
    try:
        content = real.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"--into {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"--into {path}: is not UTF-8") from None
    changed = change(content)
    if changed == content:
        say(f"{path} has these results already", err=True)
        return
    write_atomic(real, changed.encode("utf-8"))
    say(f"wrote {path}", err=True)
