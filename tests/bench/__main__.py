"""Runs every contender in turn, a process each, several rounds; prints one table, and keeps all runs as JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.report import Figures, Runs, keep, table
from tests.page.browser import missing

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = {"asis": "trainer, as is", "tuned": "trainer, tuned"}
TRAINING = {  # the publisher's file that the peers train on, and a title
    "sts": ("stsbenchmark/sts-train.csv", "fine-tuning e5-small-q4 on STSb, examples/s"),
    "mrc": ("squad-v1.1/du2017-split/test-v1.1.json", "fine-tuning e5-small-q4 on SQuAD, windows/s"),
}
WORKS = {
    **{name: title for name, (_, title) in TRAINING.items()},
    "embed": "embedding KorSTS test, sentences/s",
    "start": "starts a second",
    "page": "the leaderboard's page in Chromium, loads a second",
}


def main() -> None:
    """Compare fine-tuning on STSb pairs and on SQuAD windows, embedding, starting, and opening the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--work", action="append", choices=WORKS, help="this work only")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "bench-cache")
    parser.add_argument("--peer", action="append", choices=PEERS, help="compare with this trainer only")
    options = parser.parse_args()
    data = Path(os.environ["XBENCH_DATA"]).resolve()
    works = options.work or list(WORKS)
    folder = "" if works == ["page"] else _model_folder(options.cache)
    found: dict[str, Runs] = {}
    for work in works:
        if work == "page" and missing():
            print(f"page is left out: {missing()}", file=sys.stderr)
            continue
        contenders = _contenders(work, folder, data, options)
        runs: Runs = {name: [] for name in contenders}
        for turn in range(options.rounds):
            for name, command in contenders.items():
                runs[name].append(_run(command))
                print(f"{work}, round {turn + 1}, {name}: {runs[name][-1]}", file=sys.stderr)
        found[WORKS[work]] = runs
        print(f"kept in {keep(HERE / 'results', work, runs, options.steps).relative_to(ROOT)}", file=sys.stderr)
    print(table(found))


def _contenders(work: str, folder: str, data: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    if work == "embed":
        return _embedders(folder, data, options)
    if work == "page":
        return {f"{count:,} entries": [*_module("page"), "--entries", str(count)] for count in (100, 5000)}
    if work == "start":
        place = ["--data", str(data), "--cache", str(options.cache)]
        return {
            name: [*_module("start"), "--style", name, *place] for name in ("import torch", "finished plan", "help")
        }
    return _trainers(work, folder, data, options)


def _trainers(work: str, folder: str, data: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    peers = {
        PEERS[style]: [
            *_module("trainer"), "--work", work, "--model", folder, "--train", str(data / TRAINING[work][0]),
            "--style", style, "--steps", str(options.steps),
        ]
        for style in options.peer or PEERS
    }  # fmt: skip
    place = ["--model", "e5-small-q4", "--data", str(data), "--cache", str(options.cache)]
    return {**peers, "xbench": [*_module("one_run"), "--work", work, *place, "--steps", str(options.steps)]}


def _embedders(folder: str, data: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    place = ["--data", str(data), "--cache", str(options.cache)]
    own = {
        f"xbench, {precision}": [*_module("embed"), "--style", precision, "--model", "e5-small-q4", *place]
        for precision in ("bf16", "fp32")
    }
    return {"sentence-transformers": [*_module("embed"), "--style", "peer", "--model", folder, *place], **own}


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{name}"]


def _model_folder(cache: Path) -> str:
    """The very weights that xbench trains, as a folder."""
    command = [sys.executable, "-c", "import sys; from xbench.cli import main; sys.exit(main())"]
    shown = subprocess.run(
        [*command, "models", "e5-small-q4", "--cache", str(cache), "--json"], check=True, capture_output=True, text=True
    )
    return str(json.loads(shown.stdout)["folder"])


def _run(command: list[str]) -> Figures:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
