"""Embedding the 2,758 sentences of KorSTS test, tokenised and all, in a process of its own. Prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from xbench.data.rows import prepare
from xbench.models.encoder import load_tokenizer, table_size
from xbench.models.resolve import resolve_model
from xbench.provenance import forget_peak_memory, peak_memory
from xbench.recipe import build_recipe
from xbench.registry import load_registry
from xbench.settings import Settings
from xbench.training.examples import build_examples, head_context
from xbench.training.predict import Predictor
from xbench.training.stage import used_vocabulary
from xbench.training.weights import build_module


def peer(folder: str, sentences: list[str], batch: int, prompt: str) -> float:
    """Seconds of sentence-transformers' ``encode``, as its documentation uses it."""
    from sentence_transformers import SentenceTransformer, models

    word = models.Transformer(folder, max_seq_length=128)
    encoder = SentenceTransformer(modules=[word, models.Pooling(word.get_word_embedding_dimension())], device="cpu")
    encoder.encode(sentences[:64])
    forget_peak_memory()
    started = time.perf_counter()
    encoder.encode(sentences, batch_size=batch, prompt=prompt, show_progress_bar=False)
    return time.perf_counter() - started


def own(name: str, precision: str, data: Path, cache: Path) -> tuple[float, int]:
    """Seconds of xbench's pass of the frozen encoder, and the number of sentences."""
    registry, settings = load_registry(), Settings(cache=cache, data=data, offline=True)
    head, dataset = registry.heads.get("siamese"), registry.datasets.get("korsts")
    model = resolve_model(name, registry, settings)
    recipe = build_recipe({"eval_precision": precision, "max_length": 128}, "bench", head.options)
    context, tokenizer = head_context(recipe, model, dataset), load_tokenizer(model.folder)
    rows = prepare(dataset, "test", registry.schemas.get("pair-score"), settings).open()
    with tempfile.TemporaryDirectory() as folder:
        forget_peak_memory()
        started = time.perf_counter()
        table = build_examples(Path(folder) / "table", rows, head, tokenizer, context)
        tokenised = time.perf_counter() - started
        pad_id = int(tokenizer.pad_token_id)
        vocabulary = used_vocabulary([table], table_size(model.folder), pad_id)
        module = build_module(model, head, context, vocabulary, 0, None)
        predictor = Predictor(module, precision, 0, vocabulary, pad_id)
        started = time.perf_counter()  # loading is not timed, as it is not for the peer
        predictor.predict(table)
        return tokenised + time.perf_counter() - started, 2 * table.count


def main() -> None:
    """Time one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", choices=["peer", "fp32", "bf16"], required=True)
    parser.add_argument("--model", required=True, help="a folder for the peer, a name for xbench")
    parser.add_argument("--batch", type=int, default=32, help="the peer's batch size")
    parser.add_argument("--prompt", default="query: ", help="what the peer puts before each sentence, as xbench does")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    options = parser.parse_args()
    if options.style == "peer":
        lines = (options.data / "korsts/sts-test.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")[1:]
        sentences = [sentence for line in lines for sentence in line.split("\t")[5:7]]
        seconds, count = peer(options.model, sentences, options.batch, options.prompt), len(sentences)
    else:
        seconds, count = own(options.model, options.style, options.data, options.cache)
    print(json.dumps({"sentences_per_s": round(count / seconds, 1), **peak_memory(torch.device("cpu"))}))


if __name__ == "__main__":
    main()
