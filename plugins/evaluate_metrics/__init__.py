"""``evaluate:ADDRESS``: any metric of Hugging Face evaluate, from a script of one's own or from the hub.

An address is a path (``./my_metric.py``, or a folder that holds a script of its name), or a name on the hub (``rouge``,
``user/name``, ``@REVISION`` behind it), then options: ``evaluate:f1?average=macro``. Options go to the script's
``compute``, and ``config_name`` to `evaluate.load`.
"""

from __future__ import annotations

from collections.abc import Iterable

from xbench.api import Access, Metric, MetricSource, hookimpl

from .address import PREFIX, Address, check_options, find_script, identity, script_files
from .script import Script, compute, resample


def make_metric(text: str, access: Access) -> Metric:
    """The metric at an address. No script is run, nor evaluate imported, before a score is asked for.

    Args:
        text: The address.
        access: What the user allows.

    Raises:
        UserError: It is not there, or not to be used.
    """
    address = Address.parse(text)
    path = find_script(address, access)
    script = Script(path, address.options, address.metric_name)
    files = script_files(path)
    check_options(path, address.options)
    where = path.name if address.is_local else f"{address.place} on the hub"
    return Metric(
        address.metric_name, identity(files, address.options),
        lambda *scored: compute(script, *scored), f"Hugging Face evaluate's {where}, in its own units.",
        resample=lambda *scored: resample(script, *scored),
    )  # fmt: skip


@hookimpl
def xbench_metric_sources() -> Iterable[MetricSource]:
    """``evaluate:``."""
    about = "A metric of Hugging Face evaluate: a script of your own, ./my_metric.py, or a name on the hub."
    return [MetricSource(PREFIX, lambda text: Address.parse(text).metric_name, make_metric, about)]
