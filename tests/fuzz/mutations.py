"""Makes damaged and hostile files out of valid ones."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

DEEP = 100_000
TOKENS: Sequence[bytes] = (
    b"", b"\x00", b"\xff", b"\n", b"\r", b"\t", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"=", b".", b"-",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", "\u202e\u2028\x1b[31m".encode(), b"\\ud800", b'"\\ud800"', b"null", b"true",
    b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"18446744073709551616", b"9" * 5000, b"0x" + b"f" * 5000,
    b"[" * DEEP, b'{"a":' * DEEP, b"a." * 5000 + b"a", b"[[a]]\n" * 50, b"x" * 100_000, b"../../x", b"/etc/passwd",
    b"$(x)`x`", b"<script>", b"=1+1", b"inf = nan\n", b"a = 1\n", b"!!python/object:os.system", b"&a [*a]",
)  # fmt: skip
"""What readers of texts stumble over."""
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63 - 1, 2**63, 2**64 - 1)
"""What readers of binary files take for a length."""
LEAVES: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**60, 2**70, 10**400, 0.5, -0.0, 1e300, float("inf"), float("nan"), "",
    "x", "x" * 10_000, "\ud800", "\x00", "\x1b[31m", "\u202e", "a\nb", "../../x", "/etc/passwd", "[red]", "$x$", "=1",
    "1e999", "NaN", "가", [], {}, [[]], [None], {"": None}, {"a": {"b": [1, 2]}}, list(range(300)),
    {str(one): one for one in range(300)},
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, *seeds: bytes, tokens: Sequence[bytes] = TOKENS) -> bytes:
    """A valid file with a few changes: bits, lengths, pieces cut out, doubled, put in, or taken from another file."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from((0, 1, 2, 4, 8, 64, 1024, 1 << 20))))
        how = draw(st.sampled_from(("flip", "token", "number", "cut", "double", "splice", "end", "noise")))
        if how == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "token":
            data[at : draw(st.sampled_from((at, end)))] = draw(st.sampled_from(tokens))
        elif how == "number":
            form = draw(st.sampled_from(("<B", "<H", "<I", "<Q", ">I", ">Q")))
            packed = struct.pack("<Q", draw(st.sampled_from(NUMBERS)))[: struct.calcsize(form)]
            data[at : at + len(packed)] = packed if form[0] == "<" else packed[::-1]
        elif how == "cut":
            del data[at:end]
        elif how == "double":
            data[at:at] = data[at:end]
        elif how == "splice":
            other = draw(st.sampled_from(seeds))
            data[at:end] = other[draw(st.integers(0, len(other))) :][: 1 << 16]
        elif how == "end":
            del data[at:]
        else:
            data[at:end] = draw(st.binary(max_size=16))
    return bytes(data)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """JSON of the same form with a few values changed, removed, doubled or moved."""
    changed: Any = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        inner, key = None, None
        found = changed
        while isinstance(found, (dict, list)) and found and (inner is None or draw(st.integers(0, 3))):
            keys = sorted(found) if isinstance(found, dict) else range(len(found))
            inner, key = found, draw(st.sampled_from(list(keys)))
            found = inner[key]
        if inner is None:
            return draw(st.sampled_from(LEAVES))
        how = draw(st.sampled_from(("leaf", "leaf", "leaf", "remove", "add", "wrap", "double")))
        if how == "remove":
            del inner[key]
        elif how == "add" and isinstance(inner, dict):
            inner[draw(st.sampled_from(("", "x", "\ud800", "a.b", "x" * 3000, "num_labels")))] = _leaf(draw)
        elif how == "wrap":
            inner[key] = [found] if draw(st.booleans()) else {"a": found}
        elif how == "double" and isinstance(inner, list):
            inner.append(copy.deepcopy(found))
        else:
            inner[key] = _leaf(draw)
    return changed


def _leaf(draw: st.DrawFn) -> Any:
    return copy.deepcopy(draw(st.sampled_from(LEAVES)))


@st.composite
def json_files(draw: st.DrawFn, value: Any) -> bytes:
    """A JSON file: of another content, and now and then no JSON at all."""
    text = json.dumps(draw(altered(value)) if draw(st.integers(0, 3)) else value, ensure_ascii=draw(st.booleans()))
    data = text.encode("utf-8", "surrogatepass")
    return draw(damaged(data)) if draw(st.booleans()) else data
