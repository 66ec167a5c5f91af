"""A web server on this machine alone, and processes that note every connection they try."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Site:
    """What a server serves, and what it was asked for.

    Attributes:
        address: Its scheme, host and port.
        answers: By path, with or without its query: status, headers, body.
        asked: The paths of all requests, in their order.
    """

    address: str
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Serve something from now on; gives its whole address. A header's underscores stand for hyphens."""
        length = {} if "Transfer_Encoding" in headers else {"Content-Length": str(len(body))}
        self.answers[path] = (status, length | {name.replace("_", "-"): text for name, text in headers.items()}, body)
        return self.address + path


@contextlib.contextmanager
def loopback_site() -> Iterator[Site]:
    """Serve on a free port of 127.0.0.1 until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.asked.append(self.path)
            found = site.answers.get(self.path) or site.answers.get(self.path.partition("?")[0])
            status, headers, body = found or (404, {"Content-Length": "0"}, b"")
            self.send_response_only(status)
            for name, text in {**headers, "Connection": "close"}.items():
                self.send_header(name, text)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name for it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_WATCH = """
import json, sys
tried = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        tried.append([event, repr(arguments[1:] if event == "socket.connect" else arguments)])
        raise OSError("this process has no network")
sys.addaudithook(watch)
def report(**values):
    print(json.dumps({**values, "tried": tried, "modules": sorted(sys.modules)}))
"""


def without_network(code: str, hub: Path) -> dict[str, Any]:
    """Run Python in a fresh process in which every connection fails.

    Args:
        code: Ends with a call of ``report(name=value, ...)``.
        hub: The process's ``HF_HOME``: the hub's cache is the folder ``hub`` in it.

    Returns:
        What it reported, ``tried`` (each attempt to look up or reach an address) and ``modules`` (all imported ones).
    """
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "XBENCH_"))}
    done = subprocess.run(
        [sys.executable, "-c", _WATCH + code], env={**environment, "HF_HOME": str(hub)}, capture_output=True, text=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return values
