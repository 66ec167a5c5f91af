"""Writes an encoder of XLM-R large's geometry with random weights: speed and memory ask for no others.

python -m tests.bench.geometry FOLDER --tokenizer e5-small-q4
python -m tests.bench.one_run --work sts --model FOLDER --data DATA --cache CACHE
python -m tests.bench.trainer --work sts --model FOLDER --train DATA/stsbenchmark/sts-train.csv --style tuned
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from transformers import AutoModel, XLMRobertaConfig

from xbench.models.folder import TOKENIZER_FILES
from xbench.models.resolve import resolve_model
from xbench.registry import load_registry
from xbench.settings import Settings, default_cache


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", default="e5-small-q4", help="the model whose tokenizer it gets; XLM-R's pieces")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--layers", type=int, default=24)
    options = parser.parse_args()
    model = resolve_model(options.tokenizer, load_registry(), Settings(cache=options.cache, offline=True))
    config = XLMRobertaConfig(
        vocab_size=250_002, hidden_size=1024, num_hidden_layers=options.layers, num_attention_heads=16,
        intermediate_size=4096, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(options.folder)
    for name in TOKENIZER_FILES:
        if (model.folder / name).is_file():
            shutil.copy(model.folder / name, options.folder / name)
    print(options.folder)


if __name__ == "__main__":
    main()
