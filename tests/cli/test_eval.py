"""``xbench eval``: what it prints where, what it leaves behind, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Program

EVAL = ["eval", "--plugin", "my_task.py", "--model", "./model", "--tasks", "my-pairs"]


def test_the_plugin_of_the_readme_is_evaluated_whole(project: Program) -> None:
    done = project(*EVAL, "--json")
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert [(record["curriculum"], record["eval"]["dataset"], record["transfer"]) for record in records] == [
        ("my-pairs-en", "my-pairs-en", "in-language"),
        ("my-pairs-en", "my-pairs-de", "zero-shot"),
        ("my-pairs-en:my-pairs-de", "my-pairs-en", "mixed"),
        ("my-pairs-en:my-pairs-de", "my-pairs-de", "mixed"),
        ("my-pairs-en+my-pairs-de", "my-pairs-en", "mixed"),
        ("my-pairs-en+my-pairs-de", "my-pairs-de", "mixed"),
    ]
    for record in records:
        assert record["status"] == "done"
        assert set(record["scores"]) == {"spearman", "pearson"}
        assert record["eval"]["rows"] == 18
        assert len(record["stages"]) == record["curriculum"].count(":") + 1
        assert all(part["rows"] == 36 for part in record["train"])
        assert record["timing"]["train_examples_per_s"] > 0
        assert record["environment"]["device"].startswith("cpu")


def test_records_lie_in_one_file_a_cell_and_the_leaderboard_shows_them(project: Program) -> None:
    done = project(*EVAL, "--train", "my-pairs-en", "--json", "--out", "published")
    records = json.loads(done.stdout)
    files = sorted((project.folder / "published" / "results").rglob("*.json"))
    assert sorted(json.loads(file.read_text())["key"] for file in files) == sorted(record["key"] for record in records)
    page = (project.folder / "published" / "README.md").read_text(encoding="utf-8")
    for record in records:
        assert f"{record['scores']['spearman']:.2f} ({record['scores']['pearson']:.2f})" in page
    assert page.count("†") == 2  # the legend, and the one zero-shot cell
    assert "German (my-pairs-de)" in page


def test_unpinned_rows_say_so(project: Program) -> None:
    done = project(*EVAL, "--train", "none")
    assert "my-pairs-en test: the rows are unpinned" in done.stderr


def test_an_interrupted_plan_goes_on_from_what_is_finished(project: Program) -> None:
    project(*EVAL, "--train", "my-pairs-en")
    done = project(*EVAL, "--train", "my-pairs-en:my-pairs-de")
    assert "found ./model siamese my-pairs-en seed 0" in done.stderr
    assert "trained ./model siamese my-pairs-en:my-pairs-de seed 0" in done.stderr
    assert "trained ./model siamese my-pairs-en seed 0" not in done.stderr


def test_a_missing_dataset_costs_only_its_cells(project: Program) -> None:
    done = project(*EVAL, "--train", "my-pairs-en", "--eval", "my-pairs-en,sts17-es", "--json")
    assert done.returncode == 1
    records = json.loads(done.stdout)
    assert [record["status"] for record in records] == ["done", "failed"]
    assert "XBENCH_DATA" in records[1]["error"]
    assert "1 cells failed" in done.stderr


def test_strict_stops_before_any_work(project: Program) -> None:
    done = project(*EVAL, "--train", "my-pairs-en", "--eval", "my-pairs-en,sts17-es", "--offline", "--strict")
    assert done.returncode == 2
    assert done.stdout == ""
    assert not (project.folder / "cache" / "stages").exists()


def test_limits_are_in_the_record_and_in_the_table(project: Program) -> None:
    done = project(*EVAL, "--train", "my-pairs-en+my-pairs-de", "--limit-train", "15", "--limit-eval", "9", "--json")
    assert done.returncode == 0, done.stderr
    for record in json.loads(done.stdout):
        assert record["limits"] == {"train": 15, "eval": 9}
        assert [part["rows"] for part in record["train"]] == [8, 7]
        assert record["eval"]["rows"] == 9
    page = (project.folder / "leaderboard" / "README.md").read_text(encoding="utf-8")
    assert "limited: 15 training rows, 9 evaluation rows" in page


def test_a_dry_run_is_json_and_touches_nothing(program: Program) -> None:
    done = program("eval", "--model", "no/such-model", "--tasks", "sts", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert (len(plan["stages"]), len(plan["cells"])) == (5, 20)
    assert sorted(path.name for path in program.folder.iterdir()) == ["modules.json"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evil"], "did you mean 'eval'?"),
        (["eval", "--tasks", "sts"], "--model"),
        (["eval", "--model", "x", "--tasks", "stss"], "did you mean 'sts'?"),
        (["eval", "--model", "x", "--tasks", "sts", "--train", "stbs"], "did you mean 'stsb'?"),
        (["eval", "--model", "x", "--tasks", "sts", "--eval", "korst"], "did you mean 'korsts'?"),
        (["eval", "--model", "x", "--tasks", "sts", "--head", "siames"], "did you mean 'siamese'?"),
        (["eval", "--model", "x", "--tasks", "sts", "--set", "recipe.epoch=1"], "did you mean 'epochs'?"),
        (["eval", "--model", "x", "--tasks", "sts", "--set", "recipe.epochs=one"], "a whole number"),
        (["eval", "--model", "x", "--tasks", "sts", "--set", "epochs=1"], "--set recipe.KEY=VALUE"),
        (["eval", "--model", "x", "--tasks", "sts", "--seeds", "a"], "--seeds 0,1,2"),
        (["eval", "--model", "x", "--tasks", "sts", "--train", "none", "--head", "cross-encoder"], "--head siamese"),
        (["eval", "--model", "./nothing", "--tasks", "mini-sts"], "no folder with a config.json"),
        (["eval", "--model", "e5-small-q5", "--tasks", "mini-sts"], "did you mean 'e5-small-q4'?"),
        (["eval", "--model", "x", "--tasks", "sts", "--plugin", "gone.py"], "gone.py: "),
        (["eval", "--model", "x", "--tasks", "sts", "--data", "gone"], "the data root gone is not a folder"),
        (["tasks", "stss"], "did you mean 'sts'?"),
        (["datasets", "stbs"], "did you mean 'stsb'?"),
        (["plugins", "st"], "did you mean 'sts'?"),
        (["leaderboard", "build", "--out", "gone"], "there are no records"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_is_one_line_that_says_what_to_do(program: Program, arguments: list[str], says: str) -> None:
    done = program(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("xbench: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr


def test_a_strangers_page_is_noticed_before_any_work(project: Program) -> None:
    page = project.folder / "README.md"
    page.write_text("# My project\n", encoding="utf-8")
    for command in ([*EVAL, "--train", "my-pairs-en"], ["leaderboard", "build"]):
        (project.folder / "results").mkdir(exist_ok=True)
        done = project(*command, "--out", ".")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1, done.stderr
        assert "README.md was not made by xbench" in done.stderr
    assert page.read_text(encoding="utf-8") == "# My project\n"
    assert not (project.folder / "cache").exists()
    assert "my_task.py is not a folder" in project(*EVAL, "--out", "my_task.py").stderr


def test_a_bug_keeps_its_traceback_and_costs_only_its_cells(project: Program) -> None:
    text = (project.folder / "my_task.py").read_text(encoding="utf-8")
    crash = "import xbench.api as api\n\ndef burst(predictions, references, about):\n    return {'burst': 1 / 0}\n\n"
    crash += "@hookimpl\ndef xbench_metrics():\n    return [api.Metric('burst', 1, burst, 'Always fails.')]\n"
    broken = text.replace('metrics = ["spearman", "pearson"]', 'metrics = ["burst"]') + crash
    (project.folder / "my_task.py").write_text(broken, encoding="utf-8")
    done = project(*EVAL, "--train", "none")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_the_same_seed_gives_the_same_predictions_in_another_process_and_cache(project: Program) -> None:
    first = json.loads(project(*EVAL, "--train", "my-pairs-en", "--json").stdout)
    again = json.loads(
        project(*EVAL, "--train", "my-pairs-en", "--json", "--cache", "other", "--out", "elsewhere").stdout
    )
    other = json.loads(project(*EVAL, "--train", "my-pairs-en", "--json", "--seeds", "1").stdout)
    assert [record["predictions_sha256"] for record in again] == [record["predictions_sha256"] for record in first]
    assert [record["predictions_sha256"] for record in other] != [record["predictions_sha256"] for record in first]
    assert (project.folder / "other" / "stages").is_dir()


def test_leaderboard_check_notices_a_changed_page_and_a_changed_record(project: Program) -> None:
    project(*EVAL, "--train", "none")
    done = project("leaderboard", "check", "--plugin", "my_task.py")
    assert done.returncode == 1  # a run leaves the pictures of the tables to `leaderboard build`
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["leaderboard/figures/report/plots.json"]
    assert project("leaderboard", "build", "--plugin", "my_task.py").returncode == 0
    assert project("leaderboard", "check", "--plugin", "my_task.py").returncode == 0
    page = project.folder / "leaderboard" / "README.md"
    page.write_text(page.read_text(encoding="utf-8").replace("frozen", "thawed"), encoding="utf-8")
    done = project("leaderboard", "check", "--plugin", "my_task.py")
    assert done.returncode == 1
    assert "leaderboard build" in done.stderr
    assert project("leaderboard", "build", "--plugin", "my_task.py").returncode == 0
    record: Path = next((project.folder / "leaderboard" / "results").rglob("*.json"))
    record.write_text(record.read_text().replace('"seed": 0', '"seed": 7'))
    done = project("leaderboard", "check", "--plugin", "my_task.py")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
