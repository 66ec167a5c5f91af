"""The leaderboard as one HTML file: it works from a disk, without a network, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from ...errors import UserError

SCRIPTS = (
    "dom.js",
    "state.js",
    "cells.js",
    "table.js",
    "details.js",
    "figures.js",
    "heat.js",
    "intervals.js",
    "page.js",
)
"""The page's own, in the order in which they run, as one."""
_SHEET = re.compile(r'getElementById\("([0-9a-f]{64})"\)')
"""Where plotly asks whether the style sheet of its maps is there already."""
_EXPORTS = re.compile(r"\bexport\s*\{([^{}]*)\};?")
_HERE = Path(__file__).parent


def render_page(payload: Mapping[str, Any]) -> str:
    """The page, with everything that it needs inside.

    Args:
        payload: ``title``, ``tasks`` and ``entries``: what JSON can hold, without NaN.

    Returns:
        HTML. The same payload and the same versions of plotly and itables give the same bytes.

    Raises:
        UserError: plotly or itables is missing, or not laid out as expected.
    """
    tables = _script(_data_tables(_package_file("itables", "html/dt_bundle.js")))
    plotly = _script(_package_file("plotly", "package_data/plotly.min.js"))
    own = _script('(() => {\n"use strict";\n' + "\n".join(_own(name) for name in SCRIPTS) + "})();\n")
    style = _own("page.css")
    parts = {
        "policy": _policy((tables, plotly, own), style), "title": _html(payload["title"]), "style": style,
        "payload": _json(payload), "tables": tables, "plotly": plotly, "script": own,
        "sheets": " ".join(sorted(set(_SHEET.findall(plotly)))),
    }  # fmt: skip
    return Template(_own("page.html")).substitute(parts)


def _html(text: str) -> str:
    """Text for HTML; half a character, which JSON may hold and UTF-8 may not, becomes a question mark."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def _json(payload: Mapping[str, Any]) -> str:
    """JSON in ASCII, without a character that means something to HTML: nothing in it can end the script element."""
    text = json.dumps(payload, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: tuple[str, ...], style: str) -> str:
    """What the browser allows: these scripts, this style sheet, pictures made by the page; no connection at all.

    plotly adds rules to a style sheet that it makes empty, and sets style attributes: hence the empty text's hash, and
    attributes without one. An attribute can load nothing, since pictures may only be data.
    """
    hashes = " ".join(f"'{_sha256(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src-elem '{_sha256(style)}' '{_sha256('')}'; "
        "style-src-attr 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _script(code: str) -> str:
    """Code as it may stand inside a script element: nothing in it opens or ends one, and its lines end with LF."""
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"<(?=!--|/?script)", r"\\x3c", code, flags=re.IGNORECASE)


def _data_tables(module: str) -> str:
    """The bundle of itables, a module, as a plain script that leaves ``DataTable`` and ``jQuery`` to the page."""
    exports = list(_EXPORTS.finditer(module))
    names = [re.findall(r"([\w$]+)\s+as\s+([\w$]+)", one[1]) for one in exports]
    local = {outer: inner for pairs in names for inner, outer in pairs}
    if len(exports) != 1 or not {"default", "jQuery"} <= local.keys():
        raise UserError("itables carries another bundle of DataTables than expected: pip install 'xbench[publish]'")
    kept = f"window.DataTable={local['default']};window.jQuery={local['jQuery']};"
    start, end = exports[0].span()
    return f'(()=>{{"use strict";{module[:start]}{kept}{module[end:]}\n}})();'


def _package_file(package: str, name: str) -> str:
    """A text file of an installed package, which is not imported: itables would bring pandas."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise UserError(f"the leaderboard's page needs {name} of {package}: pip install 'xbench[publish]'")


def _own(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
