"""Fig. 4: sentence embeddings of both languages before and after each map, brought to the plane by t-SNE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xbench.api import Figure, FigureContext, UserError, language_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

PAIRS = 300
"""Pairs of a panel, at most; drawn by seed."""
SEED = 0
# Okabe and Ito's palette, which the colour-blind can tell apart; and a shape for each, for print without colours.
STYLES = {"source": ("#0072B2", "o"), "mapped": ("#D55E00", "^"), "target": ("#009E73", "s")}
WORDS = {"source": "{source}, unaligned", "mapped": "{source}, aligned", "target": "{target}"}


def draw(about: FigureContext) -> list[Path]:
    """One picture for each model, curriculum, seed and evaluation set, with a panel a map, as PNG and as SVG.

    Args:
        about: Records of the alignment task; the arrays ``source``, ``mapped`` and ``target`` that the head kept.

    Returns:
        The files.

    Raises:
        UserError: The libraries that draw are not installed.
    """
    try:
        import matplotlib
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UserError(f"the figure tsne needs {error.name}: pip install 'xbench[figures]'") from None
    matplotlib.use("agg")
    pictures: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for record in about.records:
        evaluated = record["eval"]
        key = (
            record["model"]["name"], record["curriculum"], str(record["seed"]), evaluated["dataset"],
            evaluated["split"],
        )  # fmt: skip
        pictures.setdefault(key, []).append(record)
    files: list[Path] = []
    for names, records in pictures.items():
        panels = [(record, arrays) for record in records if (arrays := _arrays(record, about)) is not None]
        if panels:
            files += _picture(names, panels, about.folder)
    return files


def _arrays(record: Mapping[str, Any], about: FigureContext) -> dict[str, npt.NDArray[np.float32]] | None:
    found = {name: about.kept(record, name) for name in STYLES}
    return None if any(array is None for array in found.values()) else found  # type: ignore[return-value]


def _picture(
    key: tuple[str, ...], panels: Sequence[tuple[Mapping[str, Any], dict[str, npt.NDArray[np.float32]]]], folder: Path
) -> list[Path]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    model, curriculum, seed, dataset, split = key
    with rc_context({"svg.hashsalt": "xbench", "font.size": 9}):
        canvas = Canvas(figsize=(3.4 * len(panels), 3.9), layout="constrained")
        axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for place, (record, arrays) in zip(axes, panels, strict=True):
            _panel(place, record, arrays)
        handles, labels = axes[0].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        trained = "frozen" if curriculum == "none" else f"fine-tuned on {curriculum}"
        canvas.suptitle(f"{model}, {trained}: {dataset}/{split}")
        folder.mkdir(parents=True, exist_ok=True)
        name = _slug(f"tsne-{model}-{curriculum}-{seed}-{dataset}-{split}")
        files = [folder / f"{name}.png", folder / f"{name}.svg"]
        canvas.savefig(files[0], dpi=150, metadata={"Software": None})
        canvas.savefig(files[1], metadata={"Date": None})
    return files


def _panel(place: Axes, record: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """The points of one map; a line joins each pair of translations after it."""
    import numpy as np
    from sklearn.manifold import TSNE

    from .retrieval import unit

    count = len(arrays["source"])
    chosen = np.sort(np.random.default_rng(SEED).choice(count, min(PAIRS, count), replace=False))
    parts = {name: unit(array[chosen]) for name, array in arrays.items()}
    rows = np.concatenate(list(parts.values()))  # (3 * pairs, hidden)
    perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
    plane = TSNE(2, perplexity=perplexity, init="pca", metric="cosine", random_state=SEED).fit_transform(rows)
    points = dict(zip(parts, np.split(plane, len(parts)), strict=True))  # (pairs, 2) each
    for one, other in zip(points["mapped"], points["target"], strict=True):
        place.plot(*np.stack([one, other]).T, color="0.8", linewidth=0.4, zorder=1)
    source, target = map(language_name, _direction(record))
    for name, (colour, marker) in STYLES.items():
        label = WORDS[name].format(source=source, target=target)
        place.scatter(*points[name].T, s=9, c=colour, marker=marker, alpha=0.75, linewidths=0, label=label, zorder=2)
    place.set_title(f"{record['reading']}\nmean cosine {record['scores']['mean_cosine']:.3f}")
    place.set_xticks([])
    place.set_yticks([])


def _direction(record: Mapping[str, Any]) -> list[str]:
    languages = str(record["eval"]["language"]).split("-")
    return languages[::-1] if str(record["reading"]).endswith("-back") else languages


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)


FIGURES = [
    Figure("tsne", draw, "Both languages' sentence embeddings before and after each map, by t-SNE (the paper's Fig. 4)")
]
