"""Fits the alignment maps on many pairs, a process each: seconds, and the most memory held. Prints one line of JSON.

python -m tests.bench.maps --pairs 100000 1000000 --width 1024
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 10_000


def write_pairs(path: Path, pairs: int, width: int) -> None:
    """Pairs of which the second side is a rotation of the first, with noise, as a head's outputs lie in their file."""
    generator = np.random.default_rng(0)
    turn = np.linalg.qr(generator.standard_normal((width, width)))[0].astype(np.float32)  # (width, width)
    both = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(pairs, 2, width))
    for start in range(0, pairs, ROWS):
        source = generator.standard_normal((min(ROWS, pairs - start), width), np.float32)
        both[start : start + ROWS, 0] = source
        both[start : start + ROWS, 1] = source @ turn + 0.5 * generator.standard_normal(source.shape, np.float32)
    both.flush()


def fit(path: Path, kind: str, epochs: int) -> None:
    """Fit one map and say what it took."""
    import torch
    from xbench_plugins.alignment.heads import BLOCK
    from xbench_plugins.alignment.maps import blocks, least_squares, procrustes
    from xbench_plugins.alignment.net import NetRecipe, linear_net

    from xbench.provenance import peak_memory

    outputs = np.load(path, mmap_mode="r")
    before = peak_memory(torch.device("cpu"))["peak_rss_mb"]
    started = time.perf_counter()
    if kind == "linear-net":
        linear_net(outputs, False, NetRecipe(1e-3, 256, epochs, 1e-4, 5, False), 0)
    else:
        pairs = blocks(outputs, BLOCK)
        least_squares(pairs) if kind == "least-squares" else procrustes(pairs)
    seconds = round(time.perf_counter() - started, 1)
    peak = peak_memory(torch.device("cpu"))["peak_rss_mb"]
    about = {"map": kind, "pairs": len(outputs), "width": outputs.shape[-1]}
    print(json.dumps({**about, "seconds": seconds, "start_mb": before, "peak_mb": peak}))


def main() -> None:
    """Measure every map at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--maps", nargs="+", default=["least-squares", "procrustes", "linear-net"])
    parser.add_argument("--epochs", type=int, default=1, help="of linear-net")
    parser.add_argument("--fit", type=Path, help="the file of one fit (for the process of its own)")
    options = parser.parse_args()
    if options.fit:
        fit(options.fit, options.maps[0], options.epochs)
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # /tmp may be memory
        for pairs in options.pairs:
            path = Path(folder) / f"{pairs}.npy"
            write_pairs(path, pairs, options.width)
            for kind in options.maps:
                command = [sys.executable, "-m", "tests.bench.maps", "--fit", str(path), "--maps", kind]
                subprocess.run([*command, "--epochs", str(options.epochs)], check=True)
            path.unlink()


if __name__ == "__main__":
    main()
