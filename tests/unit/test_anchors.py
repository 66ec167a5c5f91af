"""Published numbers are read as they are written, or one line says what is wrong with a file; none is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.published import ANCHORS
from xbench.curriculum import parse_curriculum
from xbench.errors import UserError
from xbench.registry import Registry
from xbench.verify.anchors import Anchor, load_anchors, read_anchors
from xbench.verify.match import unknown_names

GOOD = """
publication = "P"
model = "m"
task = "sts"
split = "test"
[[table]]
name = "T"
source = "Table 1"
tolerance = { spearman = 2.0, pearson = 3 }
reason = "because"
[table.results."stsb:korsts"]
stsb = { spearman = 80.5, pearson = 81 }
"""
# By table: how many numbers it has, and the sum of them, each counted once.
TABLES = {
    "Table I, STSb and KorSTS": (20, 1706.06), "Table I, Spanish and Arabic": (20, 1589.96), "Table II": (48, 3425.75),
    "Table III": (10, 897.21), "Section III.D, no map": (1, 0.4636), "Section III.D, least squares": (1, 0.7131),
    "Section III.D, linear net": (1, 0.7265), "Table IV, zero-shot": (2, 92.26), "Table IV, mapped": (2, 106.40),
    "XQuAD": (6, 425.7), "KoELECTRA, KorQuAD": (2, 153.64), "KoELECTRA, NSMC": (1, 89.03),
    "KorSTS, XLM-R large": (1, 84.68), "KorSTS, XLM-R base": (1, 77.78), "MTEB, multilingual-e5-small": (3, 241.89),
}  # fmt: skip


@pytest.fixture(scope="module")
def anchors() -> list[Anchor]:
    return read_anchors(ANCHORS)


def refused(source: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        load_anchors(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_number_of_the_papers_tables_and_of_the_others_is_there(anchors: list[Anchor]) -> None:
    found: dict[str, list[float]] = {}
    for anchor in anchors:
        found.setdefault(anchor.table.name, []).append(next(iter(anchor.scores.values())))
    assert {name: (len(numbers), round(sum(numbers), 4)) for name, numbers in found.items()} == TABLES
    assert len(anchors) == 119


@pytest.mark.parametrize(
    ("table", "curriculum", "dataset", "scores"),
    [
        ("Table I, STSb and KorSTS", "korsts:stsb", "korsts", {"spearman": 85.12, "pearson": 85.12}),
        ("Table I, Spanish and Arabic", "stsb", "sts17-ar", {"spearman": 72.67, "pearson": 70.54}),
        ("Table II", "squad+korquad", "squad", {"f1": 84.41, "exact_match": 75.93}),
        ("Table II", "squad:squad-es", "korquad", {"f1": 78.16, "exact_match": 36.87}),
        ("Table III", "nsmc:lmrd", "lmrd", {"accuracy": 93.69}),
        ("XQuAD", "squad", "xquad-ar", {"f1": 68.6, "exact_match": 49.0}),
    ],
)
def test_a_number_stands_where_its_source_has_it(
    anchors: list[Anchor], table: str, curriculum: str, dataset: str, scores: dict[str, float]
) -> None:
    found = [one for one in anchors if (one.table.name, one.curricula, one.dataset) == (table, (curriculum,), dataset)]
    assert {name: value for one in found for name, value in one.scores.items()} == scores


def test_every_table_says_what_a_reader_must_know(anchors: list[Anchor]) -> None:
    for table in {anchor.table.name: anchor.table for anchor in anchors}.values():
        assert table.source
        assert len(table.reason) > 20
        assert table.open
        assert table.head
        assert all(value > 0 for value in table.tolerance.values())
        assert table.recipe or table.publication != "paper" or table.task.startswith("alignment")


def test_what_the_anchors_name_is_declared(anchors: list[Anchor], registry: Registry) -> None:
    assert unknown_names(anchors, registry) == []
    wrong = load_anchors(GOOD.replace('"sts"', '"stss"').replace("stsb = {", "stsbb = {").replace("test", "tset"))
    wrong += load_anchors(GOOD.replace('split = "test"', 'split = "tset"\nhead = "siamese"\nreadings = ["x"]'))
    lines = unknown_names(wrong, registry)
    wrong += load_anchors(GOOD.replace('split = "test"', 'split = "test"\nhead = "siamese"\nrecipe = { epoch = 4 }'))
    lines = unknown_names(wrong, registry)
    assert len(lines) == 5
    assert any("unknown recipe key 'epoch' (did you mean 'epochs'?)" in line for line in lines)
    for part in ("unknown task 'stss' (did you mean", "unknown dataset 'stsbb'", "unknown split 'tset'", "reading 'x'"):
        assert any(part in line for line in lines)


def test_a_stand_in_has_a_tolerance_of_its_own(anchors: list[Anchor]) -> None:
    standing = {anchor.table.model: anchor.table.stand_ins for anchor in anchors if anchor.table.stand_ins}
    ((stand_in,),) = standing.values()
    assert list(standing) == ["multilingual-e5-small"]
    assert (stand_in.model, stand_in.tolerance) == ("e5-small-q4", {"spearman": 2.0})


def test_what_stands_above_the_tables_holds_for_each_unless_it_says_otherwise() -> None:
    again = GOOD.split("[[table]]")[1].replace('"T"', '"U"\ntask = "mrc"')
    first, _, second, _ = load_anchors(f"{GOOD}[[table]]{again}")
    assert (first.table.task, second.table.task, second.table.model) == ("sts", "mrc", "m")


def test_what_the_source_leaves_open_is_several_ways_to_read_it() -> None:
    text = GOOD.replace('"test"', '"train, test"\nreadings = ["a", "b", "c"]').replace("stsb:korsts", "none, b+a")
    first, second = load_anchors(text)
    assert first.chains == ((), parse_curriculum("a+b"))
    assert (first.ways, second.ways, first.scores, second.scores) == (12, 12, {"spearman": 80.5}, {"pearson": 81})
    (one,) = load_anchors(text.replace("[[table]]", "[[table]]\none_number = true"))
    assert (one.ways, one.scores) == (24, {"spearman": 80.5, "pearson": 81})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reason =", "reasons =", "T: unknown key 'reasons' (did you mean 'reason'?)"),
        ("publication", "publisher", "unknown key 'publisher'"),
        ("[[table]]", "[[tables]]", "unknown key 'tables' (did you mean 'table'?)"),
        ('model = "m"', "", "T: the key 'model' is missing or empty"),
        ("80.5", "true", "stsb takes a table of numbers, not"),
        ("80.5", "nan", "stsb takes a table of numbers, not"),
        ("{ spearman = 2.0, pearson = 3 }", "2.0", "T: tolerance takes a table of numbers, not 2.0"),
        ("{ spearman = 2.0,", "{ spearmn = 2.0,", "T: no tolerance for 'spearman' (did you mean 'spearmn'?)"),
        ("stsb:korsts", "stsb:", "T: results: curriculum 'stsb:'"),
        ("stsb:korsts", "stsb,", "T: 'stsb,' has an empty part"),
        ("{ spearman = 80.5, pearson = 81 }", "{}", "results of stsb:korsts: the key 'stsb' is missing or empty"),
        ('name = "T"', "", "table 1: the key 'name' is missing or empty"),
        (
            'split = "test"',
            'split = "test"\nstand_ins = [{ model = "x" }]',
            "stand_ins: the key 'tolerance' is missing",
        ),
        ('split = "test"', 'split = "test"\nselection = ["lst"]', "T: unknown selection 'lst' (did you mean 'last'?)"),
        ("[[table]]", "[table]", "table takes a list of tables"),
        ("publication =", "publication", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, message: str) -> None:
    assert old in GOOD
    assert message in refused(GOOD.replace(old, new))


def test_a_folder_without_anchors_says_which_option_names_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--anchors names the one that holds them"):
        read_anchors(tmp_path / "none")
    (tmp_path / "findings.toml").write_text("not even TOML")  # is not read: it holds no numbers
    with pytest.raises(UserError, match="there are no anchors in"):
        read_anchors(tmp_path)


def test_two_tables_of_one_name_are_refused_across_files(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(UserError, match=r"b\.toml: a table 'T' is in .*a\.toml already"):
        read_anchors(tmp_path)
