"""A web server on this machine alone, and processes that note every connection they try."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class Heard(NamedTuple):
    """A request, as the server heard it; each part of a header's name begins with a capital."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Site:
    """What a server serves, and what it was asked for.

    Attributes:
        address: Its scheme, host and port.
        answers: By path, with or without its query: an answer, or what makes one of a request.
        asked: The paths of all requests, in their order.
        heard: The requests themselves.
        resets: Paths of which the next answer ends in a connection that is reset; each once.
    """

    address: str
    answers: dict[str, Answer | Callable[[Heard], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)

    def serve(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Serve something from now on; gives its whole address. A header's underscores stand for hyphens."""
        length = {} if "Transfer_Encoding" in headers else {"Content-Length": str(len(body))}
        self.answers[path] = (status, length | {name.replace("_", "-"): text for name, text in headers.items()}, body)
        return self.address + path

    def serve_ranges(self, path: str, body: bytes, breaks: tuple[int, ...] = (), **headers: str) -> str:
        """Serve something that one can go on with: ``Range``, where ``If-Range`` is the entity tag or the date.

        Args:
            path: Where.
            body: What.
            breaks: After so many bytes the first answers break off, one after the other.
            headers: ``ETag`` or ``Last_Modified``.
        """
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        left = list(breaks)

        def answer(heard: Heard) -> Answer:
            match = re.fullmatch(r"bytes=(\d+)-", heard.headers.get("Range", ""))
            start = int(match[1]) if match and heard.headers.get("If-Range") in (None, *named.values()) else 0
            if start >= len(body) and match:
                return 416, {"Content-Length": "0", "Content-Range": f"bytes */{len(body)}"}, b""
            part = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if match and start else {}
            sent = body[start : start + left.pop(0)] if left and heard.method == "GET" else body[start:]
            return 206 if part else 200, {**named, **part, "Content-Length": str(len(body) - start)}, sent

        self.answers[path] = answer
        return self.address + path


@contextlib.contextmanager
def loopback_site() -> Iterator[Site]:
    """Serve on a free port of 127.0.0.1 until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            heard = Heard(self.command, self.path, {name.title(): text for name, text in self.headers.items()})
            site.asked.append(self.path)
            site.heard.append(heard)
            found = site.answers.get(self.path) or site.answers.get(self.path.partition("?")[0])
            answer = found(heard) if callable(found) else found
            status, headers, body = answer or (404, {"Content-Length": "0"}, b"")
            self.send_response_only(status)
            for name, text in {**headers, "Connection": "close"}.items():
                self.send_header(name, text)
            self.end_headers()
            if self.command == "GET":
                with contextlib.suppress(ConnectionError):  # whoever asked went away
                    self.wfile.write(body)
            if self.path in site.resets:
                site.resets.remove(self.path)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                doomed.add(self.connection)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name for it
            pass

    class Server(ThreadingHTTPServer):
        def shutdown_request(self, request: Any) -> None:
            if request in doomed:  # no word of farewell: closed like this, it is reset
                self.close_request(request)
            else:
                super().shutdown_request(request)

    doomed: set[socket.socket] = set()
    server = Server(("127.0.0.1", 0), Handler)
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
