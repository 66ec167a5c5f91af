"""The declarations: where the reviews come from, who they are, who made them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from xbench.api import Dataset, Files, Packaged, Reader, SourceFile, Split

from .readers import LABELS, read_lmrd, read_mini, read_nsmc

MAAS = (
    "Maas, Daly, Pham, Huang, Ng, Potts (2011). Learning Word Vectors for Sentiment Analysis. ACL 2011, pages 142-150"
)
LMRD_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
LMRD_LABELLED = ""
# split: (rows, identity of the rows)
LMRD = {"train": (25_000, None), "test": (25_000, None)}

NSMC_CITATION = "Park (2015). Naver sentiment movie corpus v1.0. https://github.com/e9t/nsmc"
NSMC_RAW = "https://raw.githubusercontent.com/e9t/nsmc/master/ratings_{split}.txt"
# split: (file's sha256, rows, identity of the rows)
NSMC = {"train": ("", 150_000, None), "test": ("", 50_000, None)}

MINI = Path(__file__).parent / "mini"
MINI_ROWS = {"train": 210, "test": 112}
MINI_SHA256: dict[tuple[str, str], str] = {}
LANGUAGES = {"en": "English", "ko": "Korean", "es": "Spanish", "ar": "Arabic"}


def _lmrd() -> Dataset:
    splits = {}
    for split, (rows, identity) in LMRD.items():
        reader: Reader = partial(read_lmrd, split=split)
        splits[split] = Split(
            (
                Files((SourceFile("imdb/aclImdb_labelled.tar.gz", LMRD_LABELLED),), reader),
                Files((SourceFile("imdb/aclImdb_v1.tar.gz", None, LMRD_URL),), reader),
            ),
            rows, identity,
        )  # fmt: skip
    return Dataset(
        "lmrd", ("en",), "text-label", splits, "none stated", MAAS, "https://ai.stanford.edu/~amaas/data/sentiment/",
        "Large Movie Review Dataset (IMDb): English film reviews, half positive", labels=LABELS,
    )  # fmt: skip


def _nsmc() -> Dataset:
    splits = {
        split: Split(
            (Files((SourceFile(f"nsmc/ratings_{split}.txt", sha256, NSMC_RAW.format(split=split)),), read_nsmc),),
            rows, identity,
        )
        for split, (sha256, rows, identity) in NSMC.items()
    }  # fmt: skip
    return Dataset(
        "nsmc", ("ko",), "text-label", splits, "CC0 1.0", NSMC_CITATION, "https://github.com/e9t/nsmc",
        "Naver Sentiment Movie Corpus: short Korean film reviews, half positive", labels=LABELS,
    )  # fmt: skip


def _mini(language: str) -> Dataset:
    splits = {}
    for split, rows in MINI_ROWS.items():
        reader: Reader = partial(read_mini, language=language)
        source = Packaged((MINI / f"{split}.json",), reader)
        splits[split] = Split((source,), rows, MINI_SHA256.get((split, language)))
    return Dataset(
        f"mini-sentiment-{language}", (language,), "text-label", splits, "Apache-2.0",
        "xbench, plugins/sentiment/mini/GUIDELINE.md", "plugins/sentiment/mini",
        f"{LANGUAGES[language]} film reviews written for xbench: a sample to run, not a benchmark", sample=True,
        labels=LABELS,
    )  # fmt: skip


DATASETS = [_lmrd(), _nsmc(), *(_mini(language) for language in LANGUAGES)]
