"""Diagnostics that every task can use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .hookspecs import hookimpl
from .measures import Diagnostic, DiagnosticContext


def _truncated_rows(about: DiagnosticContext) -> Mapping[str, float]:
    return {"rows": int(about.truncated.sum()), "share": float(about.truncated.mean())}


@hookimpl
def xbench_diagnostics() -> Iterable[Diagnostic]:
    """Rows whose text did not fit into ``max_length``."""
    return [Diagnostic("truncated-rows", _truncated_rows, "Evaluation rows some of whose text was cut away.")]
