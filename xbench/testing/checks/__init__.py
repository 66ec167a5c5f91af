"""All checks, in the order in which they are made: what others build on comes first."""

from __future__ import annotations

from ..subject import Check
from . import data, declared, floors, heads, loading, metrics, tasks

CHECKS = (
    Check("loads", "plugin", loading.check_loads),
    Check("light", "plugin", loading.check_light),
    Check("reads-nothing", "plugin", loading.check_reads_nothing),
    Check("public-names", "plugin", loading.check_public_names),
    Check("own-names", "plugin", loading.check_names),
    Check("schema-declared", "schema", declared.check_schema),
    Check("credits", "dataset", declared.check_credits),
    Check("languages", "dataset", declared.check_languages),
    Check("dataset-declared", "dataset", declared.check_dataset),
    Check("rows-read", "split", data.check_rows_read),
    Check("rows-fit", "split", data.check_rows_fit),
    Check("ids-unique", "split", data.check_ids),
    Check("texts-there", "split", data.check_texts),
    Check("pinned", "split", data.check_pinned),
    Check("metric-declared", "metric", metrics.check_metric),
    Check("best-reached", "metric", metrics.check_best, lambda metric: bool(metric.best)),
    Check("any-order", "metric", metrics.check_order),
    Check("resampled", "metric", metrics.check_resample, lambda metric: metric.resample is not None),
    Check("unanswered", "metric", metrics.check_unanswered, lambda metric: metric.unanswered),
    Check("head-declared", "head", declared.check_head),
    Check("examples", "head", heads.check_examples),
    Check("seeded", "head", heads.check_seeded),
    Check("learns", "head", heads.check_learns),
    Check("any-batch", "head", heads.check_batches),
    Check("decodes", "head", heads.check_decodes),
    Check("floor-declared", "floor", declared.check_floor),
    Check("floor-predicts", "floor", floors.check_floor_predicts),
    Check("diagnostic-declared", "diagnostic", declared.check_measure),
    Check("figure-declared", "figure", declared.check_measure),
    Check("model-credits", "model", declared.check_credits),
    Check("model-languages", "model", declared.check_languages),
    Check("model-source", "model", declared.check_model),
    Check("task-declared", "task", tasks.check_task),
    Check("plans", "task", tasks.check_plans),
    Check("runs", "task", tasks.check_runs),
)
"""By kind of thing; ``xbench check --list`` shows them."""
