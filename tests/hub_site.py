"""A hub on this machine: enough of its endpoints for its own client, and places that it redirects to."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.loopback import Answer, Heard, Site, loopback_site

TOKEN = "hf_loopbackOnly0123456789"  # opens nothing
PREFIX = {"dataset": "datasets/", "model": ""}


@dataclass
class HubSite:
    """A hub, and a second server that stands for the network which its large files come from.

    Attributes:
        site: The hub.
        cdn: The other server.
    """

    site: Site
    cdn: Site
    published: list[str] = field(default_factory=list)

    def publish(
        self, name: str, commit: str, files: Mapping[str, bytes], kind: str = "dataset", gated: bool = False,
        large: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Let the hub serve a repository with one commit, which is its main branch.

        Args:
            name: Such as ``org/name``.
            commit: 40 hexadecimal digits.
            files: By path.
            kind: ``dataset`` or ``model``.
            gated: Whether it is served to `TOKEN` alone.
            large: Files that are redirected to the other server.
        """
        api = f"/api/{kind}s/{name}"
        tree = [
            {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
            for path, body in files.items()
        ]
        about = {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]}
        for place in ("", "/revision/main", f"/revision/{commit}"):
            self._put(api + place, json.dumps(about).encode(), commit, gated)
        self._put(f"{api}/tree/{commit}", json.dumps(tree).encode(), commit, gated)
        for path, body in files.items():
            for revision in (commit, "main"):
                self._put(f"/{PREFIX[kind]}{name}/resolve/{revision}/{path}", body, commit, gated, path in large)

    def _put(self, path: str, body: bytes, commit: str, gated: bool, large: bool = False) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        headers = {"ETag": tag, "X-Repo-Commit": commit, "Content-Type": "application/json"}
        if large:
            where = self.cdn.serve_ranges(f"/blobs{path}", body, ETag=tag)
            headers |= {"Location": where, "X-Linked-Size": str(len(body)), "X-Linked-Etag": tag}

        def answer(heard: Heard) -> Answer:
            if gated and heard.headers.get("Authorization") != f"Bearer {TOKEN}":
                status = 403 if "Authorization" in heard.headers else 401
                return status, {"Content-Length": "0", "X-Error-Code": "GatedRepo"}, b""
            if large:
                return 302, {**headers, "Content-Length": "0"}, b""
            return 200, {**headers, "Content-Length": str(len(body))}, body

        self.site.answers[path] = answer


@contextlib.contextmanager
def hub_site() -> Iterator[HubSite]:
    """Serve a hub that knows nothing yet, until the block ends."""
    with loopback_site() as site, loopback_site() as cdn:
        yield HubSite(site, cdn)


def use_hub(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the hub's client, which reads its settings when it is imported, to an address and an empty cache."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(cache / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
