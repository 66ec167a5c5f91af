"""Well-known multilingual encoders on the Hugging Face hub, at pinned revisions, with the prompts that they need."""

from __future__ import annotations

from collections.abc import Iterable

from xbench.api import Model, hookimpl

# name: (repository, commit, licence, what it is, prompts)
ENCODERS = {
    "xlm-roberta-large": (
        "FacebookAI/xlm-roberta-large", "c23d21b0620b635a76227c604d44e43a9f0ee389", "MIT",
        "XLM-R large, 560 million parameters: the paper's model", {},
    ),
    "xlm-roberta-base": (
        "FacebookAI/xlm-roberta-base", "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089", "MIT",
        "XLM-R base, 278 million parameters", {},
    ),
    "bert-base-multilingual-cased": (
        "google-bert/bert-base-multilingual-cased", "3f076fdb1ab68d5b2880cb87a0886f315b8146f8", "Apache-2.0",
        "Multilingual BERT", {},
    ),
    "labse": (
        "sentence-transformers/LaBSE", "e34fab64a3011d2176c99545a93d5cbddc9a91b7", "Apache-2.0",
        "LaBSE, sentence embeddings in 109 languages", {},
    ),
    "multilingual-e5-small": (
        "intfloat/multilingual-e5-small", "fd1525a9fd15316a2d503bf26ab031a61d056e98", "MIT",
        "multilingual-e5-small in full precision; e5-small-q4 is the offline one", {"sentence": "query: "},
    ),
}  # fmt: skip


@hookimpl
def xbench_models() -> Iterable[Model]:
    """Each under its short name; the full hub id works as well."""
    return [
        Model(
            name=name, languages=("multilingual",), licence=licence, homepage=f"https://huggingface.co/{repository}",
            description=description, hub=(repository, commit), prompts=prompts,
        )
        for name, (repository, commit, licence, description, prompts) in ENCODERS.items()
    ]  # fmt: skip
