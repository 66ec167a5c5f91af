"""Runs every contender in turn, a process each, several rounds; prints medians and ratios, and keeps them as JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = {"asis": "trainer, as is", "tuned": "trainer, tuned"}
TRAINING = {  # the publisher's file that the peers train on, and a title
    "sts": ("stsbenchmark/sts-train.csv", "fine-tuning e5-small-q4 on STSb, examples/s"),
    "mrc": ("squad-v1.1/du2017-split/test-v1.1.json", "fine-tuning e5-small-q4 on SQuAD, windows/s"),
}
WORKS = {**{name: title for name, (_, title) in TRAINING.items()}, "embed": "embedding KorSTS test, sentences/s"}
RATES = ("examples_per_s", "sentences_per_s")
FIGURES = (*RATES, "peak_rss_mb", "share_of_matrix_rate", "matrix_gflops")
Figures = dict[str, float]


def main() -> None:
    """Compare fine-tuning on STSb pairs and on SQuAD windows, and embedding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--work", action="append", choices=WORKS, help="this work only")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "bench-cache")
    parser.add_argument("--peer", action="append", choices=PEERS, help="compare with this trainer only")
    options = parser.parse_args()
    data = Path(os.environ["XBENCH_DATA"]).resolve()
    folder = _model_folder(options.cache)
    for work in options.work or WORKS:
        contenders = _embedders(folder, data, options) if work == "embed" else _trainers(work, folder, data, options)
        runs: dict[str, list[Figures]] = {name: [] for name in contenders}
        for turn in range(options.rounds):
            for name, command in contenders.items():
                runs[name].append(_run(command))
                print(f"{work}, round {turn + 1}, {name}: {runs[name][-1]}", file=sys.stderr)
        _report(work, runs, options.steps)


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
    return {name: result[name] for name in FIGURES if name in result}


def _report(work: str, runs: dict[str, list[Figures]], steps: int) -> None:
    """Print medians, the last contender beside each, and keep every run."""
    import torch
    import transformers

    medians = {
        name: {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
        for name, found in runs.items()
    }
    own = list(medians.values())[-1]
    rate = next(name for name in RATES if name in own)
    print(f"{WORKS[work]:<45} {'rate':>8} {'peak MB':>8} {'xbench is':>20}")
    for name, figures in medians.items():
        speed, memory = own[rate] / figures[rate], own["peak_rss_mb"] / figures["peak_rss_mb"]
        print(f"{name:<45} {figures[rate]:>8.2f} {figures['peak_rss_mb']:>8.0f} {speed:>7.1f}x fast, {memory:.2f}x big")
    if "share_of_matrix_rate" in own:
        print(f"of the machine's rate of square matrix products: {own['share_of_matrix_rate']:.0%}")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    about = {
        "date": today, "machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__,
        "transformers": transformers.__version__, "steps": steps, "runs": runs,
    }  # fmt: skip
    target = HERE / "results" / f"{today}-{work}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(about, indent=2) + "\n")
    print(f"kept in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
