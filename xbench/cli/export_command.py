"""``xbench export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from .json_stream import echo_json, json_option
from .listing import open_registry, print_list
from .options import make_settings, out_option, place_options, plugin_option

if TYPE_CHECKING:
    from ..export.loaded import Loaded
    from ..export.write import Written


@click.command("export")
@click.argument("stage", required=False)
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="DIR", help="The folder to write: a new or an empty one."
)
@click.option("--model", metavar="M", help="The base model, where its name in the record does not tell where it is.")
@click.option("--encoder-only", is_flag=True, help="Leave the head out: a folder that AutoModel loads.")
@out_option
@place_options
@plugin_option
@json_option
def command(
    stage: str | None, to: Path | None, model: str | None, encoder_only: bool, out: Path, data: Path | None,
    cache: Path | None, offline: bool, plugins: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """Write a fine-tuned stage as an ordinary model folder, which transformers or sentence-transformers load.

    STAGE is a record's file, or the first letters of a record's or a stage's key; without it, the stages that are in
    the cache are listed. What is written is loaded again and held against the stage before the folder gets its name.

    \b
    xbench export
    xbench export leaderboard/results/sts/e5-small-q4/stsb--korsts--0123456789abcdef.json --to my-model
    xbench export 0123456789ab --to my-model
    """  # noqa: D301  # click's mark for lines that stay as they are
    from ..export.chosen import SHORT, choose_stage, stages
    from ..store import Store

    settings = make_settings(data, cache, offline, out=out)
    store = Store(settings)
    if stage is None:
        here = [one for one in stages(out) if store.stage_weights(one.key).is_file()]
        if not here and not as_json:
            raise UserError(
                f"there is no stage to export: no record in {out / 'results'} tells of one that is in the cache "
                f"{settings.cache} (xbench eval trains them; --out and --cache name other places)"
            )
        rows = [
            {"key": one.key if as_json else one.key[:SHORT], "model": one.record["model"]["name"],
             "head": one.record["head"], "curriculum": one.curriculum, "seed": one.record["seed"],
             "task": one.record["task"], "records": len(one.scored)}
            for one in here
        ]  # fmt: skip
        print_list(rows, as_json, ("key", "model", "head", "curriculum", "seed", "task", "records"))
        return
    if to is None:
        raise click.UsageError("name the folder to write with --to")
    registry = open_registry(plugins)
    chosen = choose_stage(stage, out, store)
    from ..export.write import check_target, write_stage

    check_target(to)
    from ..export.loaded import load_stage

    loaded = load_stage(chosen, model, registry, store, settings)
    written = write_stage(loaded, to, encoder_only)
    if as_json:
        echo_json(_as_json(loaded, written))
        return
    click.echo(f"{written.folder}  {written.bytes / 1e6:,.0f} MB: {chosen.label}")
    click.echo(f"loads with {written.loads}; how is in its README.md")
    click.echo(
        f"checked: on random sequences it says what the stage says, to {written.difference:.1g} "
        f"(its largest output is {written.scale:.2g})"
    )


def _as_json(loaded: Loaded, written: Written) -> dict[str, Any]:
    chosen = loaded.chosen
    return {
        "folder": str(written.folder), "bytes": written.bytes, "loads": written.loads, "stage": chosen.key,
        "model": loaded.model.name, "revision": loaded.model.revision, "head": loaded.head.name,
        "curriculum": chosen.curriculum, "seed": chosen.record["seed"],
        "records": [record["key"] for record in chosen.scored], "largest_difference": written.difference,
        "largest_output": written.scale,
    }  # fmt: skip
