"""The LaTeX document compiles, whoever chose the names, and prints them as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.records import record, table_one
from xbench.leaderboard.latex import latex, render_latex
from xbench.leaderboard.table import Order, build_tables

ORDER = {"sts": Order(("stsb", "korsts"), ("stsb", "korsts"), baselines={"stsb": "stsb", "korsts": "korsts"})}
ASCII = [chr(code) for code in range(128)]
HOSTILE = (
    r"\input{/etc/passwd}", r"\end{document}", "a & b \\\\ c", "50% off", "$x^2_1$", "#1", "~", "{", "}", "}{", "[x]",
    "*", "--", "---", "''", "``", "?`", "^^M", "한국어 모델", "日本", "ﬁ", "e\u0301", "\u202eabc", "\x00\x07\x1b\x7f",
    "\ud800",
)  # fmt: skip
NEEDS = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: Debian's texlive-latex-recommended has it"
)


def rendered(records: list[dict[str, Any]], titles: dict[str, str] | None = None) -> str:
    return render_latex(build_tables(records, ORDER), ORDER, titles or {})


def compiled(folder: Path, text: str) -> tuple[bytes, str]:
    """The PDF and the log; TeX may read and write nothing but this folder, and runs no program."""
    (folder / "page.tex").write_bytes(text.encode("utf-8"))
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=folder, capture_output=True, text=True, encoding="latin-1", check=False, timeout=120,
    )  # fmt: skip
    log = (folder / "page.log").read_text(encoding="latin-1")
    errors = [line for line in log.splitlines() if line.startswith("!")]
    assert (done.returncode, errors) == (0, []), log[-2000:]
    assert "Undefined control sequence" not in log
    return (folder / "page.pdf").read_bytes(), log


def printed(text: str) -> str:
    """What LaTeX prints for an escaped text, read back by its own rules."""
    signs = {
        r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~", r"\textless{}": "<",
        r"\textgreater{}": ">", r"\textbar{}": "|", r"\`{}": "`",
    }  # fmt: skip
    tokens = re.findall(r"\\text\w+\{\}|\\`\{\}|\\[{}$&#%_]|\{.\}|\{\}|.", text)
    said = [signs.get(one) or (one[1:-1] if re.fullmatch(r"\{.?\}", one) else one.removeprefix("\\")) for one in tokens]
    return "".join(said)


@pytest.mark.parametrize("one", ASCII[33:127])
def test_every_sign_is_printed_as_itself(one: str) -> None:
    assert printed(latex(f"a{one}b{one}{one}{one}c")) == f"a{one}b{one}{one}{one}c"


def test_what_fonts_lack_and_what_is_no_sign_is_its_code_point() -> None:
    assert latex("가\x00\x1b\x7f") == "U+AC00U+0000U+001BU+007F"
    assert latex("a\n\tb\r\nc") == "a b c"


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_name_is_left_for_tex_to_act_on(name: str) -> None:
    escaped = latex(name)
    assert escaped.isascii()
    rest = re.sub(r"\\text(backslash|asciicircum|asciitilde|less|greater|bar)\{\}|\\`\{\}|\\[{}$&#%_]", "", escaped)
    assert not set(rest) & set("\\$&#%_^~")
    assert rest.count("{") == rest.count("}")


@NEEDS
def test_the_papers_tables_compile(tmp_path: Path) -> None:
    records = [*table_one(seeds=(0, 1), draws=True), record(sample=True), record(limits__train=200),
               record("stsb", "stsb", scores={"f1": 1.0}, ceilings={"f1": 99.0}, task="mrc")]  # fmt: skip
    text = rendered(records, {"sts": "Semantic textual similarity"})
    pdf, log = compiled(tmp_path, text)
    assert pdf.startswith(b"%PDF-")
    assert "Missing character" not in log
    for part in (r"\toprule", r"\midrule", r"\bottomrule", "sample corpora: no benchmark", "limited: 200 training rows",
                 r"\emph{ceiling} & 99.00", ": transfer}", "Checkpoint & Seeds"):  # fmt: skip
        assert part in text


def test_a_caption_says_of_which_version_and_limits_a_table_is() -> None:
    """Also that of the transfer table, which is printed far from the other one."""
    runs = ({}, {"limits__train": 200}, {"task_version": 2})
    text = rendered([record(name, "korsts", **run) for run in runs for name in ("stsb", "korsts")])
    captions = re.findall(r"\\caption\{(.*)\}\\\\\n", text)
    assert len(captions) == len(set(captions)) == 2 * len(runs)
    assert sum("limited: 200 training rows" in caption for caption in captions) == 2
    assert sum("task version 2" in caption for caption in captions) == 2


@NEEDS
def test_wide_tables_are_cut_into_parts_that_fit_the_page(tmp_path: Path) -> None:
    """What runs over the page's edge is not printed."""
    names = [f"dataset-{number}-with-a-name" for number in range(30)]
    many = ", ".join(f"setting {number}" for number in range(25))
    records = [record("stsb+korsts", name, draws=True) for name in names]
    records += [record("stsb+korsts", names[0], seed=seed, recipe={"score_scale": many}) for seed in range(9)]
    records += [record("stsb", f"{name}-가나다라마바사", model__name="other") for name in names[:9]]
    _, log = compiled(tmp_path, rendered(records))
    assert [line for line in log.splitlines() if line.startswith("Overfull")] == []
    text = (tmp_path / "page.tex").read_text(encoding="utf-8")
    assert text.count("Pearson): part 1 of ") == 2
    assert [name for name in names if text.count(f"({name})") != 1] == []


@NEEDS
def test_every_ascii_sign_and_korean_compiles_wherever_a_name_may_stand(tmp_path: Path) -> None:
    """Also first in a row, where a bracket or a star would be an option of the row before."""
    records = []
    for number, name in enumerate([*ASCII, *HOSTILE]):
        records += [record(f"{name}x", "korsts", draws=number % 16 == 0), record("korsts", "korsts", head=f"{name}y")]
    for number, name in enumerate(["".join(ASCII[32:127]), *HOSTILE]):
        changes = {"model__name": name, "eval__dataset": name, "task": name, "head": name, "selection": name,
                   "sample": bool(number % 2)}  # fmt: skip
        records.append(record("none", **changes))
        records.append(record("stsb", scores={name: 1.0, "b": 2.0}, **changes))
    pdf, log = compiled(tmp_path, rendered(records, {"sts": "".join(ASCII[33:127])}))
    assert pdf.startswith(b"%PDF-")
    assert "Missing character" not in log


@NEEDS
@pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="pdftotext is not installed: Debian's poppler-utils has it"
)
def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    names = [r"a\b", "{c}d", "e^g", "h~i", "50%j", "k&l#m$n", "[o]", "*p", "q--r---s", "t<u>v|w", "가"]
    compiled(tmp_path, rendered([record(name, "korsts") for name in names]))
    done = subprocess.run(
        ["pdftotext", "-layout", "page.pdf", "-"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    said = done.stdout.replace("˜", "~").replace("∼", "~").replace("ˆ", "^").replace("−", "-").replace("∗", "*")
    assert [name for name in names if name.replace("가", "U+AC00") not in said] == []


@NEEDS
def test_without_records_it_compiles(tmp_path: Path) -> None:
    compiled(tmp_path, rendered([]))
