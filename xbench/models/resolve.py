"""From a model's name to a folder on the disk and its identity, without torch."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import UserError, did_you_mean
from ..files import Digests, mark_used, new_folder, write_json
from ..keys import content_key, file_sha256
from ..locks import Locks
from ..registry import Registry
from ..settings import Settings
from ..types import Model
from .folder import (
    ADAPTER,
    MODULES,
    TOKENIZER_FILES,
    check_plain,
    check_sizes,
    code_files,
    count_weights,
    encoder_folder,
    missing_shards,
    most_tokens,
    other_repositories,
)
from .layout_reader import read_layout
from .sentences import LAYER_WEIGHTS, SentenceLayout

WRITTEN = "xbench-files.json"
"""In the folder of a model that was put together here: the checksums of its files."""


@dataclass(frozen=True)
class LocalModel:
    """A model that lies on this machine, whole and identified.

    Attributes:
        name: For records: the declared name, the hub id, or a folder's last part.
        revision: The hub's commit, the seed of ``random-encoder``, or an empty text.
        folder: An ordinary transformers folder.
        weights_sha256: Of the weights: the file's, or of all shards' names and checksums.
        identity: Of everything that decides what it computes: weights, configuration, tokenizer, prompts, and how its
            files say that a sentence embedding is made.
        tokenizer_identity: Of the tokenizer's files alone.
        parameters: Numbers in the weight files.
        prompts: Texts put before a sentence, by use.
        max_length: The most tokens that a sequence may have, special tokens included; None where nothing limits it.
        sentence: How its files say that a sentence embedding is made; None: the mean of the tokens' vectors.
    """

    name: str
    revision: str
    folder: Path
    weights_sha256: str
    identity: str
    tokenizer_identity: str
    parameters: int
    prompts: Mapping[str, str] = field(default_factory=dict)
    max_length: int | None = None
    sentence: SentenceLayout | None = None

    @property
    def embedding(self) -> str:
        """For people and records: how a sentence embedding is made."""
        how, prompt = str(self.sentence or SentenceLayout(self.folder)), self.prompts.get("sentence", "")
        return f"{how}; prompt {prompt!a}" if prompt else how


def check_length(model: LocalModel, max_length: int) -> None:
    """See that a model can take sequences as long as a recipe makes them.

    Args:
        model: The model.
        max_length: The recipe's.

    Raises:
        UserError: Its positions or its tokenizer end before.
    """
    if model.max_length is not None and max_length > model.max_length:
        raise UserError(
            f"recipe.max_length = {max_length}: {model.name} takes at most {model.max_length} tokens; "
            f"use --set recipe.max_length={model.max_length}"
        )


def resolve_model(text: str, registry: Registry, settings: Settings) -> LocalModel:
    """Find a model by what the user wrote.

    Args:
        text: A declared name, a folder, or a hub id; ``@REVISION`` may follow a name or id.
        registry: For declared names.
        settings: Cache, offline.

    Returns:
        The model on this machine: assembled, found or downloaded.

    Raises:
        UserError: There is no such model, its hub cannot be reached, or it has no safetensors weights.
    """
    folder = _local_folder(text)
    if folder is not None:
        return identify(folder.name, "", folder, {}, settings)
    name, _, revision = text.partition("@")
    if name in registry.models.owners:
        return _declared(registry.models.get(name), text, revision, registry, settings)
    if text.startswith((".", "/", "~")) or text.count("/") > 1:
        raise UserError(f"--model {text}: there is no folder with a config.json")
    if not _is_hub_id(name):
        raise UserError(
            f"--model {text!r:.80}: neither a folder nor a model's name nor a hub id{_near(name, registry)}"
        )
    path = _hub_folder(name, revision or None, registry, settings)
    prompts, layout = _hub_declared(name, registry)
    return identify(name, _commit(path, revision), path, prompts, settings, layout)


def model_here(name: str, revision: str, registry: Registry, settings: Settings) -> LocalModel | None:
    """The model that a record names, when it is on this machine already.

    Nothing is fetched or assembled, and no folder is looked for: a record of others names what it likes.

    Args:
        name: As records hold it.
        revision: As records hold it.
        registry: For declared names.
        settings: The cache.

    Returns:
        The model; its weights may be others than the record's. None where it is not here.
    """
    from .hub import COMMIT

    settings = replace(settings, offline=True)
    try:
        declared, _, wanted = name.partition("@")
        if declared in registry.models.owners:
            model = registry.models.get(declared)
            if model.hub is None:
                whole = model.write is None or (_written_folder(model, wanted, settings) / "config.json").is_file()
                return _declared(model, name, wanted, registry, settings) if whole else None
            repository, prompts, layout = model.hub[0], model.prompts, model.layout
        else:
            repository, (prompts, layout) = name, _hub_declared(name, registry)
        if not COMMIT.fullmatch(revision) or not _is_hub_id(repository):
            return None
        path = _hub_folder(repository, revision, registry, settings)
        return identify(name, revision, path, prompts, settings, layout)
    except (UserError, OSError):
        return None


def _local_folder(text: str) -> Path | None:
    """The folder that a text names, when it holds a model, or an adapter that somebody takes for one."""
    try:
        folder = Path(text).expanduser()
        found = any((folder / name).is_file() for name in ("config.json", MODULES, ADAPTER))
        return folder.resolve() if text and found else None
    except (OSError, RuntimeError, ValueError):  # too long for a path, no such user, a null byte
        return None


def _is_hub_id(name: str) -> bool:
    """Whether the hub could have a repository of this name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return bool(name)


def _near(name: str, registry: Registry) -> str:
    """The declared model that was perhaps meant."""
    near = did_you_mean(name, registry.models.items)
    return near if near.startswith(" (") else ""


def _declared(model: Model, text: str, revision: str, registry: Registry, settings: Settings) -> LocalModel:
    if model.hub is not None:
        repository, pinned = model.hub
        path = _hub_folder(repository, revision or pinned, registry, settings)
        return identify(model.name, _commit(path, revision or pinned), path, model.prompts, settings, model.layout)
    folder = _declared_folder(model, revision or None, settings)
    return identify(text, revision, folder, model.prompts, settings, model.layout)


def _commit(path: Path, revision: str) -> str:
    """The commit that a snapshot of the hub's cache belongs to: a branch's name does not say what it held."""
    return path.name if path.parent.name == "snapshots" else revision


def _declared_folder(model: Model, revision: str | None, settings: Settings) -> Path:
    if model.write is None:
        if model.folder is None:
            raise UserError(f"the model {model.name} declares none of 'write', 'folder' and 'hub'")
        if revision is not None:
            raise UserError(f"--model {model.name}@{revision}: this model has no revisions; leave out @{revision}")
        return model.folder()
    target, digests = _written_folder(model, revision, settings), Digests(settings.cache / "digests")
    if not _stands(target, digests):
        with Locks.of(settings).wait("model", target.name, f"puts the model {model.name} together"):
            if not _stands(target, digests):
                if target.exists():
                    settings.listener.note(f"{target} is damaged: the model is put together again")
                    shutil.rmtree(target)
                with new_folder(target) as folder:
                    model.write(folder, revision)
                    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
                    write_json(folder / WRITTEN, {name: file_sha256(folder / name) for name in names})
    mark_used(target)
    return target


def _stands(folder: Path, digests: Digests) -> bool:
    """Whether a model that was put together is there and whole; earlier versions have kept no checksums of it.

    Raises:
        OSError: It cannot be looked at, whole or not.
    """
    if not (folder / "config.json").is_file():
        return False
    with contextlib.suppress(FileNotFoundError, ValueError, AttributeError):
        return digests.hold(folder, json.loads((folder / WRITTEN).read_text(encoding="utf-8")))
    return not (folder / WRITTEN).exists()


def _written_folder(model: Model, revision: str | None, settings: Settings) -> Path:
    """Where a model that is assembled lies, or will."""
    safe = revision or "default"
    if not safe.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"--model {model.name}@{revision}: a revision is letters, digits, - and _")
    return settings.cache / "models" / f"{model.name}-v{model.version}-{safe}"


def _hub_declared(name: str, registry: Registry) -> tuple[Mapping[str, str], bool]:
    """What is declared for a hub id, if a plugin declares it: prompts, and whether its files tell of embeddings."""
    declared = next((model for model in registry.models if model.hub is not None and model.hub[0] == name), None)
    return ({}, True) if declared is None else (declared.prompts, declared.layout)


def _hub_folder(name: str, revision: str | None, registry: Registry, settings: Settings) -> Path:
    from ..data.addresses import NotHereError
    from .hub import whole_snapshot

    try:
        return whole_snapshot(name, revision, settings)
    except NotHereError as reason:
        declared = any(model.hub is not None and model.hub[0] == name for model in registry.models)
        near, then = "" if declared else _near(name, registry), _without_the_hub(name, revision, settings)
        raise UserError(f"--model {name}{near}: {reason}; {then}") from None


def _without_the_hub(name: str, revision: str | None, settings: Settings) -> str:
    """How to go on: a branch that was fetched before may have moved since, and is taken as it was where one says so."""
    from ..data.addresses import NotHereError
    from .hub import fetch_snapshot

    if not settings.offline:
        with contextlib.suppress(NotHereError):
            commit = fetch_snapshot(name, revision, replace(settings, offline=True)).name
            return f"its commit {commit} is here: --model {name}@{commit}, or --offline"
    return "to use a model without the hub, pass a local folder: --model path/to/folder"


def identify(
    name: str, revision: str, folder: Path, prompts: Mapping[str, str], settings: Settings, layout: bool = True
) -> LocalModel:
    """Hash a transformers folder.

    Args:
        name: For records.
        revision: For records.
        folder: The folder; of the layout of sentence-transformers, or an encoder alone.
        prompts: The model's declared prompts. Where there is none for sentences, its files may name one.
        settings: Where checksums are remembered; whether the model's own code will run.
        layout: Whether its files say how sentence embeddings are made.

    Returns:
        The model with its identity.

    Raises:
        UserError: It has no safetensors weights, or not all of them, or an adapter beside them, or no tokenizer that
            can be read without code.
    """
    digests = Digests(settings.cache / "digests")
    sentence = read_layout(folder) if layout else None
    whole, folder = folder, encoder_folder(folder)
    check_plain(name, folder)
    weights = _weight_files(name, folder)
    shards = {path.name: digests.sha256(path) for path in weights}
    if sentence is not None:
        layers = [whole / layer.path / LAYER_WEIGHTS for layer in sentence.layers if layer.path]
        shards.update({path.relative_to(whole).as_posix(): digests.sha256(path) for path in layers})
        weights += layers
        prompts = {**({"sentence": sentence.prompt} if sentence.prompt else {}), **prompts}
    if not (folder / "config.json").is_file():
        raise UserError(f"--model {name}: {folder} has no config.json")
    reads_by = [file for file in TOKENIZER_FILES if (folder / file).is_file()]
    if not reads_by:
        raise UserError(f"--model {name}: {folder} has no tokenizer files")
    reads_by += _own_code(name, folder, settings) if settings.trust_remote_code else []
    tokenizer_identity = content_key("tokenizer", {file: digests.sha256(folder / file) for file in reads_by})
    weights_sha256 = next(iter(shards.values())) if len(shards) == 1 else content_key("weights", shards)
    config = digests.sha256(folder / "config.json")
    content = {"weights": shards, "config": config, "tokenizer": tokenizer_identity, "prompts": dict(prompts)}
    if sentence is not None and not sentence.problem:  # else left out: keys of records that are published stay
        content["sentence"] = sentence.content()
    identity = content_key("model", content)
    parameters = sum(count_weights(path) for path in weights)
    check_sizes(folder, parameters)
    return LocalModel(
        name, revision, folder, weights_sha256, identity, tokenizer_identity, parameters, prompts,
        most_tokens(folder), sentence,
    )  # fmt: skip


def _weight_files(name: str, folder: Path) -> list[Path]:
    """The weights of a transformers folder.

    Raises:
        UserError: They are not of safetensors, or not all there.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(
            f"--model {name}: {folder} has no *.safetensors weights, and pickles are never loaded; "
            "save it with save_pretrained (safetensors is its default) and pass that folder"
        )
    missing = missing_shards(folder)
    if missing:
        raise UserError(f"--model {name}: {folder} lacks the weights {', '.join(missing[:3])}; get them again")
    return weights


def _own_code(name: str, folder: Path, settings: Settings) -> list[str]:
    """The Python files that a model brings.

    Raises:
        UserError: Offline, its code lies elsewhere.
    """
    code = code_files(folder)
    others = other_repositories(folder) if settings.offline else []
    if others:
        raise UserError(
            f"--model {name}: its code lies in another repository, {others[0]}, for which the hub would be asked; "
            "make a copy of its folder with that repository's *.py files, and name them without it in the JSON files"
        )
    return code
