"""The values that plugins declare and the core passes around: frozen, light, and free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from .models.sentences import SentenceLayout
    from .recipe import Recipe

Scalar: TypeAlias = str | int | float | bool
"""What a setting of a recipe can be."""
Row: TypeAlias = Mapping[str, Any]
"""One row of a dataset: its fields by name, of the types that its schema says."""
Prediction: TypeAlias = Any
"""What a head says of one row: a number, a label or a text; anything that JSON can hold."""
Reader: TypeAlias = Callable[[Sequence[Path]], Iterator[Row]]
"""Turns a source's files, in their declared order, into canonical rows, one at a time."""


class Answer(TypedDict):
    """A gold answer: a text, and the code point of its passage at which it begins."""

    text: str
    start: int


class SpanRow(TypedDict):
    """A row of the schema ``span``."""

    id: str
    context: str
    question: str
    answers: Sequence[Answer]


class PairScoreRow(TypedDict):
    """A row of the schema ``pair-score``."""

    id: str
    sentence1: str
    sentence2: str
    score: float


@dataclass(frozen=True)
class Schema:
    """What a row holds.

    Attributes:
        name: Such as ``pair-score``.
        fields: Field name to its type: ``"string"``, ``"float64"``, ``"int64"``, a one-element list of a type, or a
            mapping of types. Every schema has a string field ``id``, unique within a split.
        reference: Reads the gold answer, which metrics compare with, from a row.
        languages: How many languages a dataset of this schema may name.
        check: Says what is wrong with a row whose types are right, or None; it also gets the dataset.
        prediction: The type of a prediction, as ``fields`` has types, for those that are made elsewhere; empty where
            any will do.
        texts: The fields that hold a row's texts, or lists of words, by which rows are found again in other splits and
            datasets; empty where they shall not be looked for.
        cluster: What a row shares with others, such as its passage, as a text: rows that share it are not independent,
            and a score's interval counts them as one unit. None where each row stands for itself.
        unit: What such a unit is called.
        perfect: Predictions of all given rows, in the form in which heads give them, that no metric could find fault
            with: what conformance checks hold metrics against. None where the reference itself, or the first of several
            references, is such a prediction.
    """

    name: str
    fields: Mapping[str, Any]
    reference: Callable[[Row], Any]
    languages: tuple[int, ...] = (1,)
    check: Callable[[Row, Dataset], str | None] = lambda row, dataset: None
    prediction: Any = ""
    texts: tuple[str, ...] = ()
    cluster: Callable[[Row], str] | None = None
    unit: str = "row"
    perfect: Callable[[Sequence[Row]], Sequence[Prediction]] | None = None


@dataclass(frozen=True)
class SourceFile:
    """One file as its publisher released it.

    Attributes:
        path: Where it lies under the data root, with forward slashes.
        sha256: Of the file's bytes, for bytes really seen; None means unpinned.
        url: Where it is published; only ``https``. None: it cannot be downloaded on its own.
        member: The path inside the archive (tar or zip) that ``url`` points to, when it points to one.
        folder: Whether it is a folder, such as an archive that the user has extracted; it is never downloaded.
    """

    path: str
    sha256: str | None = None
    url: str | None = None
    member: str | None = None
    folder: bool = False


@dataclass(frozen=True)
class Files:
    """Rows from the publisher's files: under the data root, or downloaded from their address.

    Attributes:
        files: In the order in which ``read`` takes them.
        read: Turns them into rows.
    """

    files: tuple[SourceFile, ...]
    read: Reader


@dataclass(frozen=True)
class Hub:
    """Rows from a dataset repository on the Hugging Face hub, at a pinned revision.

    Attributes:
        repository: Such as ``mteb/stsbenchmark-sts``.
        revision: A commit (40 hexadecimal digits), never a branch.
        files: Paths inside the repository, in the order in which ``read`` takes them.
        read: Turns them into rows.
    """

    repository: str
    revision: str
    files: tuple[str, ...]
    read: Reader


@dataclass(frozen=True)
class Packaged:
    """Rows from files that an installed package carries.

    Attributes:
        files: Absolute paths, in the order in which ``read`` takes them.
        read: Turns them into rows.
    """

    files: tuple[Path, ...]
    read: Reader


Source: TypeAlias = Files | Hub | Packaged
"""Where the rows of a split come from."""


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Attributes:
        sources: Tried in order; whichever serves, the rows are the same.
        rows: How many rows there are; None when never seen.
        rows_sha256: The identity of the rows, for rows really seen; None means unpinned.
        stand_ins: Datasets that can take its place where no source has it, for the message that says so.
    """

    sources: tuple[Source, ...]
    rows: int | None = None
    rows_sha256: str | None = None
    stand_ins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Named rows in one language, or one language pair, with one schema.

    Attributes:
        name: Such as ``korsts``.
        languages: ISO 639-1 codes: one, or one for each text of a row, in the row's order.
        schema: The name of its schema.
        splits: By name: ``train``, ``dev``, ``test``.
        licence: As its publisher states it.
        citation: Who to cite, in one line.
        homepage: Where it is published.
        description: One line.
        sample: True for a small corpus that is there to be run, not to compare models with.
        labels: The class names, in order, of a classification dataset.
        score_range: The lowest and the highest gold score of a regression dataset.
        official: Metrics by name: first its publisher's own scorer, then others that its results are reported in. A
            task asks for them as ``official``.
        translation_of: The dataset, of the same schema, whose rows it translates: a row has the id of its origin, which
            stands in the split of the same name. Rows that a model knows from their origin are found through it.
        not_on_hub: Why none of its rows come from the hub, for whoever looks for them there; empty where some do, or
            where nobody would.
    """

    name: str
    languages: tuple[str, ...]
    schema: str
    splits: Mapping[str, Split]
    licence: str
    citation: str
    homepage: str
    description: str
    sample: bool = False
    labels: tuple[str, ...] = ()
    score_range: tuple[float, float] | None = None
    official: tuple[str, ...] = ()
    translation_of: str = ""
    not_on_hub: str = ""

    @property
    def language(self) -> str:
        """The language as one word: ``ko``, or ``es-en`` for a pair."""
        return "-".join(self.languages)


@dataclass(frozen=True)
class Model:
    """A named source of an encoder.

    Attributes:
        name: What ``--model`` takes.
        write: Fills an empty folder with an ordinary transformers model; the revision is what stood behind ``@``.
            None when the folder already lies on the disk: then ``folder`` finds it.
        folder: Finds the folder of a model that needs no assembling.
        hub: The repository on the hub and its pinned commit, for a model that is fetched from there.
        languages: ISO 639-1 codes, or ``("multilingual",)``.
        licence: As its publisher states it.
        homepage: Where it is published.
        description: One line.
        prompts: Texts put before a sentence, by use. ``"sentence"`` is for sentence embeddings of both sides.
        version: Raised when ``write`` would give other bytes than before.
        layout: Whether its files say how sentence embeddings are made, where they are of the layout of
            sentence-transformers; without, these are the mean of the tokens' vectors.
    """

    name: str
    languages: tuple[str, ...]
    licence: str
    homepage: str
    description: str
    write: Callable[[Path, str | None], None] | None = None
    folder: Callable[[], Path] | None = None
    hub: tuple[str, str] | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    layout: bool = True


@dataclass(frozen=True)
class Tokens:
    """One token sequence as the encoder takes it.

    Attributes:
        ids: Token ids, special tokens included, at most ``max_length`` of them.
        types: Segment ids of the same length, for tokenizers that give them.
    """

    ids: Sequence[int]
    types: Sequence[int] | None = None


@dataclass(frozen=True)
class Example:
    """One unit of training and prediction: a row, or one window of a row.

    Attributes:
        row: The index of its row.
        sequences: The token sequences that the encoder sees for it; the same number for every example of a head.
        target: The numbers that the loss needs; the same number for every example of a head.
        truncated: Whether some of the row's text was cut away.
        extra: Named integer arrays that ``Head.decode`` needs, such as the offsets of a window's tokens.
    """

    row: int
    sequences: tuple[Tokens, ...]
    target: tuple[float, ...]
    truncated: bool = False
    extra: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class HeadContext:
    """What a head may know of the run that it is part of.

    Attributes:
        recipe: The hyper-parameters, the head's own options included.
        prompts: The model's prompts, by use.
        labels: The class names of the datasets at hand.
        score_range: The range of their gold scores.
        sentence: How the model's files say that a sentence embedding is made, which `SentenceModule` does; None: the
            mean of the tokens' vectors.
    """

    recipe: Recipe
    prompts: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    score_range: tuple[float, float] | None = None
    sentence: SentenceLayout | None = None

    def unit_scale(self) -> tuple[float, float]:
        """The offset and the factor that bring a gold score to 0-1."""
        low, high = self.score_range or (0.0, 1.0)
        return low, 1 / (high - low)


@dataclass
class Batch:
    """Padded examples on a device. An example has one or more sequences: all first ones stand before all second ones.

    Attributes:
        input_ids: (sequences * examples, length)
        attention_mask: (sequences * examples, length), 1 for a real token, 0 for padding.
        token_type_ids: (sequences * examples, length), or None where the tokenizer gives none.
        targets: (examples, numbers), float32.
        lengths: (sequences * examples,) The real tokens of each sequence, on the host: to read them from the mask would
            be to wait for a GPU. None where nobody has counted them.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor | None
    targets: torch.Tensor
    lengths: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Decoding:
    """Everything that turns a head's raw outputs into predictions.

    Attributes:
        rows: The evaluation rows, in order.
        row_of: (examples,) The index of each example's row.
        outputs: One array an example, as the module gave it; without padding where the module ``trims``. They are read
            from a file, and cannot be changed.
        extra: What the examples carried along, by name: one integer array an example.
        context: The recipe and its company.
        reading: The name of the reading asked for.
        fitted: What the reading's ``fit`` gave; None where it has none.
        dataset: Where the rows are from.
        keep: Keeps an array under a name beside the predictions, for the task's figures to draw; where the task has
            none, it does nothing.
    """

    rows: Sequence[Row]
    row_of: npt.NDArray[np.int64]
    outputs: Sequence[npt.NDArray[np.float32]]
    extra: Mapping[str, Sequence[npt.NDArray[np.int32]]]
    context: HeadContext
    reading: str
    dataset: Dataset
    fitted: Any = None
    keep: Callable[[str, npt.NDArray[Any]], None] = lambda name, array: None


@dataclass(frozen=True)
class Fitting:
    """What a reading is fitted on: the same encoder's outputs over other rows, which the task names.

    Attributes:
        rows: The rows, memory-mapped.
        row_of: (examples,) The index of each example's row.
        outputs: (examples, ...) The module's outputs, memory-mapped: there may be more of them than fit into memory.
        dataset: Where the rows are from.
        context: The recipe and its company.
        seed: Of the cell, for a fit that draws.
    """

    rows: Sequence[Row]
    row_of: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.float32]
    dataset: Dataset
    context: HeadContext
    seed: int


@dataclass(frozen=True)
class Reading:
    """A named way of turning a head's outputs into predictions.

    Attributes:
        name: Such as ``procrustes``.
        fit: Learns from outputs over other rows what ``Head.decode`` then finds in ``Decoding.fitted``; None when
            there is nothing to learn.
        description: One line.
    """

    name: str = "default"
    fit: Callable[[Fitting], Any] | None = None
    description: str = ""


@dataclass(frozen=True)
class Exporting:
    """A fine-tuned head that is to become a part of an ordinary model folder.

    Attributes:
        weights: Of the head's module by name, the encoder's left out.
        config: The encoder's configuration; a copy.
        context: Of the stage's training.
    """

    weights: Mapping[str, torch.Tensor]
    config: PreTrainedConfig
    context: HeadContext


@dataclass(frozen=True)
class Export:
    """How others load a fine-tuned head: what comes beside the encoder's weights, and what to check it by.

    Attributes:
        loads: The class that loads the folder: one of transformers' auto classes, such as
            ``AutoModelForSequenceClassification``, or ``SentenceTransformer``.
        raw: From what that model gives to what the head's module gives for the same batch: transformers' output, or
            (sequences, width) embeddings. The folder is kept only where the two agree.
        weights: By the auto class's names, the encoder's left out.
        layers: For ``SentenceTransformer`` the weights of each layer over the pooled vector, by the layer's names.
        config: Changes to the configuration.
        notes: Sentences for the model card: how to give it inputs, and how to read what it says.
    """

    loads: str
    raw: Callable[[Any], torch.Tensor]
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    layers: Sequence[Mapping[str, torch.Tensor]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """What is put on the encoder and how it is trained and read.

    Attributes:
        name: Such as ``cross-encoder``.
        version: Raised when the same weights would give other predictions, or the same data other weights.
        schemas: The schemas whose rows it can take.
        description: One line.
        examples: Tokenises some consecutive rows, the first of which has the given index, into examples.
        module: Builds the torch module from the encoder and a generator for its own initial weights. Calling the
            module with a `Batch` gives raw outputs, first dimension examples; its method ``loss(outputs, batch)``
            gives one loss an example, shape (examples,).
        decode: Turns raw outputs into one prediction a row.
        needs_training: False when the head says something sensible of a frozen encoder.
        options: The head's own recipe keys with their defaults; a tuple lists the choices, the default first.
        decoding: The names of the recipe keys that change predictions without training: they belong to a cell's key.
            The head's own options among them are in no stage's key, so that only ``decode`` may read them.
        readings: The ways of reading predictions; each is a cell of its own.
        export: Says how a fine-tuned stage is loaded by others (`linear_export` and `sentence_export` do it for the
            heads that they fit); None where only the encoder can be exported.
    """

    name: str
    version: int
    schemas: tuple[str, ...]
    description: str
    examples: Callable[[Sequence[Row], int, PreTrainedTokenizerBase, HeadContext], Iterable[Example]]
    module: Callable[[PreTrainedModel, HeadContext, torch.Generator], torch.nn.Module]
    decode: Callable[[Decoding], list[Prediction]]
    needs_training: bool = True
    options: Mapping[str, Scalar | tuple[Scalar, ...]] = field(default_factory=dict)
    decoding: tuple[str, ...] = ("max_length",)
    readings: tuple[Reading, ...] = (Reading(),)
    export: Callable[[Exporting], Export] | None = None


@dataclass(frozen=True)
class Floor:
    """Predictions that need no encoder: what a model has to be better than.

    Attributes:
        name: What ``--model`` takes; no model may have it.
        version: Raised when the same rows would get other predictions.
        schemas: The schemas whose rows it can take.
        predict: Gives one prediction a row, in the form in which heads give them. It sees whole rows, the gold answers
            among them, and says in its description where it looks at those.
        description: One line.
    """

    name: str
    version: int
    schemas: tuple[str, ...]
    predict: Callable[[Sequence[Row], Dataset], Sequence[Prediction]]
    description: str
