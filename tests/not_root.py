"""Root may read and write everything; without these capabilities it is held by permissions as others are."""

from __future__ import annotations

import os

NOT_EVEN_ROOT = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
"""Stands before a command."""
