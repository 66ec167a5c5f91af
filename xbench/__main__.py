"""``python -m xbench``: the command line, for launchers that start a module instead of a program."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
