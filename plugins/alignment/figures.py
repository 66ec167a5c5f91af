"""Fig. 4: sentence embeddings of both languages before and after each map, brought to the plane by t-SNE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xbench.api import Figure, FigureContext, Picture, UserError, content_key, language_name

from .heads import BACK, HEADS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    Arrays = Mapping[str, npt.NDArray[np.float32]]
    Panel = tuple[Mapping[str, Any], Arrays]

SEED = 0
# Okabe and Ito's palette, which the colour-blind can tell apart; and a shape for each, for print without colours.
STYLES = {"source": ("#0072B2", "o"), "mapped": ("#D55E00", "^"), "target": ("#009E73", "s")}
WORDS = {"source": "{source}, as it is", "mapped": "{source}, mapped", "target": "{target}"}
ORDER = [reading.name for reading in HEADS[0].readings]


def draw(about: FigureContext) -> list[Picture]:
    """One picture for each model, curriculum, seed and evaluation set, with a panel a map, as PNG and as SVG.

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
    groups: dict[str, list[Panel]] = {}
    for record in sorted(about.records, key=lambda record: (ORDER.index(record["reading"]), record["key"])):
        arrays = {name: about.kept(record, name) for name in STYLES}
        if all(array is not None for array in arrays.values()):
            groups.setdefault(_group(record), []).append((record, arrays))  # type: ignore[arg-type]
    return [_picture(panels, about) for panels in groups.values()]


def _group(record: Mapping[str, Any]) -> str:
    """The same text for records that differ in nothing but the map: those of one picture."""
    evaluated, fit = record["eval"], record["fit"]
    return content_key(
        "tsne",
        {
            **{name: record[name] for name in ("model", "curriculum", "stages", "recipe", "limits")},
            "eval": [evaluated["dataset"], evaluated["split"], evaluated["rows"], evaluated["rows_sha256"]],
            # A frozen encoder without a map has no seed: it is the same for all.
            "seed": record["seed"] if fit or record["stages"] else 0,
        },
    )


def _picture(panels: Sequence[Panel], about: FigureContext) -> Picture:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    record = panels[0][0]
    model, curriculum, evaluated = record["model"]["name"], record["curriculum"], record["eval"]
    trained = "frozen" if curriculum == "none" else f"fine-tuned on {curriculum}"
    title = f"{model}, {trained}: {evaluated['dataset']}/{evaluated['split']}, {len(panels[0][1]['source'])} pairs"
    with rc_context({"svg.hashsalt": "xbench", "font.size": 9}):
        canvas = Canvas(figsize=(2.9 * len(panels), 3.5), layout="constrained")
        axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for place, (one, arrays) in zip(axes, panels, strict=True):
            _panel(place, one, arrays)
        handles, labels = axes[-1].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        canvas.suptitle(title)
        about_it = _slug(f"tsne-{model}-{curriculum}-{evaluated['dataset']}-{evaluated['split']}")
        name = f"{about_it}-{_group(record)[:8]}"
        files = about.folder / f"{name}.png", about.folder / f"{name}.svg"
        canvas.savefig(files[0], dpi=130, metadata={"Software": None})
        canvas.savefig(files[1], metadata={"Date": None})
    maps = ", ".join(str(one["reading"]) for one, _ in panels)
    return Picture(f"t-SNE of sentence embeddings: {title}; {maps}", files, tuple(one["key"] for one, _ in panels))


def _panel(place: Axes, record: Mapping[str, Any], arrays: Arrays) -> None:
    """The points of one map; a line joins each mapped sentence and its translation."""
    import numpy as np
    from matplotlib.collections import LineCollection
    from sklearn.manifold import TSNE

    from .retrieval import unit

    mapped = record["fit"] is not None  # without a map, the mapped points would be the source's
    parts = {name: unit(array) for name, array in arrays.items() if mapped or name != "mapped"}
    rows = np.concatenate(list(parts.values()))  # (parts * pairs, hidden)
    perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
    plane = TSNE(2, perplexity=perplexity, init="pca", metric="cosine", random_state=SEED).fit_transform(rows)
    points = dict(zip(parts, np.split(plane, len(parts)), strict=True))  # (pairs, 2) each
    ends = np.stack([points["mapped" if mapped else "source"], points["target"]], 1)  # (pairs, 2 ends, 2)
    place.add_collection(LineCollection(list(ends), colors="0.8", linewidths=0.4, zorder=1))
    source, target = map(language_name, _direction(record))
    for name in parts:
        colour, marker = STYLES[name]
        label = WORDS[name].format(source=source, target=target)
        across, up = points[name].T  # (pairs,) each
        place.scatter(across, up, s=9, c=colour, marker=marker, alpha=0.75, linewidths=0, label=label, zorder=2)
    place.set_title(f"{record['reading']}\nmean cosine {record['scores']['mean_cosine']:.3f}")
    place.set_xticks([])
    place.set_yticks([])


def _direction(record: Mapping[str, Any]) -> list[str]:
    """The language that is mapped, and the one it is brought to."""
    languages = str((record["fit"] or record["eval"])["language"]).split("-")
    return languages[::-1] if str(record["reading"]).endswith(BACK) else languages


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text)[:160]


FIGURES = [
    Figure("tsne", draw, "Both languages' sentence embeddings before and after each map, by t-SNE (the paper's Fig. 4)")
]
