"""Readers of binary files under atheris, which looks for inputs that reach new code.

    python -m tests.fuzz.atheris_binary e5|safetensors|tar [SECONDS]

Ends with status 0 and the number of cases where none crashed; a crash leaves its input in the working folder. A case
that takes more than 20 s, or 3 GB, is a crash as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TARGETS = ("e5", "safetensors", "tar")
SECONDS = 60


def main(arguments: list[str]) -> int:
    """Fuzz one target in a process of its own, or each in turn where none is named."""
    names = [arguments[0]] if arguments else list(TARGETS)
    seconds = int(arguments[1]) if len(arguments) > 1 else SECONDS
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            corpus = Path(folder)
            for number, seed in enumerate(seeds(name)):
                (corpus / str(number)).write_bytes(seed)
            done = subprocess.run(  # this very module, on one target
                [
                    sys.executable, "-m", "tests.fuzz.atheris_binary", "--inside", name, str(corpus),
                    f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3072", "-max_len=65536",
                    "-print_final_stats=1", "-verbosity=0",
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        found = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
        print(f"{int(found[1]) if found else 0:>9,}  {name} (atheris, {seconds} s)", flush=True)
        if done.returncode or not found:
            print(done.stderr[-4000:], file=sys.stderr)
            return 1
    return 0


def seeds(name: str) -> list[bytes]:
    """Valid files."""
    from tests.fuzz.test_binary_files import SAFE, WEIGHTS, archives

    return {"e5": [WEIGHTS], "safetensors": [SAFE], "tar": [one for one in archives() if len(one) < 60_000]}[name]


def reader(name: str, path: Path) -> Callable[[], object]:
    """What reads the file, and swallows what the reader says that it raises."""
    import contextlib
    import tarfile

    from xbench_plugins.e5_offline.weights import WeightFile, WeightFileError

    from xbench.data.archives import DAMAGED, extract
    from xbench.errors import UserError
    from xbench.models.folder import count_weights

    def e5() -> None:
        with contextlib.suppress(WeightFileError):
            file = WeightFile(path)
            for entry in file.entries:
                file.tensor(entry)

    def safetensors() -> None:
        with contextlib.suppress(UserError):
            count_weights(path)

    def tar() -> None:
        with contextlib.suppress(*DAMAGED, tarfile.TarError):
            extract(path, "a/b.txt", path.with_name("out"))

    return {"e5": e5, "safetensors": safetensors, "tar": tar}[name]


def inside(name: str, options: list[str]) -> None:
    """The process that is fuzzed."""
    import atheris

    with atheris.instrument_imports(
        include=["xbench_plugins.e5_offline", "xbench.models.resolve", "xbench.data", "tarfile"]
    ):
        import tarfile  # noqa: F401

        import xbench_plugins.e5_offline.weights  # noqa: F401

        import xbench.data.archives
        import xbench.models.resolve  # noqa: F401

    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path = folder / "input"
    read = reader(name, path)

    def one(data: bytes) -> None:
        path.write_bytes(data)
        read()

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
