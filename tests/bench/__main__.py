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
WORKS = {  # the publisher's file that the peers train on, and a title
    "sts": ("stsbenchmark/sts-train.csv", "fine-tuning e5-small-q4 on STSb"),
    "mrc": ("squad-v1.1/du2017-split/test-v1.1.json", "fine-tuning e5-small-q4 on SQuAD"),
}


def main() -> None:
    """Compare fine-tuning on STSb pairs and on SQuAD windows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--work", action="append", choices=WORKS, help="this work only")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "bench-cache")
    parser.add_argument("--peer", action="append", choices=["asis", "tuned"], help="compare with this one only")
    options = parser.parse_args()
    data = Path(os.environ["XBENCH_DATA"]).resolve()
    folder = _model_folder(options.cache)
    for work in options.work or WORKS:
        contenders = {
            **{PEERS[name]: _trainer(work, folder, data, options.steps, name) for name in options.peer or PEERS},
            "xbench": [
                sys.executable, "-m", "tests.bench.one_run", "--work", work, "--model", "e5-small-q4",
                "--data", str(data), "--cache", str(options.cache), "--steps", str(options.steps),
            ],
        }  # fmt: skip
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for turn in range(options.rounds):
            for name, command in contenders.items():
                runs[name].append(_run(command))
                print(f"{work}, round {turn + 1}, {name}: {runs[name][-1]}", file=sys.stderr)
        _report(work, runs, options.steps)


def _model_folder(cache: Path) -> str:
    """The very weights that xbench trains, as a folder."""
    command = [sys.executable, "-c", "import sys; from xbench.cli import main; sys.exit(main())"]
    shown = subprocess.run(
        [*command, "models", "e5-small-q4", "--cache", str(cache), "--json"], check=True, capture_output=True, text=True
    )
    return str(json.loads(shown.stdout)["folder"])


def _trainer(work: str, folder: str, data: Path, steps: int, style: str) -> list[str]:
    return [
        sys.executable, "-m", "tests.bench.trainer", "--work", work, "--model", folder,
        "--train", str(data / WORKS[work][0]), "--style", style, "--steps", str(steps),
    ]  # fmt: skip


def _run(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: result[name] for name in ("examples_per_s", "peak_rss_mb")}


def _report(work: str, runs: dict[str, list[dict[str, float]]], steps: int) -> None:
    import torch
    import transformers

    medians = {
        name: {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
        for name, found in runs.items()
    }
    own = medians["xbench"]
    print(f"{WORKS[work][1]:<32} {'examples/s':>10} {'peak MB':>8} {'xbench is':>20}")
    for name, figures in medians.items():
        speed = own["examples_per_s"] / figures["examples_per_s"]
        memory = own["peak_rss_mb"] / figures["peak_rss_mb"]
        print(
            f"{name:<32} {figures['examples_per_s']:>10.2f} {figures['peak_rss_mb']:>8.0f} "
            f"{speed:>7.1f}x fast, {memory:.2f}x big"
        )
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    about = {
        "date": today, "machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__,
        "transformers": transformers.__version__, "steps": steps, "runs": runs,
    }  # fmt: skip
    target = HERE / "results" / f"{today}-{work}-training.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(about, indent=2) + "\n")
    print(f"kept in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
