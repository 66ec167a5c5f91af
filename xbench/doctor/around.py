"""What is around it: the hub, and the encoding of texts."""

from __future__ import annotations

import locale
import sys
import threading
from collections.abc import Callable, Iterator

from ..settings import Settings
from .finding import NOTE, OK, Finding

HUB_S = 3.0
"""Seconds for the hub to answer."""


def hub(settings: Settings) -> Iterator[Finding]:
    """Whether it answers, and whether there is a token."""
    from huggingface_hub import constants, get_token

    token = "a token is set" if get_token() else "no token (private and gated repositories need one: hf auth login)"
    if settings.offline:
        yield Finding("hub", OK, f"not tried ({settings.why_offline}); {token}")
        return
    endpoint = constants.ENDPOINT
    reason = _within(HUB_S, lambda: _reach(endpoint))
    if reason:
        mend = "see to the network or HTTPS_PROXY, name a mirror with HF_ENDPOINT, or work with --offline"
        yield Finding("hub", NOTE, f"{endpoint} does not answer ({reason}); {token}", mend)
    else:
        yield Finding("hub", OK, f"{endpoint} answers; {token}")


def _reach(address: str) -> str:
    """Why an address does not answer; empty where it does. Any answer of a server is one."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=HUB_S):  # noqa: S310  # the hub's own address
            return ""
    except HTTPError:
        return ""
    except (OSError, ValueError, HTTPException) as error:
        return " ".join(str(getattr(error, "reason", error)).split())[:120]


def _within(seconds: float, call: Callable[[], str]) -> str:
    """What a call says, if it says it in time: looking a name up has no limit of its own."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else f"not in {seconds:g} s"


def locale_of_texts() -> Iterator[Finding]:
    """Whether texts of other languages can be shown."""
    encoding = locale.getpreferredencoding(False)
    streams = {getattr(stream, "encoding", None) or encoding for stream in (sys.stdout, sys.stderr)}
    if any(name.lower().replace("-", "") != "utf8" for name in (encoding, *streams)):
        said = f"the locale's encoding is {encoding}: names and texts of other languages may not be shown"
        yield Finding("locale", NOTE, said, "export PYTHONUTF8=1, or LC_ALL=C.UTF-8")
    else:
        yield Finding("locale", OK, "UTF-8")
