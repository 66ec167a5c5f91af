"""The declarations: where the reviews come from, who they are, who made them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from xbench.api import Dataset, Files, Packaged, Reader, SourceFile, Split, language_name

from .readers import LABELS, read_lmrd, read_lmrd_folder, read_mini, read_nsmc

MAAS = (
    "Maas, Daly, Pham, Huang, Ng, Potts (2011). Learning Word Vectors for Sentiment Analysis. ACL 2011, pages 142-150"
)
LMRD_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
LMRD_LABELLED = "06300e7b47b35352422127daba887da782d07b94a0e9f69706c9ecf5ce755ed5"
# split: (rows, identity of the rows)
LMRD = {
    "train": (25_000, "268c92593ad2bd468e3da88204756ef86afc5e35e1e054b22b4de5d7d0e9a1f3"),
    "test": (25_000, "30d975569047d26445b4eb0604c39351e7b89b7ea55be4c084993fb5e2a5fa14"),
}

# Of the hub's copies (datasets/imdb/imdb.py and nsmc/nsmc.py in huggingface/datasets) the second one differs in 623
# rows of train and 233 of test.
LMRD_HUB = (
    "the hub's copy is other rows: it has texts and labels, without the file names that tell which review is which"
)
NSMC_HUB = "the hub's copy is other rows: it was read as a CSV, which takes quotes out of the reviews"
NSMC_CITATION = "Park (2015). Naver sentiment movie corpus v1.0. https://github.com/e9t/nsmc"
NSMC_RAW = "https://raw.githubusercontent.com/e9t/nsmc/master/ratings_{split}.txt"
# split: (file's sha256, rows, identity of the rows)
NSMC = {
    "train": (
        "e03b7d14e9e41be8d464a28057cd25d7396c53e67aa7fd5f7e552c59b0ee2940",
        150_000,
        "651c7ba317f0d335cccb45d3e53366bd62734035c7655bfdbdd6c090e9fa0ad3",
    ),
    "test": (
        "8ac9f64052f11dbf6ae0acb5e038f03d90a76f0eda7820cfb3a92d02edfcebda",
        50_000,
        "1a92e89db0ed7ef7389e895f5fe2c3ca3a530f0e430474d8ccc7d0339e68b209",
    ),
}

MINI = Path(__file__).parent / "mini"
MINI_ROWS = {"train": 210, "test": 112}
# (split, language): identity of the rows
MINI_SHA256 = {
    ("train", "en"): "8dea21b17dad2e82e5f1d2351cc7744784b510addd94a7b5f06326aa132fbec8",
    ("train", "ko"): "5588e4025d5cac55921c3a8fdf9e5bf2b0a9aee29ff2c32aa0a4114e3bfa4200",
    ("train", "es"): "4fdd016db327e49def3a8cbff110cd22d7668f3a4161a515d9e0ccbaf3122dc8",
    ("train", "ar"): "f0427a0ee327109358e48eb282384a6158ef0c0727d6ba9d9356c2e16a886a16",
    ("test", "en"): "63ef08e6646702a82585eaac60dc9576f4ed0b587abd5d6f84afac5c07826ee2",
    ("test", "ko"): "315bd478ab8139b2df764379b6e63ebb6f2aacaf1f1d6069e8dd7a270fcf9820",
    ("test", "es"): "eed9d7d99acfc23d449b0da13b74117554706fc7889d00dca4309e93cb998e32",
    ("test", "ar"): "e473d6174f71e5c524fa8676b22c5bc6513bb331d1fad2544f5c5c5b362eb86e",
}
LANGUAGES = ("en", "ko", "es", "ar")


def _lmrd() -> Dataset:
    splits = {}
    for split, (rows, identity) in LMRD.items():
        reader: Reader = partial(read_lmrd, split=split)
        splits[split] = Split(
            (
                Files((SourceFile("imdb/aclImdb_labelled.tar.gz", LMRD_LABELLED),), reader),
                Files((SourceFile("imdb/aclImdb", folder=True),), partial(read_lmrd_folder, split=split)),
                Files((SourceFile("imdb/aclImdb_v1.tar.gz", None, LMRD_URL),), reader),
            ),
            rows, identity,
        )  # fmt: skip
    return Dataset(
        "lmrd", ("en",), "text-label", splits, "none stated", MAAS, "https://ai.stanford.edu/~amaas/data/sentiment/",
        "Large Movie Review Dataset (IMDb): English film reviews, half positive", labels=LABELS, not_on_hub=LMRD_HUB,
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
        "Naver Sentiment Movie Corpus: short Korean film reviews, half positive", labels=LABELS, not_on_hub=NSMC_HUB,
    )  # fmt: skip


def _mini(language: str) -> Dataset:
    splits = {}
    for split, rows in MINI_ROWS.items():
        reader: Reader = partial(read_mini, language=language)
        source = Packaged((MINI / f"{split}.json",), reader)
        splits[split] = Split((source,), rows, MINI_SHA256[split, language])
    return Dataset(
        f"mini-sentiment-{language}", (language,), "text-label", splits, "Apache-2.0",
        "xbench, plugins/sentiment/mini/GUIDELINE.md", "plugins/sentiment/mini",
        f"{language_name(language)} film reviews written for xbench: a sample to run, not a benchmark", sample=True,
        labels=LABELS, translation_of="" if language == "en" else "mini-sentiment-en",
    )  # fmt: skip


DATASETS = [_lmrd(), _nsmc(), *(_mini(language) for language in LANGUAGES)]
