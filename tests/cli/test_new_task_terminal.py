"""``xbench new-task`` on a real terminal: what is not said is asked for, and a wrong answer is asked for again."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-P", "-c", "import sys; from xbench.cli import main; sys.exit(main())"]
ROWS = "premise\thypothesis\tlabel\tlanguage\tsplit\n" + "".join(
    f"A{n}.\tB{n}.\t{label}\t{language}\t{split}\n"
    for split in ("train", "test")
    for language in ("en", "fr")
    for n, label in enumerate(("entailment", "neutral", "contradiction"))
)


def typed(folder: Path, answers: list[str], *arguments: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal and type the answers; gives its status and what the terminal showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "new-task", *arguments], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}, start_new_session=True,
    ) as program:  # fmt: skip
        os.close(theirs)
        os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # how Linux says that nobody has the other side open
                break
    os.close(ours)
    return program.returncode, shown.decode().replace("\r\n", "\n")


def test_it_asks_for_rows_and_what_goes_with_them_and_again_where_an_answer_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "nli.tsv").write_text(ROWS, encoding="utf-8")
    answers = ["pair-label", "nil.tsv", "nli.tsv", "", "en,french", "", "CC BY 4.0", "Me (2026)", "here", ""]
    status, shown = typed(tmp_path, answers, "my-nli")
    assert status == 0, shown
    assert "nil.tsv: there is no such file" in shown
    assert "(did you mean 'fr'?)" in shown
    assert "the homepage 'here' is no address: write https://..." in shown
    assert "note: labels, with how many rows: contradiction 4, entailment 4, neutral 4" in shown
    readme = (tmp_path / "xbench-my-nli" / "README.md").read_text(encoding="utf-8")
    assert "Licence of the rows: CC BY 4.0" in readme
    assert "| `test.fr.jsonl` | 3 |" in readme


def test_sample_rows_have_their_own_licence_and_nobody_is_asked_for_one(tmp_path: Path) -> None:
    status, shown = typed(tmp_path, ["", "", ""], "my-pairs")
    assert status == 0, shown
    assert "Licence" not in shown
    assert (tmp_path / "xbench-my-pairs" / "xbench_my_pairs" / "data" / "train.ko.jsonl").is_file()
