"""Loads an encoder and its tokenizer from a transformers folder, with the whole embedding table or a part of it."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ..errors import UserError
from ..forms import ascii_safe
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def load_tokenizer(folder: Path, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer.

    Args:
        folder: A transformers folder.
        trust_remote_code: Let the model's own code run.

    Returns:
        The tokenizer, with a padding token.

    Raises:
        UserError: It cannot be loaded, or has no padding token.
    """
    with _reading(f"the tokenizer in {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if tokenizer.pad_token_id is None:
        raise UserError(f"the tokenizer in {folder} has no padding token: encoders need one")
    return cast("PreTrainedTokenizerBase", tokenizer)


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Whatever transformers stumbles over in a model's files is a fault of the files: it raises many kinds.

    Raises:
        UserError: It stumbled.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  # the tokenizers' reader raises no other kind
        raise UserError(f"{what} cannot be loaded: {_first_line(error)}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the tokenizers' reader, which is Rust, gave up
            raise
        raise UserError(f"{what} cannot be loaded: it is damaged") from None


def table_size(folder: Path, trust_remote_code: bool = False) -> int:
    """The number of rows of a model's embedding table, from its configuration."""
    with _reading(f"the configuration in {folder}"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        return int(config.get_text_config().vocab_size)


def load_encoder(
    folder: Path, vocabulary: Vocabulary | None = None, trust_remote_code: bool = False
) -> PreTrainedModel:
    """Load an encoder in fp32.

    The weights are memory-mapped and only the held rows of the embedding table are copied, so that a part of the table
    costs a part of the memory.

    Args:
        folder: A transformers folder with safetensors weights.
        vocabulary: The rows to hold; None holds them all.
        trust_remote_code: Let the model's own code run.

    Returns:
        The encoder, without a pooler, in evaluation mode.

    Raises:
        UserError: The weights do not fit the configuration.
    """
    with Quiet():
        with _reading(f"the configuration in {folder}"):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        config.dtype = torch.float32
        # With the model's own code, what goes wrong is a fault of that: its traceback stays.
        with contextlib.nullcontext() if trust_remote_code else _reading(f"the model in {folder}"):
            encoder = _load(folder, config, vocabulary, trust_remote_code)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # no head uses it, and its weights are often missing
    return cast("PreTrainedModel", encoder.eval())


def _load(folder: Path, config: Any, vocabulary: Vocabulary | None, trust_remote_code: bool) -> Any:
    """The whole model where its table is needed whole or its code is its own, else the model around a part of it."""
    own_code = getattr(config, "auto_map", None) is not None
    if not own_code and vocabulary is not None and not vocabulary.full:
        return _load_part(folder, config, vocabulary)
    if not own_code:
        _check_shapes(folder, _outline(config))
    encoder, report = AutoModel.from_pretrained(
        folder, config=config, dtype=torch.float32, trust_remote_code=trust_remote_code, use_safetensors=True,
        output_loading_info=True, ignore_mismatched_sizes=True, local_files_only=True,
    )  # fmt: skip
    _check_report(report, folder)
    if vocabulary is not None and not vocabulary.full:
        _shrink(encoder, vocabulary)
    return encoder


def _outline(config: Any) -> Any:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return AutoModel.from_config(config)  # type: ignore[no-untyped-call]


def _check_shapes(folder: Path, whole: Any) -> None:
    """Refuse weights of another shape than the configuration's, before memory is taken for the latter.

    Raises:
        UserError: Some are.
    """
    shapes = {name: tuple(weight.shape) for name, weight in whole.state_dict().items()}
    asked, held = sum(map(math.prod, shapes.values())), 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # a safetensors file is no mapping
                own = name if name in shapes else name.partition(".")[2]
                shape = tuple(file.get_slice(name).get_shape())
                held += math.prod(shape)
                if own in shapes and shape != shapes[own]:
                    raise UserError(f"the weights in {folder} do not fit its config.json: {name:.100}")
    if asked > 2 * held + 1_000_000:  # what is missing, such as a pooler, is little
        raise UserError(f"the weights in {folder} do not fit its config.json, which is of {asked:,} weights")


def _load_part(folder: Path, config: Any, vocabulary: Vocabulary) -> PreTrainedModel:
    """Build the model around a small table and copy the rest of the weights."""
    whole = _outline(config)
    _check_shapes(folder, whole)
    table, expected = table_name(whole), set(whole.state_dict())
    config.get_text_config().vocab_size = len(vocabulary.ids)
    config.pad_token_id = _place_of(config.pad_token_id, vocabulary)
    ids = torch.from_numpy(vocabulary.ids)
    state: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # a safetensors file is no mapping
                weight = file.get_tensor(name)
                if name == table or name.endswith("." + table):
                    weight = weight.index_select(0, ids)  # (rows held, hidden)
                elif not {name, name.partition(".")[2]} & expected and len(vocabulary.place) in weight.shape:
                    continue  # a masked-language-model head over the whole vocabulary: not worth a copy
                state[name] = weight.to(torch.float32, copy=True)
    encoder, report = type(whole).from_pretrained(
        None, config=config, state_dict=state, output_loading_info=True, dtype=torch.float32,
        ignore_mismatched_sizes=True,
    )  # fmt: skip
    _check_report(report, folder)
    return cast("PreTrainedModel", encoder)


def _check_report(report: Any, folder: Path) -> None:
    """Refuse weights that are missing or of another shape: transformers would draw them at random.

    Raises:
        UserError: Some are.
    """
    missing = sorted(name for name in report["missing_keys"] if "pooler." not in name)
    wrong = missing or sorted(str(one[0] if isinstance(one, tuple) else one) for one in report["mismatched_keys"])
    if wrong:
        raise UserError(f"the weights in {folder} do not fit its config.json: {', '.join(wrong[:3])}")


def _place_of(token: int | None, vocabulary: Vocabulary) -> int | None:
    """The row of a token id in the small table, None where it is not held: torch never trains its padding row."""
    if token is None or not 0 <= token < len(vocabulary.place) or vocabulary.place[token] < 0:
        return None
    return int(vocabulary.place[token])


def _shrink(encoder: PreTrainedModel, vocabulary: Vocabulary) -> None:
    """Replace the loaded table by the held rows."""
    table = cast("torch.nn.Embedding", encoder.get_input_embeddings())
    small = torch.nn.Embedding(
        len(vocabulary.ids), table.embedding_dim, padding_idx=_place_of(table.padding_idx, vocabulary), device="meta"
    )
    small.weight = torch.nn.Parameter(table.weight.detach()[torch.from_numpy(vocabulary.ids)].clone())
    encoder.set_input_embeddings(small)


def table_name(encoder: PreTrainedModel) -> str:
    """The name of the input embedding table among the encoder's parameters."""
    table = cast("torch.nn.Embedding", encoder.get_input_embeddings()).weight
    return next(name for name, parameter in encoder.named_parameters() if parameter is table)


class Quiet:
    """Keeps transformers' loading reports and progress bars off the terminal."""

    def __enter__(self) -> None:
        self._level = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._level)


def _first_line(error: Exception) -> str:
    line = ascii_safe(str(error).strip().partition("\n")[0])[:300]
    known = isinstance(error, (ValueError, OSError, ImportError)) and line  # others say little without their name
    return line if known else f"{type(error).__name__} {line}".strip()
