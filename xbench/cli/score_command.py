"""``xbench score``."""

from __future__ import annotations

from pathlib import Path

import click

from ..data.rows import prepare
from ..measures import Access
from ..scoring import Scored, choose_metrics, choose_split, read_predictions, score_predictions
from .json_stream import echo_json, json_option
from .listing import open_registry
from .options import make_settings, place_options, plugin_option, split_names

SHOWN = 5
"""Ids named on stderr, at most; ``--json`` has them all."""


@click.command("score")
@click.argument("dataset")
@click.argument("predictions", type=click.Path(path_type=Path), metavar="PREDICTIONS.json")
@click.option("--split", metavar="NAME", help="The split; the test split, else the dev split, without it.")
@click.option("--metric", "metrics", default="", metavar="M[,M2...]", help="Metrics instead of the dataset's own.")
@click.option("--trust-remote-code", is_flag=True, help="Let the repository of a metric run its code here.")
@place_options
@plugin_option
@json_option
def command(
    dataset: str, predictions: Path, split: str | None, metrics: str, trust_remote_code: bool, data: Path | None,
    cache: Path | None, offline: bool, plugins: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """Score predictions made elsewhere with the dataset's official scorer.

    PREDICTIONS.json is what the official scorers take: one JSON object from the publisher's row id to the prediction.

    \b
    xbench score squad predictions.json
    xbench score korquad predictions.json --json
    """  # noqa: D301  # click's mark for lines that stay as they are
    registry = open_registry(plugins)
    settings = make_settings(data, cache, offline)
    registry.access = Access(settings.offline, trust_remote_code)
    declared = registry.datasets.get(dataset)
    schema = registry.schemas.get(declared.schema, declared.name)
    name = choose_split(declared, split)
    chosen = choose_metrics(declared, split_names(metrics), registry)
    found = read_predictions(predictions, schema)
    rows = prepare(declared, name, schema, settings)
    scored = score_predictions(found, rows, chosen, schema)
    _warn(scored, f"{dataset}, split {name}")
    if as_json:
        about = {
            "dataset": dataset, "split": name, "rows": scored.rows, "rows_sha256": rows.rows_sha256,
            "metric_version": {metric.name: metric.version for metric in chosen},
            "missing": list(scored.missing), "unknown": [_printable(name) for name in scored.unknown],
        }  # fmt: skip
        echo_json({**scored.scores, **about})
        return
    width = max(map(len, scored.scores))
    for score, value in scored.scores.items():
        click.echo(f"{score:<{width}}  {'undefined' if value is None else f'{value:.4f}'}")
    answered = scored.rows - len(scored.missing)
    click.echo(f"{answered} of {scored.rows} rows of {dataset}, split {name}", err=True)


def _printable(text: str) -> str:
    """A text from outside may hold half a surrogate pair, which no UTF-8 can."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _warn(scored: Scored, where: str) -> None:
    for ids, words in (
        (scored.missing, f"rows of {where} have no prediction and score 0"),
        (scored.unknown, f"ids in the file are not in {where}"),
    ):
        if ids:
            more = ", ..." if len(ids) > SHOWN else ""
            shown = ", ".join(f"{name!r:.60}" for name in ids[:SHOWN])  # as it is written in Python: no line is broken
            click.echo(f"warning: {len(ids)} {words}: {shown}{more}", err=True)
