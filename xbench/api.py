"""Everything that a plugin may import. The heavy names are loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import DataError, UserError
from .hookspecs import hookimpl
from .keys import content_key, file_sha256, rows_sha256
from .languages import language_name
from .measures import (
    Access,
    Diagnostic,
    DiagnosticContext,
    Figure,
    FigureContext,
    Metric,
    MetricContext,
    MetricSource,
    Picture,
)
from .recipe import Recipe
from .types import (
    Answer,
    Batch,
    Dataset,
    Decoding,
    Example,
    Export,
    Exporting,
    Files,
    Fitting,
    Floor,
    Head,
    HeadContext,
    Hub,
    Model,
    Packaged,
    PairScoreRow,
    Prediction,
    Reader,
    Reading,
    Row,
    Scalar,
    Schema,
    Source,
    SourceFile,
    SpanRow,
    Split,
    Tokens,
)

if TYPE_CHECKING:
    from .data.archives import open_tar
    from .data.mapped import forget_pages
    from .data.pairs import parallel_tsv
    from .data.text import read_lines
    from .heads.blocks import HeadModule, cosine_loss, dense_block, mean_pool
    from .heads.exports import linear_export, sentence_export
    from .heads.parallel import parallel_predictions, unit
    from .heads.sentences import SentenceModule
    from .heads.tokens import sentence_pair_examples, tokenize
    from .leaderboard.layout import limit_text
    from .sampling import resample_means

_LAZY = {
    "HeadModule": "heads.blocks",
    "SentenceModule": "heads.sentences",
    "cosine_loss": "heads.blocks",
    "dense_block": "heads.blocks",
    "forget_pages": "data.mapped",
    "limit_text": "leaderboard.layout",
    "linear_export": "heads.exports",
    "mean_pool": "heads.blocks",
    "open_tar": "data.archives",
    "parallel_predictions": "heads.parallel",
    "parallel_tsv": "data.pairs",
    "read_lines": "data.text",
    "resample_means": "sampling",
    "sentence_export": "heads.exports",
    "sentence_pair_examples": "heads.tokens",
    "tokenize": "heads.tokens",
    "unit": "heads.parallel",
}

__all__ = [
    "Access",
    "Answer",
    "Batch",
    "DataError",
    "Dataset",
    "Decoding",
    "Diagnostic",
    "DiagnosticContext",
    "Example",
    "Export",
    "Exporting",
    "Figure",
    "FigureContext",
    "Files",
    "Fitting",
    "Floor",
    "Head",
    "HeadContext",
    "HeadModule",
    "Hub",
    "Metric",
    "MetricContext",
    "MetricSource",
    "Model",
    "Packaged",
    "PairScoreRow",
    "Picture",
    "Prediction",
    "Reader",
    "Reading",
    "Recipe",
    "Row",
    "Scalar",
    "Schema",
    "SentenceModule",
    "Source",
    "SourceFile",
    "SpanRow",
    "Split",
    "Tokens",
    "UserError",
    "content_key",
    "cosine_loss",
    "dense_block",
    "file_sha256",
    "forget_pages",
    "hookimpl",
    "language_name",
    "limit_text",
    "linear_export",
    "mean_pool",
    "open_tar",
    "parallel_predictions",
    "parallel_tsv",
    "read_lines",
    "resample_means",
    "rows_sha256",
    "sentence_export",
    "sentence_pair_examples",
    "tokenize",
    "unit",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"xbench.{_LAZY[name]}"), name)
