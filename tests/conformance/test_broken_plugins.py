"""Each check finds what it is there to find: for each there is a plugin that fails it, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conforming import Broken, write_plugin
from tests.plans import forget_plugin_files
from xbench.registry import Registry
from xbench.settings import Settings
from xbench.testing import CHECKS, FAILED, PASSED, SKIPPED, Result, find_plugin, run_checks

pytestmark = pytest.mark.usefixtures("one_thread")

HEADS = {check.name for check in CHECKS if check.kind == "head"}
PROCESS = {"light", "reads-nothing"}
CHEAP = {check.name for check in CHECKS} - HEADS - PROCESS - {"runs"}
"""Made for every broken plugin; the others for those alone that could fail them."""

RAISES = "HERE = Path(__file__).parent"
BROKEN = {
    "raises-at-import": Broken(
        "loads", r"RuntimeError: no data\nwhere: \S*my_reviews\.py:11 \(plugin .*\nmend:  mend what raises this",
        [(RAISES, "raise RuntimeError('no data')")],
    ),
    "does-not-compile": Broken("loads", r"SyntaxError: .*\nwhere: \S*my_reviews\.py:11 ", [(RAISES, "HERE = = 1")]),
    "skips-itself": Broken(
        "loads", r"Skipped: no data\nwhere: \S*my_reviews\.py:11 ",
        [(RAISES, "import pytest; pytest.skip('no data', allow_module_level=True)")],
    ),
    "hook-raises": Broken(
        "loads", r"KeyError: 'nl'\nwhere: \S*my_reviews\.py:\d+ ",
        [('dataset("my-reviews-de", "de")', 'dataset("my-reviews-de", {}["nl"])')],
    ),
    "bad-name": Broken("loads", r"the floor name 'Three Stars' does not fit", [('"three-stars"', '"Three Stars"')]),
    "heavy": Broken(
        "light", r"imports scipy\nwhere: \S*my_reviews\.py:2\nmend:  import scipy inside the function",
        [("\nimport csv\n", "\nimport csv, scipy\n")],
    ),
    "reads-at-load": Broken(
        "reads-nothing", r"opens \S*train\.csv\nwhere: \S*my_reviews\.py:\d+ \(dataset my-reviews-en\)",
        [(RAISES, f"{RAISES}\nCOUNT = len((HERE / 'train.csv').read_text())")],
    ),
    "asks-at-load": Broken(
        "reads-nothing", r"asks localhost over the network\nwhere: \S*my_reviews\.py:14\nmend:  name addresses",
        [(RAISES, f"{RAISES}\nimport contextlib, socket\nwith contextlib.suppress(OSError):\n"
                  "    socket.create_connection(('localhost', 9), 1)\n")],
    ),
    "private-name": Broken(
        "public-names", r"xbench\.recipe\.Recipe, .*\nwhere: \S*my_reviews\.py:4\n.*xbench\.api, which has Recipe",
        [("from pathlib import Path\n", "from xbench.recipe import Recipe\nfrom pathlib import Path\n")],
    ),
    "private-of-api": Broken(
        "public-names", r"imports xbench\.api\._LAZY", [("    Dataset, Diagnostic,", "    _LAZY, Dataset, Diagnostic,")]
    ),
    "private-by-text": Broken(
        "public-names", r"imports xbench\.store",
        [(RAISES, f"{RAISES}\nimport importlib\nSTORE = importlib.import_module('xbench.store')")],
    ),
    "anothers-name": Broken(
        "own-names", r"the floor 'constant' has 2 owners: floors \(xbench .*my_reviews\.py \(file\)\n.*\n"
        r".*rename it, such as my-reviews-constant",
        [('"three-stars"', '"constant"')],
    ),
    "group-as-task": Broken(
        "own-names", r"the group 'sts' is called as a task is", [("version = 1\n", "version = 1\ngroups = ['sts']\n")]
    ),
    "unknown-type": Broken(
        "schema-declared", r"prediction: 'float32' is no type\n.*\nmend: .*\"float64\"",
        [('prediction="float64"', 'prediction="float32"')],
    ),
    "no-licence": Broken(
        "credits", r"the dataset has no licence\nwhere: \S*my_reviews\.py:\d+ \(dataset my-reviews-en\)\n.*CC BY 4\.0",
        [('licence="CC BY 4.0"', 'licence=" "')],
    ),
    "placeholder": Broken(
        "credits", r"citation is still a placeholder: 'TODO: whom to cite'",
        [('citation="Me (2026), My reviews"', 'citation="TODO: whom to cite"')],
    ),
    "three-letters": Broken(
        "languages", r"the language 'deu' is written 'de'",
        [("        (language,),\n", '        ("deu" if language == "de" else language,),\n')],
    ),
    "two-languages": Broken(
        "languages", r"names 2 languages, and the schema star-review takes 1",
        [("        (language,),\n", "        (language, language),\n")],
    ),
    "unknown-origin": Broken(
        "dataset-declared", r"unknown dataset 'my-reviews-dee' \(did you mean 'my-reviews-de'\?\)",
        [('official=("stars-near",)', 'official=("stars-near",), translation_of="my-reviews-dee"')],
    ),
    "path-of-text": Broken(
        "dataset-declared", r"'\S*train\.csv' is no Path\n.*split train\nmend: .*Path\(__file__\)",
        [('(HERE / f"{split}.csv",)', '(str(HERE / f"{split}.csv"),)')],
    ),
    "reader-stumbles": Broken(
        "rows-read", r"KeyError: 'revew'\nwhere: \S*my_reviews\.py:\d+; \S*my_reviews\.py:\d+ "
        r"\(dataset my-reviews-en\), split train\nmend:  mend the reader there", [('row["review"]', 'row["revew"]')],
    ),
    "file-left-out": Broken(
        "rows-read", r"a file that the plugin carries is missing: \S*trial\.csv\n.*\n.*package_data",
        [('f"{split}.csv"', '("trial.csv" if split == "test" else "train.csv")')],
    ),
    "language-of-no-row": Broken(
        "rows-read", r"the reader gives no rows", [('if row["language"] == language:', "if False:")]
    ),
    "nine-stars": Broken(
        "rows-fit", r"row 1: 9 stars are not 1 to 5\nwhere: .*, split test\n.*\n?.*star-review",
        data=[("middling middling test 1,3", "middling middling test 1,9")],
    ),
    "wrong-type": Broken(
        "rows-fit", r"row 0: stars: '1' is not a whole number.*\n(.*\n)*.*37 more rows of 40 do not fit",
        [('int(row["stars"])', 'row["stars"]')],
    ),
    "ids-twice": Broken(
        "ids-unique", r"the rows 0 and 1 have the same id 'en0'\n.*\nmend: .*the row's number", data=[("en1,", "en0,")]
    ),
    "empty-texts": Broken(
        "texts-there", r"review is empty in 1 of 30 rows, such as 'en0'", data=[("dreadful test 0,", ",")], repin=True
    ),
    "not-pinned": Broken(
        "pinned", r"rows_sha256 not declared\n.*\n.*\n\s+rows=40,\n\s+rows_sha256=\"[0-9a-f]{64}\",",
        [("            rows_sha256=SHA256[split, language],\n", "")],
    ),
    "pinned-wrongly": Broken(
        "pinned", r"of other rows: rows is 41 and not 40\n", [("rows=ROWS[split],", "rows=ROWS[split] + 1,")]
    ),
    "other-rows": Broken("pinned", r"rows_sha256 is '[0-9a-f]+", data=[("middling middling test 1,", "so so test 1,")]),
    "worst-is-best": Broken(
        "metric-declared", r"the worst near, 100\.0, is not below the best", [('{"near": 0.0},', '{"near": 100.0},')]
    ),
    "title-of-nothing": Broken(
        "metric-declared", r"`titles` names 'nah', and its scores are near", [('titles={"near"', 'titles={"nah"')]
    ),
    "chance-of-nothing": Broken(
        "metric-declared", r"`chance` names 'nah'", [('about: {"near": 50.0}', 'about: {"nah": 50.0}')]
    ),
    "best-not-reached": Broken(
        "best-reached", r"near = 90, and `best` says 100\n.*\nmend: .*units", [("100 - 25 *", "90 - 25 *")]
    ),
    "by-place": Broken(
        "any-order", r"near is [\d.]+, and [\d.]+ with the same rows of my-reviews-en in another order",
        [
            ("100 - 25 * min(4, abs(said - gold)) for said, gold in pairs",
             "100 - (place % 25) * min(4, abs(said - gold)) for place, (said, gold) in enumerate(pairs)"),
            ("resample=draws,", ""),
        ],
    ),
    "draws-differ": Broken(
        "resampled", r"near of all rows once \(my-reviews-en\): `resample` gives .*, `compute` ",
        [('resample_means({"near": distances(predictions, references)})',
          'resample_means({"near": [one / 2 for one in distances(predictions, references)]})')],
    ),
    "weights-ignored": Broken(
        "resampled", r"rows drawn 0, 1 or 2 times .*: `resample` gives .*, `compute` ",
        [('return resample_means({"near": distances(predictions, references)})',
          'return lambda weights: {"near": [near(predictions, references, about)["near"]] * len(weights)}')],
    ),
    "none-raises": Broken(
        "unanswered", r"TypeError: .*while scoring a prediction of None", [("0.0 if said is None else ", "")]
    ),
    "none-is-free": Broken(
        "unanswered", r"near is 100: no less than the best", [("0.0 if said is None", "100.0 if said is None")]
    ),
    "source-to-do": Broken(
        "source-declared", r"the metric source's description is still a placeholder",
        [("Metrics by an address of mine", "TODO")],
    ),
    "option-of-no-type": Broken(
        "head-declared", r"the option my_option = \('a', None\) is no recipe value", [('("a", "b")', '("a", None)')]
    ),
    "numbered-from-0": Broken(
        "examples", r"two parts give other examples .*\n.*\n.*`first`", [("strict=True), first):", "strict=True)):")]
    ),
    "not-cut": Broken(
        "examples", r"a sequence has \d+ tokens, and recipe.max_length is 128",
        [("context.recipe.max_length, [row", "200, [40 * row")],
    ),
    "any-seed": Broken(
        "seeded", r"the initial weight last\.weight is another one each time", [(", generator=generator)", ")")]
    ),
    "learns-nothing": Broken(
        "learns", r"the loss fell from 1 to 1 only, in 60 steps on 8 rows of my-reviews-en",
        [("(outputs - batch.targets[:, 0]).square()", "1 + 0 * outputs")],
    ),
    "no-gradient": Broken(
        "learns", r"RuntimeError: .*does not require grad.*while training on 8 rows",
        [("return (outputs - batch", "return (outputs.detach() - batch")],
    ),
    "read-the-wrong-way-round": Broken(
        "learns", r"has learned 8 rows of my-reviews-en by heart .* near = [\d.]+, where 100 is the best\n"
        r".*\n.*`decode`",
        [("[float(one) for one in decoding.outputs]", "[6 - float(one) for one in decoding.outputs]")],
    ),
    "says-the-same-of-all": Broken(
        "learns", r"has learned 8 rows", [("[float(one) for", "[3.0 + 0 * float(one) for")],
    ),
    "padding-counts": Broken(
        "any-batch", r"outputs differ by .* one example at a time\n.*\n.*`batch.attention_mask`",
        [(", batch.attention_mask)", ", torch.ones_like(batch.attention_mask))")],
    ),
    "loss-of-a-batch": Broken(
        "any-batch", r"`loss` has the shape \(\) for 4 examples", [(".square()\n", ".square().mean()\n")]
    ),
    "loss-of-others": Broken(
        "any-batch", r"the loss of an example depends on the others",
        [(".square()\n", ".square() * (1 + batch.targets.sum() / 100)\n")],
    ),
    "numpys-numbers": Broken(
        "decodes", r"the prediction of row 0: .* is not a float\n.*\nmend: .*float\(\.\.\.\)",
        [("[float(one) for one in decoding.outputs]", "list(decoding.outputs)")],
    ),
    "too-few": Broken(
        "decodes", r"it gave 7 predictions for 8 rows", [("in decoding.outputs]", "in decoding.outputs[1:]]")]
    ),
    "floor-says-nothing": Broken("floor-declared", r"the floor has no description", [("Always three stars", "")]),
    "floor-of-integers": Broken(
        "floor-predicts", r"the prediction of row 0: 3 is not a float", [("[3.0] * len(rows)", "[3] * len(rows)")]
    ),
    "diagnostic-to-do": Broken(
        "diagnostic-declared", r"description is still a placeholder", [("How many rows there are", "TODO")]
    ),
    "figure-of-no-version": Broken(
        "figure-declared", r"its version is 0", [('"Draws nothing")', '"Draws nothing", version=0)')]
    ),
    "no-address": Broken(
        "model-credits", r"homepage 'example.org' is no address", [("https://example.org/encoder", "example.org")]
    ),
    "model-of-region": Broken(
        "model-languages", r"'de-AT' is written 'de': a region", [('("en", "de"), "MIT"', '("en", "de-AT"), "MIT"')]
    ),
    "a-branch": Broken(
        "model-source", r"'main' is no commit\n.*\n.*/me/encoder/commits/main",
        [("0123456789abcdef0123456789abcdef01234567", "main")],
    ),
    "from-nowhere": Broken(
        "model-source", r"it comes from nowhere\n.*\n.*hub=\(repository, commit\)",
        [('hub=("me/encoder", "0123456789abcdef0123456789abcdef01234567")', "")],
    ),
    "baseline-of-others": Broken(
        "task-declared", r"trained on de, and my-reviews-en is in en",
        [('en = "my-reviews-en"\n', 'en = "my-reviews-de"\n')],
    ),
    "baseline-not-planned": Broken(
        "task-declared", r"the baseline 'my-reviews-en' .* is none of its curricula",
        [('curricula = ["my-reviews-en", ', "curricula = [")],
    ),
    "unknown-head": Broken(
        "plans", r"unknown head 'star-head' \(did you mean 'stars-head'\?\)", [('heads = ["stars', 'heads = ["star')]
    ),
    "diagnostic-stumbles": Broken(
        "runs", r"ZeroDivisionError: division by zero\n.*\nmend:  run it: xbench eval --tasks my-reviews",
        [('{"rows": len(about.rows)}', '{"rows": 1 / 0}')],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    forget_plugin_files()


def check(path: Path, only: set[str]) -> list[Result]:
    """All results of some checks."""
    settings = Settings(cache=path.parent / "cache", offline=True)
    return run_checks(path, [check.name for check in CHECKS if check.name in only], settings)


def test_every_check_has_a_plugin_that_fails_it() -> None:
    assert {broken.check for broken in BROKEN.values()} == {check.name for check in CHECKS}
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert {check.kind for check in CHECKS} == {"plugin", "split"} | {kind.kind for kind in Registry().catalogues()}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_fails_one_check_which_says_what_where_and_how_to_mend_it(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    kind = next(check.kind for check in CHECKS if check.name == broken.check)
    only = CHEAP | {"plugin": PROCESS, "head": HEADS, "task": {"runs"}}.get(kind, set())
    results = check(write_plugin(tmp_path, broken), only)
    failed = [result for result in results if result.outcome == FAILED]
    assert {result.check for result in failed} == {broken.check}, "\n".join(map(str, failed))
    told = str(failed[0])
    assert re.search(broken.says, told), told
    for problem in failed[0].problems:
        assert "\n" not in problem.what + problem.where
        assert all((problem.what, problem.where, problem.mend))


def test_a_whole_plugin_passes_all_checks(tmp_path: Path) -> None:
    results = check(write_plugin(tmp_path), {check.name for check in CHECKS})
    assert [str(result) for result in results if result.outcome != PASSED] == []
    assert {result.check for result in results} == {check.name for check in CHECKS}


def test_rows_that_are_not_here_are_skipped_with_the_reason_and_never_passed(tmp_path: Path) -> None:
    path = write_plugin(tmp_path, Broken("", "", [
        ('Packaged((HERE / f"{split}.csv",)', 'Files((SourceFile(f"mine/{split}.csv", url=ADDRESS),)'),
        (RAISES, f"{RAISES}\nfrom xbench.api import Files, SourceFile\nADDRESS = 'https://example.org/x.csv'"),
    ]))  # fmt: skip
    results = check(path, CHEAP | HEADS | {"runs"})
    assert not [str(result) for result in results if result.outcome == FAILED]
    skipped = {result.check for result in results if result.outcome == SKIPPED}
    assert skipped == {
        "rows-read", "rows-fit", "ids-unique", "texts-there", "pinned", "metric-declared", "best-reached", "any-order",
        "resampled", "unanswered", *(HEADS - {"head-declared"}), "floor-predicts", "runs",
    }  # fmt: skip
    told = next(result.reason for result in results if result.check == "pinned")
    assert "no data root is set (--data or XBENCH_DATA)" in told
    assert "https://example.org/x.csv was not tried" in told
    (tmp_path / "data" / "mine").mkdir(parents=True)
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").rename(tmp_path / "data" / "mine" / f"{split}.csv")
    settings = Settings(cache=tmp_path / "cache", data=tmp_path / "data", offline=True)
    assert {one.outcome for one in run_checks(path, ["pinned", "best-reached"], settings)} == {PASSED}


def test_a_plugin_that_cannot_be_loaded_is_checked_for_nothing_else(tmp_path: Path) -> None:
    path = write_plugin(tmp_path, BROKEN["raises-at-import"])
    outcomes = {result.check: result.outcome for result in check(path, CHEAP | PROCESS)}
    assert outcomes == {
        "loads": FAILED, "light": SKIPPED, "reads-nothing": SKIPPED, "public-names": PASSED, "own-names": PASSED,
    }  # fmt: skip


def test_loading_for_a_check_leaves_no_other_plugin_out(tmp_path: Path) -> None:
    plugin = find_plugin(write_plugin(tmp_path, BROKEN["raises-at-import"]))
    assert "sts" in plugin.registry.tasks.items
    assert not list(plugin.own.tasks)
