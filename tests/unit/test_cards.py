"""Model cards: real published records as a model index, read back by huggingface_hub, and put into people's cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from tests.strangers import altered
from xbench.cards import merged, model_index, records_of, render
from xbench.cli import group
from xbench.errors import UserError
from xbench.leaderboard.publish import load_records
from xbench.registry import Registry

PUBLISHED = Path(__file__).parents[2] / "leaderboard"
MODEL = "e5-small-q4"
HOSTILE = 'x: [1]\n---\n"y" # \u0085 {{ z }} <script>\t\'é한'


@pytest.fixture(scope="module")
def records() -> list[Any]:
    return load_records(PUBLISHED)[0]


def read_back(index: list[dict[str, Any]]) -> dict[str, EvalResult]:
    """By dataset and metric's name, out of a whole card."""
    card = ModelCard(f"---\n{render(index)}---\n# Mine\n")
    assert card.text == "# Mine\n"
    return {
        f"{one.metric_args['task']} {one.dataset_name} {one.dataset_split} {one.metric_name}": one
        for one in card.data.eval_results
    }


def test_every_primary_score_of_a_model_is_read_back_with_what_it_was_trained_on(
    records: list[Any], registry: Registry
) -> None:
    chosen = records_of(MODEL, records)
    index = model_index(chosen, registry)
    found = read_back(index)
    defined = {
        record["key"][:16]: record for record in chosen if record["scores"][record["primary"]] is not None
    }  # fmt: skip
    held = [key for one in found.values() for key in one.metric_args["records"]]
    assert len(found) == sum(len(result["metrics"]) for result in index[0]["results"])  # no two of one name
    assert set(held) == set(defined)
    for one in found.values():
        record = defined[one.metric_args["records"][0]]
        assert one.metric_type == record["primary"]
        assert one.metric_value == pytest.approx(record["scores"][record["primary"]], abs=1e-4)
        assert one.metric_args["transfer"] == record["transfer"]
        assert one.metric_args["curriculum"] == record["curriculum"]
        assert one.metric_name.split("(", 1)[1].startswith(record["transfer"])
        assert one.dataset_args["rows_sha256"] == record["eval"]["rows_sha256"]
        assert one.dataset_split == record["eval"]["split"]
        assert one.verified is False
    kinds = {one.metric_args["transfer"] for one in found.values()}
    assert kinds == {"frozen", "zero-shot", "in-language", "mixed"}


def test_a_zero_shot_score_is_not_joined_with_an_in_language_one(records: list[Any], registry: Registry) -> None:
    found = read_back(model_index(records_of(MODEL, records, tasks=["sts"]), registry))
    korean = {one.metric_args["curriculum"]: one for one in found.values() if one.dataset_config == "korsts"}
    assert korean["stsb"].metric_name.startswith("Spearman (zero-shot, fine-tuned on stsb, head ")
    assert korean["korsts"].metric_name.startswith("Spearman (in-language, fine-tuned on korsts, head ")
    assert korean["stsb"].metric_value < korean["korsts"].metric_value
    assert (korean["stsb"].dataset_type, len(korean["stsb"].dataset_revision)) == ("dkoterwa/kor-sts", 40)
    low, high = korean["stsb"].metric_args["interval_95"]
    assert low < korean["stsb"].metric_value < high
    assert korean["stsb"].metric_args["trained_on"] == [
        {"stage": 0, "dataset": "stsb", "language": "en", "rows": 5749}
    ]  # fmt: skip


def test_languages_of_one_repository_stay_apart_and_tasks_on_the_same_rows_too(
    records: list[Any], registry: Registry
) -> None:
    (model,) = model_index(records_of(MODEL, records, "none"), registry)
    places = [
        (one["task"]["name"], one["dataset"]["type"], one["dataset"].get("config"), one["dataset"]["split"])
        for one in model["results"]
    ]
    assert len(set(places)) == len(places)
    shared = [place for place in places if place[1] == "mteb/sts17-crosslingual-sts"]
    assert {place[2] for place in shared} >= {"sts17-ar", "sts17-es"}


def test_limits_and_sample_corpora_are_said(records: list[Any], registry: Registry) -> None:
    found = read_back(model_index(records_of(MODEL, records, tasks=["sentiment"]), registry, whole=True))
    limited = [one for one in found.values() if "limits" in one.metric_args]
    assert limited
    assert all(
        "limited: 2000 training rows" in one.metric_name for one in limited if one.metric_args["limits"]["train"]
    )
    assert {one.metric_type for one in found.values()} > {"accuracy"}
    sample = altered(records_of(MODEL, records, "stsb", ["sts"])[0], "sample", True)
    assert model_index([sample], registry)[0]["results"][0]["task"]["name"].endswith(" (sample corpora)")


def test_a_chosen_checkpoint_is_said_to_be_one(records: list[Any], registry: Registry) -> None:
    record = records_of(MODEL, records, "stsb", ["sts"])[0]
    (one,) = read_back(model_index([altered(record, "selection", "oracle")], registry)).values()
    assert "fine-tuned on stsb, checkpoint by oracle, head" in one.metric_name
    assert one.metric_args["selection"] == "oracle"


def test_hostile_names_are_only_names(records: list[Any], registry: Registry) -> None:
    record = records_of(MODEL, records, "stsb", ["sts"])[0]
    for place in ("task", "eval.dataset", "eval.split", "model.name", "head", "curriculum"):
        record = altered(record, place, HOSTILE)
    index = model_index([record], registry, name=HOSTILE, source="https://example.org/\n---\n")
    content = merged("---\nlicense: mit\n---\ntext\n", index, "README.md")
    card = ModelCard(content)
    assert card.text == "text\n"
    assert (card.data.license, card.data.model_name) == ("mit", HOSTILE)
    (one,) = card.data.eval_results
    assert (one.dataset_type, one.dataset_split, one.task_name) == (HOSTILE, HOSTILE, HOSTILE)
    assert (one.task_type, one.source_name) == ("other", "xbench")


def small(records: list[Any], registry: Registry) -> list[dict[str, Any]]:
    return model_index(records_of(MODEL, records, "stsb", ["sts"]), registry)


OTHERS = """---
# what it is licensed under
license: 'mit'   # as the base
language: [en, ko]
model-index:
- name: theirs
  results:
  - task: {type: retrieval}
    dataset: {name: MIRACL, type: miracl/mmteb-miracl, config: ko}
    metrics:
    - type: ndcg
      value: 61.5
      unheard: of
# and its tags
tags:
- a: b
---

# A model\r
With text --- and `---`
---
more
"""


def test_a_cards_text_other_metadata_and_results_of_others_stay(records: list[Any], registry: Registry) -> None:
    index = small(records, registry)
    content = merged(OTHERS.replace("\r", ""), index, "README.md")
    assert content.split("---\n", 2)[2] == OTHERS.replace("\r", "").split("---\n", 2)[2]
    assert "# what it is licensed under\nlicense: 'mit'   # as the base\nlanguage: [en, ko]\n" in content
    assert "# and its tags\ntags:\n- a: b\n---\n" in content
    (model,) = yaml.safe_load(content.split("---\n", 2)[1])["model-index"]
    assert model["name"] == "theirs"
    assert model["results"][0]["metrics"] == [{"type": "ndcg", "value": 61.5, "unheard": "of"}]
    assert model["results"][1:] == index[0]["results"]
    assert len(model_index_to_eval_results([model])[1]) == 1 + sum(len(one["metrics"]) for one in index[0]["results"])
    assert merged(content, index, "README.md") == content  # ours take the place of ours
    fewer = [{**index[0], "results": index[0]["results"][:1]}]
    (again,) = yaml.safe_load(merged(content, fewer, "README.md").split("---\n", 2)[1])["model-index"]
    assert len(again["results"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        "", "# No metadata\n", "---\n---\nempty\n", "---\nlicense: mit\n---\n",
        "---\r\nlicense: mit\r\n---\r\ntext\r\n",
        '---\n"model-index": []\nlicense: mit\n---\ntext', "---\nmodel-index:\n\nlicense: mit\n---\nno results",
        "---\nmodel-index: [\n]\nlicense: mit\n---\nflow",
    ],
)  # fmt: skip
def test_cards_of_all_forms_take_results(content: str, records: list[Any], registry: Registry) -> None:
    index = small(records, registry)
    made = merged(content, index, "README.md")
    card = ModelCard(made)
    assert len(card.data.eval_results) == sum(len(one["metrics"]) for one in index[0]["results"])
    whole = "license" not in content  # no metadata by the hub's own rule: all of it is text
    assert card.text == (content if whole else content.split("---", 2)[2].lstrip("\r\n"))
    assert card.data.get("license") == ("mit" if "mit" in content else None)
    assert made.count("\r\n") == (made.count("\n") if "\r" in content else 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("---\na: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "not a table of keys"),
        ("---\nmodel-index: 5\n---\n", "is not one of a single model"),
        ("---\nmodel-index:\n- name: a\n  results: []\n- name: b\n  results: []\n---\n", "not one of a single model"),
    ],
)
def test_metadata_that_cannot_be_read_is_left_alone(
    content: str, says: str, records: list[Any], registry: Registry
) -> None:
    with pytest.raises(UserError, match=says):
        merged(content, small(records, registry), "README.md")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(group, ["card", "--out", str(PUBLISHED), *arguments])


def test_the_command_prints_a_card_writes_one_and_takes_a_single_record(tmp_path: Path) -> None:
    printed = run(MODEL, "--train", "stsb", "--tasks", "sts")
    assert printed.exit_code == 0, printed.output
    asked = json.loads(run(MODEL, "--train", "stsb", "--tasks", "sts", "--json").stdout)
    assert yaml.safe_load(printed.stdout.strip().strip("-")) == asked
    (tmp_path / "real.md").write_text("# Mine\n", encoding="utf-8")
    (tmp_path / "README.md").symlink_to("real.md")
    written = run(MODEL, "--train", "stsb", "--tasks", "sts", "--into", str(tmp_path / "README.md"))
    assert (written.stdout, written.stderr) == ("", f"wrote {tmp_path / 'README.md'}\n")
    assert (tmp_path / "README.md").is_symlink()
    assert (tmp_path / "real.md").read_text(encoding="utf-8") == printed.stdout + "# Mine\n"
    scores = sum(len(one["metrics"]) for one in asked["model-index"][0]["results"])
    assert len(ModelCard.load(tmp_path / "README.md").data.eval_results) == scores > 0
    file = next((PUBLISHED / "results" / "sts" / MODEL).glob("stsb--korsts--*.json"))
    (one,) = json.loads(run(str(file), "--json").stdout)["model-index"][0]["results"]
    assert one["dataset"]["name"] == "Korean (korsts)"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["e5-small-q5"], "no records of the model 'e5-small-q5' (did you mean 'e5-small-q4'?)"),
        (["constant"], "constant is a floor: it has no weights, and no card"),
        ([MODEL, "--train", "stbs"], "--train: no record of e5-small-q4 is of 'stbs' (did you mean 'stsb'?)"),
        ([MODEL, "--tasks", "sst"], "--tasks: no record of e5-small-q4 is of 'sst' (did you mean 'sts'?)"),
        ([MODEL, "--into", "/nowhere/README.md"], "--into /nowhere/README.md: cannot be read"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, UserError)
    assert says in str(done.exception)


def test_records_of_other_weights_under_one_name_are_not_mixed(records: list[Any]) -> None:
    chosen = records_of(MODEL, records)
    other = altered(altered(chosen[0], "model.weights_sha256", "0" * 64), "model.revision", "v2")
    with pytest.raises(UserError, match=r"of several weights: .*e5-small-q4@v2"):
        records_of(MODEL, [*chosen, other])
    assert records_of(f"{MODEL}@v2", [*chosen, other]) == [other]
