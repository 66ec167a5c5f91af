"""Payloads of any size for the leaderboard's page: made of counting alone, so that each call gives the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice, product
from typing import Any, NamedTuple

Entry = dict[str, Any]
Payload = dict[str, Any]

NAMES = {"en": "English", "ko": "Korean", "ar": "Arabic", "es": "Spanish", "en-ko": "English–Korean"}


class _Work(NamedTuple):
    """A task: its scores with their decimals, its datasets with their languages, and its curricula."""

    name: str
    title: str
    head: str
    scores: tuple[tuple[str, str, int], ...]
    datasets: tuple[tuple[str, str], ...]
    curricula: tuple[str, ...]
    sample: bool = False


WORKS = (
    _Work(
        "sts", "Semantic textual similarity", "cross-encoder", (("spearman", "Spearman", 2), ("pearson", "Pearson", 2)),
        (("stsb", "en"), ("korsts", "ko"), ("sts17-ar", "ar"), ("sts17-es", "es")),
        ("none", "stsb", "korsts", "stsb:korsts", "korsts:stsb", "stsb+korsts"),
    ),
    _Work(
        "mrc", "Reading comprehension", "span", (("f1", "F1", 2), ("exact_match", "Exact match", 2)),
        (("squad", "en"), ("korquad", "ko"), ("xquad-ar", "ar")),
        ("squad", "korquad", "squad:korquad", "squad+korquad"),
    ),
    _Work(
        "alignment", "Alignment of sentence embeddings", "alignment",
        (("mean_cosine", "Mean cosine", 3), ("p_at_1", "P@1", 2)), (("stsb-korsts", "en-ko"),),
        ("none", "stsb", "korsts"),
    ),
)  # fmt: skip
SAMPLE = _Work(
    "mini-sts", "Semantic textual similarity, small", "siamese", (("spearman", "Spearman", 2),),
    (("mini-sts-en", "en"), ("mini-sts-ko", "ko")), ("none", "mini-sts-en"), sample=True,
)  # fmt: skip


def make_payload(entries: int, sample: int = 0, title: str = "Leaderboard") -> Payload:
    """A payload with so many entries of real corpora and so many of small ones."""
    real = list(islice(_entries(WORKS), entries))
    small = list(islice(_entries((SAMPLE,)), sample))
    works = [*WORKS, *([SAMPLE] if sample else [])]
    return {"title": title, "tasks": [_task(work) for work in works], "entries": [*real, *small]}


def _task(work: _Work) -> Payload:
    return {
        "name": work.name, "title": work.title, "sample": work.sample, "primary": work.scores[0][0],
        "scores": [{"name": name, "title": title, "decimals": decimals} for name, title, decimals in work.scores],
        "datasets": [
            {"name": name, "language": language, "languageName": NAMES[language]} for name, language in work.datasets
        ],
    }  # fmt: skip


def _entries(works: tuple[_Work, ...]) -> Iterator[Entry]:
    """Without an end: model after model."""
    for model in range(10**6):
        for work in works:
            for curriculum, (dataset, language) in product(work.curricula, work.datasets):
                yield _entry(work, f"model-{model:02}", curriculum, dataset, language)


def _entry(work: _Work, model: str, curriculum: str, dataset: str, language: str) -> Entry:
    identity = hashlib.sha256("\n".join((work.name, model, curriculum, dataset)).encode()).hexdigest()
    luck = int(identity[:6], 16) / 0xFFFFFF
    regime = {":": "sequential", "+": "mixed"}.get(next((one for one in curriculum if one in ":+"), ""), "single")
    regime = "frozen" if curriculum == "none" else regime
    languages = dict(work.datasets)
    named = [] if regime == "frozen" else curriculum.replace("+", ":").split(":")
    sources = sorted({part for name in named for part in languages.get(name, "en").split("-")})
    transfer = _transfer(sources, language)
    scale = 0.01 if work.scores[0][2] == 3 else 1
    value = (42 + 50 * luck) * scale
    missing = transfer in ("frozen", "in-language")
    return {
        "id": identity[:12], "task": work.name, "model": model, "head": work.head, "reading": "",
        "curriculum": curriculum, "regime": regime, "sources": sources, "dataset": dataset, "language": language,
        "transfer": transfer, "sample": work.sample, "primary": work.scores[0][0],
        "scores": {
            name: _between(value - place * scale, scale, luck) for place, (name, _, _) in enumerate(work.scores)
        },
        "seeds": [0, 1, 2] if luck > 0.8 else [0], "limits": "limited: 2000 training rows" if luck < 0.1 else "",
        "selection": "last", "variant": "epochs=1" if work.name == "mrc" else "",
        "marks": ["‡ fitted on these rows"] if work.name == "alignment" and luck > 0.5 else [],
        "gap": None if missing else {"value": 9 - 10 * luck, "low": 8 - 10 * luck, "high": 10 - 10 * luck},
        "degradation": None if missing else {"value": 11 - 12 * luck, "low": 9.5 - 12 * luck, "high": 12.5 - 12 * luck},
        "retention": None if missing else {"value": 89 + 12 * luck, "low": 87 + 12 * luck, "high": 91 + 12 * luck},
        "ceiling": {"f1": 99.6, "exact_match": 88.9} if work.name == "mrc" else None,
        "overlap": f"249 of 1379 rows share a text with {named[0]}/train" if dataset == "korsts" and named else "",
        "provenance": [
            ["Weights", identity], ["Stages", identity[12:28]], ["Method", "percentile bootstrap over 1,379 rows"],
            ["Environment", "xbench 0.1.0, torch 2.13.0+cpu, cpu (x86_64), scored in fp32, trained in bf16"],
            ["Records", f"results/{work.name}/{model}/{dataset}--{identity[:16]}.json"],
        ],
    }  # fmt: skip


def _transfer(sources: list[str], language: str) -> str:
    if not sources:
        return "frozen"
    if language not in sources:
        return "zero-shot"
    return "in-language" if sources == [language] else "mixed"


def _between(value: float, scale: float, luck: float) -> Payload:
    return {
        "value": value, "low": value - 1.7 * scale, "high": value + 1.5 * scale,
        "sd": 0.4 * scale if luck > 0.8 else None,
    }  # fmt: skip
