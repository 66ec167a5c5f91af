"""Where a download may go, how an address is shown, and asking there.

urllib does the talking: it knows proxies and certificates, sends nobody's password along, and lets each redirect be
looked at before it is followed.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any

from .. import __version__

TIMEOUT_S = 30.0
LONGEST_SHOWN = 300
"""Letters of an address in a message."""
FAILURES = (urllib.error.URLError, http.client.HTTPException, OSError, ValueError)


class NotHereError(Exception):
    """This source cannot serve; the text says why, and the next one may."""


def check_address(url: str) -> None:
    """Refuse an address that is neither TLS nor this machine itself.

    Raises:
        NotHereError: It is refused.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        named = parts.hostname and parts.port != 0
    except ValueError:
        raise NotHereError(f"{public(url)} is no address") from None
    if parts.scheme != "https" and not loopback:
        raise NotHereError(f"{public(url)} is not fetched: only https is")
    if not named or not url.isprintable() or " " in url:
        raise NotHereError(f"{public(url)} is no address")
    if "@" in parts.netloc:
        raise NotHereError(f"{public(url)} is not fetched: its address holds a user's name or password")


def public(url: str) -> str:
    """An address as people may see it: whatever could be a secret in it, a user's name or a query, is left out.

    Args:
        url: The address.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address"
    text = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "..." if parts.query else "", ""))
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where a download may go."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> Any:
        """Look at the address before urllib does, which has words of its own for some."""
        check_address(urllib.parse.urljoin(req.full_url, (headers.get("Location") or req.full_url).replace(" ", "%20")))
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def open_address(url: str, method: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Ask for what lies at an address.

    Args:
        url: It.
        method: ``GET`` or ``HEAD``.
        headers: Of the request, beside those that are always sent.

    Raises:
        NotHereError: It, or where it leads, is not to be asked.
        OSError: It cannot be reached, or says no; so do `FAILURES`, all of them.
    """
    # As it is, not packed: else neither its length nor a place in it would be the file's.
    always = {"Accept-Encoding": "identity", "User-Agent": f"xbench/{__version__}"}
    request = urllib.request.Request(url, headers=always | headers, method=method)  # noqa: S310  # see check_address
    answer: http.client.HTTPResponse = urllib.request.build_opener(_SafeRedirects).open(request, timeout=TIMEOUT_S)
    return answer


def failure(error: Any) -> str:
    """A failure in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        # Not what the server, or urllib of a redirect, says: it may hold an address, or anything.
        return f"HTTP {error.code} {http.client.responses.get(error.code, '')}".rstrip()
    if isinstance(error, (http.client.InvalidURL, ValueError)):  # their text is the whole address
        return type(error).__name__
    return str(getattr(error, "reason", None) or error) or type(error).__name__
