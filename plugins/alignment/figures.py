"""Fig. 4: sentence embeddings of both languages before and after each map, brought to the plane by t-SNE."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xbench.api import Figure, FigureContext, Picture, UserError, content_key, language_name

from .heads import BACK, HEADS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

Record = Mapping[str, Any]
SEED = 0
# Okabe and Ito's palette, which the colour-blind can tell apart; and a shape for each, for print without colours.
STYLES = {"source": ("#0072B2", "o"), "mapped": ("#D55E00", "^"), "target": ("#009E73", "s")}
WORDS = {"source": "{source}, as it is", "mapped": "{source}, mapped", "target": "{target}"}
ORDER = [reading.name for reading in HEADS[0].readings]


@dataclass(frozen=True)
class Panel:
    """One map in a picture.

    Attributes:
        record: What was measured.
        arrays: (pairs, hidden) each: ``source``, ``mapped`` and ``target`` as the head kept them.
    """

    record: Record
    arrays: Mapping[str, npt.NDArray[np.float32]]

    @property
    def direction(self) -> tuple[str, str]:
        """The language that is mapped, and the one it is brought to."""
        first, second = str((self.record["fit"] or self.record["eval"])["language"]).split("-")
        return (second, first) if self.record["reading"].endswith(BACK) else (first, second)

    def turned(self, direction: tuple[str, str]) -> Panel:
        """A panel without a map, its sides in the order of a picture's maps."""
        if self.direction == direction:
            return self
        source, target = self.arrays["target"], self.arrays["source"]
        return Panel(self.record, {"source": source, "mapped": source, "target": target})


def draw(about: FigureContext) -> list[Picture]:
    """A picture for each encoder, evaluation set and direction, with a panel a map, as PNG and as SVG.

    Args:
        about: Records of the alignment task; the arrays ``source``, ``mapped`` and ``target`` that the head kept.

    Returns:
        The pictures.

    Raises:
        UserError: The libraries that draw are not installed.
    """
    try:
        import matplotlib
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install 'xbench[figures]'") from None
    matplotlib.use("agg")
    groups = _groups(_panels(about))
    titles = _titles(groups)
    return [_picture(key, panels, titles[key], about) for key, panels in groups.items()]


def _panels(about: FigureContext) -> list[Panel]:
    """The records that there is something to draw of, in the order of the head's readings."""
    panels = []
    for record in about.records:
        arrays = {name: about.kept(record, name) for name in STYLES}
        if record["reading"] in ORDER and str(record["eval"]["language"]).count("-") == 1:
            whole = {name: array for name, array in arrays.items() if array is not None}
            if len(whole) == len(STYLES):
                panels.append(Panel(record, whole))
    return sorted(panels, key=lambda panel: (ORDER.index(panel.record["reading"]), panel.record["key"]))


def _groups(panels: Iterable[Panel]) -> dict[str, list[Panel]]:
    """The panels of each picture: maps that differ in nothing but their kind, and the encoder without a map."""
    plain = {}
    maps: dict[str, list[Panel]] = {}
    for panel in panels:
        if panel.record["fit"] is None:
            plain[content_key("tsne", _encoder(panel.record))] = panel
        else:
            maps.setdefault(content_key("tsne", _map(panel)), []).append(panel)
    alone = dict(plain)
    groups: dict[str, list[Panel]] = {}
    for key, found in maps.items():
        of = content_key("tsne", _encoder(found[0].record))
        alone.pop(of, None)
        groups[key] = [*([plain[of].turned(found[0].direction)] if of in plain else []), *found]
    return {**groups, **{key: [panel] for key, panel in alone.items()}}


def _encoder(record: Record) -> dict[str, Any]:
    """What was embedded by what. A frozen encoder has no seed and no limit on training, whatever its maps have."""
    evaluated = record["eval"]
    return {
        **{name: record[name] for name in ("model", "curriculum", "stages", "recipe", "task_version", "head_version")},
        "eval": [evaluated["dataset"], evaluated["split"], evaluated["rows"], evaluated["rows_sha256"]],
        # Two readings of one stage may have chosen two checkpoints: these share no picture.
        **({"checkpoint": _checkpoint(record)} if "selected" in record else {}),
    }


def _checkpoint(record: Record) -> str:
    """Which one it is, where it is not the last: ``source-dev of 4, step 360``; mostly empty."""
    if "selected" not in record:
        return ""
    selected = record["selected"]
    step = "" if selected["step"] is None else f", step {selected['step']}"
    return f"{record['selection']} of {selected['candidates']}{step}"


def _map(panel: Panel) -> dict[str, Any]:
    """What the maps of one picture share."""
    record, fit = panel.record, panel.record["fit"]
    fitted = [fit["dataset"], fit["split"], fit["rows"], fit["rows_sha256"], *panel.direction]
    return {**_encoder(record), "fit": fitted, "seed": record["seed"], "limits": record["limits"]}


def _titles(groups: Mapping[str, Sequence[Panel]]) -> dict[str, str]:
    """A title for each picture; where two would be the same, the settings in which they differ."""
    plain = {key: _title(panels[-1]) for key, panels in groups.items()}
    titles = {}
    for key, title in plain.items():
        alike = [groups[other][-1].record for other, its in plain.items() if its == title]
        own = groups[key][-1].record
        differing = [
            f"{name}={value}"
            for name, value in own["recipe"].items()
            if any(other["recipe"].get(name) != value for other in alike)
        ]
        titles[key] = title + (f", {', '.join(differing)}" if differing else f" ({key[:8]})" * (len(alike) > 1))
    return titles


def _title(panel: Panel) -> str:
    from xbench.api import limit_text  # not at the top: it brings the leaderboard along, which a start does not need

    record, evaluated = panel.record, panel.record["eval"]
    trained = "frozen" if record["curriculum"] == "none" else f"fine-tuned on {record['curriculum']}"
    parts = [
        f"{record['model']['name']}, {trained}: {evaluated['dataset']}/{evaluated['split']}",
        f"{len(panel.arrays['source'])} pairs",
        *([_checkpoint(record)] if "selected" in record else []),
        *([f"seed {record['seed']}"] if record["seed"] else []),
        *([limit_text(record["limits"]).removeprefix("limited: ")] if any(record["limits"].values()) else []),
    ]
    return ", ".join(parts)


def _picture(key: str, panels: Sequence[Panel], title: str, about: FigureContext) -> Picture:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    record = panels[-1].record
    with rc_context({"svg.hashsalt": "xbench", "font.size": 9}):
        canvas = Canvas(figsize=(max(4.5, 2.9 * len(panels)), 3.5), layout="constrained")
        axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for place, panel in zip(axes, panels, strict=True):
            _draw_panel(place, panel, panels[-1].direction)
        handles, labels = axes[-1].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        canvas.suptitle(title)
        evaluated = record["eval"]
        words = f"tsne-{record['model']['name']}-{record['curriculum']}-{evaluated['dataset']}-{evaluated['split']}"
        name = f"{re.sub(r'[^A-Za-z0-9._+-]+', '-', words)[:160]}-{key[:8]}"
        files = about.folder / f"{name}.png", about.folder / f"{name}.svg"
        canvas.savefig(files[0], dpi=130, metadata={"Software": None})
        canvas.savefig(files[1], metadata={"Date": None})
    readings = ", ".join(str(panel.record["reading"]) for panel in panels)
    keys = tuple(panel.record["key"] for panel in panels)
    return Picture(f"t-SNE of sentence embeddings: {title}; {readings}", files, keys)


def _draw_panel(place: Axes, panel: Panel, direction: tuple[str, str]) -> None:
    """The points of one map; a line joins each mapped sentence and its translation."""
    import numpy as np
    from matplotlib.collections import LineCollection
    from sklearn.manifold import TSNE

    from xbench.api import unit

    mapped = panel.record["fit"] is not None  # without a map, the mapped points would be the source's
    parts = {name: unit(array) for name, array in panel.arrays.items() if mapped or name != "mapped"}
    rows = np.concatenate(list(parts.values()))  # (parts * pairs, hidden)
    perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
    plane = TSNE(2, perplexity=perplexity, init="pca", metric="cosine", random_state=SEED).fit_transform(rows)
    points = dict(zip(parts, np.split(plane, len(parts)), strict=True))  # (pairs, 2) each
    ends = np.stack([points["mapped" if mapped else "source"], points["target"]], 1)  # (pairs, 2 ends, 2)
    place.add_collection(LineCollection(list(ends), colors="0.8", linewidths=0.4, zorder=1))
    source, target = map(language_name, direction)
    for name in parts:
        colour, marker = STYLES[name]
        label = WORDS[name].format(source=source, target=target)
        across, up = points[name].T  # (pairs,) each
        place.scatter(across, up, s=9, c=colour, marker=marker, alpha=0.75, linewidths=0, label=label, zorder=2)
    cosine = panel.record["scores"].get("mean_cosine")
    place.set_title(panel.record["reading"] + ("" if cosine is None else f"\nmean cosine {cosine:.3f}"))
    place.set_xticks([])
    place.set_yticks([])


FIGURES = [
    Figure("tsne", draw, "Both languages' sentence embeddings before and after each map, by t-SNE (the paper's Fig. 4)")
]
